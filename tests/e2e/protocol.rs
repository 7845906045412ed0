//! What real clients send: compressed and chunked bodies, many refs, every protocol version and object
//! format. Traces of the client prove that the special case really happened.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use harness::people::{READER, WRITER};
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, ZERO, advertisement, update, want};
use harness::repositories::history;
use harness::{Git, Request, Stack};

#[test]
fn a_fetch_with_a_compressed_request_works_in_every_version() {
    let stack = Stack::start().unwrap();
    many_refs(&stack, 2000);
    for version in [0, 1, 2] {
        let trace = stack.path().join(format!("trace-{version}"));
        let git = stack.git_as(READER).protocol(version).variable("GIT_TRACE_CURL", trace.to_str().unwrap());
        let target = format!("copy-{version}.git");
        git.ok(&["clone", "--quiet", "--mirror", &stack.url("many.git"), &target]).unwrap();
        let trace = fs::read_to_string(trace).unwrap();
        assert!(trace.contains("Content-Encoding: gzip"), "version {version}: no request was compressed");
        let refs = git.ok(&["--git-dir", &target, "for-each-ref"]).unwrap();
        assert_eq!(refs.lines().count(), 2001);
    }
}

#[test]
fn the_client_and_the_server_speak_the_version_that_was_asked_for() {
    let stack = seeded();
    for (version, sign) in [(0, "< # service=git-upload-pack"), (1, "< version 1"), (2, "< version 2")] {
        let trace = stack.path().join(format!("trace-{version}"));
        let git =
            stack.git_as(READER).protocol(version).variable("GIT_TRACE_PACKET", trace.to_str().unwrap());
        git.ok(&["clone", "--quiet", &stack.url("team/app.git"), &format!("copy-{version}")]).unwrap();
        let trace = fs::read_to_string(trace).unwrap();
        assert!(trace.contains(sign), "{version}: {trace}");
        assert_eq!(trace.contains("< version "), version > 0, "{trace}");
    }
}

#[test]
fn pushes_arrive_chunked_and_with_a_length() {
    let stack = seeded();
    let work = work(&stack);
    for (buffer, sign) in [("65536", "Transfer-Encoding: chunked"), ("67108864", "Content-Length: 3")] {
        write_random(&stack, "work/blob", 3 << 20);
        work.ok(&["add", "blob"]).unwrap();
        work.ok(&["commit", "--quiet", "-m", "blob"]).unwrap();
        let trace = stack.path().join(format!("trace-{buffer}"));
        let git = work.with("http.postBuffer", buffer).variable("GIT_TRACE_CURL_NO_DATA", "1");
        let git = git.variable("GIT_TRACE_CURL", trace.to_str().unwrap());
        git.ok(&["push", "--quiet", "origin", "HEAD:refs/heads/main"]).unwrap();
        assert!(fs::read_to_string(trace).unwrap().contains(sign), "{buffer}");
        let head = work.ok(&["rev-parse", "HEAD"]).unwrap();
        assert_eq!(stack.repositories().open("team/app.git").resolve("refs/heads/main"), Some(head));
    }
}

#[test]
fn a_compressed_push_works_as_some_clients_send_it() {
    let stack = seeded();
    let repository = stack.repositories().open("team/app.git");
    let main = repository.resolve("refs/heads/main").unwrap();
    let body = [&update(ZERO, &main, "refs/heads/zipped")[..], harness::pkt::EMPTY_PACK].concat();
    for encoding in ["gzip", "x-gzip"] {
        let request = Request::post("/git/team/app.git/git-receive-pack", RECEIVE_PACK, &gzip(&body));
        let request = request.header("Content-Encoding", encoding).basic(WRITER.name, WRITER.password);
        let response = stack.http(&request).unwrap();
        assert!(response.text().contains("unpack ok"), "{encoding}: {response:?}");
    }
    assert_eq!(repository.resolve("refs/heads/zipped"), Some(main));
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    let stack = seeded();
    let main = stack.repositories().open("team/app.git").resolve("refs/heads/main").unwrap();
    let request = Request::post("/git/team/app.git/git-upload-pack", UPLOAD_PACK, &want(&main));
    let request = request.header("Expect", "100-continue").basic(READER.name, READER.password);
    assert!(stack.http(&request).unwrap().text().contains("PACK"));
    let work = work(&stack).with("http.extraHeader", "Expect: 100-continue");
    work.ok(&["commit", "--quiet", "--allow-empty", "-m", "waited"]).unwrap();
    work.ok(&["push", "--quiet", "origin", "HEAD:refs/heads/waited"]).unwrap();
}

#[test]
fn a_client_of_http_1_0_is_served() {
    let stack = seeded();
    let request =
        Request::get(&advertisement("team/app.git", "git-upload-pack")).basic(READER.name, READER.password);
    let bytes = String::from_utf8(request.bytes()).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    let responses = stack.front().exchange(bytes.as_bytes()).unwrap();
    assert_eq!(responses.len(), 1);
    assert!(responses[0].text().contains("refs/heads/main"));
}

#[test]
fn a_large_header_passes_and_a_larger_one_is_refused_by_nginx() {
    let stack = seeded();
    let git = stack.git_as(READER);
    let padded = |size: usize| git.with("http.extraHeader", &format!("X-Padding: {}", "p".repeat(size)));
    padded(6000).ok(&["ls-remote", &stack.url("team/app.git")]).unwrap();
    let refused = padded(40_000).run(&["ls-remote", &stack.url("team/app.git")]).unwrap();
    assert!(harness::git::text(&refused.stderr).contains("error: 400"));
}

#[test]
fn shallow_clones_can_be_deepened() {
    let stack = seeded();
    for version in [0, 2] {
        let git = stack.git_as(READER).protocol(version);
        let target = format!("shallow-{version}");
        git.ok(&["clone", "--quiet", "--depth=1", &stack.url("team/app.git"), &target]).unwrap();
        let copy = git.within(&stack.path().join("home").join(&target));
        assert_eq!(copy.ok(&["rev-list", "--count", "HEAD"]).unwrap(), "1");
        copy.ok(&["fetch", "--quiet", "--deepen=3"]).unwrap();
        assert_eq!(copy.ok(&["rev-list", "--count", "HEAD"]).unwrap(), "4");
        copy.ok(&["fetch", "--quiet", "--unshallow"]).unwrap();
        assert_eq!(copy.ok(&["rev-list", "--count", "HEAD"]).unwrap(), "10");
    }
}

#[test]
fn a_sha256_repository_can_be_cloned_and_pushed_to() {
    let stack = Stack::start().unwrap();
    let repository = stack.repositories().init("team/wide.git", "sha256").unwrap();
    repository.import(&history(3, &[])).unwrap();
    for version in [0, 1, 2] {
        let git = stack.git_as(WRITER).protocol(version);
        let target = format!("wide-{version}");
        git.ok(&["clone", "--quiet", &stack.url("team/wide.git"), &target]).unwrap();
        let copy = git.within(&stack.path().join("home").join(&target));
        copy.ok(&["commit", "--quiet", "--allow-empty", "-m", "more"]).unwrap();
        copy.ok(&["push", "--quiet", "origin", "HEAD:refs/heads/main"]).unwrap();
        let head = copy.ok(&["rev-parse", "HEAD"]).unwrap();
        assert_eq!(head.len(), 64);
        assert_eq!(repository.resolve("refs/heads/main"), Some(head));
    }
}

#[test]
fn tags_travel_both_ways() {
    let stack = seeded();
    let work = work(&stack);
    work.ok(&["tag", "light"]).unwrap();
    work.ok(&["tag", "-a", "-m", "a release", "v1.0"]).unwrap();
    work.ok(&["push", "--quiet", "origin", "--tags"]).unwrap();
    stack.git_as(READER).ok(&["clone", "--quiet", &stack.url("team/app.git"), "tagged"]).unwrap();
    let tagged = stack.git().within(&stack.path().join("home/tagged"));
    assert_eq!(tagged.ok(&["tag", "--list"]).unwrap(), "light\nv1.0");
    assert_eq!(tagged.ok(&["cat-file", "-t", "v1.0"]).unwrap(), "tag");
    work.ok(&["push", "--quiet", "origin", ":refs/tags/light"]).unwrap();
    assert_eq!(stack.repositories().open("team/app.git").resolve("refs/tags/light"), None);
}

#[test]
fn an_atomic_push_happens_whole_or_not_at_all() {
    let stack = seeded();
    let repository = stack.repositories().open("team/app.git");
    let work = work(&stack);
    let main = repository.resolve("refs/heads/main").unwrap();
    // An unrelated history: not a fast-forward of main, while the other ref would be fine.
    let stranger = work.ok(&["commit-tree", "-m", "stranger", "HEAD^{tree}"]).unwrap();
    let refspecs = [format!("{main}:refs/heads/fine"), format!("{stranger}:refs/heads/main")];
    let push = ["push", "--atomic", "origin", &refspecs[0], &refspecs[1]];
    assert!(!work.run(&push).unwrap().status.success());
    assert_eq!(repository.resolve("refs/heads/fine"), None);
    work.ok(&["push", "--quiet", "--atomic", "origin", "HEAD:refs/heads/a", "HEAD:refs/heads/b"]).unwrap();
    assert_eq!(repository.resolve("refs/heads/a"), repository.resolve("refs/heads/b"));
}

#[test]
fn an_empty_repository_can_be_cloned_and_gets_its_first_push() {
    let stack = Stack::start().unwrap();
    let repository = stack.repositories().empty("team/new.git").unwrap();
    for version in [0, 1, 2] {
        let git = stack.git_as(WRITER).protocol(version);
        let target = format!("new-{version}");
        git.ok(&["clone", "--quiet", &stack.url("team/new.git"), &target]).unwrap();
    }
    let work = stack.git_as(WRITER).within(&stack.path().join("home/new-2"));
    work.ok(&["commit", "--quiet", "--allow-empty", "-m", "first"]).unwrap();
    work.ok(&["push", "--quiet", "origin", "HEAD:refs/heads/main"]).unwrap();
    assert_eq!(repository.resolve("refs/heads/main"), Some(work.ok(&["rev-parse", "HEAD"]).unwrap()));
}

#[test]
fn two_thousand_refs_are_listed_cloned_and_pushed() {
    let stack = Stack::start().unwrap();
    many_refs(&stack, 2000);
    let git = stack.git_as(WRITER);
    let listed = git.ok(&["ls-remote", "--heads", &stack.url("many.git")]).unwrap();
    assert_eq!(listed.lines().count(), 2001);
    git.ok(&["clone", "--quiet", "--mirror", &stack.url("many.git"), "many.git"]).unwrap();
    let target = stack.repositories().empty("target.git").unwrap();
    let copy = git.within(&stack.path().join("home/many.git"));
    copy.ok(&["push", "--quiet", &stack.url("target.git"), "refs/heads/*:refs/heads/*"]).unwrap();
    assert_eq!(target.refs().unwrap().lines().count(), 2001);
}

#[test]
fn push_options_are_not_offered() {
    let stack = seeded();
    let work = work(&stack);
    let output = work.run(&["push", "-o", "x\nGIT_DIR=/", "origin", "HEAD:refs/heads/optioned"]).unwrap();
    assert!(!output.status.success());
    assert_eq!(stack.repositories().open("team/app.git").resolve("refs/heads/optioned"), None);
}

#[test]
fn only_branches_and_tags_can_be_pushed() {
    let stack = seeded();
    let work = work(&stack);
    let before = stack.repositories().open("team/app.git").refs().unwrap();
    let main = work.ok(&["rev-parse", "HEAD"]).unwrap();
    let names = [
        format!("refs/replace/{main}"),
        "refs/meta/config".into(),
        "refs/notes/x".into(),
        "refs/stash".into(),
    ];
    for name in &names {
        assert!(!work.run(&["push", "origin", &format!("HEAD:{name}")]).unwrap().status.success(), "{name}");
    }
    assert_eq!(stack.repositories().open("team/app.git").refs().unwrap(), before);
}

fn seeded() -> Stack {
    let stack = Stack::start().unwrap();
    stack.repositories().seeded("team/app.git", 10, &[]).unwrap();
    stack
}

/// A clone of `team/app.git` made by the writer, as a client working in it.
fn work(stack: &Stack) -> Git {
    let git = stack.git_as(WRITER);
    git.ok(&["clone", "--quiet", &stack.url("team/app.git"), "work"]).unwrap();
    git.within(&stack.path().join("home/work"))
}

/// `many.git` with `count` branches, each at a commit of its own.
fn many_refs(stack: &Stack, count: usize) {
    let mut stream = history(1, &[]).replace("done\n", "").replace("feature ", "");
    for number in 0..count {
        let _ = write!(
            stream,
            "commit refs/heads/branch-{number}\ncommitter Test <test@example.org> {} +0000\ndata 2\nx\n\
             from refs/heads/main\n\n",
            1_700_000_000 + number
        );
    }
    stack.repositories().empty("many.git").unwrap().import(&stream).unwrap();
}

fn write_random(stack: &Stack, file: &str, size: u64) {
    let mut random = std::io::Read::take(fs::File::open("/dev/urandom").unwrap(), size);
    let path = stack.path().join("home").join(file);
    std::io::copy(&mut random, &mut fs::File::create(path).unwrap()).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}
