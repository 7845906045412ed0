//! What reloading costs those who do not ask for it: no failed request, no growth, no waiting.
//!
//! Prints what it measures; the bounds it asserts are wide, for a busy machine and unoptimised daemons.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::people::READER;
use harness::pkt::advertisement;
use harness::{Request, Stack, procfs};
use rustix::process::Signal;

/// Reloads before anything is measured: allocators and caches take what they will keep.
const WARM: usize = 200;
const RELOADS: usize = 1000;

const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_thousand_reloads_fail_no_request_and_keep_nothing() {
    let stack = stack();
    let over = AtomicBool::new(false);
    let (before, after, served) = thread::scope(|scope| {
        let through = scope.spawn(|| load(&over, || stack.http(&clone_request()).unwrap().status));
        let direct = scope.spawn(|| load(&over, || stack.socket("authd").send(&question()).unwrap().status));
        (0..WARM).for_each(|number| reload(&stack, number));
        let before = sizes(&stack);
        let started = Instant::now();
        (0..RELOADS).for_each(|number| reload(&stack, number));
        println!("{RELOADS} reloads of both daemons in {} ms", started.elapsed().as_millis());
        let after = sizes(&stack);
        over.store(true, Ordering::Relaxed);
        (before, after, (through.join().unwrap(), direct.join().unwrap()))
    });
    println!("served meanwhile: {} through nginx, {} by authd alone", served.0, served.1);
    for (daemon, before, after) in [("authd", before[0], after[0]), ("backend-runner", before[1], after[1])] {
        println!(
            "{daemon}: resident {} KiB, then {} KiB; descriptors {}, then {}",
            before.0 / 1024,
            after.0 / 1024,
            before.1,
            after.1
        );
        assert!(after.0 < before.0 + (8 << 20), "{daemon} grows");
        assert!(after.1 <= before.1 + 20, "{daemon} keeps descriptors");
    }
}

#[test]
fn a_hundred_thousand_rules_are_read_while_decisions_go_on() {
    let stack = stack();
    let rules = |group: &str| -> String {
        let levels = (0..100_000).map(|number| format!("  g{number}/: {{ read: ['@{group}', joe] }}\n"));
        format!("version: 1\naccess:\n  /: {{ read: ['@readers'] }}\n{}", levels.collect::<String>())
    };
    save(&stack, &rules("one"));
    await_generation(&stack, "authd", 1.0);
    let quiet = Instant::now() + Duration::from_secs(3);
    let before = latencies(&stack, || Instant::now() < quiet);
    let generation = stack.metric("authd", "gitward_config_generation").unwrap();
    let text = rules("two");
    let started = Instant::now();
    save(&stack, &text);
    let mut next_look = Instant::now();
    let during = latencies(&stack, || {
        let look = Instant::now() >= next_look;
        if look {
            next_look = Instant::now() + Duration::from_millis(50);
        }
        !look || stack.metric("authd", "gitward_config_generation").unwrap() <= generation
    });
    let took = started.elapsed();
    println!("100,000 rules, {} KiB: {} ms from save to effect", text.len() / 1024, took.as_millis());
    println!("decisions before: {}", told(&before));
    println!("decisions during: {}", told(&during));
    assert!(percentile(&during, 99) < took / 10, "decisions wait for the reload");
}

/// Asks until told to stop; every answer must be a yes.
fn load(over: &AtomicBool, mut ask: impl FnMut() -> u16) -> usize {
    let mut served = 0;
    while !over.load(Ordering::Relaxed) {
        assert_eq!(ask(), 200);
        served += 1;
        thread::sleep(Duration::from_millis(2));
    }
    served
}

/// A new policy for both daemons, and its effect.
fn reload(stack: &Stack, number: usize) {
    let before = ["authd", "backend-runner"].map(|daemon| generation(stack, daemon));
    let text = format!(
        "version: 1\naccess:\n  /: {{ read: ['@readers'] }}\n  g{number}/: {{ write: [user{number}] }}\n"
    );
    save(stack, &text);
    stack.authd.signal(Signal::HUP).unwrap();
    stack.runner.signal(Signal::HUP).unwrap();
    await_generation(stack, "authd", before[0]);
    await_generation(stack, "backend-runner", before[1]);
}

fn await_generation(stack: &Stack, daemon: &str, before: f64) {
    let started = Instant::now();
    while generation(stack, daemon) <= before {
        assert!(started.elapsed() < SOON, "{daemon} does not reload");
        thread::sleep(Duration::from_millis(1));
    }
}

fn generation(stack: &Stack, daemon: &str) -> f64 {
    stack.metric(daemon, "gitward_config_generation").unwrap()
}

/// Resident bytes and open descriptors of both daemons.
fn sizes(stack: &Stack) -> [(u64, usize); 2] {
    [stack.authd.id(), stack.runner.id()]
        .map(|pid| (procfs::resident(pid).unwrap(), procfs::descriptors(pid).unwrap()))
}

/// How long each decision took, in order of size.
fn latencies(stack: &Stack, mut more: impl FnMut() -> bool) -> Vec<Duration> {
    let mut times = Vec::new();
    while more() {
        let started = Instant::now();
        assert_eq!(stack.socket("authd").send(&question()).unwrap().status, 200);
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn told(sorted: &[Duration]) -> String {
    let at = |percent| percentile(sorted, percent).as_micros();
    format!("n {}, p50 {} us, p99 {} us, worst {} us", sorted.len(), at(50), at(99), at(100))
}

fn stack() -> Stack {
    let stack = Stack::start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack
}

fn save(stack: &Stack, text: &str) {
    let file = stack.path().join("etc/policy.yaml");
    let fresh = Path::new(&file).with_extension("new");
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, file).unwrap();
}

fn clone_request() -> Request {
    Request::get(&advertisement("team/app.git", "git-upload-pack")).basic(READER.name, READER.password)
}

fn question() -> Request {
    Request::get("/auth/nginx")
        .header("X-Original-Method", "GET")
        .header("X-Original-URI", &advertisement("team/app.git", "git-upload-pack"))
        .header("X-Real-IP", "192.0.2.1")
        .basic(READER.name, READER.password)
}
