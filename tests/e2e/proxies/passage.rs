//! Bodies on their way through other front servers: large, chunked, compressed, waited for, and broken off.

use std::fs::{self, File};
use std::io::Read as _;
use std::time::Duration;

use harness::front::{Front, Kind};
use harness::people::{READER, WRITER};
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, want};
use harness::{Request, Stack};

use super::stack;

/// Front servers that are programs of their own, and whether their daemons listen on TCP.
const PROGRAMS: [(Kind, bool); 2] = [(Kind::Caddy, false), (Kind::Envoy, true)];

#[test]
fn pushes_and_fetches_of_every_shape_pass_through_caddy_and_envoy() {
    for (kind, tcp) in PROGRAMS {
        let stack = stack(tcp);
        let Some(front) = Front::start(kind, &stack).unwrap() else { continue };
        let url = front.url("team/app.git");
        let git = stack.git_as(WRITER);
        git.ok(&["clone", "--quiet", &url, "work"]).unwrap();
        let work = git.within(&stack.path().join("home/work"));
        for (name, size, settings) in [
            ("chunked", 24 << 20, ["http.postBuffer=65536", "http.extraHeader=X: y"]),
            ("measured", 3 << 20, ["http.postBuffer=67108864", "http.extraHeader=X: y"]),
            ("waiting", 1 << 20, ["http.postBuffer=65536", "http.extraHeader=Expect: 100-continue"]),
        ] {
            let content = stack.path().join("home/work").join(name);
            let mut random = File::open("/dev/urandom").unwrap().take(size);
            std::io::copy(&mut random, &mut File::create(content).unwrap()).unwrap();
            work.ok(&["add", name]).unwrap();
            work.ok(&["commit", "--quiet", "-m", name]).unwrap();
            let push = ["-c", settings[0], "-c", settings[1], "push", "--quiet", "origin"];
            work.ok(&[&push[..], &[&format!("HEAD:refs/heads/{name}")]].concat()).unwrap();
        }
        let copy = stack.git_as(READER);
        copy.ok(&["clone", "--quiet", "--branch", "waiting", &url, "copy"]).unwrap();
        let sizes = ["chunked", "measured", "waiting"]
            .map(|name| fs::metadata(stack.path().join("home/copy").join(name)).unwrap().len());
        assert_eq!(sizes, [24 << 20, 3 << 20, 1 << 20], "{kind:?}");

        let main = stack.repositories().open("team/app.git").resolve("refs/heads/main").unwrap();
        let fetch = Request::post("/git/team/app.git/git-upload-pack", UPLOAD_PACK, &want(&main));
        let fetch = fetch.header("Expect", "100-continue").basic(READER.name, READER.password);
        assert!(front.address().send(&fetch).unwrap().text().contains("PACK"), "{kind:?}");
        nothing_of_the_client_reaches_git(&stack);
    }
}

/// A push that stops in its middle: git must not go on, nor the push land.
#[test]
fn a_client_that_leaves_caddy_or_envoy_leaves_no_git_behind() {
    for (kind, tcp) in PROGRAMS {
        let stack = stack(tcp);
        let Some(front) = Front::start(kind, &stack).unwrap() else { continue };
        let request = Request::new("POST", "/git/team/app.git/git-receive-pack")
            .header("Content-Type", RECEIVE_PACK)
            .header("Content-Length", "100000")
            .basic(WRITER.name, WRITER.password);
        let mut connection = front.address().connect().unwrap();
        connection.write(&[&request.bytes()[..], b"00"].concat()).unwrap();
        harness::until_true("git", Duration::from_secs(20), || !stack.git_processes().is_empty()).unwrap();
        drop(connection);
        stack.await_no_git(Duration::from_secs(20)).unwrap();
    }
}

/// Passwords and decisions are nowhere in what the daemons and the front server have written.
fn nothing_of_the_client_reaches_git(stack: &Stack) {
    for entry in fs::read_dir(stack.path().join("log")).unwrap() {
        let text = fs::read(entry.unwrap().path()).map(|bytes| harness::git::text(&bytes)).unwrap();
        let credentials = harness::git::basic(WRITER.name, WRITER.password);
        assert!(!text.contains(WRITER.password) && !text.contains(&credentials));
    }
}
