//! Requests that reach backend-runner's own socket without nginx and authd: only a valid signed decision
//! starts git, and it alone says what is run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use harness::people::READER;
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, advertisement};
use harness::{Request, Response, Stack, decisions};
use policy::decision::{Decision, HEADER, SigningKey, sign};
use policy::repo_path::RepoPath;

#[test]
fn a_request_without_a_valid_decision_starts_nothing() {
    let stack = stack();
    let before = stack.spawned();
    let valid = stack.sign(&read_decision()).unwrap();
    let (payload, signature) = valid.split_once('.').unwrap();
    let mut headers = vec![
        String::new(),
        "x".to_owned(),
        ".".to_owned(),
        payload.to_owned(),
        format!("{payload}."),
        format!("{valid}."),
        format!("{valid}.{signature}"),
        format!("{valid}="),
        format!(".{signature}"),
        format!("{}.{signature}", flipped(payload)),
        format!("{payload}.{}", flipped(signature)),
        format!("{valid}, {valid}"),
        sign(&SigningKey::from_bytes([0; 32]), &read_decision()),
        "a".repeat(20_000),
    ];
    headers.extend(invalid_decisions().iter().map(|decision| stack.sign(decision).unwrap()));
    for header in headers {
        for request in [Request::get("/git"), Request::post("/git", RECEIVE_PACK, b"0000")] {
            let response = runner(&stack, &request.header(HEADER, &header));
            assert!((400..500).contains(&response.status), "{header}: {response:?}");
        }
    }
    assert!((400..500).contains(&runner(&stack, &Request::get("/git")).status));
    assert_eq!(stack.spawned(), before);
}

#[test]
fn refusals_do_not_say_whether_the_decision_or_the_repository_was_missing() {
    let stack = stack();
    let missing = decisions::permitting("GET", &advertisement("team/no.git", "git-upload-pack")).unwrap();
    let missing = runner(&stack, &Request::get("/git").header(HEADER, &stack.sign(&missing).unwrap()));
    assert_eq!(missing.status, 403);
    let unsigned = runner(&stack, &Request::get("/git"));
    assert_eq!(unsigned.comparable(), missing.comparable());
    for decision in invalid_decisions() {
        let refused = runner(&stack, &Request::get("/git").header(HEADER, &stack.sign(&decision).unwrap()));
        assert_eq!(refused.comparable(), missing.comparable());
    }
}

#[test]
fn two_decisions_in_one_request_are_refused() {
    let stack = stack();
    let before = stack.spawned();
    let valid = stack.sign(&read_decision()).unwrap();
    let response = runner(&stack, &Request::get("/git").header(HEADER, &valid).header(HEADER, "x"));
    assert!((400..500).contains(&response.status), "{response:?}");
    assert_eq!(stack.spawned(), before);
}

#[test]
fn the_target_and_the_headers_of_the_request_change_nothing() {
    let stack = stack();
    let header = stack.sign(&read_decision()).unwrap();
    let expected = runner(&stack, &Request::get("/git").header(HEADER, &header));
    assert_eq!(expected.status, 200);
    let targets =
        ["/", "/git/other.git/HEAD", "/git?service=git-receive-pack", "/git/../../etc/passwd", "/%2e%2e/x"];
    for target in targets {
        let request = Request::get(target).header(HEADER, &header);
        let request = request.header("X-Original-URI", "/git/other.git/HEAD").header("REMOTE_USER", "writer");
        let request = request.header("Git-Protocol", "version=2:x").header("X-Original-Method", "POST");
        let response = runner(&stack, &request);
        assert_eq!((response.status, response.text()), (200, expected.text()), "{target}");
        assert_eq!(response.header("Content-Type"), expected.header("Content-Type"), "{target}");
    }
    assert!(stack.spawned().iter().all(|line| !line.contains("other.git") && !line.contains("receive-pack")));
}

#[test]
fn a_method_or_body_that_does_not_fit_the_decision_is_refused() {
    let stack = stack();
    let before = stack.spawned();
    let read = stack.sign(&read_decision()).unwrap();
    let fetch = decisions::permitting("POST", "/git/team/app.git/git-upload-pack").unwrap();
    let fetch = stack.sign(&fetch).unwrap();
    let gzip = |request: Request, encoding: &str| request.header("Content-Encoding", encoding);
    let upload = Request::post("/git", UPLOAD_PACK, b"0000");
    let requests = [
        (Request::post("/git", UPLOAD_PACK, b"0000"), &read),
        (Request::new("PUT", "/git").header("Content-Length", "0"), &read),
        (Request::new("OPTIONS", "/git"), &read),
        (Request::get("/git"), &fetch),
        (Request::post("/git", RECEIVE_PACK, b"0000"), &fetch),
        (Request::post("/git", "text/plain", b"0000"), &fetch),
        (Request::post("/git", "application/x-git-upload-pack-request; charset=utf-8", b"0000"), &fetch),
        (gzip(upload.clone(), "br"), &fetch),
        (gzip(upload.clone(), "deflate"), &fetch),
        (gzip(upload.clone(), "gzip, gzip"), &fetch),
        (gzip(upload, "GZIP"), &fetch),
    ];
    for (request, header) in requests {
        let response = runner(&stack, &request.clone().header(HEADER, header));
        assert!((400..500).contains(&response.status), "{request:?}: {response:?}");
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn the_sockets_are_for_their_group_and_the_key_for_its_owner_only() {
    let stack = stack();
    let mode = |file: &str| fs::metadata(stack.path().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("run/backend-runner.sock"), 0o660);
    assert_eq!(mode("run/authd.sock"), 0o660);
    assert_eq!(mode("run/signing.key"), 0o600);
}

#[test]
fn a_replaced_key_ends_the_old_decisions_without_a_restart() {
    let stack = stack();
    let old = stack.sign(&read_decision()).unwrap();
    let target = advertisement("team/app.git", "git-upload-pack");
    let through = || stack.http(&Request::get(&target).basic(READER.name, READER.password)).unwrap().status;
    assert_eq!(through(), 200);
    let fresh = stack.path().join("run/fresh.key");
    fs::write(&fresh, [7; 32]).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&fresh, stack.path().join("run/signing.key")).unwrap();
    let patience = std::time::Duration::from_secs(10);
    harness::until_true("the new key", patience, || through() == 200).unwrap();
    harness::until_true("the end of the old key", patience, || {
        runner(&stack, &Request::get("/git").header(HEADER, &old)).status == 403
    })
    .unwrap();
    assert_eq!(through(), 200);
}

fn read_decision() -> Decision {
    decisions::permitting("GET", &advertisement("team/app.git", "git-upload-pack")).unwrap()
}

/// Rightly signed, and still no decision: too old, too early, too long, or at odds with itself.
fn invalid_decisions() -> Vec<Decision> {
    let now = decisions::now().unwrap();
    let decision = read_decision;
    vec![
        Decision { iat: now - 120, exp: now - 61, ..decision() },
        Decision { iat: now + 600, exp: now + 660, ..decision() },
        Decision { iat: now - 10, exp: now + 86_400, ..decision() },
        Decision { v: 2, ..decision() },
        Decision { path_info: "/team/other.git/info/refs".to_owned(), ..decision() },
        Decision { path_info: "/team/app.git/../other.git/info/refs".to_owned(), ..decision() },
        Decision { repo: RepoPath::parse("team/other.git").unwrap(), ..decision() },
        Decision { query: "service=git-receive-pack".to_owned(), ..decision() },
        Decision { access: policy::git_request::Access::Write, ..decision() },
        Decision { service: policy::git_request::Service::ReceivePack, ..decision() },
    ]
}

fn flipped(text: &str) -> String {
    let other = if text.starts_with('A') { "B" } else { "A" };
    format!("{other}{}", &text[1..])
}

fn runner(stack: &Stack, request: &Request) -> Response {
    stack.socket("backend-runner").send(request).unwrap()
}

fn stack() -> Stack {
    let stack = Stack::builder().counting_spawns().start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack.repositories().seeded("team/other.git", 2, &[]).unwrap();
    stack
}
