//! Requests that a decision permits and that are refused all the same.

use std::os::unix::fs::symlink;

use crate::http::{get, head, post};
use crate::stage::{Stage, signed};

const DECISION: &str = "X-Gitward-Decision";
const TYPE: (&str, &str) = ("Content-Type", "application/x-git-upload-pack-request");
const TRACED: &str = "echo spawned >>$TRACE; printf 'Content-Type: text/plain\\n\\n'; env";

fn refs(repo: &str) -> String {
    signed("GET", &format!("/git/{repo}/info/refs?service=git-upload-pack"))
}

fn fetch(repo: &str) -> String {
    signed("POST", &format!("/git/{repo}/git-upload-pack"))
}

fn stage(config: &str) -> Stage {
    let stage = Stage::fake(TRACED, config);
    stage.hollow_repository("a.git");
    stage
}

#[test]
fn a_body_that_is_not_gits_is_an_unsupported_type() {
    let stage = stage("");
    let decision = (DECISION, &*fetch("a.git"));
    for headers in [
        &[decision][..],
        &[decision, ("Content-Type", "application/x-git-receive-pack-request")],
        &[decision, ("Content-Type", "application/x-git-upload-pack-request; charset=utf-8")],
        &[decision, ("Content-Type", "application/x-www-form-urlencoded")],
        &[decision, TYPE, ("Content-Encoding", "deflate")],
        &[decision, TYPE, ("Content-Encoding", "GZIP")],
        &[decision, TYPE, ("Content-Encoding", "gzip, gzip")],
    ] {
        assert_eq!(stage.ask(&post(headers, b"0000")).status, 415, "{headers:?}");
    }
    assert_eq!(stage.traced(), "");
}

#[test]
fn a_header_that_comes_twice_is_a_bad_request() {
    let stage = stage("");
    let decision = (DECISION, &*fetch("a.git"));
    for twice in [TYPE, ("Content-Encoding", "gzip"), ("Git-Protocol", "version=2")] {
        let headers = [decision, TYPE, twice, twice];
        let headers = if twice == TYPE { &headers[..3] } else { &headers[..] };
        assert_eq!(stage.ask(&post(headers, b"0000")).status, 400, "{twice:?}");
    }
    assert_eq!(stage.traced(), "");
}

#[test]
fn only_a_known_protocol_version_is_passed_on() {
    let stage = stage("");
    let decision = refs("a.git");
    for (sent, passed) in [
        ("version=2", true),
        ("version=1", true),
        ("version=0", true),
        ("version=2:x", false),
        ("version=3", false),
        ("version=20", false),
    ] {
        let text = stage.ask(&get(&[(DECISION, &decision), ("Git-Protocol", sent)])).text();
        assert_eq!(text.contains("GIT_PROTOCOL="), passed, "{sent}");
    }
}

#[test]
fn missing_linked_and_nested_repositories_look_like_a_forbidden_one() {
    let stage = stage("");
    let inside = stage.repository("a.git").join("modules/sub.git");
    for part in ["objects", "refs"] {
        std::fs::create_dir_all(inside.join(part)).unwrap();
    }
    std::fs::write(inside.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    stage.hollow_repository("work.git/.git");
    stage.hollow_repository("twice.git.git");
    stage.hollow_repository("outside/b.git");
    symlink(stage.repository("a.git"), stage.repository("link.git")).unwrap();
    symlink(stage.repository("outside"), stage.repository("group")).unwrap();
    std::fs::write(stage.repository("file.git"), "gitdir: a.git\n").unwrap();
    for repo in ["missing.git", "work.git", "twice.git", "link.git", "group/b.git", "file.git"] {
        let answer = stage.ask(&get(&[(DECISION, &refs(repo))]));
        assert_eq!((answer.status, answer.text().trim_end()), (403, daemon::refusals::DENIED), "{repo}");
    }
    assert_eq!(stage.traced(), "");
}

#[test]
fn a_repository_that_is_not_exported_is_forbidden_until_it_is() {
    let stage = stage("export_all: false");
    assert_eq!(stage.ask(&get(&[(DECISION, &refs("a.git"))])).status, 403);
    std::fs::write(stage.repository("a.git").join("git-daemon-export-ok"), "").unwrap();
    let answer = stage.ask(&get(&[(DECISION, &refs("a.git"))]));
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("GIT_HTTP_EXPORT_ALL"));
}

#[test]
fn a_body_that_is_announced_too_large_is_not_begun() {
    let stage = stage("limits: { push_size: 1MiB }");
    let fetch = [(DECISION, &*fetch("a.git")), TYPE, ("Content-Length", "10485761")];
    assert_eq!(stage.ask(&head("POST", &fetch)).status, 413);
    let push = signed("POST", "/git/a.git/git-receive-pack");
    let kind = ("Content-Type", "application/x-git-receive-pack-request");
    let push = [(DECISION, &*push), kind, ("Content-Length", "17825793")];
    assert_eq!(stage.ask(&head("POST", &push)).status, 413);
    assert_eq!(stage.traced(), "");
}
