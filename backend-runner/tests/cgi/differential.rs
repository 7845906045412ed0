//! Both engines against the reference: `git http-backend`, started the way a plain CGI server would.
//!
//! Status, the headers that matter and every byte of the body must be the same. Where they are not, the difference is decided
//! and stands in `the_differences_are_these_and_no_others`.

pub(crate) mod shapes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use backend_runner::cache::question::is_shallow_clone;
use backend_runner::cgi::environment::{self, RequestHeaders, RulesForGit, Settings};
use backend_runner::cgi::response;
use backend_runner::config;
use backend_runner::git::Git;
use backend_runner::managed_hooks::ManagedHooks;
use backend_runner::push::directory::{Hooks, PushDirectory};
use backend_runner::push::order;
use backend_runner::repository::Repository;
use backend_runner::switches;
use policy::branch::LevelBranches;
use policy::decision::Decision;

use self::shapes::{Shape, Variant, shapes, variants};
use crate::http::{Answer, get, post, post_chunked};
use crate::stage::{self, Stage, feed, git};

/// What is compared.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    headers: Vec<Option<String>>,
    body: Vec<u8>,
}

const HEADERS: [&str; 5] = ["content-type", "cache-control", "expires", "pragma", "last-modified"];
/// The installed gits; where there are two, both are compared.
fn programs() -> impl Iterator<Item = &'static str> {
    ["/usr/bin/git", "/usr/local/bin/git"].into_iter().filter(|path| Path::new(path).is_file())
}

#[test]
fn both_engines_answer_like_http_backend() {
    std::thread::scope(|scope| {
        for program in programs() {
            scope.spawn(move || compare(program));
        }
    });
}

fn compare(program: &str) {
    let git = Git::probe(Path::new(program)).unwrap();
    let stages = ["direct", "http-backend"].map(|engine| stage(program, engine));
    let shapes = shapes(&stages[0]);
    let mut compared = 0;
    for (number, shape) in shapes.iter().enumerate() {
        let expected = reference(&git, &stages[0], shape);
        for stage in &stages {
            for variant in variants(shape, number) {
                restore(stage, shape);
                let seen = send(stage, shape, variant);
                assert_eq!(
                    printable(&seen),
                    printable(&expected),
                    "{} {variant:?} {}",
                    git.banner,
                    shape.described()
                );
                compared += 1;
            }
        }
    }
    eprintln!("{}: {} shapes, {compared} comparisons", git.banner, shapes.len());
}

#[test]
fn the_differences_are_these_and_no_others() {
    let stages = ["direct", "http-backend"].map(|engine| stage("/usr/bin/git", engine));
    let [direct, backend] = &stages;
    // A fetch that is not the gzip it claims to be: it is read and decoded before git is started, so the client can be told;
    // http-backend has said 200 by then, and prints an error into the body.
    let target = "/git/full.git/git-upload-pack";
    let decision = stage::signed("POST", target);
    let headers = [
        ("X-Gitward-Decision", decision.as_str()),
        ("Content-Type", "application/x-git-upload-pack-request"),
        ("Content-Encoding", "gzip"),
    ];
    assert_eq!(direct.ask(&post(&headers, b"no gzip")).status, 400);
    assert_eq!(backend.ask(&post(&headers, b"no gzip")).status, 400);
    // A repository that git cannot open: http-backend says 404, the other engine that git failed, which is the case.
    let decision = stage::signed("GET", "/git/full.git/info/refs?service=git-upload-pack");
    for (stage, status) in [(direct, 500), (backend, 404)] {
        fs::write(stage.repository("full.git").join("HEAD"), "nonsense").unwrap();
        assert_eq!(stage.ask(&get(&[("X-Gitward-Decision", &decision)])).status, status);
    }
}

fn stage(program: &str, engine: &str) -> Stage {
    let config = format!("engine: {engine}");
    let stage = Stage::installed(program, &config);
    let full = stage.filled_repository("full.git", 20);
    git(&full, &["branch", "topic", "main~3"]);
    git(&full, &["tag", "-a", "-m", "annotated", "v2", "main~1"]);
    git(&full, &["update-ref", "refs/notes/x", "main~2"]);
    git(&full, &["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    git(&full, &["config", "pack.threads", "1"]);
    git(
        stage.path(),
        &[
            "init",
            "-q",
            "--template=",
            "--bare",
            "-b",
            "main",
            stage.repository("empty.git").to_str().unwrap(),
        ],
    );
    let sha256 = stage.repository("sha256.git");
    git(
        stage.path(),
        &[
            "init",
            "-q",
            "--template=",
            "--bare",
            "-b",
            "main",
            "--object-format=sha256",
            sha256.to_str().unwrap(),
        ],
    );
    feed(
        &sha256,
        &["fast-import", "--quiet"],
        b"commit refs/heads/main\ncommitter C <c@example.org> 1700000000 +0000\ndata 1\nc\n",
    );
    for (name, key, value) in [
        ("hidden.git", "transfer.hideRefs", "refs/tags"),
        ("closed.git", "http.receivepack", "false"),
        ("shut.git", "http.uploadpack", "false"),
        ("open.git", "http.receivepack", "true"),
        ("session.git", "transfer.advertiseObjectInfo", "true"),
    ] {
        copy(&full, &stage.repository(name));
        git(&stage.repository(name), &["config", key, value]);
    }
    copy(&stage.path().join("repos"), &stage.path().join("kept"));
    stage
}

fn copy(from: &Path, to: &PathBuf) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Pushes change things: every one of them finds its repository as it was.
fn restore(stage: &Stage, shape: &Shape) {
    let Some((_, repo)) =
        shape.target.strip_suffix("/git-receive-pack").and_then(|target| target.rsplit_once('/'))
    else {
        return;
    };
    fs::remove_dir_all(stage.repository(repo)).unwrap();
    copy(&stage.path().join("kept").join(repo), &stage.repository(repo));
}

fn decision(shape: &Shape) -> Decision {
    let method = if shape.body.is_some() { "POST" } else { "GET" };
    let mut decision = stage::decision(method, &shape.target);
    if shape.anonymous {
        decision.user = None;
    }
    decision
}

pub(crate) fn send(stage: &Stage, shape: &Shape, variant: Variant) -> Seen {
    let decision = decision(shape);
    let signed = stage::sign(&decision);
    let mut headers = vec![("X-Gitward-Decision", signed.as_str())];
    headers.extend(shape.protocol.map(|protocol| ("Git-Protocol", protocol)));
    headers.extend(environment::request_type(decision.service).map(|kind| ("Content-Type", kind)));
    if variant.compressed {
        headers.push(("Content-Encoding", "gzip"));
    }
    let request = match &shape.body {
        None => get(&headers),
        Some(body) => {
            let body = if variant.compressed { stage::gzip(body) } else { body.clone() };
            if variant.chunked { post_chunked(&headers, &body, 100) } else { post(&headers, &body) }
        }
    };
    let answer = stage.ask(&request);
    assert!(answer.complete, "{}", shape.described());
    seen(answer)
}

fn seen(answer: Answer) -> Seen {
    let headers = HEADERS.map(|name| answer.header(name).map(str::to_owned));
    Seen { status: answer.status, headers: headers.into(), body: answer.body }.without_refusals()
}

impl Seen {
    /// All refusals look like the daemon's own 403, which says nothing: its head and text are not http-backend's.
    fn without_refusals(self) -> Self {
        if self.status == 403 { Self { status: 403, headers: Vec::new(), body: Vec::new() } } else { self }
    }
}

pub(crate) fn printable(seen: &Seen) -> (u16, Vec<Option<String>>, String) {
    (seen.status, seen.headers.clone(), joined(&seen.body).escape_ascii().to_string())
}

/// The body with neighbouring side-band packets joined: where git cuts a pack into packets depends on its scheduling.
fn joined(body: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    let mut rest = body;
    let mut in_pack = false;
    while let Some((length, after)) = rest.split_at_checked(4) {
        let length =
            std::str::from_utf8(length).ok().and_then(|length| usize::from_str_radix(length, 16).ok());
        let Some((packet, after)) =
            length.and_then(|length| after.split_at_checked(length.saturating_sub(4)))
        else {
            break;
        };
        match packet.split_first() {
            Some((1, data)) if in_pack => joined.extend_from_slice(data),
            Some((1, data)) => joined.extend([b"<pack>", data].concat()),
            _ => joined.extend_from_slice(&rest[..4 + packet.len()]),
        }
        in_pack = packet.first() == Some(&1);
        rest = after;
    }
    joined.extend_from_slice(rest);
    joined
}

/// What `git http-backend` answers to the plain body.
pub(crate) fn reference(git: &Git, stage: &Stage, shape: &Shape) -> Seen {
    restore(stage, shape);
    let decision = decision(shape);
    let root = stage.path().join("repos");
    let repository = Repository { path: root.join(decision.repo.as_str()) };
    let hidden_refs = switches::hidden(git, &repository).unwrap();
    // A push is judged there too, by the same hooks and the same rules: none.
    let scratch = std::env::temp_dir();
    let hooks = config::Hooks {
        directory: None,
        timeout: Duration::from_secs(60),
        external: None,
        scratch: scratch.clone(),
    };
    let managed = ManagedHooks::open(&hooks);
    let order = order::Settings { git: git.program.clone(), external: None, timeout: hooks.timeout };
    let found = Hooks::Elsewhere(managed.directory().to_owned());
    let push = PushDirectory::create(&scratch, &decision, LevelBranches::default(), &order, &found).unwrap();
    let log = push.log();
    let settings = Settings {
        alias: None,
        search_path: &git.search_path,
        root: &root,
        export_all: true,
        hooks: Some(push.hooks()),
        push_size: 2 << 30,
        negotiation: 10 << 20,
        allow_filter: None,
        hidden_refs: &hidden_refs,
        push_options: false,
        config: Path::new("/none"),
        rules: RulesForGit::default(),
        log_directory: Some(&log),
        no_alternates: true,
        shallow: shape.body.as_deref().is_some_and(is_shallow_clone),
    };
    let headers = RequestHeaders { protocol: shape.protocol, encoding: None };
    let variables = environment::variables(&decision, headers, &root.join(decision.repo.as_str()), &settings);
    let mut command = Command::new(&git.program);
    command.arg("http-backend").env_clear().envs(variables.iter().map(|(name, value)| (&**name, value)));
    let output = stage::output(command.stderr(Stdio::null()), shape.body.as_deref().unwrap_or_default());
    let (head, length) = response::parse(&output, true).unwrap().unwrap();
    let value =
        |name: &str| head.headers.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value);
    let headers = HEADERS.iter().map(|name| Some(value(name)?.to_str().unwrap().to_owned())).collect();
    Seen { status: head.status.as_u16(), headers, body: output[length..].to_vec() }.without_refusals()
}
