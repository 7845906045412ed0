//! Whether a decision takes longer where there are many users and rules.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::git::basic;
use harness::{Authd, Request, procfs, until_true};

use super::Scene;
use crate::world::PASSWORD;

/// Users that ask, and rules they ask about; whoever asked once is remembered.
const ASKERS: usize = 500;

/// A small and a large configuration, asked in turns.
pub(super) fn decisions(scene: &mut Scene<'_>) -> Result<()> {
    let (users, rules) = if scene.quick { (10_000, 1000) } else { (1_000_000, 100_000) };
    let hash = hash(scene)?;
    let small = Subject::start(scene.world.path(), 100, 10, &hash)?;
    let large = Subject::start(scene.world.path(), users, rules, &hash)?;
    let requests = if scene.quick { 2000 } else { 10_000 };
    let (mut costs, mut times) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..=scene.rounds {
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            let (cost, latency) = [&small, &large][which].ask(requests)?;
            if round > 0 {
                costs[which].push(cost);
                times[which].push(latency);
            }
        }
    }
    let [small_cost, large_cost] = costs.map(median);
    let [small_time, large_time] = times.map(median);
    let results = &mut scene.results;
    results.single("decision at 100 users and 10 rules: µs of processor time", small_cost);
    results.single(&format!("decision at {users} users and {rules} rules: µs of processor time"), large_cost);
    results.single("growth of the processor time of a decision", large_cost / small_cost);
    results.single("growth of the median answer time of a decision", large_time / small_time);
    let bytes = procfs::resident(large.authd.process.id())?
        .saturating_sub(procfs::resident(small.authd.process.id())?);
    results.single("authd: bytes of memory for each user, rules included", bytes as f64 / users as f64);
    Ok(())
}

/// An authd with so many users and rules.
struct Subject {
    authd: Authd,
    users: usize,
    rules: usize,
}

impl Subject {
    fn start(place: &Path, users: usize, rules: usize, hash: &str) -> Result<Self> {
        let mut directories = String::new();
        // A file may have 16 MiB.
        for (number, first) in (0..users).step_by(USERS_OF_A_FILE).enumerate() {
            let file = place.join(format!("users-{users}-{number}"));
            let mut text = String::new();
            for user in first..users.min(first + USERS_OF_A_FILE) {
                writeln!(text, "user{user}:{hash}")?;
            }
            fs::write(&file, text)?;
            writeln!(
                directories,
                "  - {{ type: htpasswd, name: users-{number}, file: {} }}",
                file.display()
            )?;
        }
        let authd = Authd::start(&directories, "cache: { ttl: 10m }\n")?;
        fs::write(authd.file("policy.yaml"), policy(rules))?;
        let loaded = || authd.count("gitward_config_generation").is_ok_and(|generation| generation >= 2.0);
        until_true("the large policy", Duration::from_secs(60), loaded)?;
        let subject = Self { authd, users, rules };
        // The new policy decides from now on, but what it changed is still told and the last one taken apart.
        until_true("an authd with nothing to do", Duration::from_secs(120), || subject.is_quiet())?;
        Ok(subject)
    }

    /// Whether it has used no processor time for a while.
    fn is_quiet(&self) -> bool {
        let used = || procfs::cpu_time(self.authd.process.id());
        let before = used();
        thread::sleep(QUIET);
        used() == before
    }

    /// Microseconds of processor time, and of waiting in the median, for a decision.
    fn ask(&self, requests: usize) -> Result<(f64, f64)> {
        let questions: Vec<Vec<u8>> = (0..ASKERS).map(|number| self.question(number)).collect();
        let mut connection = self.authd.socket().connect()?;
        let mut times = Vec::with_capacity(requests);
        let before = procfs::cpu_time(self.authd.process.id());
        for number in 0..requests {
            let started = Instant::now();
            connection.write(&questions[number % ASKERS])?;
            let response = connection.read_response()?.context("no answer")?;
            ensure!(response.status == 200, "{response:?}");
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
        let cost = procfs::cpu_time(self.authd.process.id()) - before;
        Ok((cost.as_secs_f64() * 1e6 / requests as f64, median(times)))
    }

    fn question(&self, number: usize) -> Vec<u8> {
        let user = format!("user{}", number * 7919 % self.users);
        let rule = number * 104_729 % self.rules;
        let target = format!("/git/team{rule}/repo.git/info/refs?service=git-upload-pack");
        let request = Request::get("/auth/nginx").header("X-Original-Method", "GET");
        let request =
            request.header("X-Original-URI", &target).header("Authorization", &basic(&user, PASSWORD));
        let bytes = request.header("X-Real-IP", "192.0.2.1").bytes();
        let text = String::from_utf8_lossy(&bytes).replace("Connection: close\r\n", "");
        text.into_bytes()
    }
}

/// So many directories of repositories, each with readers and a writer of its own.
fn policy(rules: usize) -> String {
    let mut text = "version: 1\naccess:\n".to_owned();
    for rule in 0..rules {
        let _ = writeln!(
            text,
            "  team{rule}/: {{ read: [authenticated, \"@group{}\"], write: [user{rule}] }}",
            rule % 1000
        );
    }
    text
}

fn hash(scene: &Scene<'_>) -> Result<String> {
    let mut command = Command::new("htpasswd");
    let output = command.args(["-nbs", "user", PASSWORD]).current_dir(scene.world.path()).output()?;
    let text = harness::git::text(&output.stdout);
    Ok(text.trim().split_once(':').context("no hash")?.1.to_owned())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Longer than files are left alone before they are looked at after a reload.
const QUIET: Duration = Duration::from_secs(1);

const USERS_OF_A_FILE: usize = 340_000;
