//! The program itself: signals, exit codes, and what it writes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::stage::{Files, READ_TEAM};

const AUTHD: &str = env!("CARGO_BIN_EXE_authd");

/// The running program; killed when the test ends early.
pub(crate) struct Daemon {
    pub(crate) files: Files,
    pub(crate) child: Child,
}

impl Daemon {
    fn start(files: Files) -> Self {
        Self::start_with(files, |command| command)
    }

    pub(crate) fn start_with(files: Files, prepare: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let log = File::create(files.path("log")).unwrap();
        let mut command = Command::new(AUTHD);
        command
            .args(["serve", "--log-format", "json", "--config"])
            .arg(files.path("authd.yaml"))
            .env("GITWARD_LOG", "trace")
            .stderr(log);
        let child = prepare(&mut command).spawn().unwrap();
        let daemon = Self { files, child };
        daemon.wait_for("\"serving\"");
        daemon
    }

    fn log(&self) -> String {
        self.files.read("log")
    }

    /// The log is the event to wait for; the deadline only ends a failed test.
    pub(crate) fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "{text} is not in\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn ask(&self, headers: &str) -> u16 {
        let mut stream = UnixStream::connect(self.files.path("authd.sock")).unwrap();
        let request = format!(
            "GET /auth/nginx HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Original-Method: GET\r\n\
             X-Original-URI: {READ_TEAM}\r\nX-Real-IP: 192.0.2.1\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn login(&self, user: &str, password: &str) -> u16 {
        use base64::Engine;
        let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.ask(&format!("Authorization: Basic {token}\r\n"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(AUTHD)
        .args(arguments)
        .env_remove("GITWARD_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn sighup_reloads_and_revokes_at_once_and_sigterm_ends_well() {
    let mut daemon = Daemon::start(Files::new());
    assert_eq!(daemon.login("joe", "joe's password"), 200);
    let users = daemon.files.read("users.yaml");
    daemon.files.write("users.yaml", &users.replace("  joe:", "  joseph:"));
    daemon.signal(Signal::HUP);
    daemon.wait_for("configuration reloaded");
    assert_eq!(daemon.login("joe", "joe's password"), 401);

    daemon.signal(Signal::TERM);
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
    daemon.wait_for("\"stopped\"");
}

#[test]
fn health_asks_the_running_daemon() {
    let mut daemon = Daemon::start(Files::new());
    let log = daemon.log();
    let address = log.split("\"admin\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let health = |more: &[&str]| run(&[&["health", "--address", address], more].concat(), "");
    assert!(text(&health(&[]).stdout).starts_with('{'));
    assert_eq!(text(&health(&["--live"]).stdout), "ok\n");
    daemon.signal(Signal::TERM);
    daemon.child.wait().unwrap();
    assert_eq!(health(&[]).status.code(), Some(1));
    assert_eq!(run(&["health", "--config", "/nonexistent"], "").status.code(), Some(64));
}

#[test]
fn no_password_and_no_raw_client_text_is_ever_logged() {
    let daemon = Daemon::start(Files::new());
    let token = "Basic am9lOm1hbGZvcm1lZCBzZWNyZXQ"; // without its padding
    daemon.login("joe", "joe's password");
    for number in 0..7 {
        daemon.login("joe", &format!("wrong-secret-{number}"));
    }
    daemon.login("secret-typed-as-user", "x");
    daemon.ask(&format!("Authorization: {token}\r\n"));
    daemon.ask("X-Request-Id: \x1b[31mred\r\n");
    let key = fs::read(daemon.files.path("signing.key")).unwrap();
    daemon.signal(Signal::TERM);
    daemon.wait_for("\"stopped\"");

    let log = daemon.log();
    for secret in ["joe's password", "wrong-secret", "secret-typed-as-user", "am9lO", "Basic", "\x1b", "$2"] {
        assert!(!log.contains(secret), "{secret:?} is in the log");
    }
    assert!(!log.as_bytes().windows(key.len()).any(|window| window == key));
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    let denied = log.lines().find(|line| line.contains("\"wrong credentials\"")).unwrap();
    for field in [
        "\"message\":\"access denied\"",
        "\"client\":\"192.0.2.1\"",
        "\"repo\":\"team/a.git\"",
        "\"status\":401",
    ] {
        assert!(denied.contains(field), "{field} is not in {denied}");
    }
}

#[test]
fn check_accepts_what_serve_would_and_names_every_fault() {
    let files = Files::new();
    let config = files.path("authd.yaml").display().to_string();
    let good = run(&["check", "--config", &config], "");
    assert_eq!(good.status.code(), Some(0));
    assert!(text(&good.stdout).contains("ok: directory users, 4 users"), "{}", text(&good.stdout));
    assert!(!files.path("signing.key").exists(), "check creates nothing");

    files.write("users.yaml", "version: 1\nusers: { joe: { password: secret } }\n");
    files.write("policy.yaml", "version: 1\nacces: {}\n");
    for command in ["check", "serve"] {
        let bad = run(&[command, "--config", &config], "");
        assert_eq!(bad.status.code(), Some(64), "{command}");
        let errors = text(&bad.stderr);
        assert!(errors.contains("users.yaml:2:27: ") && errors.contains("authd hash-password"), "{errors}");
        assert!(
            errors.contains("policy.yaml:2:1: ") && errors.contains("did you mean `access`?"),
            "{errors}"
        );
    }
}

#[test]
fn serve_says_what_keeps_it_from_starting() {
    let files = Files::new();
    files.configure("unix", "", "  - { type: users, file: users.yaml }\n");
    files.write("authd.sock", "not a socket");
    let failed = run(&["serve", "--config", &files.path("authd.yaml").display().to_string()], "");
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("not a socket"), "{}", text(&failed.stderr));

    let missing = run(&["serve", "--config", "/nonexistent/authd.yaml"], "");
    assert_eq!(missing.status.code(), Some(64));
    assert!(
        text(&missing.stderr).contains("/nonexistent/authd.yaml: cannot be read"),
        "{}",
        text(&missing.stderr)
    );
}

#[test]
fn a_hashed_password_works_in_a_users_file() {
    let hashed = run(&["hash-password"], "correct horse\n");
    assert_eq!(hashed.status.code(), Some(0));
    let hash = text(&hashed.stdout).trim_end();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    let files = Files::new();
    files.write("users.yaml", &format!("version: 1\nusers: {{ joe: {{ password: \"{hash}\" }} }}\n"));
    let daemon = Daemon::start(files);
    assert_eq!(daemon.login("joe", "correct horse"), 200);
    assert_eq!(daemon.login("joe", "correct horse\n"), 401);
}

#[test]
fn an_empty_password_has_no_hash() {
    for input in ["", "\n", "a\tb\n"] {
        let refused = run(&["hash-password"], input);
        assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), ""), "{input:?}");
    }
}

#[test]
fn without_a_command_there_is_help() {
    let help = run(&[], "");
    assert_eq!(help.status.code(), Some(2));
    assert!(text(&help.stderr).contains("hash-password"));
}
