//! What Gitward promises, as ratios of figures from one run.

use crate::measure::{Results, Row};

/// A promise, and what came of it.
#[derive(Debug)]
pub(crate) struct Ratio {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    /// What has to be reached, and what is aimed for.
    pub(crate) commit: f64,
    pub(crate) aim: f64,
    /// Whether smaller is better.
    pub(crate) at_most: bool,
}

impl Ratio {
    /// Whether it is reached.
    pub(crate) fn reached(&self) -> bool {
        if self.at_most { self.value <= self.commit } else { self.value >= self.commit }
    }

    /// Whether even the aim is.
    pub(crate) fn surpassed(&self) -> bool {
        if self.at_most { self.value <= self.aim } else { self.value >= self.aim }
    }
}

/// One figure of a row.
type Figure = fn(&Row) -> f64;

/// Name, scenario, figure, ours, theirs, what must be reached, the aim, smaller is better.
type Promise = (&'static str, &'static str, Figure, &'static str, &'static str, f64, f64, bool);

const PROMISES: [Promise; 16] = [
    (
        "auth: requests/s of in-nginx 204 over a socket",
        "auth",
        Row::rate,
        "authd",
        "auth-stub",
        0.80,
        0.95,
        false,
    ),
    (
        "info/refs: CPU of fcgiwrap",
        "info/refs",
        Row::processor,
        "gitward",
        "fcgiwrap",
        1.0 / 30.0,
        1.0 / 60.0,
        true,
    ),
    (
        "info/refs: CPU of Apache",
        "info/refs",
        Row::processor,
        "gitward",
        "apache",
        1.0 / 30.0,
        1.0 / 60.0,
        true,
    ),
    (
        "ls-refs: CPU of fcgiwrap",
        "ls-refs",
        Row::processor,
        "gitward",
        "fcgiwrap",
        1.0 / 30.0,
        1.0 / 60.0,
        true,
    ),
    (
        "ls-remote: CPU of fcgiwrap",
        "ls-remote",
        Row::processor,
        "gitward",
        "fcgiwrap",
        1.0 / 30.0,
        1.0 / 60.0,
        true,
    ),
    (
        "ls-remote: CPU of Apache",
        "ls-remote",
        Row::processor,
        "gitward",
        "apache",
        1.0 / 30.0,
        1.0 / 60.0,
        true,
    ),
    (
        "no-op fetch: CPU of fcgiwrap",
        "no-op fetch",
        Row::processor,
        "gitward",
        "fcgiwrap",
        1.0 / 30.0,
        1.0 / 60.0,
        true,
    ),
    (
        "no-op fetch: CPU of Apache",
        "no-op fetch",
        Row::processor,
        "gitward",
        "apache",
        1.0 / 30.0,
        1.0 / 60.0,
        true,
    ),
    (
        "small uncached fetch: CPU of raw git",
        "small fetch, uncached",
        Row::processor,
        "gitward-cache-off",
        "raw-git",
        1.15,
        1.05,
        true,
    ),
    (
        "shallow uncached fetch: CPU of raw git",
        "shallow fetch, uncached",
        Row::processor,
        "gitward-cache-off",
        "raw-git",
        1.15,
        1.05,
        true,
    ),
    (
        "100 shallow clones: CPU of fcgiwrap",
        "100 shallow clones",
        Row::processor,
        "gitward",
        "fcgiwrap",
        1.0 / 50.0,
        1.0 / 75.0,
        true,
    ),
    (
        "100 shallow clones: CPU of Apache",
        "100 shallow clones",
        Row::processor,
        "gitward",
        "apache",
        1.0 / 50.0,
        1.0 / 75.0,
        true,
    ),
    (
        "full clone, hit: requests/s of a static file",
        "full clone, hit",
        Row::rate,
        "gitward",
        "static-file",
        0.85,
        0.97,
        false,
    ),
    ("push: CPU of local receive-pack", "push", Row::processor, "gitward", "raw-git", 1.15, 1.15, true),
    ("push: CPU of fcgiwrap", "push", Row::processor, "gitward", "fcgiwrap", 0.55, 0.55, true),
    ("push: CPU of Apache", "push", Row::processor, "gitward", "apache", 0.55, 0.55, true),
];

/// Names that begin and end so, ours; the limit and the aim.
const SINGLES: [(&str, &str, &str, f64, f64); 5] = [
    ("first logins at once: hashes", "first logins at once: bcrypt hashes", "", 1.0, 1.0),
    ("first logins at once: LDAP binds", "first logins at once: LDAP binds", "", 1.0, 1.0),
    ("idle connection to authd, KiB", "idle connection to authd: KiB", "", 32.0, 20.0),
    ("idle connection to backend-runner, KiB", "idle connection to backend-runner: KiB", "", 32.0, 20.0),
    (
        "decision: growth to 1,000,000 users and 100,000 rules",
        "growth of the median answer time of a decision",
        "",
        1.3,
        1.3,
    ),
];

/// Adds what can be said.
pub(crate) fn add(results: &mut Results) {
    let ratio = |(name, scenario, figure, ours, theirs, commit, aim, at_most): &Promise| {
        let (ours, theirs) = (results.row(scenario, ours)?, results.row(scenario, theirs)?);
        Some(Ratio {
            name,
            value: figure(ours) / figure(theirs),
            commit: *commit,
            aim: *aim,
            at_most: *at_most,
        })
    };
    let mut ratios: Vec<Ratio> = PROMISES.iter().filter_map(ratio).collect();
    for (name, what, _, commit, aim) in SINGLES {
        if let Some((_, value)) = results.singles.iter().find(|(single, _)| single.ends_with(what)) {
            ratios.push(Ratio { name, value: *value, commit, aim, at_most: true });
        }
    }
    let slow = |kind: &str| {
        let found =
            results.singles.iter().find(|(what, _)| what.ends_with(&format!("{kind}: KiB of memory each")));
        found.map(|(_, value)| *value)
    };
    for (name, peer) in [
        ("slow clone: memory of fcgiwrap, unbuffered", "slow clones, fcgiwrap-unbuffered"),
        ("slow clone: memory of Apache", "slow clones, apache"),
    ] {
        if let (Some(ours), Some(theirs)) = (slow("slow clones, gitward"), slow(peer)) {
            ratios.push(Ratio { name, value: ours / theirs, commit: 0.02, aim: 0.02, at_most: true });
        }
    }
    let left =
        results.singles.iter().find(|(what, _)| what.ends_with("slow clones, gitward: git processes left"));
    if let Some((_, value)) = left {
        ratios.push(Ratio {
            name: "slow clones: git processes left",
            value: *value,
            commit: 0.0,
            aim: 0.0,
            at_most: true,
        });
    }
    results.ratios = ratios;
}
