//! What an operator sees: one request id everywhere, logs that nobody can forge lines of, and metrics that
//! no request can multiply.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::people::{READER, WRITER};
use harness::pkt::{RECEIVE_PACK, advertisement};
use harness::{Request, Stack, until};
use serde_json::Value;

const HOOK: &str = "#!/bin/sh\necho \"$GITWARD_REQUEST_ID\" > '@DIR@/request-id'\n";

/// Names of DESIGN's list that exist as soon as a daemon runs, or after one request of each kind.
const METRICS: &[(&str, &[&str])] = &[
    (
        "authd",
        &[
            "gitward_auth_decisions_total",
            "gitward_auth_duration_seconds_count",
            "gitward_directory_requests_total",
            "gitward_directory_duration_seconds_count",
            "gitward_credential_cache_total",
            "gitward_config_generation",
            "gitward_config_reloads_total",
            "gitward_config_last_reload_success",
            "gitward_build_info",
            "process_resident_memory_bytes",
        ],
    ),
    (
        "backend-runner",
        &[
            "gitward_git_requests_total",
            "gitward_git_duration_seconds_count",
            "gitward_git_running",
            "gitward_git_queued",
            "gitward_git_bytes_total",
            "gitward_config_generation",
            "gitward_config_reloads_total",
            "gitward_config_last_reload_success",
            "gitward_build_info",
            "process_resident_memory_bytes",
        ],
    ),
];

#[test]
fn one_request_id_joins_the_logs_of_nginx_both_daemons_and_the_hook() {
    let stack = Stack::builder().hook("pre-receive", HOOK).start().unwrap();
    let repository = stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let header = format!("Authorization: {}", harness::git::basic(WRITER.name, WRITER.password));
    let git = repository.git().with("http.extraHeader", &header);
    git.ok(&["push", "--quiet", &stack.url("team/app.git"), "main:refs/heads/other"]).unwrap();
    let id = stack.read("request-id").trim().to_owned();
    assert_eq!(id.len(), 32);
    let access = lines_with(&stack, "log/gitward.log", &id);
    assert_eq!(access.len(), 1);
    assert_eq!(access[0]["uri"], "/git/team/app.git/git-receive-pack");
    assert_eq!(access[0]["user"], WRITER.name);
    assert_eq!(access[0]["status"], 200);
    for daemon in ["authd", "backend-runner"] {
        let lines = lines_with(&stack, &format!("log/{daemon}.log"), &id);
        assert_eq!(lines.len(), 1, "{daemon}: {lines:?}");
        assert!(lines[0].to_string().contains("team/app.git"), "{daemon}: {lines:?}");
    }
}

#[test]
fn every_line_of_every_log_is_one_json_object_whatever_is_asked() {
    let stack = Stack::start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    for target in
        ["/git/a%0a{\"user\":\"root\"}/b.git/HEAD", "/git/\"}.git/HEAD", "/git/\u{1b}[31m.git/info/refs"]
    {
        for user in ["a\"b", "a\\", "\u{202e}nimda", "x{"] {
            let request = Request::get(target).header("User-Agent", "\"}\\\u{1b}").basic(user, "p");
            stack.front().exchange(&request.bytes()).unwrap();
        }
    }
    stack
        .http(
            &Request::post("/git/team/app.git/git-receive-pack", RECEIVE_PACK, b"\x1b[31m\n{}")
                .basic(WRITER.name, WRITER.password),
        )
        .unwrap();
    for log in ["log/gitward.log", "log/authd.log", "log/backend-runner.log"] {
        let text = stack.read(log);
        assert!(!text.is_empty(), "{log}");
        assert!(!text.contains('\u{1b}'), "{log}: {text}");
        for line in text.lines() {
            assert!(serde_json::from_str::<Value>(line).unwrap().is_object(), "{log}: {line}");
        }
    }
}

#[test]
fn the_documented_metrics_are_there() {
    let stack = Stack::start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    one_of_each_kind(&stack);
    for (daemon, names) in METRICS {
        let page = stack.admin(daemon, "/metrics").unwrap().text();
        for name in *names {
            assert!(
                page.lines().any(|line| line.split(['{', ' ']).next() == Some(name)),
                "{daemon}: no {name}"
            );
        }
    }
}

#[test]
fn the_number_of_series_does_not_depend_on_what_is_asked() {
    let stack = Stack::builder().edit("authd.yaml", "per_client: 50", "per_client: 5000").start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    one_of_each_kind(&stack);
    let before = series(&stack);
    for number in 0..100 {
        let target = advertisement(&format!("group-{number}/name-{number}.git"), "git-upload-pack");
        stack.http(&Request::get(&target)).unwrap();
        stack.http(&Request::get(&target).basic(READER.name, READER.password)).unwrap();
        stack.http(&Request::get(&target).basic(&format!("user-{number}"), "x")).unwrap();
        stack.http(&Request::new(&format!("M{}", "A".repeat(number % 20)), &target)).unwrap();
        stack.http(&Request::get(&format!("/git/odd-{number}?service={number}"))).unwrap();
    }
    assert_eq!(series(&stack), before);
}

/// A permitted read and push, a refused one, a wrong password, an unknown user, and a missing repository.
fn one_of_each_kind(stack: &Stack) {
    let read = |repository: &str| Request::get(&advertisement(repository, "git-upload-pack"));
    let write = Request::get(&advertisement("team/app.git", "git-receive-pack"));
    let push = Request::post("/git/team/app.git/git-receive-pack", RECEIVE_PACK, b"0000");
    let requests = [
        read("team/app.git"),
        read("team/app.git").basic(READER.name, READER.password),
        read("team/app.git").basic(READER.name, READER.password),
        read("team/no.git").basic(READER.name, READER.password),
        read("team/app.git").basic(READER.name, "wrong"),
        read("team/app.git").basic("nobody", "wrong"),
        read("public/no.git"),
        write.clone().basic(WRITER.name, WRITER.password),
        write.basic(READER.name, READER.password),
        push.basic(WRITER.name, WRITER.password),
        Request::new("PUT", "/git/team/app.git/info/refs"),
        Request::get("/git/a//b.git/info/refs").basic(READER.name, READER.password),
        Request::get("/git/a//b.git/info/refs"),
    ];
    for request in requests {
        stack.http(&request).unwrap();
    }
}

/// Every series of both daemons, without values.
fn series(stack: &Stack) -> BTreeSet<String> {
    let pages = ["authd", "backend-runner"].map(|daemon| stack.admin(daemon, "/metrics").unwrap().text());
    let lines = pages.iter().flat_map(|page| page.lines()).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

/// The lines of a log that hold `id`; they may come a moment after the answer.
fn lines_with(stack: &Stack, log: &str, id: &str) -> Vec<Value> {
    let text =
        until(log, Duration::from_secs(5), || Ok(Some(stack.read(log)).filter(|text| text.contains(id))));
    let text = text.unwrap();
    text.lines().filter(|line| line.contains(id)).map(|line| serde_json::from_str(line).unwrap()).collect()
}
