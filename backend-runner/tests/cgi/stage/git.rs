//! The real git, and other programs, as tests run them beside the daemon.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// Runs the real git, for set-up.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = command(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The real git with input.
pub(crate) fn feed(directory: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    run(command(directory).args(arguments), input)
}

pub(super) fn run(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut status = None;
    let output = exchange(command, input, &mut status);
    assert!(status.unwrap().success(), "{command:?}");
    output
}

/// What a program prints, however it ends.
pub(crate) fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    exchange(command, input, &mut None)
}

fn exchange(command: &mut Command, input: &[u8], status: &mut Option<ExitStatus>) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A program need not read all of it.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    *status = Some(output.status);
    output.stdout
}

/// git without the settings of whoever runs the tests.
pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new("/usr/bin/git");
    command.current_dir(directory).env_clear().envs([
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/nonexistent"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "A"),
        ("GIT_AUTHOR_EMAIL", "a@example.org"),
        ("GIT_AUTHOR_DATE", "1700000000 +0000"),
        ("GIT_COMMITTER_DATE", "1700000000 +0000"),
        ("GIT_COMMITTER_NAME", "C"),
        ("GIT_COMMITTER_EMAIL", "c@example.org"),
    ]);
    command
}
