//! Packs that many ask for: one git for all of them, and nothing that is not whole.

mod keeping;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::front::Front;
use crate::http::{Answer, post};
use crate::stage::{Stage, command, decision, eventually, git, sign};

const CACHE: &str = "cache: { directory: kept }";

#[test]
fn a_clone_from_what_was_kept_is_a_whole_one_and_needs_no_git() {
    for engine in ["direct", "http-backend"] {
        let stage = Stage::counting(&format!("engine: {engine}\n{CACHE}"));
        stage.filled_repository("a.git", 30);
        for (number, depth) in [None, Some("--depth=1"), Some("--depth=3")].into_iter().enumerate() {
            let before = packs_made(&stage);
            for clone in ["first", "second", "third"] {
                let work = stage.path().join(format!("{clone}-{number}"));
                clone_into(&stage, &work, depth);
                git(&work, &["fsck", "--strict", "--full"]);
            }
            eventually("the pack is kept", || kept(&stage).len() == number + 1);
            assert_eq!(packs_made(&stage), before + 1, "{engine} {depth:?}");
        }
    }
}

#[test]
fn a_hundred_who_ask_at_once_get_one_pack() {
    let stage = Stage::counting(CACHE);
    slow_pack(&stage);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..100)
            .map(|number| {
                scope.spawn({
                    let stage = &stage;
                    move || ask(stage, number)
                })
            })
            .collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let whole = &answers[0];
    assert!(whole.complete && whole.body.ends_with(b"0000") && whole.body.len() > 1_000_000);
    assert!(
        answers.iter().all(|answer| answer.status == 200 && answer.complete && answer.body == whole.body)
    );
    assert_eq!(packs_made(&stage), 1);
}

#[test]
fn the_one_who_came_first_may_leave() {
    let stage = Stage::counting(CACHE);
    slow_pack(&stage);
    let mut first = stage.connect();
    first.send(&request(&stage, 0)).unwrap();
    stage.wait_for_trace("upload-pack");
    std::thread::scope(|scope| {
        let second = scope.spawn(|| ask(&stage, 1));
        first.head().unwrap();
        first.chunk().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        drop(first);
        let second = second.join().unwrap();
        assert!(second.complete && second.body.ends_with(b"0000"));
    });
    assert_eq!(packs_made(&stage), 1);
    eventually("the pack is kept", || kept(&stage).len() == 1);
}

#[test]
fn when_everybody_has_left_git_ends_and_nothing_is_kept() {
    let stage = Stage::fake(
        "cat >/dev/null; printf '000dpackfile\\n'; while :; do printf '0009\\001abcd'; sleep 0.01; done",
        &format!("engine: direct\n{CACHE}"),
    );
    stage.hollow_repository("a.git");
    make_config(&stage);
    let mut clients = [stage.connect(), stage.connect()];
    for client in &mut clients {
        client.send(&request_for("0123456789012345678901234567890123456789")).unwrap();
        client.head().unwrap();
    }
    drop(clients);
    stage.wait_for_no_processes();
    eventually("nothing is left", || files(&stage).is_empty());
}

#[test]
fn who_waits_for_a_place_keeps_nobody_else_waiting() {
    let stage = Stage::fake(
        "cat >/dev/null; printf '000dpackfile\\n'; while :; do printf '0009\\001abcd'; sleep 0.01; done",
        &format!("engine: direct\nlimits: {{ per_user: 1 }}\n{CACHE}"),
    );
    stage.hollow_repository("a.git");
    make_config(&stage);
    let ask = |user: &str, tip: &str| {
        let mut decision = decision("POST", "/git/a.git/git-upload-pack");
        decision.user = Some(policy::identity::UserName::parse(user).unwrap());
        let mut client = stage.connect();
        client.send(&with_body(&sign(&decision), "agent=x", tip)).unwrap();
        client
    };
    let mut busy = ask("mallory", &"1".repeat(40));
    busy.head().unwrap();
    let _first = ask("mallory", &"2".repeat(40));
    eventually("the first waits for a place", || files(&stage).len() == 2);
    let start = std::time::Instant::now();
    ask("alice", &"2".repeat(40)).head().unwrap();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_git_that_dies_on_the_way_is_an_error_to_everybody_and_leaves_nothing() {
    for end in [
        "kill -9 $$",
        "exit 0",
        "printf 0000; exit 1",
        "printf '000dERR nope!0000'",
        "printf '0009\\003fail0000'",
    ] {
        let script = format!("cat >/dev/null; printf '000dpackfile\\n0009\\001abcd'; sleep 0.3; {end}");
        let stage = Stage::fake(&script, &format!("engine: direct\n{CACHE}"));
        stage.hollow_repository("a.git");
        make_config(&stage);
        let want = "0123456789012345678901234567890123456789";
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let answer = stage.ask(&request_for(want));
                    assert_eq!(answer.complete, end != "kill -9 $$", "{end}");
                });
            }
        });
        stage.wait_for_no_processes();
        eventually("nothing is left", || files(&stage).is_empty());
    }
}

#[test]
fn a_client_that_stands_still_holds_up_nobody() {
    let stage = Stage::counting(CACHE);
    slow_pack(&stage);
    let mut still = stage.connect();
    still.send(&request(&stage, 0)).unwrap();
    stage.wait_for_trace("upload-pack");
    let quick = ask(&stage, 1);
    assert!(quick.complete && quick.body.ends_with(b"0000"));
    // git is gone, although its first client has read nothing.
    stage.wait_for_no_processes();
    assert!(still.answer().unwrap().body == quick.body);
    assert_eq!(packs_made(&stage), 1);
}

#[test]
fn a_client_that_stops_reading_is_gone_after_the_idle_time() {
    let stage = Stage::counting(&format!("limits: {{ idle: 1s }}\n{CACHE}"));
    slow_pack(&stage);
    // Of the git that is recorded, then of what was kept.
    for _ in ["recorded", "kept"] {
        let mut still = stage.connect();
        still.send(&request(&stage, 0)).unwrap();
        still.head().unwrap();
        assert!(ask(&stage, 1).complete, "others go on");
        eventually("the connection is cut", || still.send(b" ").is_err());
        while still.chunk().is_ok_and(|chunk| !chunk.is_empty()) {}
        assert!(still.chunk().is_err(), "the answer was not whole");
        eventually("the pack is kept", || kept(&stage).len() == 1);
    }
    assert_eq!(packs_made(&stage), 1);
}

/// A repository whose pack takes a moment and more than a MiB.
fn slow_pack(stage: &Stage) {
    let bare = stage.filled_repository("a.git", 3);
    let mut state = 1_u64;
    let mut noise = Vec::with_capacity(1_200_000);
    while noise.len() < 1_200_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise.extend_from_slice(&(state >> 24).to_le_bytes()[..5]);
    }
    let mut stream = format!("commit refs/heads/main\ncommitter C <c@example.org> 1800000000 +0000\ndata 1\nc\nfrom refs/heads/main^0\nM 644 inline noise\ndata {}\n", noise.len()).into_bytes();
    stream.extend_from_slice(&noise);
    stream.extend_from_slice(b"\n");
    crate::stage::feed(&bare, &["fast-import", "--quiet"], &stream);
    for number in 0..6 {
        let stream = format!(
            "commit refs/heads/main\ncommitter C <c@example.org> {} +0000\ndata 1\nc\nfrom refs/heads/main^0\nM 644 inline n\ndata 1\n{number}\n",
            1_800_000_001 + number
        );
        crate::stage::feed(&bare, &["fast-import", "--quiet"], stream.as_bytes());
    }
}

/// A full clone of `main`, asked for by a user and an agent of this number.
fn ask(stage: &Stage, number: usize) -> Answer {
    stage.ask(&request(stage, number))
}

fn request(stage: &Stage, number: usize) -> Vec<u8> {
    let tip = git(&stage.repository("a.git"), &["rev-parse", "main"]);
    let mut decision = decision("POST", "/git/a.git/git-upload-pack");
    decision.user = Some(policy::identity::UserName::parse(&format!("user{}", number % 10)).unwrap());
    with_body(&sign(&decision), &format!("agent=git/{number}"), tip.trim())
}

fn request_for(tip: &str) -> Vec<u8> {
    with_body(&sign(&decision("POST", "/git/a.git/git-upload-pack")), "agent=x", tip)
}

fn with_body(decision: &str, agent: &str, tip: &str) -> Vec<u8> {
    let line = |text: &str| format!("{:04x}{text}\n", text.len() + 5);
    let body = [
        &line("command=fetch"),
        &line(agent),
        "0001",
        &line("ofs-delta"),
        &line(&format!("want {tip}")),
        &line("done"),
        "0000",
    ]
    .concat();
    let headers = [
        ("X-Gitward-Decision", decision),
        ("Content-Type", "application/x-git-upload-pack-request"),
        ("Git-Protocol", "version=2"),
    ];
    post(&headers, body.as_bytes())
}

fn clone_into(stage: &Stage, work: &std::path::Path, depth: Option<&str>) {
    let url = format!("{}a.git", Front::to(&stage.path().join("socket")).url);
    let cloned = command(stage.path())
        .args(["clone", "-q", "--bare"])
        .args(depth)
        .arg(&url)
        .arg(work)
        .output()
        .unwrap();
    assert!(cloned.status.success(), "{}", String::from_utf8_lossy(&cloned.stderr));
}

fn purge(stage: &Stage, whose: &[&str]) {
    let config = stage.path().join("backend-runner.yaml");
    let mut purge = Command::new(env!("CARGO_BIN_EXE_backend-runner"));
    let purged = purge.arg("purge").arg("--config").arg(config).args(whose).output().unwrap();
    assert!(purged.status.success(), "{purged:?}");
}

/// What a hollow repository lacks to have a standing.
fn make_config(stage: &Stage) {
    fs::write(stage.repository("a.git").join("config"), "[core]\n\tbare = true\n").unwrap();
}

fn packs_made(stage: &Stage) -> usize {
    stage.traced().lines().filter(|line| *line == "pack-objects").count()
}

fn files(stage: &Stage) -> Vec<PathBuf> {
    let files = fs::read_dir(stage.path().join("kept")).unwrap().flatten().map(|file| file.path());
    files.filter(|path| !path.ends_with("lock")).collect()
}

fn kept(stage: &Stage) -> Vec<PathBuf> {
    files(stage)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "answer"))
        .collect()
}
