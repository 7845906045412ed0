//! One complete Gitward: nginx, `authd` and `backend-runner` in a temporary directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::builder::Builder;
use crate::git::Git;
use crate::http::Address;
use crate::message::{Request, Response};
use crate::nginx::Nginx;
use crate::process::{Process, until};
use crate::repositories::Repositories;
use crate::settings::Edit;
use crate::{people, procfs};

/// How long a daemon may take to become ready, on a machine busy with other stacks.
const START: Duration = Duration::from_secs(30);

/// A running stack. Fields are dropped in this order: the front first, the directory last.
#[derive(Debug)]
pub struct Stack {
    /// The front server.
    pub nginx: Nginx,
    /// The daemon that decides.
    pub authd: Process,
    /// The daemon that runs git.
    pub runner: Process,
    directory: Directory,
}

impl Stack {
    /// A stack with the users and the policy of [`people`].
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// The users and the policy of [`people`], everything else as in the samples.
    pub fn builder() -> Builder {
        Builder::default().policy(people::POLICY).users(people::USERS)
    }

    /// Starts nginx and both daemons on a prepared directory and waits until they are ready.
    pub(crate) fn launch(directory: TempDir, nginx_edits: &[Edit]) -> Result<Self> {
        let directory = Directory(directory);
        let authd = daemon(directory.path(), "authd")?;
        let runner = daemon(directory.path(), "backend-runner")?;
        let nginx = Nginx::start(directory.path(), nginx_edits)?;
        let mut stack = Self { nginx, authd, runner, directory };
        await_ready(&mut stack.authd, &stack.directory.admin("authd"))?;
        await_ready(&mut stack.runner, &stack.directory.admin("backend-runner"))?;
        Ok(stack)
    }

    /// The directory everything lives in.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The project root.
    pub fn repositories(&self) -> Repositories {
        Repositories::new(&self.path().join("git"))
    }

    /// The URL of a repository.
    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/git/{repository}", self.nginx.address())
    }

    /// The URL of a repository with credentials in it.
    pub fn url_as(&self, user: &str, password: &str, repository: &str) -> String {
        format!("http://{user}:{password}@{}/git/{repository}", self.nginx.address())
    }

    /// A git client without credentials.
    pub fn git(&self) -> Git {
        Git::new(&self.path().join("home"))
    }

    /// A git client that sends the right credentials of `person`.
    pub fn git_as(&self, person: people::Person) -> Git {
        self.git().sending(person.name, person.password)
    }

    /// Where nginx listens.
    pub fn front(&self) -> Address {
        Address::Tcp(self.nginx.address())
    }

    /// Sends one request through nginx.
    pub fn http(&self, request: &Request) -> Result<Response> {
        self.front().send(request)
    }

    /// The data listener of a daemon, for requests that bypass nginx.
    pub fn socket(&self, daemon: &str) -> Address {
        Address::unix(&self.path().join(format!("run/{daemon}.sock")))
    }

    /// The port a daemon chose, when it listens on TCP: see [`Builder::on_tcp`].
    pub fn tcp_port(&self, daemon: &str) -> Result<u16> {
        let log = if daemon == "authd" { self.authd.log() } else { self.runner.log() };
        let said = log.split("\"listen\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let address = said.and_then(|said| said.parse::<std::net::SocketAddr>().ok());
        Ok(address.with_context(|| format!("{daemon} listens on no port:\n{log}"))?.port())
    }

    /// What `path` on the admin listener of a daemon answers.
    pub fn admin(&self, daemon: &str, path: &str) -> Result<Response> {
        self.directory.admin(daemon).send(&Request::get(path))
    }

    /// The value of a metric: the sum of all its series.
    pub fn metric(&self, daemon: &str, name: &str) -> Result<f64> {
        let page = self.admin(daemon, "/metrics")?.text();
        let series = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        Ok(series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// A file of the stack as text, empty when it does not exist.
    pub fn read(&self, file: &str) -> String {
        fs::read(self.path().join(file)).map_or_else(|_| String::new(), |b| crate::git::text(&b))
    }

    /// A decision as a header value, signed with the key of this stack.
    pub fn sign(&self, decision: &policy::decision::Decision) -> Result<String> {
        crate::decisions::signed(&self.path().join("run/signing.key"), decision)
    }

    /// Every start of git by the runner so far, one line of arguments each; needs `counting_spawns`.
    pub fn spawned(&self) -> Vec<String> {
        self.read("spawned").lines().map(str::to_owned).collect()
    }

    /// Processes that descend from the runner or carry its environment: git, its helpers and hooks.
    pub fn git_processes(&self) -> Vec<u32> {
        let home = self.path().join("home");
        let mut found = procfs::mentioning(&self.path().join("git"));
        found.extend(procfs::descendants(self.runner.id()));
        found.sort_unstable();
        found.dedup();
        let own = [self.runner.id(), self.authd.id()];
        found.retain(|pid| !own.contains(pid) && !is_client(*pid, &home));
        found
    }

    /// Waits until no git process of the runner is left.
    pub fn await_no_git(&self, patience: Duration) -> Result<()> {
        let outcome =
            crate::until_true("end of all git processes", patience, || self.git_processes().is_empty());
        outcome.with_context(|| {
            let left = self.git_processes();
            left.iter().map(|pid| format!("{pid}: {}\n", procfs::command_line(*pid))).collect::<String>()
        })
    }

    /// Starts a daemon again after it has ended.
    pub fn restart(&mut self, name: &str) -> Result<()> {
        let process = daemon(self.directory.path(), name)?;
        let slot = if name == "authd" { &mut self.authd } else { &mut self.runner };
        *slot = process;
        await_ready(slot, &self.directory.admin(name))
    }
}

/// The directory of a stack; what still runs in it is killed before it is removed.
#[derive(Debug)]
struct Directory(TempDir);

impl Directory {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn admin(&self, daemon: &str) -> Address {
        Address::unix(&self.path().join(format!("run/{daemon}-admin.sock")))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        for pid in procfs::mentioning(self.path()) {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
        if thread::panicking() {
            let errors = fs::read_to_string(self.path().join("log/error.log")).unwrap_or_default();
            errors.lines().for_each(|line| eprintln!("   nginx | {line}"));
        }
    }
}

pub(crate) fn daemon(directory: &Path, name: &str) -> Result<Process> {
    let mut command = Command::new(program(name)?);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("GITWARD_LOG_FORMAT", "json");
    command.arg("serve").arg("--config").arg(directory.join(format!("etc/{name}.yaml")));
    Process::spawn(name, &mut command, &directory.join("log"))
}

/// A daemon's binary: beside this test's own executable, where cargo puts both.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target =
        own.parent().and_then(Path::parent).context("the test executable has no target directory")?;
    let program = target.join(name);
    ensure!(program.is_file(), "{} is missing: run `cargo build` first", program.display());
    Ok(program)
}

pub(crate) fn await_ready(process: &mut Process, admin: &Address) -> Result<()> {
    let mut answer = String::new();
    let outcome = until("readiness", START, || {
        if let Some(status) = process.exited()? {
            bail!("the daemon ended with {status}");
        }
        let response = admin.send(&Request::get("/readyz"));
        answer = format!("{response:?}");
        Ok(response.ok().filter(|response| response.status == 200).map(drop))
    });
    outcome.with_context(|| format!("{}\nlast answer of /readyz: {answer}", process.log()))
}

fn is_client(pid: u32, home: &Path) -> bool {
    let home = format!("HOME={}", home.display());
    procfs::environment(pid).iter().any(|entry| entry.starts_with(&home))
}
