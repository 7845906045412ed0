//! What pages may cost: their own places, their own time, and no process left.

use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use harness::people::{OUTSIDER, READER, WRITER};
use harness::pkt::advertisement;
use harness::{Stack, until_true};

use super::{RUNNER, builder, get, seed};

const SOON: Duration = Duration::from_secs(15);

/// A stack whose gitweb is this script, with the given settings in place of the sample's.
fn with_program(script: &str, settings: &[(&str, &str)]) -> Stack {
    let mut builder = builder().file("gitweb.cgi", &format!("#!/bin/sh\n{script}\n")).edit(
        RUNNER,
        "#program: /usr/share/gitweb/gitweb.cgi",
        "program: @DIR@/gitweb.cgi",
    );
    for (from, to) in settings {
        builder = builder.edit(RUNNER, from, to);
    }
    let stack = builder.start().unwrap();
    let program = stack.path().join("gitweb.cgi");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    seed(&stack);
    stack
}

#[test]
fn pages_take_no_place_from_git_nor_from_the_pages_of_others() {
    let stack = with_program(
        "sleep 60",
        &[("per_user: 2", "per_user: 1"), ("running: 4", "running: 2"), ("time: 30s", "time: 4s")],
    );
    let hold = |person| {
        let before = stack.metric("backend-runner", "gitward_web_running").unwrap();
        let front = stack.front();
        let request = harness::Request::get("/git/team/app.git").basic(person, &format!("{person}-password"));
        let held = thread::spawn(move || front.send(&request).unwrap().status);
        until_true("a page", SOON, || {
            stack.metric("backend-runner", "gitward_web_running").unwrap() > before
        })
        .unwrap();
        held
    };
    let (reader, writer) = (hold(READER.name), hold(WRITER.name));
    let git = get(&stack, &advertisement("team/app.git", "git-upload-pack"), Some(READER));
    assert_eq!(git.status, 200);
    // The list stands in the same line.
    let front = stack.front();
    let list = harness::Request::get("/git/").basic(OUTSIDER.name, OUTSIDER.password);
    let list = thread::spawn(move || front.send(&list).unwrap().status);
    until_true("the list waits", SOON, || {
        stack.metric("backend-runner", "gitward_web_queued").unwrap() > 0.0
    })
    .unwrap();
    // The third waits for as long as a page may take; the first are ended before.
    assert_eq!((reader.join().unwrap(), writer.join().unwrap()), (500, 500));
    assert!([200, 503].contains(&list.join().unwrap()));
    stack.await_no_git(SOON).unwrap();
}

#[test]
fn a_list_that_cannot_be_read_is_refused_and_not_remembered_and_is_counted_like_a_page() {
    let stack = builder().start().unwrap();
    seed(&stack);
    let counted = |outcome| {
        let page = stack.admin("backend-runner", "/metrics").unwrap().text();
        let series = format!("gitward_git_requests_total{{outcome=\"{outcome}\",service=\"web\"}} 1");
        page.lines().any(|line| line == series)
    };
    let (root, away) = (stack.repositories().root().to_owned(), stack.path().join("away"));
    std::fs::rename(&root, &away).unwrap();
    assert_eq!(get(&stack, "/git/", Some(READER)).status, 503);
    std::fs::rename(&away, &root).unwrap();
    assert!(get(&stack, "/git/team/", Some(READER)).text().contains("team/app.git"));
    assert!(counted("failed") && counted("ok"));
    let record = |text: &str| stack.read("log/audit.jsonl").contains(text);
    until_true("the record", SOON, || record(r#""repository":"team/","service":"web","outcome":"ok""#))
        .unwrap();
    assert_eq!(stack.metric("backend-runner", "gitward_git_duration_seconds_count").unwrap(), 0.0);
}

#[test]
fn a_page_that_takes_too_long_or_too_much_is_ended() {
    let endless = "printf 'Content-Type: text/html\\n\\n'; exec yes";
    for (script, setting, cut) in [
        ("sleep 60 & sleep 60", ("time: 30s", "time: 1s"), false),
        ("while :; do :; done", ("processor: 10s", "processor: 1s"), false),
        (endless, ("size: 64MiB", "size: 1MiB"), true),
    ] {
        let stack = with_program(script, &[setting]);
        let started = Instant::now();
        let request = harness::Request::get("/git/public/site.git");
        let answer = stack.http(&request);
        assert!(started.elapsed() < Duration::from_secs(12), "{script}: {:?}", started.elapsed());
        match answer {
            Ok(answer) => assert_eq!(answer.status, 500, "{script}"),
            Err(error) => assert!(cut && error.to_string().contains("cut off"), "{script}: {error}"),
        }
        stack.await_no_git(SOON).unwrap();
        assert_eq!(stack.metric("backend-runner", "gitward_web_running").unwrap(), 0.0);
    }
}

#[test]
fn a_program_that_says_anything_does_not_steer_nginx_or_the_browser() {
    let head = "printf 'Status: 200 OK\\nContent-Type: text/html\\nX-Accel-Redirect: /etc/passwd\\nSet-Cookie: a=b\\n\
                Refresh: 0;url=http://evil.example/\\nLink: <http://evil.example/>; rel=preload\\nLocation: http://evil.example/\\n\
                Content-Security-Policy: default-src *\\nAccess-Control-Allow-Origin: *\\n\\n'; env; \
                until grep '^Max cpu time  *10 ' /proc/$$/limits; do :; done";
    // Its limits are set from outside, and it may be at this line before them.
    let stack = with_program(head, &[]);
    let answer = get(&stack, "/git/team/app.git/log", Some(READER));
    assert_eq!(answer.status, 200);
    for name in
        ["X-Accel-Redirect", "Set-Cookie", "Refresh", "Link", "Location", "Access-Control-Allow-Origin"]
    {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert!(answer.header("Content-Security-Policy").unwrap().starts_with("default-src 'none'"));
    let text = answer.text();
    assert!(
        text.contains("PATH_INFO=/team/app.git/log\n") && text.contains("Max cpu time              10"),
        "{text}"
    );
    for secret in ["password", "Basic", "HTTP_AUTH", "HTTP_X", "GITWARD_CONFIG", READER.password] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}
