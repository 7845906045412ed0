//! A gigabyte in each direction: memory stays as it is, and nginx writes none of it to disk.

use std::fs;
use std::path::Path;
use std::time::Instant;

use harness::people::WRITER;
use harness::{Stack, procfs};

const FILES: usize = 16;
const SIZE: u64 = 64 << 20;
const GROWTH: u64 = 16 << 20;
/// The access log, and a margin.
const WRITTEN: u64 = 1 << 20;

#[test]
fn a_gigabyte_is_cloned_and_pushed_in_constant_memory() {
    let mut stack = Stack::start().unwrap();
    let started = Instant::now();
    let source = stack.repositories().empty("source.git").unwrap();
    let commit = harness::repositories::fill(&source, FILES, SIZE).unwrap();
    let target = stack.repositories().empty("target.git").unwrap();
    // A push of few objects is unpacked and compressed by git, which is none of what is measured here.
    target.git().ok(&["config", "receive.unpackLimit", "1"]).unwrap();
    println!("volume: {} MiB made in {:.1} s", (FILES as u64 * SIZE) >> 20, started.elapsed().as_secs_f32());
    let git = stack.git_as(WRITER);
    let [from, to] = ["source.git", "target.git"].map(|name| stack.url(name));
    // What is allocated once for any request is not growth.
    git.ok(&["ls-remote", &from]).unwrap();

    measured(&mut stack, "clone", || {
        drop(git.ok(&["clone", "--quiet", "--bare", &from, "copy.git"]).unwrap())
    });
    let copy = harness::Repositories::new(&stack.path().join("home")).open("copy.git");
    assert_eq!(copy.resolve("refs/heads/main").as_ref(), Some(&commit));
    fs::remove_dir_all(source.path()).unwrap();

    let pusher = git.within(copy.path()).with("core.bigFileThreshold", "1m");
    measured(&mut stack, "push", || {
        drop(pusher.ok(&["push", "--quiet", &to, "main:refs/heads/main"]).unwrap())
    });
    assert_eq!(target.resolve("refs/heads/main"), Some(commit));
}

/// Runs `transfer` and checks what it cost the daemons and nginx.
fn measured(stack: &mut Stack, what: &str, transfer: impl FnOnce()) {
    let mut watched = vec![("authd", stack.authd.id()), ("backend-runner", stack.runner.id())];
    watched.extend(stack.nginx.workers().into_iter().map(|worker| ("nginx worker", worker)));
    watched.iter().for_each(|(_, pid)| procfs::forget_peak(*pid).unwrap());
    let before = watched.iter().map(|(_, pid)| (procfs::resident(*pid).unwrap(), procfs::cpu_time(*pid)));
    let before: Vec<_> = before.collect();
    let written =
        || stack.nginx.workers().into_iter().map(|worker| procfs::written(worker).unwrap()).sum::<u64>();
    let written_before = written();
    let started = Instant::now();
    transfer();
    println!("volume: {what} in {:.1} s", started.elapsed().as_secs_f32());
    for ((name, pid), (resident, cpu)) in watched.iter().zip(before) {
        let growth = procfs::peak(*pid).unwrap().saturating_sub(resident);
        let cpu = (procfs::cpu_time(*pid) - cpu).as_secs_f32();
        println!(
            "volume: {what}: {name} {} KiB, peak +{} KiB, {cpu:.1} s of CPU",
            resident >> 10,
            growth >> 10
        );
        assert!(growth < GROWTH, "{name} grew by {growth} bytes during the {what}");
    }
    let written = written() - written_before;
    println!("volume: {what}: nginx wrote {written} bytes to files");
    assert!(written < WRITTEN, "nginx wrote {written} bytes during the {what}");
    assert_eq!(files_below(&stack.path().join("nginx-state")), 0);
}

fn files_below(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap().flatten();
    entries.map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}
