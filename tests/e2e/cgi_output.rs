//! A git that answers nonsense: nothing of it reaches the client but what belongs to git over HTTP.
//!
//! A script takes the place of git's http-backend and misbehaves as the name of the repository says.

use std::time::Duration;

use harness::people::READER;
use harness::pkt::advertisement;
use harness::{Request, Response, Stack, until_true};

const SCRIPT: &str = r#"#!/bin/sh
ok='Content-Type: application/x-git-upload-pack-advertisement'
case "$PATH_INFO" in
/fields.git/*)
  printf 'Status: 200 OK\r\n%s\r\nCache-Control: no-cache\r\n' "$ok"
  printf 'Set-Cookie: a=b\r\nX-Accel-Redirect: /_denied/503\r\nAccess-Control-Allow-Origin: *\r\n'
  printf 'X-Gitward-User: root\r\nServer: evil\r\nX-Anything: evil\r\nWWW-Authenticate: Basic realm="evil"\r\n\r\nbody' ;;
/location.git/*)  printf 'Location: http://evil.example/\r\n\r\n' ;;
/redirect.git/*)  printf 'Status: 302 Found\r\nLocation: http://evil.example/\r\n\r\n' ;;
/continue.git/*)  printf 'Status: 100 Continue\r\n\r\n' ;;
/status.git/*)    printf 'Status: 99999 X\r\n%s\r\n\r\n' "$ok" ;;
/word.git/*)      printf 'Status: fine\r\n%s\r\n\r\n' "$ok" ;;
/none.git/*)      : ;;
/failed.git/*)    echo 'fatal: something broke' >&2; exit 128 ;;
/killed.git/*)    kill -9 $$ ;;
/garbage.git/*)   printf 'this is no header\r\n\r\nbody' ;;
/control.git/*)   printf 'Content-Type: a\001b\r\n\r\nbody' ;;
/endless.git/*)   printf 'X-A: '; head -c 2000000 /dev/zero | tr '\0' a ;;
/many.git/*)      i=0; while [ $i -lt 5000 ]; do printf 'X-A: b\r\n'; i=$((i+1)); done; printf '\r\n' ;;
/length.git/*)    printf '%s\r\nContent-Length: 5000\r\n\r\nshort' "$ok" ;;
/stderr.git/*)    head -c 20000000 /dev/zero | tr '\0' e >&2; printf '%s\r\n\r\nbody' "$ok" ;;
/newlines.git/*)  printf '%s\n\nbody' "$ok" ;;
esac
"#;

#[test]
fn only_known_fields_of_git_reach_the_client() {
    let stack = stack();
    let response = ask(&stack, "fields.git");
    assert_eq!(response.status, 200);
    assert_eq!(response.text(), "body");
    assert_eq!(response.header("Cache-Control"), Some("no-cache"));
    let seen = response.comparable().to_ascii_lowercase();
    for word in ["evil", "cookie", "accel", "access-control", "gitward", "root"] {
        assert!(!seen.contains(word), "{word} in {seen}");
    }
    assert_eq!(ask(&stack, "newlines.git").text(), "body");
}

#[test]
fn a_head_that_makes_no_sense_is_a_fault_of_ours() {
    let stack = stack();
    let broken = [
        "location.git",
        "redirect.git",
        "continue.git",
        "status.git",
        "word.git",
        "none.git",
        "failed.git",
        "killed.git",
        "garbage.git",
        "control.git",
        "endless.git",
        "many.git",
    ];
    for repository in broken {
        let response = ask(&stack, repository);
        assert!((500..600).contains(&response.status), "{repository}: {response:?}");
        let seen = response.comparable();
        assert!(!seen.contains("evil") && !seen.contains("broke"), "{repository}: {seen}");
    }
    stack.await_no_git(Duration::from_secs(7)).unwrap();
}

#[test]
fn the_log_names_the_reason_of_a_failed_git() {
    let stack = stack();
    ask(&stack, "failed.git");
    let logged = || stack.runner.log().contains("something broke");
    until_true("the reason in the log", Duration::from_secs(7), logged).unwrap();
}

#[test]
fn a_flood_on_standard_error_is_neither_waited_for_nor_logged_whole() {
    let stack = stack();
    assert_eq!(ask(&stack, "stderr.git").text(), "body");
    stack.await_no_git(Duration::from_secs(7)).unwrap();
    assert!(stack.runner.log().len() < 200_000);
}

#[test]
fn a_body_shorter_than_announced_is_not_passed_off_as_whole() {
    let stack = stack();
    let request =
        Request::get(&advertisement("length.git", "git-upload-pack")).basic(READER.name, READER.password);
    if let Ok(response) = stack.http(&request) {
        // Without the announced length the chunked framing says what is true.
        assert_ne!(response.header("Content-Length"), Some("5000"), "{response:?}");
    }
}

fn ask(stack: &Stack, repository: &str) -> Response {
    let request = Request::get(&advertisement(repository, "git-upload-pack"));
    stack.http(&request.basic(READER.name, READER.password)).unwrap()
}

fn stack() -> Stack {
    let stack = Stack::builder().engine("http-backend").http_backend(SCRIPT).start().unwrap();
    let names = SCRIPT.lines().filter_map(|line| line.strip_prefix('/')?.split("/*").next());
    for name in names {
        stack.repositories().empty(name).unwrap();
    }
    stack
}
