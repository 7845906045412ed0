//! Limits: what waits, what is turned away and how it is told, and what is ended.

use std::fs;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::people::{OUTSIDER, Person, READER, WRITER};
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, advertisement, want};
use harness::{Request, Response, Stack, until_true};
use rustix::process::Signal;

const RUNNER: &str = "backend-runner.yaml";

/// Holds a push, and with it a place, until the test lets it go.
const GATE: &str =
    "#!/bin/sh\necho started >> '@DIR@/started'\nwhile [ ! -e '@DIR@/go' ]; do sleep 0.05; done\n";

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_full_queue_answers_503_and_says_when_to_come_back() {
    let stack = gated("running: 64", "running: 1");
    let push = held_push(&stack);
    let response = read(&stack, READER, "team/other.git");
    assert_eq!(response.status, 503);
    let seconds: u64 = response.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert!(response.header("Content-Type").unwrap().starts_with("text/plain"), "{response:?}");
    assert!(response.text().trim().len() > 10, "{response:?}");
    release(&stack, push);
    assert_eq!(read(&stack, READER, "team/other.git").status, 200);
}

#[test]
fn one_user_cannot_take_the_places_of_the_others() {
    let stack = gated("per_user: 16", "per_user: 1");
    let push = held_push(&stack);
    assert_eq!(read(&stack, WRITER, "team/other.git").status, 503);
    assert_eq!(read(&stack, READER, "team/other.git").status, 200);
    release(&stack, push);
    assert_eq!(read(&stack, WRITER, "team/other.git").status, 200);
}

#[test]
fn one_repository_cannot_take_the_places_of_the_others() {
    let stack = gated("per_repository: 16", "per_repository: 1");
    let push = held_push(&stack);
    assert_eq!(read(&stack, READER, "team/app.git").status, 503);
    assert_eq!(read(&stack, READER, "team/other.git").status, 200);
    release(&stack, push);
    assert_eq!(read(&stack, READER, "team/app.git").status, 200);
}

#[test]
fn a_request_in_the_queue_runs_when_a_place_is_free() {
    let stack = builder().edit(RUNNER, "running: 64", "running: 1").start().unwrap();
    seed(&stack);
    let push = held_push(&stack);
    let waiting = stack.git_as(READER).spawn(&["ls-remote", &stack.url("team/app.git")]).unwrap();
    until_true("a request in the queue", SOON, || {
        stack.metric("backend-runner", "gitward_git_queued").unwrap() > 0.0
    })
    .unwrap();
    release(&stack, push);
    assert!(waiting.wait_with_output().unwrap().status.success());
}

#[test]
fn a_storm_of_requests_never_runs_more_git_than_allowed() {
    // Every request needs git when no answer is said again from memory.
    let without_memory = ("memory: 64MiB", "memory: 0B");
    let builder = Stack::builder().edit(RUNNER, "running: 64", "running: 2");
    let stack = builder.edit(RUNNER, without_memory.0, without_memory.1).start().unwrap();
    seed(&stack);
    let done = AtomicBool::new(false);
    let (statuses, most) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0.0_f64;
            while !done.load(Ordering::Relaxed) {
                most = most.max(stack.metric("backend-runner", "gitward_git_running").unwrap());
            }
            most
        });
        let ask = || read(&stack, READER, "team/app.git").status;
        let storm: Vec<_> = (0..60).map(|_| scope.spawn(ask)).collect();
        let statuses: Vec<u16> = storm.into_iter().map(|thread| thread.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        (statuses, watcher.join().unwrap())
    });
    assert_eq!(statuses, [200; 60]);
    assert!((1.0..=2.0).contains(&most), "{most} at once");
}

#[test]
fn too_many_wrong_passwords_are_throttled_and_the_right_one_still_works() {
    let stack = Stack::start().unwrap();
    seed(&stack);
    assert_eq!(read(&stack, READER, "team/app.git").status, 200);
    // Some clients repeat one wrong password a dozen times in one command; that is one failure.
    for _ in 0..14 {
        assert_eq!(attempt(&stack, READER.name, "the same wrong one").status, 401);
    }
    let statuses: Vec<u16> =
        (0..10).map(|n| attempt(&stack, READER.name, &format!("wrong-{n}")).status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 429, 429, 429, 429, 429, 429]);
    let refused = attempt(&stack, READER.name, "wrong-again");
    assert!(refused.header("Retry-After").unwrap().parse::<u64>().unwrap() > 0);
    assert!(refused.header("Content-Type").unwrap().starts_with("text/plain"));
    assert!(refused.text().trim().len() > 10 && refused.text().lines().count() == 1, "{refused:?}");
    assert_eq!(read(&stack, READER, "team/app.git").status, 200);
    assert_eq!(read(&stack, WRITER, "team/app.git").status, 200);
    assert!(stack.metric("authd", "gitward_auth_throttled_total").unwrap() > 0.0);
    let git =
        stack.git().sending(READER.name, "wrong-once-more").run(&["ls-remote", &stack.url("team/app.git")]);
    assert!(harness::git::text(&git.unwrap().stderr).contains("429"));
}

#[test]
fn one_client_cannot_try_passwords_for_many_users() {
    let stack = Stack::builder().edit("authd.yaml", "per_client: 50", "per_client: 6").start().unwrap();
    seed(&stack);
    assert_eq!(read(&stack, READER, "team/app.git").status, 200);
    let tries = [READER, WRITER, OUTSIDER].into_iter().flat_map(|person| (0..4).map(move |n| (person, n)));
    let statuses: Vec<u16> =
        tries.map(|(person, n)| attempt(&stack, person.name, &format!("wrong-{n}")).status).collect();
    assert_eq!(statuses[..6], [401; 6]);
    assert_eq!(statuses[6..], [429; 6]);
    assert_eq!(read(&stack, READER, "team/app.git").status, 200);
}

#[test]
fn a_body_that_stalls_is_ended_after_the_idle_time() {
    let stack = builder().edit(RUNNER, "idle: 60s", "idle: 1s").start().unwrap();
    seed(&stack);
    let request = Request::new("POST", "/git/team/app.git/git-receive-pack")
        .header("Content-Type", RECEIVE_PACK)
        .header("Content-Length", "100000")
        .basic(WRITER.name, WRITER.password);
    let mut connection = stack.front().connect().unwrap();
    connection.write(&[&request.bytes()[..], b"0098"].concat()).unwrap();
    until_true("start of git", SOON, || stack.metric("backend-runner", "gitward_git_running").unwrap() > 0.0)
        .unwrap();
    stack.await_no_git(SOON).unwrap();
    until_true("free place", SOON, || stack.metric("backend-runner", "gitward_git_running").unwrap() < 1.0)
        .unwrap();
    assert_eq!(read(&stack, READER, "team/app.git").status, 200);
}

#[test]
fn a_client_that_does_not_read_is_ended_after_the_idle_time() {
    let stack = builder().edit(RUNNER, "idle: 60s", "idle: 1s").start().unwrap();
    let repository = stack.repositories().empty("large.git").unwrap();
    let commit = harness::repositories::fill(&repository, 4, 16 << 20).unwrap();
    let request = Request::post("/git/large.git/git-upload-pack", UPLOAD_PACK, &want(&commit));
    let mut connection = stack.front().connect().unwrap();
    connection.write(&request.basic(READER.name, READER.password).bytes()).unwrap();
    until_true("start of git", SOON, || !stack.git_processes().is_empty()).unwrap();
    stack.await_no_git(SOON).unwrap();
    drop(connection);
}

#[test]
fn a_request_that_takes_too_long_is_ended_at_its_deadline() {
    let stack = builder().edit(RUNNER, "request: 1h", "request: 2s").start().unwrap();
    seed(&stack);
    let started = Instant::now();
    let push = held_push(&stack);
    let output = push.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(started.elapsed() < Duration::from_secs(15));
    stack.await_no_git(SOON).unwrap();
    assert_eq!(stack.repositories().open("team/app.git").resolve("refs/heads/held"), None);
}

#[test]
fn a_push_larger_than_the_limit_is_refused_and_leaves_nothing() {
    let stack = Stack::builder().edit(RUNNER, "push_size: 2GiB", "push_size: 100KiB").start().unwrap();
    seed(&stack);
    let source = stack.repositories().empty("source.git").unwrap();
    harness::repositories::fill(&source, 1, 1 << 20).unwrap();
    let git = source.git().with("http.extraHeader", &authorization(WRITER));
    let output = git.run(&["push", &stack.url("team/app.git"), "main:refs/heads/big"]).unwrap();
    assert!(!output.status.success());
    let repository = stack.repositories().open("team/app.git");
    assert_eq!(repository.resolve("refs/heads/big"), None);
    stack.await_no_git(SOON).unwrap();
    let size = repository.git().ok(&["count-objects", "-v"]).unwrap();
    assert!(size.contains("garbage: 0"), "{size}");
}

#[test]
fn sigterm_lets_a_running_clone_finish() {
    let mut stack = Stack::start().unwrap();
    let repository = stack.repositories().empty("large.git").unwrap();
    let commit = harness::repositories::fill(&repository, 4, 16 << 20).unwrap();
    let request = Request::post("/git/large.git/git-upload-pack", UPLOAD_PACK, &want(&commit));
    let mut connection = stack.front().connect().unwrap();
    connection.write(&request.basic(READER.name, READER.password).bytes()).unwrap();
    let head = connection.read_head().unwrap().unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    stack.runner.signal(Signal::TERM).unwrap();
    let socket = stack.socket("backend-runner");
    until_true("closed listener", SOON, || socket.connect().is_err()).unwrap();
    assert!(stack.runner.exited().unwrap().is_none(), "the runner ended before the clone");
    assert_eq!(read(&stack, READER, "large.git").status, 503);
    let body = connection.read_chunked_body().unwrap();
    assert!(body.len() > 64 << 20 && body.starts_with(b"0008NAK\nPACK"), "{} bytes", body.len());
    assert!(stack.runner.wait(SOON).unwrap().success());
}

#[test]
fn sigterm_lets_a_running_push_finish() {
    let mut stack = builder().start().unwrap();
    seed(&stack);
    let push = held_push(&stack);
    stack.runner.signal(Signal::TERM).unwrap();
    let socket = stack.socket("backend-runner");
    until_true("closed listener", SOON, || socket.connect().is_err()).unwrap();
    release(&stack, push);
    assert!(stack.repositories().open("team/app.git").resolve("refs/heads/held").is_some());
    assert!(stack.runner.wait(SOON).unwrap().success());
    assert!(stack.authd.stop(SOON).unwrap().success());
}

fn builder() -> harness::Builder {
    Stack::builder().hook("pre-receive", GATE)
}

/// A stack whose pushes wait, with one limit changed and a short queue.
fn gated(from: &str, to: &str) -> Stack {
    let stack = builder().edit(RUNNER, from, to).edit(RUNNER, "queue: 30s", "queue: 1s").start().unwrap();
    seed(&stack);
    stack
}

fn seed(stack: &Stack) {
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack.repositories().seeded("team/other.git", 2, &[]).unwrap();
}

/// A push of the writer that has reached its hook.
fn held_push(stack: &Stack) -> Child {
    let source = stack.repositories().open("team/other.git");
    let git = source.git().with("http.extraHeader", &authorization(WRITER));
    let child = git.spawn(&["push", "--quiet", &stack.url("team/app.git"), "main:refs/heads/held"]).unwrap();
    until_true("start of the hook", SOON, || !stack.read("started").is_empty()).unwrap();
    child
}

fn release(stack: &Stack, push: Child) {
    fs::write(stack.path().join("go"), "").unwrap();
    let output = push.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", harness::git::text(&output.stderr));
}

fn authorization(person: Person) -> String {
    format!("Authorization: {}", harness::git::basic(person.name, person.password))
}

fn read(stack: &Stack, person: Person, repository: &str) -> Response {
    let request = Request::get(&advertisement(repository, "git-upload-pack"));
    stack.http(&request.basic(person.name, person.password)).unwrap()
}

fn attempt(stack: &Stack, user: &str, password: &str) -> Response {
    stack
        .http(&Request::get(&advertisement("team/app.git", "git-upload-pack")).basic(user, password))
        .unwrap()
}
