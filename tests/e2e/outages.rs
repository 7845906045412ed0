//! Dead and misbehaving daemons: the client gets a 5xx, never a success and never a 401, which would
//! make git forget a password that is right.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use harness::people::{OUTSIDER, READER, WRITER};
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, advertisement};
use harness::{Request, Response, Stack};

/// What a broken authd might say to the subrequest, and what the client may get then.
const ANSWERS: &[(&str, &[u16])] = &[
    ("", &[503]),
    ("garbage\r\n\r\n", &[500, 503]),
    ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", &[503]),
    ("HTTP/1.1 502 Oops\r\nContent-Length: 0\r\n\r\n", &[503]),
    ("HTTP/1.1 503 Oops\r\nContent-Length: 0\r\n\r\n", &[503]),
    ("HTTP/1.1 400 Oops\r\nContent-Length: 0\r\n\r\n", &[503]),
    ("HTTP/1.1 404 Oops\r\nContent-Length: 0\r\n\r\n", &[500, 503]),
    ("HTTP/1.1 413 Oops\r\nContent-Length: 0\r\n\r\n", &[500, 503]),
    ("HTTP/1.1 429 Oops\r\nContent-Length: 0\r\n\r\n", &[503]),
    ("HTTP/1.1 301 Moved\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n", &[500, 503]),
    ("HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n", &[500, 503]),
    ("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", &[403]),
    ("HTTP/1.1 403 No\r\nX-Gitward-Status: 200\r\nContent-Length: 0\r\n\r\n", &[503]),
    (
        "HTTP/1.1 403 No\r\nX-Gitward-Status: 429\r\nX-Gitward-Message: Slow down.\r\nContent-Length: 0\r\n\r\n",
        &[429],
    ),
    ("HTTP/1.1 403 No\r\nX-Gitward-Status: 503\r\nContent-Length: 0\r\n\r\n", &[503]),
    // A yes without a decision, or with a forged one, does not get past the runner.
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &[403]),
    ("HTTP/1.1 204 No Content\r\n\r\n", &[403, 503]),
    ("HTTP/1.1 200 OK\r\nX-Gitward-Decision: e30.e30\r\nContent-Length: 0\r\n\r\n", &[403]),
    ("HTTP/1.1 200 OK\r\nX-Accel-Redirect: /git/team/app.git/HEAD\r\nContent-Length: 0\r\n\r\n", &[403]),
];

#[test]
fn without_authd_every_answer_is_a_503_and_git_is_not_started() {
    let mut stack = stack();
    let before = stack.spawned();
    stack.authd.kill().unwrap();
    for request in requests() {
        let response = stack.http(&request).unwrap();
        assert_eq!(response.status, 503, "{response:?}");
        assert!(response.header("Retry-After").is_some());
        assert_readable(&response);
    }
    assert_eq!(stack.spawned(), before);
    stack.restart("authd").unwrap();
    let answers: Vec<u16> = requests().iter().map(|request| stack.http(request).unwrap().status).collect();
    assert_eq!(answers[..3], [401, 200, 403]);
}

#[test]
fn no_answer_of_a_broken_authd_lets_anybody_in() {
    let mut stack = stack();
    let before = stack.spawned();
    stack.authd.kill().unwrap();
    for (answer, expected) in ANSWERS {
        let socket = stack.path().join("run/authd.sock");
        serve_once(&socket, answer);
        let request = Request::get(&advertisement("team/app.git", "git-upload-pack"));
        let response = stack.http(&request.basic(READER.name, READER.password)).unwrap();
        assert!(expected.contains(&response.status), "{answer:?}: {response:?}");
        assert!(response.header("Location").is_none(), "{answer:?}: {response:?}");
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn without_the_runner_permitted_requests_get_a_503_and_refused_ones_what_they_always_get() {
    let mut stack = stack();
    stack.runner.kill().unwrap();
    let answers: Vec<Response> = requests().iter().map(|request| stack.http(request).unwrap()).collect();
    let statuses: Vec<u16> = answers.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [401, 503, 403, 503, 503, 403]);
    assert!(answers[1].header("Retry-After").is_some());
    assert_readable(&answers[1]);
    stack.restart("backend-runner").unwrap();
    assert_eq!(stack.http(&requests()[1]).unwrap().status, 200);
}

#[test]
fn git_shows_the_reason_and_keeps_the_password_when_authd_is_down() {
    let mut stack = stack();
    stack.authd.kill().unwrap();
    let store = stack.path().join("home/passwords");
    let line = stack.url_as(READER.name, READER.password, "");
    fs::write(&store, format!("{line}\n")).unwrap();
    let git = stack.git().with("credential.helper", &format!("store --file={}", store.display()));
    let output = git.run(&["ls-remote", &stack.url("team/app.git")]).unwrap();
    let stderr = harness::git::text(&output.stderr);
    assert!(stderr.contains("503"), "{stderr}");
    assert!(fs::read_to_string(&store).unwrap().contains(READER.password));
}

/// Anonymous read, permitted read, forbidden read, permitted push, permitted fetch, forbidden push.
fn requests() -> [Request; 6] {
    let read = Request::get(&advertisement("team/app.git", "git-upload-pack"));
    let push = Request::post("/git/team/app.git/git-receive-pack", RECEIVE_PACK, b"0000");
    [
        read.clone(),
        read.clone().basic(READER.name, READER.password),
        read.basic(OUTSIDER.name, OUTSIDER.password),
        push.clone().basic(WRITER.name, WRITER.password),
        Request::post("/git/team/app.git/git-upload-pack", UPLOAD_PACK, b"0000")
            .basic(READER.name, READER.password),
        push.basic(READER.name, READER.password),
    ]
}

fn assert_readable(response: &Response) {
    assert!(response.header("Content-Type").unwrap().starts_with("text/plain"), "{response:?}");
    assert!(response.text().trim().len() > 10 && response.text().lines().count() == 1, "{response:?}");
}

/// Answers the next connection on `socket` with `answer`, whatever is asked, and closes it.
fn serve_once(socket: &Path, answer: &'static str) {
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(count) if count > 0 => seen.extend_from_slice(&buffer[..count]),
                _ => return,
            }
        }
        // nginx must not keep a connection that ends here.
        let answer =
            answer.strip_suffix("\r\n\r\n").map(|head| format!("{head}\r\nConnection: close\r\n\r\n"));
        let _ = stream.write_all(answer.unwrap_or_default().as_bytes());
    });
}

fn stack() -> Stack {
    let stack = Stack::builder().counting_spawns().start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack
}
