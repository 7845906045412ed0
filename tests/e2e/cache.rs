//! Answers without git, through everything: nginx sends what was kept, and a clone of it is a whole one.

use std::fs;
use std::thread;
use std::time::Duration;

use harness::people::{OUTSIDER, READER, WRITER};
use harness::pkt::UPLOAD_PACK;
use harness::{Request, Response, Stack, until_true};

const FETCH: &str = "/git/team/app.git/git-upload-pack";

#[test]
fn nginx_sends_a_kept_pack_as_git_gave_it() {
    let stack = stack();
    let first = fetch(&stack, &[]);
    assert_eq!(first.status, 200);
    assert!(first.body.ends_with(b"0000"));
    until_kept(&stack, 1);
    for extra in
        [None, Some(("Range", "bytes=0-9")), Some(("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"))]
    {
        let again = fetch(&stack, extra.as_slice());
        assert_eq!(again.status, 200, "{extra:?}");
        assert!(again.body == first.body, "{extra:?}");
        for name in ["Content-Type", "Cache-Control", "Expires", "Pragma"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
        for name in ["Last-Modified", "ETag", "Accept-Ranges", "X-Accel-Redirect"] {
            assert_eq!(again.header(name), None, "{name}");
        }
    }
    assert_eq!(stack.read("log/backend-runner.log").matches(r#""by":"nginx""#).count(), 3);
    assert_eq!(outcome(&stack, "fetch", "hit"), 3);
    let kept = fs::read_dir(stack.path().join("cache")).unwrap().flatten();
    let kept =
        kept.map(|file| file.file_name().into_string().unwrap()).find(|name| name.ends_with(".answer"));
    let direct = stack.http(&Request::get(&format!("/.gitward/cache/{}", kept.unwrap()))).unwrap();
    assert!(direct.status >= 400 && direct.body.len() < 200, "nobody asks nginx for it: {direct:?}");
}

#[test]
fn whoever_may_not_read_gets_nothing_that_was_kept() {
    let stack = stack();
    assert_eq!(fetch(&stack, &[]).status, 200);
    until_kept(&stack, 1);
    let body = body(&stack);
    let ask = |request: Request| stack.http(&request.header("Git-Protocol", "version=2")).unwrap().status;
    assert_eq!(ask(Request::post(FETCH, UPLOAD_PACK, &body)), 401);
    let post = Request::post(FETCH, UPLOAD_PACK, &body);
    assert_eq!(ask(post.basic(OUTSIDER.name, OUTSIDER.password)), 403);
}

#[test]
fn a_storm_of_clones_is_one_pack_and_every_clone_is_whole() {
    let stack = stack();
    thread::scope(|scope| {
        for number in 0..16 {
            let stack = &stack;
            scope.spawn(move || {
                let person = if number % 2 == 0 { READER } else { WRITER };
                let clone = stack.path().join(format!("home/clone-{number}"));
                let clone = clone.to_str().unwrap();
                let git = stack.git_as(person);
                git.ok(&["clone", "-q", "--bare", "--depth=1", &stack.url("team/app.git"), clone]).unwrap();
                git.ok(&["-C", clone, "fsck", "--strict", "--full"]).unwrap();
            });
        }
    });
    assert_eq!(outcome(&stack, "fetch", "miss"), 1);
    assert_eq!(outcome(&stack, "fetch", "hit") + outcome(&stack, "fetch", "joined"), 15);
}

#[test]
fn what_was_purged_is_made_again_and_the_daemon_goes_on() {
    let stack = stack();
    assert_eq!(fetch(&stack, &[]).status, 200);
    until_kept(&stack, 1);
    let config = stack.path().join("etc/backend-runner.yaml");
    let program = harness::program("backend-runner").unwrap();
    let purge_by = |config: &std::path::Path, arguments: &[&str]| {
        let mut purge = std::process::Command::new(&program);
        let output = purge.arg("purge").arg("--config").arg(config).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let purge = |arguments: &[&str]| purge_by(&config, arguments);
    assert_eq!(purge(&[]).0, Some(2));
    assert_eq!(purge(&["team/other.git"]), (Some(65), "removed: 0 files, 0 bytes\n".into()));
    stack.repositories().seeded("team/other.git", 1, &[]).unwrap();
    assert_eq!(purge(&["team/other.git"]), (Some(0), "removed: 0 files, 0 bytes\n".into()));
    // Another spelling of the same project root, and a repository that is there no more.
    let text = fs::read_to_string(&config).unwrap();
    let (root, other) = (format!("{}/git", stack.path().display()), stack.path().join("etc/spelt.yaml"));
    std::os::unix::fs::symlink(&root, stack.path().join("link")).unwrap();
    for (kept, spelling) in (2..).zip(["etc/../git", "link"]) {
        fs::write(&other, text.replace(&root, &format!("{}/{spelling}", stack.path().display()))).unwrap();
        let (code, said) = purge_by(&other, &["team/app.git"]);
        assert!(code == Some(0) && said.starts_with("removed: 1 files"), "{spelling}: {said}");
        assert!(fetch(&stack, &[]).body.ends_with(b"0000"));
        until_kept(&stack, kept);
    }
    let (code, said) = purge(&["team/app.git"]);
    assert!(code == Some(0) && said.starts_with("removed: 1 files"), "{said}");
    assert!(fetch(&stack, &[]).body.ends_with(b"0000"));
    assert_eq!(outcome(&stack, "fetch", "miss"), 4);
}

fn stack() -> Stack {
    let stack = Stack::start().unwrap();
    stack.repositories().seeded("team/app.git", 40, &[]).unwrap();
    stack
}

fn body(stack: &Stack) -> Vec<u8> {
    let tip = stack.repositories().open("team/app.git").resolve("refs/heads/main").unwrap();
    let line = |text: &str| format!("{:04x}{text}\n", text.len() + 5);
    let want = line(&format!("want {tip}"));
    format!("{}0001{}{want}{}0000", line("command=fetch"), line("no-progress"), line("done")).into_bytes()
}

fn fetch(stack: &Stack, extra: &[(&str, &str)]) -> Response {
    let request = Request::post(FETCH, UPLOAD_PACK, &body(stack)).header("Git-Protocol", "version=2");
    let request = request.basic(READER.name, READER.password);
    let request = extra.iter().fold(request, |request, (name, value)| request.header(name, value));
    stack.http(&request).unwrap()
}

fn until_kept(stack: &Stack, number: u64) {
    until_true("a kept pack", Duration::from_secs(10), || outcome(stack, "fetch", "stored") == number)
        .unwrap();
}

fn outcome(stack: &Stack, kind: &str, outcome: &str) -> u64 {
    let page = stack.admin("backend-runner", "/metrics").unwrap().text();
    let series = format!("gitward_response_cache_total{{kind=\"{kind}\",outcome=\"{outcome}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or_default()
}
