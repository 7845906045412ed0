//! What judging a push costs: processor time of one ref to a protected branch, with our hooks and with an empty shell script.
//!
//! `cargo run --release -p gitward-tests --example bench-hooks`; build backend-runner and authd with the same profile first. It
//! takes some seconds, uses loopback only, and fails when a judged push costs more than half as much again. It is no test: it
//! counts the processor time of all children of its process, and would count those of other tests.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on should end")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
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
    let [shell, ours, installed] = ["shell", "ours", "installed"].map(|name| stack.path().join(name));
    fs::create_dir(&shell).unwrap();
    fs::write(shell.join("pre-receive"), "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(shell.join("pre-receive"), fs::Permissions::from_mode(0o755)).unwrap();
    let runner = program("backend-runner").unwrap();
    assert!(Command::new(runner).arg("install-hooks").arg(&installed).status().unwrap().success());
    // As in a push where nobody wants update or post-receive.
    fs::create_dir(&ours).unwrap();
    std::os::unix::fs::symlink(installed.join("pre-receive"), ours.join("pre-receive")).unwrap();

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
        let processes = stack.nginx.workers().into_iter().chain([stack.authd.id(), stack.runner.id()]);
        processes.map(procfs::cpu_time).sum::<Duration>()
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
    let repository = target.repository.path().display();
    let advertise =
        format!("/usr/bin/git receive-pack --http-backend-info-refs '{repository}' > /dev/null\n");
    in_daemons + timed(&advertise.repeat(PUSHES * ROUNDS))
}

struct Bench<'a> {
    target: &'a Target<'a>,
    directory: &'a Path,
}

impl Bench<'_> {
    /// Processor time of some pushes back and forth, all their processes included.
    fn measure(&self, hooks: &Path) -> Duration {
        let script: String = (0..PUSHES).map(|number| self.push(number)).collect();
        let settings = format!(
            "export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=receive.autogc GIT_CONFIG_VALUE_0=false\n\
             export GIT_CONFIG_KEY_1=core.hooksPath GIT_CONFIG_VALUE_1='{}'\n",
            hooks.display()
        );
        let time = timed(&(settings + &script));
        for number in 0..PUSHES {
            let answer = fs::read(self.place(number).join("answer")).unwrap();
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.contains("ok refs/heads/main"), "{answer}");
        }
        self.target.set(&[("refs/heads/main", &self.target.root)]).unwrap();
        time
    }

    fn place(&self, number: usize) -> PathBuf {
        self.directory.join(format!("push-{number}"))
    }

    /// Prepares what the runner prepares for a push; the command that makes it.
    fn push(&self, number: usize) -> String {
        let place = self.place(number);
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).unwrap();
        let order = r#"{"repo":"a.git","user":"joe","groups":["dev"],"info":{},"rules":{"protect":{"main":{"write":["joe"],"force":["joe"]}}},"git":"/usr/bin/git"}"#;
        fs::write(place.join("order"), format!("n\n60000\n\n{order}")).unwrap();
        let ends = [&self.target.root, &self.target.next];
        let (old, new) = (ends[number % 2], ends[(number + 1) % 2]);
        let body = harness::pkt::update(old, new, "refs/heads/main");
        fs::write(place.join("body"), [&body[..], harness::pkt::EMPTY_PACK].concat()).unwrap();
        format!(
            "GITWARD_LOG_DIR='{0}/log' /usr/bin/git receive-pack --stateless-rpc '{1}' < '{0}/body' > '{0}/answer'\n",
            place.display(),
            self.target.repository.path().display()
        )
    }
}

/// Processor time of the children of a shell that runs `script`. A process of its own: others' children do not count.
fn timed(script: &str) -> Duration {
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.stderr(Stdio::null()).spawn().unwrap();
    // The shell reads as it goes, and is alive, waiting for more, when its children are counted.
    let mut stdin = shell.stdin.take().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    stdin.write_all(b"echo done\n").unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "done\n");
    let time = procfs::cpu_time_of_children(shell.id());
    drop(stdin);
    assert!(shell.wait().unwrap().success());
    time
}
