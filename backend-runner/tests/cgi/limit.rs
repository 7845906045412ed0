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
    for (length, status) in [("100", 408), ("100000", 500)] {
        let mut connection = stage.connect();
        let headers = [("X-Gitward-Decision", decision.as_str()), kind, ("Content-Length", length)];
        connection.send(&[&crate::http::head("POST", &headers)[..], b"some"].concat()).unwrap();
        assert_eq!(connection.answer().unwrap().status, status, "no head goes out before the body is in");
        stage.wait_for_no_processes();
    }
}

#[test]
fn a_fetch_that_dawdles_takes_no_place() {
    let stage = stage("printf 'Content-Type: text/plain\n\n'; exec cat", "limits: { running: 1 }");
    let mut dawdling = stage.connect();
    dawdling.send(&[&ask_for(100)[..], b"0032"].concat()).unwrap();
    assert_eq!(stage.ask(&[&ask_for(4)[..], b"0000"].concat()).text(), "0000");
    dawdling.send(&[b'x'; 96]).unwrap();
    assert_eq!(dawdling.answer().unwrap().text().len(), 100);
}

#[test]
fn a_large_fetch_arrives_whole() {
    let stage = stage("printf 'Content-Type: text/plain\n\n'; exec cat", "");
    let body: Vec<u8> = (0..400_000_u32).flat_map(u32::to_be_bytes).collect();
    let answer = stage.ask(&[&ask_for(body.len())[..], &body].concat());
    assert!(answer.body == body);
}

#[test]
fn a_fetch_that_grows_beyond_measure_when_it_is_decoded_starts_nothing() {
    use std::io::Write;
    let stage = stage("printf 'Content-Type: text/plain\n\n'; exec cat", "");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b'0'; 33 << 20]).unwrap();
    let body = encoder.finish().unwrap();
    let decision = signed("POST", "/git/a.git/git-upload-pack");
    let headers = [
        ("X-Gitward-Decision", decision.as_str()),
        ("Content-Type", "application/x-git-upload-pack-request"),
        ("Content-Encoding", "gzip"),
    ];
    assert_eq!(stage.ask(&crate::http::post(&headers, &body)).status, 413);
}

/// The head of a fetch with a body of this length.
fn ask_for(length: usize) -> Vec<u8> {
    let decision = signed("POST", "/git/a.git/git-upload-pack");
    let kind = ("Content-Type", "application/x-git-upload-pack-request");
    let length = length.to_string();
    crate::http::head("POST", &[("X-Gitward-Decision", &decision), kind, ("Content-Length", &length)])
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
