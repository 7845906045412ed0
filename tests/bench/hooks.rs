//! What judging a push costs: processor time of one ref to a protected branch, with our hooks and with an empty shell script.
//!
//! `cargo run --release -p gitward-tests --example bench-hooks`; build backend-runner and authd with the same profile first. It
//! takes some seconds, uses loopback only, and fails when a judged push costs more than half as much again. It is no test: it
//! counts the processor time of all children of its process, and would count those of other tests.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on should end")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::people::WRITER;
use harness::pkt::advertisement;
use harness::{Request, Stack, Target, procfs, program};

/// Pushes for one measurement, and how often each is made.
const PUSHES: usize = 25;
const ROUNDS: usize = 6;

/// How much dearer a push may be.
const LIMIT: f64 = 1.5;

fn main() {
    let stack = Stack::start().unwrap();
    let target = Target::new(&stack, "team", "sha1").unwrap();
    target.set(&[("refs/heads/main", &target.root)]).unwrap();
    let (shell, ours) = (stack.path().join("shell"), stack.path().join("ours"));
    fs::create_dir(&shell).unwrap();
    fs::write(shell.join("pre-receive"), "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(shell.join("pre-receive"), fs::Permissions::from_mode(0o755)).unwrap();
    let runner = program("backend-runner").unwrap();
    assert!(Command::new(runner).arg("install-hooks").arg(&ours).status().unwrap().success());

    let bench = Bench { target: &target, directory: stack.path() };
    bench.measure(&ours);
    let (mut with_shell, mut with_ours) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        with_shell += bench.measure(&shell);
        with_ours += bench.measure(&ours);
    }
    let around = around(&stack, &target);
    let count = f64::from(u16::try_from(PUSHES * ROUNDS).unwrap());
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0 / count;
    let ratio = |more: Duration| (with_ours + more).as_secs_f64() / (with_shell + more).as_secs_f64();
    println!(
        "processor time of a push: {:.2} ms with a shell script, {:.2} ms judged, {:.2} ms around it; \
         ratio {:.2}, of receive-pack alone {:.2}",
        milliseconds(with_shell),
        milliseconds(with_ours),
        milliseconds(around),
        ratio(around),
        ratio(Duration::ZERO),
    );
    // Without optimisation the daemons and the hook program are several times slower than they are when they are used.
    assert!(ratio(around) <= LIMIT);
}

/// What as many pushes cost besides receive-pack and its hooks: both requests in nginx, authd and the runner, and the advertisement.
fn around(stack: &Stack, target: &Target<'_>) -> Duration {
    let daemons = || {
        let nginx = procfs::descendants(std::process::id());
        nginx.into_iter().map(procfs::cpu_time).sum::<Duration>()
    };
    let before = daemons();
    let advertisement = Request::get(&advertisement("team/sha1.git", "git-receive-pack"));
    for number in 0..PUSHES * ROUNDS {
        stack.http(&advertisement.clone().basic(WRITER.name, WRITER.password)).unwrap();
        let ends = [&*target.root, &*target.next];
        let (old, new) = (ends[number % 2], ends[(number + 1) % 2]);
        target.takes(WRITER, &[(old, new, "refs/heads/main")]).unwrap_or_else(|error| panic!("{error}"));
    }
    let in_daemons = daemons() - before;
    let children = || procfs::cpu_time_of_children(std::process::id());
    let own = children();
    for _ in 0..PUSHES * ROUNDS {
        let mut git = Command::new("/usr/bin/git");
        git.args(["receive-pack", "--http-backend-info-refs"]).arg(target.repository.path());
        git.env_clear().env("PATH", "/usr/bin:/bin").stderr(Stdio::null());
        assert!(git.output().unwrap().status.success());
    }
    in_daemons + (children() - own)
}

struct Bench<'a> {
    target: &'a Target<'a>,
    directory: &'a Path,
}

impl Bench<'_> {
    /// Processor time of some pushes back and forth, all children included.
    fn measure(&self, hooks: &Path) -> Duration {
        let before = procfs::cpu_time_of_children(std::process::id());
        for number in 0..PUSHES {
            self.push(hooks, number);
        }
        let time = procfs::cpu_time_of_children(std::process::id()).saturating_sub(before);
        self.target.set(&[("refs/heads/main", &self.target.root)]).unwrap();
        time
    }

    /// What the runner does for a push, without the runner.
    fn push(&self, hooks: &Path, number: usize) {
        let push = self.directory.join("push");
        let _ = fs::remove_dir_all(&push);
        fs::create_dir_all(push.join("log")).unwrap();
        let order = r#"{"short":{"nonce":"n","timeout_ms":60000,"external":null},"repo":"a.git","user":"joe","groups":["dev"],
            "info":{},"rules":{"protect":{"main":{"write":["joe"],"force":["joe"]}}},"git":"/usr/bin/git"}"#;
        fs::write(push.join("push.json"), order).unwrap();
        fs::write(push.join("short"), "n\n60000\n\n").unwrap();
        let ends = [&self.target.root, &self.target.next];
        let (old, new) = (ends[number % 2], ends[(number + 1) % 2]);
        let body = harness::pkt::update(old, new, "refs/heads/main");
        let body = [&body[..], harness::pkt::EMPTY_PACK].concat();
        fs::write(push.join("body"), body).unwrap();
        let mut git = Command::new("/usr/bin/git");
        git.args(["receive-pack", "--stateless-rpc"]).arg(self.target.repository.path());
        git.env_clear().env("PATH", "/usr/bin:/bin").env("GITWARD_LOG_DIR", push.join("log"));
        git.envs([
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_CONFIG_KEY_0", "receive.autogc"),
            ("GIT_CONFIG_VALUE_0", "false"),
        ]);
        git.env("GIT_CONFIG_KEY_1", "core.hooksPath").env("GIT_CONFIG_VALUE_1", hooks);
        git.stdin(fs::File::open(push.join("body")).unwrap()).stderr(Stdio::inherit());
        let output = git.output().unwrap();
        let answer = String::from_utf8_lossy(&output.stdout);
        assert!(answer.contains("ok refs/heads/main"), "{answer}");
    }
}
