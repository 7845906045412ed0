//! How many at once, and how long.

use std::time::{Duration, Instant};

use crate::http::get;
use crate::stage::{Stage, eventually, signed};

const HANG: &str = "printf 'Content-Type: text/plain\\n\\nbegun'; exec sleep 1000";

fn stage(script: &str, config: &str) -> Stage {
    let stage = Stage::fake(script, config);
    stage.hollow_repository("a.git");
    stage
}

fn fetch() -> Vec<u8> {
    get(&[("X-Gitward-Decision", &signed("GET", "/git/a.git/info/refs?service=git-upload-pack"))])
}

#[test]
fn a_request_that_waits_too_long_is_told_when_to_come_back() {
    let stage = stage(HANG, "limits: { running: 1, queue: 100ms }");
    let mut first = stage.connect();
    first.send(&fetch()).unwrap();
    first.head().unwrap();
    let answer = stage.ask(&fetch());
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("10")));
    assert_eq!(answer.text(), "the server is busy, try again shortly\n");
    drop(first);
    stage.wait_for_no_processes();
    let mut next = stage.connect();
    next.send(&fetch()).unwrap();
    assert_eq!(next.head().unwrap().0, 200);
}

#[test]
fn a_silent_child_is_ended() {
    let stage = stage(HANG, "limits: { idle: 300ms }");
    let begun = Instant::now();
    let answer = stage.ask(&fetch());
    assert_eq!((answer.text().as_str(), answer.complete), ("begun", false));
    assert!(begun.elapsed() < Duration::from_secs(5));
    stage.wait_for_no_processes();
}

#[test]
fn a_silent_client_is_not_waited_for() {
    let stage = stage("printf 'Content-Type: text/plain\\n\\n'; exec cat", "limits: { idle: 300ms }");
    let decision = signed("POST", "/git/a.git/git-receive-pack");
    let kind = ("Content-Type", "application/x-git-receive-pack-request");
    let mut connection = stage.connect();
    let head =
        crate::http::head("POST", &[("X-Gitward-Decision", &decision), kind, ("Content-Length", "100")]);
    connection.send(&[&head[..], b"some"].concat()).unwrap();
    let answer = connection.answer().unwrap();
    assert_eq!((answer.text().as_str(), answer.complete), ("some", false));
    stage.wait_for_no_processes();
}

#[test]
fn a_request_that_never_stands_still_ends_at_the_deadline() {
    let script = "printf 'Content-Type: text/plain\\n\\n'; while :; do echo more; sleep 0.05; done";
    let stage = stage(script, "limits: { idle: 10s, request: 1s }");
    let begun = Instant::now();
    assert!(!stage.ask(&fetch()).complete);
    assert!((1..5).contains(&begun.elapsed().as_secs()));
    stage.wait_for_no_processes();
}

#[test]
fn many_short_requests_leave_nothing_behind() {
    let stage = stage("printf 'Content-Type: text/plain\\n\\nfine'", "");
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let one = || assert_eq!(stage.ask(&fetch()).text(), "fine");
    one();
    for _ in 0..200 {
        one();
    }
    stage.wait_for_no_processes();
    // Other tests run in this process too, so only a leak of each request would show.
    eventually("descriptors closed", || open() < 200);
}
