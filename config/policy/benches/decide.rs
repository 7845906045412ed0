//! What a decision costs in a policy of 10 rules and in one of 100,000, and what loading the large one costs.
//!
//! Every repository, user and caller is generated, the same in each run. `cargo bench -p policy` prints the times; resident
//! memory of the loaded policy is printed first, from `/proc/self/status`.

#![allow(clippy::expect_used, reason = "a benchmark that cannot set itself up must stop")]
#![allow(missing_docs, reason = "criterion generates the entry points")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use policy::Policy;
use policy::decision::{self, Decision, SigningKey};
use policy::git_request::{Access, GitRequest, Mount};
use policy::identity::{GroupName, Identity, User, UserName};
use policy::repo_path::RepoPath;

const USERS: usize = 10_000;
const GROUPS: usize = 1_000;
const REPOSITORIES: usize = 50_000;

/// A policy of `rules` levels: a root, directories, and repositories below them, each granting to a group and a user.
fn policy_text(rules: usize) -> String {
    let mut text = String::from("version: 1\naccess:\n  \"/\": { read: [\"@staff\"] }\n");
    for rule in 1..rules {
        let (group, user) = (rule % GROUPS, rule % USERS);
        let level = match rule % 2 {
            0 => format!("team{}/", rule / 2),
            _ => format!("team{}/repo{rule}.git", rule / 2),
        };
        let _ = writeln!(text, "  {level}: {{ read: [\"@group{group}\"], write: [user{user}] }}");
    }
    text
}

/// One caller in ten groups, and one repository below two levels of a policy of `rules`, for each decision of a round.
fn requests(rules: usize) -> Vec<(Identity, RepoPath)> {
    let repositories = rules / 2 - 1;
    let identity = |n: usize| {
        let groups = (0..10).map(|g| GroupName::parse(&format!("group{}", (n * 7 + g) % GROUPS)));
        let name = UserName::parse(&format!("user{}", n % USERS)).expect("a valid name");
        Identity::User(Arc::new(User::new(name, groups.map(|group| group.expect("a valid name")))))
    };
    let repo = |n: usize| {
        let team = 1 + n % repositories;
        RepoPath::parse(&format!("team{team}/repo{}.git", team * 2 + 1))
    };
    (0..REPOSITORIES).map(|n| (identity(n), repo(n * 31).expect("a valid path"))).collect()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

fn load(text: &str) -> Policy {
    Policy::parse("policy.yaml", text.as_bytes()).expect("a valid policy")
}

fn decide(c: &mut Criterion) {
    for rules in [10, 100_000] {
        let requests = requests(rules);
        let text = policy_text(rules);
        let before = resident_kib();
        let policy = load(&text);
        eprintln!(
            "{rules} rules: {} KiB of text, {} KiB resident",
            text.len() / 1024,
            resident_kib().saturating_sub(before)
        );
        let mut next = requests.iter().cycle();
        c.bench_function(&format!("decide/{rules}_rules"), |b| {
            b.iter(|| {
                let (identity, repo) = next.next().expect("an endless cycle");
                black_box(policy.decide(identity, repo, Access::Write));
            });
        });
    }
}

/// The same few requests over and over: what is left when memory is not the cost.
fn decide_warm(c: &mut Criterion) {
    for rules in [10, 100_000] {
        let requests = requests(rules);
        let policy = load(&policy_text(rules));
        let mut next = requests.iter().take(64).cycle();
        c.bench_function(&format!("decide_warm/{rules}_rules"), |b| {
            b.iter(|| {
                let (identity, repo) = next.next().expect("an endless cycle");
                black_box(policy.decide(identity, repo, Access::Write));
            });
        });
    }
}

fn load_policy(c: &mut Criterion) {
    let mut group = c.benchmark_group("load");
    group.sample_size(10);
    let text = policy_text(100_000);
    group.bench_function("100000_rules", |b| b.iter(|| load(black_box(&text))));
    group.finish();
}

fn request_and_signature(c: &mut Criterion) {
    let mount = Mount::default();
    let target = b"/git/team/sub/test.git/info/refs?service=git-upload-pack";
    c.bench_function("parse_request", |b| b.iter(|| GitRequest::parse(&mount, "GET", black_box(target))));

    let key = SigningKey::from_bytes([7; 32]);
    let request = GitRequest::parse(&mount, "GET", target).expect("a git request");
    let decided = Decision::permitting(&request, "0123456789abcdef".to_owned(), 1_800_000_000);
    c.bench_function("sign", |b| b.iter(|| decision::sign(&key, black_box(&decided))));
    let header = decision::sign(&key, &decided);
    c.bench_function("verify", |b| b.iter(|| decision::verify(&key, black_box(&header), 1_800_000_000)));
}

criterion_group!(benches, decide, decide_warm, load_policy, request_and_signature);
criterion_main!(benches);
