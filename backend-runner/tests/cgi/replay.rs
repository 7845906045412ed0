//! What is said again without git, and that it never is when something has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use backend_runner::git::Git;

use crate::differential::shapes::{Shape, Variant};
use crate::differential::{printable, reference, send};
use crate::front::Front;
use crate::http::post;
use crate::stage::{Stage, command, git, signed};

/// Longer than the file system's clock stands still between two ticks.
const SETTLING: Duration = Duration::from_millis(70);

/// Longer than a file has to be left alone before it is ground to stand on.
const GROUNDED: Duration = Duration::from_millis(2100);

#[test]
fn what_was_said_once_is_said_again_without_git() {
    for engine in ["direct", "http-backend"] {
        let stage = Stage::counting(&format!("engine: {engine}"));
        stage.filled_repository("a.git", 3);
        sleep(SETTLING);
        for question in questions() {
            let before = spawned(&stage);
            let first = printable(&send(&stage, &question, Variant::default()));
            let asked = spawned(&stage);
            assert!(asked > before, "{question:?}");
            for _ in 0..3 {
                assert_eq!(printable(&send(&stage, &question, Variant::default())), first);
            }
            assert_eq!(spawned(&stage), asked, "{engine} {question:?}");
        }
    }
}

#[test]
fn many_who_ask_at_once_are_answered_by_one_git() {
    let stage = Stage::counting("engine: direct");
    stage.filled_repository("a.git", 3);
    sleep(SETTLING);
    let question = &questions()[3];
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| assert_eq!(send(&stage, question, Variant::default()).status, 200));
        }
    });
    assert_eq!(spawned(&stage), 1);
}

#[test]
fn a_repository_whose_answers_vary_is_always_gits() {
    for (key, value) in
        [("transfer.advertiseSID", "true"), ("include.path", "more"), ("receive.certNonceSeed", "x")]
    {
        let stage = Stage::counting("engine: direct");
        let bare = stage.filled_repository("a.git", 3);
        git(&bare, &["config", key, value]);
        sleep(SETTLING);
        for question in questions() {
            let before = spawned(&stage);
            (0..3).for_each(|_| assert_eq!(send(&stage, &question, Variant::default()).status, 200));
            assert_eq!(spawned(&stage), before + 3, "{key} {question:?}");
        }
    }
}

#[test]
fn nothing_is_kept_when_no_memory_is_given() {
    let stage = Stage::counting("engine: direct\ncache: { memory: 0B }");
    stage.filled_repository("a.git", 3);
    sleep(SETTLING);
    (0..3).for_each(|_| assert_eq!(send(&stage, &questions()[0], Variant::default()).status, 200));
    assert_eq!(spawned(&stage), 3);
}

#[test]
fn the_probe_before_a_push_starts_nothing() {
    let stage = Stage::counting("engine: direct");
    stage.filled_repository("a.git", 3);
    let decision = signed("POST", "/git/a.git/git-receive-pack");
    let headers =
        [("X-Gitward-Decision", &*decision), ("Content-Type", "application/x-git-receive-pack-request")];
    let answer = stage.ask(&post(&headers, b"0000"));
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-type"), Some("application/x-git-receive-pack-result"));
    assert_eq!(spawned(&stage), 0);
    // Four bytes that are something else are for git to judge.
    stage.ask(&post(&headers, b"0004"));
    assert_eq!(spawned(&stage), 1);
}

#[test]
fn a_repository_that_is_known_well_is_looked_at_again_after_every_change() {
    type Change = fn(&Path);
    let changes: [(&str, u16, Change); 6] = [
        ("switched off", 403, |bare| drop(git(bare, &["config", "http.uploadpack", "false"]))),
        ("hidden refs", 200, |bare| drop(git(bare, &["config", "transfer.hideRefs", "refs/heads"]))),
        ("no repository", 403, |bare| fs::remove_file(bare.join("HEAD")).unwrap()),
        ("a working copy", 403, |bare| fs::create_dir(bare.join(".git")).unwrap()),
        ("a link", 403, |bare| {
            fs::rename(bare, bare.with_extension("moved")).unwrap();
            std::os::unix::fs::symlink(bare.with_extension("moved"), bare).unwrap();
        }),
        ("gone", 403, |bare| fs::remove_dir_all(bare).unwrap()),
    ];
    let stages: Vec<_> = changes.iter().map(|_| Stage::counting("engine: direct")).collect();
    let bares: Vec<_> = stages.iter().map(|stage| stage.filled_repository("a.git", 3)).collect();
    sleep(GROUNDED);
    let question = &questions()[4];
    for (((what, status, change), stage), bare) in changes.into_iter().zip(&stages).zip(&bares) {
        let ask = || printable(&send(stage, question, Variant::default()));
        let (seen, headers, body) = ask();
        assert!(seen == 200 && body.contains("refs/heads/main"), "{what}: {seen} {body}");
        assert_eq!(ask(), (seen, headers, body), "{what}");
        assert_eq!(spawned(stage), 1, "{what}");
        change(bare);
        let (seen, _, body) = ask();
        assert_eq!(seen, status, "{what}: {body}");
        assert!(!body.contains("refs/heads/main"), "{what}: {body}");
    }
}

/// Hundreds of changes from all sides; after each, everything is asked and compared with what git says now.
#[test]
fn no_change_from_any_side_leaves_a_stale_answer() {
    std::thread::scope(|scope| {
        let reftable: &[&str] = if knows_reftables() { &["--ref-format=reftable"] } else { &[] };
        for (engine, kind, steps) in [
            ("direct", &[][..], 150),
            ("direct", reftable, 60),
            ("http-backend", &["--object-format=sha256"], 40),
        ] {
            scope.spawn(move || random_walk(engine, kind, steps));
        }
    });
}

fn knows_reftables() -> bool {
    let version = Git::probe(Path::new("/usr/bin/git")).unwrap().version;
    (version.major, version.minor) >= (2, 45)
}

fn random_walk(engine: &str, kind: &[&str], steps: usize) {
    let stage = Stage::counting(&format!("engine: {engine}"));
    let plain = Git::probe(Path::new("/usr/bin/git")).unwrap();
    let mut walk = Walk::new(&stage, kind);
    let (questions, mut replayed) = (questions(), 0);
    for step in 0..steps {
        let change = walk.step();
        if walk.chance(25) {
            sleep(GROUNDED);
        } else if walk.chance(2) {
            sleep(SETTLING);
        }
        let question = &questions[walk.below(questions.len())];
        let expected = printable(&reference(&plain, &stage, question));
        for _ in 0..2 {
            let before = spawned(&stage);
            let seen = printable(&send(&stage, question, Variant::default()));
            assert_eq!(seen, expected, "{engine} {kind:?}, step {step}: {change}, {question:?}");
            replayed += usize::from(spawned(&stage) == before);
        }
    }
    eprintln!("{engine} {kind:?}: {replayed} of {} answers without git", 2 * steps);
    assert!(replayed > steps / 8, "{replayed}");
}

const CHANGES: [&str; 12] =
    ["update", "update", "delete", "HEAD", "pack", "gc", "hide", "show", "tag", "write", "replace", "push"];

/// Changes to a repository, from a number that tells them all.
struct Walk<'a> {
    stage: &'a Stage,
    bare: PathBuf,
    front: Front,
    state: u64,
    made: usize,
}

impl<'a> Walk<'a> {
    fn new(stage: &'a Stage, kind: &[&str]) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let state = now.as_secs() ^ u64::from(now.subsec_nanos());
        eprintln!("random walk {state}");
        let bare = stage.filled_repository_of(kind, "a.git", 5);
        git(stage.path(), &["clone", "-q", bare.to_str().unwrap(), "work"]);
        let front = Front::to(&stage.path().join("socket"));
        Self { stage, bare, front, state, made: 0 }
    }

    fn below(&mut self, end: usize) -> usize {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.state >> 33).unwrap() % end
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// Makes one change and says which.
    fn step(&mut self) -> &'static str {
        let (bare, name) = (self.bare.clone(), format!("refs/heads/b{}", self.below(6)));
        let commit = format!("main~{}", self.below(4));
        let run = |arguments: &[&str]| command(&bare).args(arguments).output().unwrap();
        let change = self.below(CHANGES.len());
        match change {
            0 | 1 => drop(run(&["update-ref", &name, &commit])),
            2 => drop(run(&["update-ref", "-d", &name])),
            3 => drop(run(&["symbolic-ref", "HEAD", &name])),
            4 => drop(run(&["pack-refs", "--all"])),
            5 => drop(run(&["-c", "gc.pruneExpire=now", "gc", "-q"])),
            6 => drop(run(&["config", "transfer.hideRefs", &name])),
            7 => drop(run(&["config", "--unset-all", "transfer.hideRefs"])),
            8 => drop(run(&["tag", "-f", "-a", "-m", "x", &format!("t{}", self.made % 3), "main"])),
            // Without git, in place and in the same length.
            9 if self.bare.join("refs/heads").is_dir() => {
                fs::write(bare.join("refs/heads/b0"), run(&["rev-parse", &commit]).stdout).unwrap()
            }
            10 if self.chance(4) => self.replace(),
            _ => self.push(&name),
        }
        self.made += 1;
        CHANGES[change]
    }

    /// Another repository of the same name.
    fn replace(&self) {
        let kept = self.bare.with_extension("kept");
        assert!(
            std::process::Command::new("cp").arg("-a").arg(&self.bare).arg(&kept).status().unwrap().success()
        );
        fs::remove_dir_all(&self.bare).unwrap();
        fs::rename(kept, &self.bare).unwrap();
        fs::write(self.bare.join("packed-refs"), fs::read(self.bare.join("packed-refs")).unwrap_or_default())
            .unwrap();
    }

    /// Through the daemon; forced, because anything may have happened.
    fn push(&self, name: &str) {
        let work = self.stage.path().join("work");
        git(&work, &["commit", "-q", "--allow-empty", "-m", &self.made.to_string()]);
        let url = format!("{}a.git", self.front.url);
        let target = format!("HEAD:{name}");
        // A ref that is hidden by now refuses, and so be it.
        drop(command(&work).args(["push", "-q", "--force", &url, &target]).output().unwrap());
    }
}

/// One of every kind that is said again.
fn questions() -> Vec<Shape> {
    let get = |service: &str, protocol| Shape {
        target: format!("/git/a.git/info/refs?service={service}"),
        protocol,
        anonymous: false,
        body: None,
    };
    let post = |body: &[u8]| Shape {
        target: "/git/a.git/git-upload-pack".into(),
        protocol: Some("version=2"),
        anonymous: false,
        body: Some(body.to_vec()),
    };
    vec![
        get("git-upload-pack", Some("version=2")),
        get("git-upload-pack", None),
        get("git-receive-pack", None),
        post(b"0014command=ls-refs\n00010009peel\n000csymrefs\n000bunborn\n0000"),
        post(b"0014command=ls-refs\n000fagent=git/x00010009peel\n001bref-prefix refs/heads/\n0000"),
    ]
}

fn spawned(stage: &Stage) -> usize {
    stage.traced().lines().count()
}
