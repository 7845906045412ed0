//! Header fields: none that a client sends can pose as one of ours, and none of ours tells too much.

use harness::people::{OUTSIDER, READER, WRITER};
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, advertisement, want};
use harness::{Git, Request, Stack, decisions};
use policy::decision::HEADER;

/// Names under which some front server or CGI program would believe who the caller is.
const IDENTITIES: &[&str] = &[
    "X-Remote-User",
    "X_Remote_User",
    "X.Remote-User",
    "X-Remote_User",
    "Remote-User",
    "REMOTE_USER",
    "X-Forwarded-User",
    "X-Auth-User",
    "X-Gitward-User",
    "X_Gitward_User",
    "X-Webauth-User",
];

#[test]
fn an_identity_in_a_header_of_the_client_counts_for_nothing() {
    let stack = stack();
    let before = stack.spawned();
    for service in ["git-upload-pack", "git-receive-pack"] {
        for name in IDENTITIES {
            let request = Request::get(&advertisement("team/app.git", service)).header(name, WRITER.name);
            assert_eq!(stack.http(&request).unwrap().status, 401, "{name}");
            let request = request.basic(OUTSIDER.name, OUTSIDER.password);
            assert_eq!(stack.http(&request).unwrap().status, 403, "{name}");
        }
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn a_valid_decision_sent_by_the_client_counts_for_nothing() {
    let stack = stack();
    let before = stack.spawned();
    for service in ["git-upload-pack", "git-receive-pack"] {
        let target = advertisement("team/app.git", service);
        let decision = stack.sign(&decisions::permitting("GET", &target).unwrap()).unwrap();
        for name in [HEADER, "x-gitward-decision", "X_Gitward_Decision", "X.Gitward.Decision"] {
            let request = Request::get(&target).header(name, &decision);
            assert_eq!(stack.http(&request).unwrap().status, 401, "{name}");
            let request = request.basic(OUTSIDER.name, OUTSIDER.password);
            assert_eq!(stack.http(&request).unwrap().status, 403, "{name}");
        }
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn a_decision_for_another_service_sent_along_changes_nothing() {
    let stack = stack();
    let push = advertisement("team/app.git", "git-receive-pack");
    let decision = stack.sign(&decisions::permitting("GET", &push).unwrap()).unwrap();
    let request = Request::get(&advertisement("team/app.git", "git-upload-pack")).header(HEADER, &decision);
    let response = stack.http(&request.basic(READER.name, READER.password)).unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("Content-Type"), Some("application/x-git-upload-pack-advertisement"));
    assert!(!stack.spawned().iter().any(|line| line.contains("receive-pack")));
}

#[test]
fn the_client_cannot_tell_authd_another_target_or_method() {
    let stack = stack();
    let before = stack.spawned();
    let open = advertisement("public/app.git", "git-upload-pack");
    let closed = advertisement("team/app.git", "git-upload-pack");
    for name in ["X-Original-URI", "X_Original_URI", "X-Original-Url", "X-Forwarded-Uri", "X-Rewrite-URL"] {
        let request = Request::get(&closed).header(name, &open).basic(OUTSIDER.name, OUTSIDER.password);
        assert_eq!(stack.http(&request).unwrap().status, 403, "{name}");
    }
    let request = Request::post("/git/team/app.git/git-receive-pack", RECEIVE_PACK, b"0000");
    for name in ["X-Original-Method", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let request = request.clone().header(name, "GET").header("X-Original-URI", &closed);
        let response = stack.http(&request.basic(READER.name, READER.password)).unwrap();
        assert_eq!(response.status, 403, "{name}");
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn agent_and_address_headers_open_nothing() {
    let stack = stack();
    let headers = [
        ("User-Agent", "GoogleHC/1.0"),
        ("User-Agent", "kube-probe/1.29"),
        ("User-Agent", "git/2.47.3"),
        ("X-Real-IP", "127.0.0.1"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("X-Forwarded-Host", "localhost"),
        ("Connection", "X-Original-URI, Authorization"),
    ];
    for (name, value) in headers {
        let request = Request::get(&advertisement("team/app.git", "git-upload-pack")).header(name, value);
        assert_eq!(stack.http(&request).unwrap().status, 401, "{name}: {value}");
    }
}

#[test]
fn malformed_credentials_are_a_401_and_nothing_else() {
    let stack = stack();
    let base64 = |text: &str| harness::git::basic_of(text.as_bytes());
    let long_name = "a".repeat(129);
    let long_password = "p".repeat(1025);
    let values = [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic !!!!".to_owned(),
        "Basic cmVhZGVyOnJlYWRlci1wYXNzd29yZA".to_owned(),
        "Basic cmVhZGVyOnJlYWRlci1wYXNzd29yZB==".to_owned(),
        "Basic cmVh ZGVyOnJlYWRlci1wYXNzd29yZA==".to_owned(),
        "Basic cmVhZGVyOnJlYWRlci1wYXNzd29yZA== x".to_owned(),
        "Bearer cmVhZGVyOnJlYWRlci1wYXNzd29yZA==".to_owned(),
        "Digest username=\"reader\"".to_owned(),
        harness::git::basic_of(b"reader:\xff\xfe"),
        base64("reader"),
        base64(":reader-password"),
        base64("reader:"),
        base64("reader:reader-password\0"),
        base64("reader\n:reader-password"),
        base64(" reader:reader-password"),
        base64("READER:reader-password"),
        base64("reader:reader-password "),
        base64(&format!("{long_name}:reader-password")),
        base64(&format!("reader:{long_password}")),
    ];
    let wrong = Request::get(&advertisement("public/app.git", "git-upload-pack")).basic(READER.name, "wrong");
    let expected = stack.http(&wrong).unwrap();
    assert_eq!(expected.status, 401);
    let challenge = expected.header("WWW-Authenticate").unwrap();
    assert_eq!(challenge, "Basic realm=\"git\", charset=\"UTF-8\"");
    for value in values {
        let request = Request::get(&advertisement("public/app.git", "git-upload-pack"));
        let response = stack.http(&request.header("Authorization", &value)).unwrap();
        assert_eq!(response.comparable(), expected.comparable(), "{value:?}");
    }
    let accepted = base64("reader:reader-password").replace("Basic", "bAsIc");
    let request = Request::get(&advertisement("team/app.git", "git-upload-pack"));
    assert_eq!(stack.http(&request.header("Authorization", &accepted)).unwrap().status, 200);
}

#[test]
fn the_host_is_never_reflected_and_no_answer_permits_other_origins() {
    let stack = stack();
    let closed = advertisement("team/app.git", "git-upload-pack");
    let requests = [
        Request::get("/"),
        Request::get("/git"),
        Request::get("/git/"),
        Request::get("/_auth"),
        Request::get(&closed),
        Request::get(&closed).basic(OUTSIDER.name, OUTSIDER.password),
        Request::get(&closed).basic(READER.name, READER.password),
        Request::new("OPTIONS", &closed).header("Access-Control-Request-Method", "POST"),
    ];
    for request in requests {
        let request =
            request.header("Origin", "http://evil.example").header("X-Forwarded-Host", "evil.example");
        let bytes = String::from_utf8(request.bytes()).unwrap().replace("git.example.org", "evil.example");
        let response = stack.front().exchange(bytes.as_bytes()).unwrap().remove(0);
        let seen = response.comparable();
        assert!(!seen.contains("evil.example"), "{seen}");
        assert!(!seen.to_ascii_lowercase().contains("access-control"), "{seen}");
        assert!(!(300..400).contains(&response.status), "{seen}");
    }
}

#[test]
fn internal_locations_cannot_be_asked_for() {
    let stack = stack();
    let inside = [
        "/_auth",
        "/_denied/401",
        "/_denied/403",
        "/_denied/429",
        "/_denied/503",
        "/_denied/unreadable",
        "/_denied/unanswered",
    ];
    for target in inside {
        for request in [Request::get(target), Request::get(target).basic(WRITER.name, WRITER.password)] {
            assert_eq!(stack.http(&request).unwrap().status, 404, "{target}");
        }
    }
    for target in ["/auth/nginx", "/git/../_auth", "/metrics", "/healthz", "/readyz"] {
        assert_eq!(stack.http(&Request::get(target)).unwrap().status, 404, "{target}");
    }
}

#[test]
fn a_duplicated_header_is_refused_or_counts_once() {
    let stack = stack();
    let target = advertisement("team/app.git", "git-upload-pack");
    let twice =
        Request::get(&target).basic(OUTSIDER.name, OUTSIDER.password).basic(READER.name, READER.password);
    assert_eq!(stack.http(&twice).unwrap().status, 400);
    let commit = stack.repositories().open("team/app.git").resolve("refs/heads/main").unwrap();
    let fetch = Request::post("/git/team/app.git/git-upload-pack", UPLOAD_PACK, &want(&commit));
    for (name, value) in
        [("Content-Type", "text/html"), ("Content-Encoding", "deflate"), ("Git-Protocol", "version=9")]
    {
        let request =
            fetch.clone().header(name, value).header(name, "gzip").basic(READER.name, READER.password);
        let response = stack.http(&request).unwrap();
        assert!(response.status < 500, "{name}: {response:?}");
    }
}

#[test]
fn a_user_in_hundreds_of_groups_can_still_work() {
    let groups: Vec<String> =
        (0..400).map(|n| format!("a-group-of-a-very-large-organisation-number-{n:04}")).collect();
    let hash = "$2y$04$Am3vW5YIvoqvslV5n68bgujOGfWYjcGBBaKVHFiLM.X17si3mz.1i";
    let users = format!(
        "version: 1\nusers:\n  reader: {{ password: \"{hash}\", groups: [{}] }}\n",
        groups.join(", ")
    );
    let policy = format!("version: 1\naccess:\n  \"/\": {{ write: [\"@{}\"] }}\n", groups[399]);
    let stack = Stack::builder().users(&users).policy(&policy).start().unwrap();
    stack.repositories().seeded("app.git", 2, &[]).unwrap();
    let git: Git = stack.git_as(READER);
    git.ok(&["clone", "--quiet", &stack.url("app.git"), "app"]).unwrap();
}

fn stack() -> Stack {
    let stack = Stack::builder().counting_spawns().start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack.repositories().seeded("public/app.git", 2, &[]).unwrap();
    stack
}
