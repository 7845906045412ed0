//! How long a pack is kept, for whom, and what makes it be forgotten.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::Command;

use super::{CACHE, ask, files, kept, packs_made, purge, request, request_for, slow_pack};
use crate::front::Front;
use crate::stage::{Stage, eventually, git};

#[test]
fn what_is_kept_survives_a_restart_and_what_was_damaged_does_not() {
    // git is told where the hooks are, so that is part of the question.
    let hooks = tempfile::tempdir().unwrap();
    let mut stage = Stage::counting(&format!("hooks: {{ directory: {} }}\n{CACHE}", hooks.path().display()));
    stage.filled_repository("a.git", 30);
    let whole = ask(&stage, 0);
    eventually("the pack is kept", || kept(&stage).len() == 1);
    let part = stage.path().join("kept").join(format!("{}.{}.0.part", "0".repeat(64), "0".repeat(16)));
    fs::write(&part, "left over").unwrap();
    stage.restart();
    assert!(!part.exists());
    assert!(ask(&stage, 1).body == whole.body);
    assert_eq!(packs_made(&stage), 1);
    // Damaged while the daemon runs, damaged while it does not, and cut short.
    for (made, runs, damage) in [(2, true, 50), (3, false, 50), (4, false, 0)] {
        let file = kept(&stage).pop().unwrap();
        if !runs {
            stage.stop();
        }
        let damaged = fs::File::options().write(true).open(&file).unwrap();
        match damage {
            0 => damaged.set_len(100).unwrap(),
            place => damaged.write_all_at(b"!!!!", place).unwrap(),
        }
        if !runs {
            stage.restart();
        }
        let answer = ask(&stage, made);
        assert!(answer.complete && answer.body.ends_with(b"0000"));
        assert!(!answer.body.windows(4).any(|window| window == b"!!!!"));
        assert_eq!(packs_made(&stage), made);
        eventually("it is kept", || kept(&stage).len() == 1 && files(&stage).len() == 1);
    }
}

#[test]
fn a_repository_that_was_replaced_or_purged_is_asked_again() {
    let stage = Stage::counting(CACHE);
    let bare = stage.filled_repository("a.git", 30);
    stage.filled_repository("b.git", 30);
    ask(&stage, 0);
    ask(&stage, 1);
    assert_eq!(packs_made(&stage), 1);
    let copy = bare.with_extension("copy");
    assert!(Command::new("cp").arg("-a").arg(&bare).arg(&copy).status().unwrap().success());
    fs::remove_dir_all(&bare).unwrap();
    fs::rename(copy, &bare).unwrap();
    ask(&stage, 2);
    assert_eq!(packs_made(&stage), 2);
    eventually("it is kept", || kept(&stage).len() == 2);
    purge(&stage, &["b.git"]);
    assert_eq!(kept(&stage).len(), 2);
    purge(&stage, &["a.git"]);
    assert!(kept(&stage).is_empty());
    ask(&stage, 3);
    assert_eq!(packs_made(&stage), 3);
    eventually("it is kept", || kept(&stage).len() == 1);
    purge(&stage, &["--all"]);
    assert!(kept(&stage).is_empty());
}

#[test]
fn what_is_too_old_or_asked_once_only_is_not_given_again() {
    let stage = Stage::counting("cache: { directory: kept, ttl: 1s }");
    stage.filled_repository("a.git", 30);
    ask(&stage, 0);
    eventually("it is forgotten", || {
        ask(&stage, 1);
        packs_made(&stage) == 2
    });
    let stage = Stage::counting("cache: { directory: kept, admission: second }");
    stage.filled_repository("a.git", 30);
    ask(&stage, 0);
    assert!(files(&stage).is_empty());
    (1..5).for_each(|number| drop(ask(&stage, number)));
    assert_eq!(packs_made(&stage), 2);
}

#[test]
fn the_directory_stays_within_its_size() {
    let stage = Stage::counting("cache: { directory: kept, size: 3MiB }");
    slow_pack(&stage);
    let tips: Vec<_> =
        git(&stage.repository("a.git"), &["rev-list", "main"]).lines().map(str::to_owned).collect();
    for tip in tips.iter().take(5) {
        let answer = stage.ask(&request_for(tip));
        assert!(answer.complete && answer.body.len() > 1_000_000);
        assert!(
            kept(&stage).iter().map(|file| fs::metadata(file).map_or(0, |found| found.len())).sum::<u64>()
                <= 3 << 20
        );
    }
    assert!(!kept(&stage).is_empty());
    // An answer larger than all of it is passed on.
    let stage = Stage::counting("cache: { directory: kept, size: 700KiB }");
    slow_pack(&stage);
    assert!(ask(&stage, 0).body.ends_with(b"0000"));
    assert!(ask(&stage, 1).body.ends_with(b"0000"));
    eventually("nothing is left", || files(&stage).is_empty());
}

#[test]
fn a_push_that_rewrites_makes_packs_be_forgotten_when_asked_to() {
    for (config, forgets) in [("", false), (", forget_rewritten: true", true)] {
        let stage = Stage::counting(&format!("cache: {{ directory: kept{config} }}"));
        stage.filled_repository("a.git", 5);
        ask(&stage, 0);
        eventually("it is kept", || kept(&stage).len() == 1);
        let front = Front::to(&stage.path().join("socket"));
        let work = stage.path().join("work");
        let url = format!("{}a.git", front.url);
        git(stage.path(), &["clone", "-q", stage.repository("a.git").to_str().unwrap(), "work"]);
        git(&work, &["push", "-q", "--force", &url, "HEAD~1:refs/heads/main"]);
        eventually("it is settled", || kept(&stage).is_empty() == forgets);
        assert_eq!(kept(&stage).is_empty(), forgets);
    }
}

#[test]
fn kept_files_are_for_the_group_and_nginx_is_told_their_names() {
    let stage = Stage::counting(CACHE);
    stage.filled_repository("a.git", 30);
    let plain = ask(&stage, 0);
    eventually("it is kept", || kept(&stage).len() == 1);
    let file = kept(&stage).pop().unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    let mut request = request(&stage, 0);
    let line = request.windows(2).position(|window| window == b"\r\n").unwrap();
    request.splice(line..line, *b"\r\nX-Gitward-Accel: yes");
    let answer = stage.ask(&request);
    let name = format!("/.gitward/cache/{}", file.file_name().unwrap().to_str().unwrap());
    assert_eq!((answer.header("x-accel-redirect"), answer.body.len()), (Some(name.as_str()), 0));
    assert_eq!(answer.header("content-type"), plain.header("content-type"));
    assert_eq!(answer.header("cache-control"), plain.header("cache-control"));
    assert_eq!(fs::read(file).unwrap(), plain.body);
}
