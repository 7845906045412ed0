//! Where one request ends and the next begins: every response belongs to exactly one request.

use harness::people::{READER, WRITER};
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, advertisement};
use harness::{Request, Stack};

const SMUGGLED: &str = "GET /git/secret/other.git/HEAD HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn the_body_of_a_refused_push_never_becomes_a_request() {
    let stack = stack();
    let before = stack.spawned();
    for authorization in
        [String::new(), authorization(READER.name, READER.password), authorization(READER.name, "no")]
    {
        let bytes = format!(
            "POST /git/team/app.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Type: {RECEIVE_PACK}\r\n{authorization}\
             Content-Length: {}\r\n\r\n{SMUGGLED}",
            SMUGGLED.len(),
        );
        let statuses = statuses(&stack, &bytes);
        assert!(statuses == [401] || statuses == [403], "{statuses:?}");
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn the_body_of_a_push_that_the_runner_refuses_never_becomes_a_request() {
    let stack = stack();
    let authorization = authorization(WRITER.name, WRITER.password);
    for (content_type, encoding) in
        [("text/plain", ""), (RECEIVE_PACK, "Content-Encoding: br\r\n"), (UPLOAD_PACK, "")]
    {
        let bytes = format!(
            "POST /git/team/app.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n{encoding}\
             {authorization}Content-Length: {}\r\n\r\n{SMUGGLED}",
            SMUGGLED.len(),
        );
        let statuses = statuses(&stack, &bytes);
        assert!(
            statuses.len() == 1 && (400..500).contains(&statuses[0]),
            "{content_type} {encoding}{statuses:?}"
        );
    }
    // The connection between nginx and the runner is clean afterwards as well.
    assert_eq!(stack.http(&read()).unwrap().status, 200);
}

#[test]
fn ambiguous_framing_is_refused_by_nginx() {
    let stack = stack();
    let before = stack.spawned();
    let authorization = authorization(WRITER.name, WRITER.password);
    let framings: &[(&str, &[u16])] = &[
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", &[400]),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4", &[400]),
        ("Content-Length: 4\r\nContent-Length: 5", &[400]),
        ("Content-Length: 4k", &[400]),
        ("Content-Length: -1", &[400]),
        ("Content-Length: +4", &[400]),
        ("Content-Length: 0x4", &[400]),
        ("Transfer-Encoding: xchunked", &[501]),
        ("Transfer-Encoding: chunked, identity", &[400, 501]),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", &[400, 501]),
        ("Content-Length: 4\r\nX-Folded: a\r\n b", &[400]),
    ];
    for (framing, expected) in framings {
        let bytes = format!(
            "POST /git/team/app.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Type: {RECEIVE_PACK}\r\n\
             {authorization}{framing}\r\n\r\n0\r\n\r\n{SMUGGLED}"
        );
        let statuses = statuses(&stack, &bytes);
        assert!(statuses.len() == 1 && expected.contains(&statuses[0]), "{framing:?}: {statuses:?}");
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn a_malformed_chunk_ends_the_connection_and_no_ref_is_created() {
    let stack = stack();
    let authorization = authorization(WRITER.name, WRITER.password);
    for chunk in ["zz\r\n0000\r\n", "ffffffffffffffffff\r\n0000", "-4\r\n0000\r\n", "4\r\n0000X\r\n0\r\n\r\n"]
    {
        let bytes = format!(
            "POST /git/team/app.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Type: {RECEIVE_PACK}\r\n\
             {authorization}Transfer-Encoding: chunked\r\n\r\n{chunk}{SMUGGLED}"
        );
        let statuses = statuses(&stack, &bytes);
        assert!(statuses.len() <= 1, "{chunk:?}: {statuses:?}");
        assert!(!statuses.contains(&401), "the smuggled request was answered after {chunk:?}");
    }
    stack.await_no_git(std::time::Duration::from_secs(10)).unwrap();
    assert_eq!(stack.http(&read()).unwrap().status, 200);
}

#[test]
fn requests_in_a_row_get_one_response_each_in_order() {
    let stack = stack();
    let target = advertisement("team/app.git", "git-upload-pack");
    let request = |authorization: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n");
    let reader = authorization(READER.name, READER.password);
    let wrong = authorization(READER.name, "wrong");
    let bytes: String = ["", &reader, &wrong, &reader, ""].iter().map(|value| request(value)).collect();
    assert_eq!(statuses(&stack, &bytes), [401, 200, 401, 200, 401]);
}

fn stack() -> Stack {
    let stack = Stack::builder().counting_spawns().start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack
}

fn read() -> Request {
    Request::get(&advertisement("team/app.git", "git-upload-pack")).basic(READER.name, READER.password)
}

fn authorization(user: &str, password: &str) -> String {
    format!("Authorization: {}\r\n", harness::git::basic(user, password))
}

fn statuses(stack: &Stack, bytes: &str) -> Vec<u16> {
    let responses = stack.front().exchange(bytes.as_bytes()).unwrap();
    responses.iter().map(|response| response.status).collect()
}
