//! No process outlives its request: whatever the client does, git, its helpers and hooks are gone soon
//! afterwards, and what was not finished has not happened.

use std::time::{Duration, Instant};

use harness::people::{READER, WRITER};
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, ZERO, advertisement, update, want};
use harness::{ENGINES, Request, Stack, procfs, until_true};
use rustix::process::{Pid, Signal, kill_process};

/// How long a request's processes may live on: five seconds of grace after SIGTERM, and a margin.
const GONE: Duration = Duration::from_secs(7);

const SLEEPING_HOOK: &str = "#!/bin/sh\necho started >> '@DIR@/started'\nsleep 120\n";
const STUBBORN_HOOK: &str =
    "#!/bin/sh\ntrap '' TERM HUP INT\necho started >> '@DIR@/started'\nsleep 120\nsleep 120\n";

#[test]
fn a_body_that_ends_early_leaves_no_spinning_git() {
    ENGINES.into_iter().for_each(early_ends);
}

fn early_ends(engine: &str) {
    let stack = seeded(Stack::builder().engine(engine).counting_spawns());
    for (service, content_type) in [("git-receive-pack", RECEIVE_PACK), ("git-upload-pack", UPLOAD_PACK)] {
        for encoding in ["identity", "gzip"] {
            for beginning in ["", "0032want 1", "00980000"] {
                let request = Request::new("POST", &format!("/git/team/app.git/{service}"))
                    .header("Content-Type", content_type)
                    .header("Content-Length", "1000000")
                    .basic(WRITER.name, WRITER.password);
                let request =
                    if encoding == "gzip" { request.header("Content-Encoding", encoding) } else { request };
                let before = progress(&stack, service);
                let mut connection = stack.front().connect().unwrap();
                connection.write(&[&request.bytes(), beginning.as_bytes()].concat()).unwrap();
                until_true("progress", GONE, || progress(&stack, service) > before).unwrap();
                drop(connection);
                stack.await_no_git(GONE).unwrap();
            }
        }
    }
    stack.await_no_git(GONE).unwrap();
    assert_serves(&stack);
}

/// Grows when a request got as far as it can without the rest of its body.
fn progress(stack: &Stack, service: &str) -> usize {
    if service == "git-upload-pack" {
        // A fetch's git is only started when the whole body is there; it has been permitted before.
        return stack.metric("authd", "gitward_auth_decisions_total").unwrap() as usize;
    }
    // Bytes that cannot be right may end a push before its git has noted anything.
    let ended = stack.metric("backend-runner", "gitward_git_requests_total").unwrap() as usize;
    stack.spawned().len() + ended
}

#[test]
fn a_push_whose_client_is_killed_leaves_no_process_and_no_ref() {
    ENGINES.into_iter().for_each(|engine| killed_mid_push(engine, SLEEPING_HOOK));
}

#[test]
fn a_hook_that_ignores_sigterm_is_killed_with_its_children() {
    ENGINES.into_iter().for_each(|engine| killed_mid_push(engine, STUBBORN_HOOK));
}

fn killed_mid_push(engine: &str, hook: &str) {
    let stack = seeded(Stack::builder().engine(engine).hook("pre-receive", hook));
    let url = stack.url("team/app.git");
    let git = stack.git_as(WRITER);
    git.ok(&["clone", "--quiet", &url, "app"]).unwrap();
    let work = git.within(&stack.path().join("home/app"));
    work.ok(&["commit", "--quiet", "--allow-empty", "-m", "more"]).unwrap();
    let mut client = work.spawn(&["push", "--quiet", &url, "HEAD:refs/heads/unfinished"]).unwrap();
    until_true("start of the hook", GONE, || !stack.read("started").is_empty()).unwrap();
    assert!(!stack.git_processes().is_empty());
    for pid in procfs::descendants(client.id()) {
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    }
    client.kill().unwrap();
    client.wait().unwrap();
    let killed = Instant::now();
    stack.await_no_git(GONE).unwrap();
    println!("processes of the push were gone after {:.1} s", killed.elapsed().as_secs_f32());
    assert_eq!(stack.repositories().open("team/app.git").resolve("refs/heads/unfinished"), None);
    assert_serves(&stack);
}

#[test]
fn a_clone_that_is_killed_midway_leaves_no_process() {
    ENGINES.into_iter().for_each(killed_mid_clone);
}

fn killed_mid_clone(engine: &str) {
    let stack = seeded(Stack::builder().engine(engine));
    let commit = large(&stack);
    for _ in 0..5 {
        let body = want(&commit);
        let request = Request::post("/git/large.git/git-upload-pack", UPLOAD_PACK, &body);
        let mut connection = stack.front().connect().unwrap();
        connection.write(&request.basic(READER.name, READER.password).bytes()).unwrap();
        assert!(connection.read_head().unwrap().unwrap().starts_with("HTTP/1.1 200"));
        connection.fill().unwrap();
        assert!(!stack.git_processes().is_empty(), "the answer was over before the client was");
        drop(connection);
        stack.await_no_git(Duration::from_secs(5)).unwrap();
    }
    assert_serves(&stack);
}

#[test]
fn hundreds_of_requests_leave_no_zombie_and_no_descriptor() {
    let stack = seeded(Stack::builder());
    let requests = [
        Request::get(&advertisement("team/app.git", "git-upload-pack")).basic(READER.name, READER.password),
        Request::get(&advertisement("team/app.git", "git-upload-pack")),
        Request::get(&advertisement("team/no.git", "git-upload-pack")).basic(READER.name, READER.password),
        Request::post("/git/team/app.git/git-upload-pack", UPLOAD_PACK, b"garbage")
            .basic(READER.name, READER.password),
    ];
    let round = || requests.iter().for_each(|request| drop(stack.http(request).unwrap()));
    (0..10).for_each(|_| round());
    stack.await_no_git(GONE).unwrap();
    let open = || [&stack.authd, &stack.runner].map(|process| procfs::descriptors(process.id()).unwrap());
    let before = open();
    (0..75).for_each(|_| round());
    stack.await_no_git(GONE).unwrap();
    let after = open();
    assert!(
        after.iter().zip(before).all(|(after, before)| *after <= before + 4),
        "{before:?} became {after:?}"
    );
    let zombies =
        procfs::descendants(stack.runner.id()).into_iter().filter(|pid| procfs::is_zombie(*pid)).count();
    assert_eq!(zombies, 0);
}

#[test]
fn an_aborted_push_leaves_no_lock_behind() {
    let stack = seeded(Stack::builder());
    let repository = stack.repositories().open("team/app.git");
    let main = repository.resolve("refs/heads/main").unwrap();
    for _ in 0..10 {
        let body = update(ZERO, &main, "refs/heads/wanted");
        let request = Request::new("POST", "/git/team/app.git/git-receive-pack")
            .header("Content-Type", RECEIVE_PACK)
            .header("Content-Length", "5000")
            .basic(WRITER.name, WRITER.password);
        let mut connection = stack.front().connect().unwrap();
        connection.write(&[request.bytes(), body].concat()).unwrap();
    }
    stack.await_no_git(GONE).unwrap();
    assert_eq!(repository.resolve("refs/heads/wanted"), None);
    let body = [&update(ZERO, &main, "refs/heads/wanted")[..], harness::pkt::EMPTY_PACK].concat();
    let request = Request::post("/git/team/app.git/git-receive-pack", RECEIVE_PACK, &body);
    let response = stack.http(&request.basic(WRITER.name, WRITER.password)).unwrap();
    assert!(response.text().contains("ok refs/heads/wanted"), "{response:?}");
}

fn seeded(builder: harness::Builder) -> Stack {
    let stack = builder.start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack
}

/// A repository whose pack is far larger than all buffers on the way; gives the id of its commit.
fn large(stack: &Stack) -> String {
    let repository = stack.repositories().empty("large.git").unwrap();
    harness::repositories::fill(&repository, 4, 16 << 20).unwrap()
}

fn assert_serves(stack: &Stack) {
    let url = stack.url("team/app.git");
    stack.git_as(READER).ok(&["ls-remote", &url]).unwrap();
}
