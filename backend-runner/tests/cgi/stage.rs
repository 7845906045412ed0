//! `Stage`: a daemon of one's own in a directory of its own, with real git or a program in git's place.

mod git;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use backend_runner::config::Config;
use backend_runner::server::Server;
use policy::decision::{self, Decision, SigningKey};
use policy::git_request::{GitRequest, Mount, Service};
use policy::identity::{GroupName, UserName};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use self::git::run;
pub(crate) use self::git::{command, feed, git, output};
use crate::http::{Answer, Connection};

pub(crate) const KEY: [u8; 32] = [7; 32];

pub(crate) struct Stage {
    pub(crate) directory: TempDir,
    shutdown: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stage {
    /// With the real git.
    pub(crate) fn real(config: &str) -> Self {
        Self::installed("/usr/bin/git", config)
    }

    /// With the git at `path`.
    pub(crate) fn installed(path: &str, config: &str) -> Self {
        Self::with(config, |_| path.into())
    }

    /// With a shell script in git's place. It stands for the program that speaks CGI, unless `config` names an engine.
    pub(crate) fn fake(script: &str, config: &str) -> Self {
        let engine = if config.contains("engine:") { "" } else { "engine: http-backend\n" };
        Self::with(&format!("{engine}{config}"), |directory| fake_git(directory, script))
    }

    /// With the real git, every start of which leaves its arguments in the trace.
    pub(crate) fn counting(config: &str) -> Self {
        Self::with(config, |directory| {
            let (programs, trace) = (directory.display(), directory.join("trace"));
            let trace = trace.display();
            let hook = format!("-c uploadpack.packObjectsHook={programs}/pack-hook");
            let git = format!(
                "#!/bin/sh\ncase $1 in --exec-path) echo {programs}; exit ;; *-pack) echo \"$*\" >>{trace} ;; esac\n\
                 exec /usr/bin/git {hook} \"$@\"\n"
            );
            let backend =
                format!("#!/bin/sh\necho http-backend >>{trace}\nexec /usr/bin/git {hook} http-backend\n");
            executable(
                &directory.join("pack-hook"),
                &format!("#!/bin/sh\necho pack-objects >>{trace}\nexec \"$@\"\n"),
            );
            executable(&directory.join("git"), &git);
            executable(&directory.join("git-http-backend"), &backend);
            directory.join("git")
        })
    }

    fn with(config: &str, git: impl FnOnce(&Path) -> PathBuf) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir(path.join("repos")).unwrap();
        fs::write(path.join("policy.yaml"), "version: 1\naccess: {}\n").unwrap();
        let mut key =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path.join("key")).unwrap();
        key.write_all(&KEY).unwrap();
        let git = git(path);
        let config = format!(
            "version: 1\nlisten: unix:{socket}\nrepositories: repos\npolicy_file: policy.yaml\nsigning_key_file: key\n\
             git: {git}\n{config}\n",
            socket = path.join("socket").display(),
            git = git.display(),
        );
        fs::write(path.join("backend-runner.yaml"), config).unwrap();
        let mut stage = Self { directory, shutdown: CancellationToken::new(), thread: None };
        stage.start();
        stage
    }

    fn start(&mut self) {
        let config =
            Config::load(&self.path().join("backend-runner.yaml")).unwrap_or_else(|error| panic!("{error}"));
        let shutdown = self.shutdown.clone();
        let (bound, ready) = std::sync::mpsc::channel();
        self.thread = Some(std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::bind(config).unwrap();
                bound.send(()).unwrap();
                server.run(shutdown.cancelled()).await.unwrap();
            });
        }));
        ready.recv().unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn repository(&self, name: &str) -> PathBuf {
        self.path().join("repos").join(name)
    }

    /// Looks like a repository, and is enough for a program in git's place.
    pub(crate) fn hollow_repository(&self, name: &str) {
        for part in ["objects", "refs"] {
            fs::create_dir_all(self.repository(name).join(part)).unwrap();
        }
        fs::write(self.repository(name).join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    /// A bare repository with `commits` commits on `main` and a tag.
    pub(crate) fn filled_repository(&self, name: &str, commits: usize) -> PathBuf {
        self.filled_repository_of(&[], name, commits)
    }

    /// The same, made with further options of `git init`.
    pub(crate) fn filled_repository_of(&self, kind: &[&str], name: &str, commits: usize) -> PathBuf {
        let bare = self.repository(name);
        fs::create_dir_all(bare.parent().unwrap()).unwrap();
        let init = [&["init", "-q", "--template=", "--bare", "-b", "main"], kind, &[bare.to_str().unwrap()]];
        git(self.path(), &init.concat());
        let mut stream = String::new();
        for number in 0..commits {
            let content = format!("line {number}\n");
            stream.push_str(&format!(
                "commit refs/heads/main\ncommitter C <c@example.org> {} +0000\ndata 2\nc\nM 644 inline file-{number}\ndata {}\n{content}\n",
                1_700_000_000 + number,
                content.len(),
            ));
        }
        stream.push_str("reset refs/tags/v1\nfrom refs/heads/main\n\n");
        feed(&bare, &["fast-import", "--quiet"], stream.as_bytes());
        bare
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.path().join("socket"))
    }

    /// Sends one request and reads its answer.
    pub(crate) fn ask(&self, request: &[u8]) -> Answer {
        let mut connection = self.connect();
        connection.send(request).unwrap();
        connection.answer().unwrap()
    }

    /// Ends the daemon and starts it again.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.shutdown = CancellationToken::new();
        self.start();
    }

    pub(crate) fn stop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// Tells the daemon to stop without waiting for it.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.thread.as_ref().is_none_or(std::thread::JoinHandle::is_finished)
    }

    /// The file a script in git's place leaves a trace in.
    pub(crate) fn trace(&self) -> PathBuf {
        self.path().join("trace")
    }

    pub(crate) fn traced(&self) -> String {
        fs::read_to_string(self.trace()).unwrap_or_default()
    }

    /// Waits until the trace has `text`.
    pub(crate) fn wait_for_trace(&self, text: &str) {
        eventually(&format!("{text:?} in the trace"), || self.traced().contains(text));
    }

    /// Children that are left, and theirs: they all have this stage's directory in their environment.
    pub(crate) fn processes(&self) -> Vec<String> {
        let directory = self.path().to_str().unwrap();
        let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let of_this = entries.filter(|path| {
            fs::read(path.join("environ"))
                .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(directory))
        });
        of_this.filter_map(|path| fs::read_to_string(path.join("stat")).ok()).collect()
    }

    pub(crate) fn wait_for_no_processes(&self) {
        eventually("no process left", || self.processes().is_empty());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for something another process does; there is no event to wait for.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(15);
    while !condition() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A decision for the request a client would make; `joe`, unless changed.
pub(crate) fn decision(method: &str, target: &str) -> Decision {
    let request = GitRequest::parse(&Mount::default(), method, target.as_bytes()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut decision = Decision::permitting(&request, "0123456789abcdef".into(), now);
    decision.user = Some(UserName::parse("joe").unwrap());
    decision.groups =
        vec![GroupName::parse("Domain Users").unwrap(), GroupName::parse("developers").unwrap()];
    decision.client = "192.0.2.7".into();
    decision
}

pub(crate) fn sign(decision: &Decision) -> String {
    decision::sign(&SigningKey::from_bytes(KEY), decision)
}

pub(crate) fn signed(method: &str, target: &str) -> String {
    sign(&decision(method, target))
}

/// A signed decision for a plain file, which the grammar of smart HTTP does not know.
pub(crate) fn dumb_decision(path_info: &str) -> String {
    let mut decision = decision("GET", "/git/a.git/info/refs?service=git-upload-pack");
    decision.service = Service::Dumb;
    decision.path_info = path_info.into();
    decision.query = String::new();
    sign(&decision)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A `git` that answers the daemon's questions like git does and runs `script` in place of `git-http-backend`.
fn fake_git(directory: &Path, script: &str) -> PathBuf {
    let programs = directory.join("programs");
    fs::create_dir(&programs).unwrap();
    let executable = |name: &str, text: String| {
        let path = programs.join(name);
        executable(&path, &text);
        path
    };
    let trace = directory.join("trace");
    executable("git-http-backend", format!("#!/bin/sh\nTRACE={}\n{script}\n", trace.display()));
    let answers = format!("version) echo git version 2.47.3 ;; --exec-path) echo {} ;;", programs.display());
    let services = format!("upload-pack|receive-pack) TRACE={}\n{script}\n;;", trace.display());
    executable("git", format!("#!/bin/sh\ncase $1 in {answers} {services} esac\n"))
}

/// Written by another process: a test that forks meanwhile would keep the file open for writing, and unfit to run.
fn executable(path: &Path, text: &str) {
    let write = "cat >\"$0\" && chmod 755 \"$0\"";
    run(Command::new("/bin/sh").args(["-c", write]).arg(path), text.as_bytes());
}
