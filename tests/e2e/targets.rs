//! Request targets: whatever is outside the closed grammar is refused, and git is not even started.

use harness::people::{READER, WRITER};
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, advertisement};
use harness::{Request, Stack};

/// Spellings that some server somewhere takes for `/git/team/app.git/...`.
const ALIASES: &[&str] = &[
    "/git//team/app.git/info/refs?service=git-upload-pack",
    "/git/team//app.git/info/refs?service=git-upload-pack",
    "//git/team/app.git/info/refs?service=git-upload-pack",
    "/git/team/app.git//info/refs?service=git-upload-pack",
    "/git/team/app.git/info//refs?service=git-upload-pack",
    "/git/team/../team/app.git/info/refs?service=git-upload-pack",
    "/git/team/./app.git/info/refs?service=git-upload-pack",
    "/git/../git/team/app.git/info/refs?service=git-upload-pack",
    "/x/../git/team/app.git/info/refs?service=git-upload-pack",
    "/git/%2e%2e/git/team/app.git/info/refs?service=git-upload-pack",
    "/git/x/%2e%2e/team/app.git/info/refs?service=git-upload-pack",
    "/git/x/.%2e/team/app.git/info/refs?service=git-upload-pack",
    "/git/x/..%2fteam/app.git/info/refs?service=git-upload-pack",
    "/git/x%2f..%2fteam/app.git/info/refs?service=git-upload-pack",
    "/git/team%2fapp.git/info/refs?service=git-upload-pack",
    "/git/team/app%2egit/info/refs?service=git-upload-pack",
    "/git/team/app.git/info%2frefs?service=git-upload-pack",
    "/git/team/app.git/info%2Frefs?service=git-upload-pack",
    "/git/team/app.git/info/refs%3fservice=git-upload-pack",
    "/git/team/app.git/info/refs/?service=git-upload-pack",
    "/git/team/app.git/%69nfo/refs?service=git-upload-pack",
    "/git/team/app.git/INFO/refs?service=git-upload-pack",
    "/git/team/app.GIT/info/refs?service=git-upload-pack",
    "/GIT/team/app.git/info/refs?service=git-upload-pack",
    "/git/x/..;/team/app.git/info/refs?service=git-upload-pack",
    "/git/team/app.git;v=1/info/refs?service=git-upload-pack",
    "/git/team;v=1/app.git/info/refs?service=git-upload-pack",
    "/git\\team/app.git/info/refs?service=git-upload-pack",
    "/git/team\\app.git/info/refs?service=git-upload-pack",
    "/git/team/app.git%20/info/refs?service=git-upload-pack",
    "/git/team/app.git%0a/info/refs?service=git-upload-pack",
    "/git/team/app.git%0d%0aX-Gitward-Decision:%20x/info/refs?service=git-upload-pack",
    "/git/team/app.git+/info/refs?service=git-upload-pack",
    "/git/team/app/info/refs?service=git-upload-pack",
    "/git/team/app.git.git/info/refs?service=git-upload-pack",
    "/git/team/app.git/.git/info/refs?service=git-upload-pack",
    "/git/.git/info/refs?service=git-upload-pack",
    "/git/info/refs?service=git-upload-pack",
    "/git/team/info/refs?service=git-upload-pack",
    "/git/~root/app.git/info/refs?service=git-upload-pack",
    "/git/-team/app.git/info/refs?service=git-upload-pack",
    "/git/.../team/app.git/info/refs?service=git-upload-pack",
    "/git/1/2/3/4/5/6/7/8/9/app.git/info/refs?service=git-upload-pack",
    "/git/team/app.git/config",
    "/git/team/app.git/hooks/pre-receive",
    "/git/team/app.git/objects/info/alternates",
    "/git/team/app.git/objects/info/http-alternates",
    "/git/team/app.git",
    "/git/team/app.git/",
    "/git/",
    "/git",
];

/// Queries that http-backend or some parser reads as one of the two legal ones.
const QUERIES: &[&str] = &[
    "service=git-upload-pack&service=git-receive-pack",
    "service=git-receive-pack&service=git-upload-pack",
    "service=git-upload-pack&",
    "&service=git-upload-pack",
    "service=git-upload-pack&x=1",
    "x=1&service=git-upload-pack",
    "service=git%2dupload-pack",
    "service=git-upload-pack%00",
    "service=git-upload-pack+",
    "service=git-upload-pack%20",
    "service=git-upload-pack;service=git-receive-pack",
    "service=git-upload-pack#",
    "service=git-upload-pack#&service=git-receive-pack",
    "service=git-upload-pack?service=git-receive-pack",
    "s%65rvice=git-upload-pack",
    "Service=git-upload-pack",
    "service=GIT-UPLOAD-PACK",
    "service=upload-pack",
    "service=git-upload-archive",
    "service=git-foo",
    "service=",
    "service",
    "service[]=git-upload-pack",
    "",
];

#[test]
fn no_other_spelling_of_a_repository_reaches_git() {
    let stack = stack();
    let before = stack.spawned();
    for target in ALIASES {
        for request in with_every_caller(Request::get(target)) {
            refused(&stack, &request);
        }
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn no_other_query_than_the_two_exact_ones_reaches_git() {
    let stack = stack();
    let before = stack.spawned();
    for query in QUERIES {
        let target = format!("/git/team/app.git/info/refs?{query}");
        for request in with_every_caller(Request::get(&target)) {
            refused(&stack, &request);
        }
        for (service, content_type) in [("git-upload-pack", UPLOAD_PACK), ("git-receive-pack", RECEIVE_PACK)]
        {
            let target = format!("/git/team/app.git/{service}?{query}");
            for request in with_every_caller(Request::post(&target, content_type, b"0000")) {
                refused(&stack, &request);
            }
        }
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn a_target_that_nginx_cannot_read_ends_there() {
    let stack = stack();
    let before = stack.spawned();
    let unreadable: &[&[u8]] = &[
        b"GET /git/team/app.git/info/refs%00?service=git-upload-pack HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /git/team/app.git%zz/info/refs HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /git/team/% HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /git/%u002e/app.git/info/refs HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /git/team/app.git/info/refs\t?service=git-upload-pack HTTP/1.1\r\nHost: x\r\n\r\n",
        b"get /git/team/app.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /git/team/\x00app.git/info/refs HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT /git/team/app.git/info/refs HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    for bytes in unreadable {
        let responses = stack.front().exchange(bytes).unwrap();
        let statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
        let shown = String::from_utf8_lossy(bytes);
        assert!(
            statuses.len() <= 1 && statuses.iter().all(|s| *s == 400 || *s == 405),
            "{shown}: {statuses:?}"
        );
    }
    let eight_bit = b"GET /git/team/\xffapp.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let responses = stack.front().exchange(eight_bit).unwrap();
    assert!([401, 403].contains(&responses[0].status), "{responses:?}");
    assert_eq!(stack.spawned(), before);
}

#[test]
fn the_absolute_form_means_the_same_as_the_origin_form() {
    let stack = stack();
    let target = advertisement("team/app.git", "git-upload-pack");
    for request in with_every_caller(Request::get(&target)) {
        let plain = stack.http(&request).unwrap();
        let absolute =
            String::from_utf8(request.bytes()).unwrap().replace(&target, &format!("http://evil{target}"));
        let responses = stack.front().exchange(absolute.as_bytes()).unwrap();
        assert_eq!(responses.len(), 1);
        assert_eq!((responses[0].status, responses[0].text()), (plain.status, plain.text()));
    }
}

#[test]
fn a_wrong_method_is_refused_before_git() {
    let stack = stack();
    let before = stack.spawned();
    let targets = [
        advertisement("team/app.git", "git-upload-pack"),
        advertisement("team/app.git", "git-receive-pack"),
        "/git/team/app.git/git-upload-pack".to_owned(),
        "/git/team/app.git/git-receive-pack".to_owned(),
    ];
    let methods = [
        "HEAD",
        "PUT",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "PROPFIND",
        "MKCOL",
        "LOCK",
        "P_ST",
        "GIT-RECEIVE",
        "TRACE",
    ];
    for target in &targets {
        let legal = if target.contains('?') { "GET" } else { "POST" };
        for method in methods.into_iter().chain(["GET", "POST"]).filter(|method| *method != legal) {
            for request in with_every_caller(Request::new(method, target).header("Content-Length", "0")) {
                refused(&stack, &request);
            }
        }
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn a_reader_never_starts_receive_pack() {
    let stack = stack();
    let before = stack.spawned();
    let target = advertisement("team/app.git", "git-receive-pack");
    let requests = [
        Request::get(&target),
        Request::post("/git/team/app.git/git-receive-pack", RECEIVE_PACK, b"0000"),
        Request::post("/git/team/app.git/git-receive-pack", UPLOAD_PACK, b"0000"),
    ];
    for request in requests {
        let response = stack.http(&request.basic(READER.name, READER.password)).unwrap();
        assert_eq!(response.status, 403);
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn archives_and_the_dumb_protocol_are_refused_by_default() {
    let stack = stack();
    let before = stack.spawned();
    let files = ["info/refs", "HEAD", "objects/info/packs", "objects/pack/x.pack", "objects/info/alternates"];
    let object = format!("objects/aa/{}", "b".repeat(38));
    for file in files.into_iter().chain([object.as_str()]) {
        for request in with_every_caller(Request::get(&format!("/git/team/app.git/{file}"))) {
            refused(&stack, &request);
        }
    }
    let archive = "/git/team/app.git/git-upload-archive";
    for request in
        with_every_caller(Request::post(archive, "application/x-git-upload-archive-request", b"0000"))
    {
        refused(&stack, &request);
    }
    assert_eq!(stack.spawned(), before);
}

fn stack() -> Stack {
    let stack = Stack::builder().counting_spawns().start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack
}

fn with_every_caller(request: Request) -> [Request; 3] {
    [
        request.clone(),
        request.clone().basic(READER.name, READER.password),
        request.basic(WRITER.name, WRITER.password),
    ]
}

/// Never a success, a redirection or a fault of ours, and nothing that permits cross-origin use.
fn refused(stack: &Stack, request: &Request) {
    let response = stack.http(request).unwrap();
    let shown = String::from_utf8_lossy(&request.bytes()).into_owned();
    assert!((400..500).contains(&response.status), "{shown}\n{response:?}");
    assert!(
        response.headers.iter().all(|(name, _)| !name.to_ascii_lowercase().starts_with("access-control"))
    );
    assert!(response.header("Location").is_none(), "{shown}\n{response:?}");
}
