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

/// What one figure of ours has to be beside one of theirs, in the same scenario.
struct Promise {
    name: &'static str,
    scenario: &'static str,
    figure: Figure,
    ours: &'static str,
    theirs: &'static str,
    commit: f64,
    aim: f64,
    at_most: bool,
}

/// Processor time of a request.
const fn costs(
    name: &'static str,
    scenario: &'static str,
    (ours, theirs): (&'static str, &'static str),
    (commit, aim): (f64, f64),
) -> Promise {
    Promise { name, scenario, figure: Row::processor, ours, theirs, commit, aim, at_most: true }
}

/// Requests a second.
const fn answers(
    name: &'static str,
    scenario: &'static str,
    sides: (&'static str, &'static str),
    promise: (f64, f64),
) -> Promise {
    Promise { figure: Row::rate, at_most: false, ..costs(name, scenario, sides, promise) }
}

const FCGIWRAP: (&str, &str) = ("gitward", "fcgiwrap");
const APACHE: (&str, &str) = ("gitward", "apache");
/// Without caches, beside git alone.
const RAW: (&str, &str) = ("gitward-cache-off", "raw-git");

/// What is promised of an answer without a process, of one pack for many, of what no cache can spare, and of a push.
const REPLAYED: (f64, f64) = (1.0 / 30.0, 1.0 / 60.0);
const STORM: (f64, f64) = (1.0 / 50.0, 1.0 / 75.0);
const UNCACHED: (f64, f64) = (1.15, 1.05);
const PUSHED: (f64, f64) = (0.55, 0.55);

const PROMISES: [Promise; 19] = [
    answers("auth: requests/s of in-nginx 204 over a socket", "auth", ("authd", "auth-stub"), (0.80, 0.95)),
    costs("info/refs: CPU of fcgiwrap", "info/refs", FCGIWRAP, REPLAYED),
    costs("info/refs: CPU of Apache", "info/refs", APACHE, REPLAYED),
    costs("ls-refs: CPU of fcgiwrap", "ls-refs", FCGIWRAP, REPLAYED),
    costs("ls-remote, null client: CPU of fcgiwrap", "ls-remote, null client", FCGIWRAP, REPLAYED),
    costs("ls-remote, null client: CPU of Apache", "ls-remote, null client", APACHE, REPLAYED),
    costs("ls-remote: CPU of fcgiwrap", "ls-remote", FCGIWRAP, REPLAYED),
    costs("ls-remote: CPU of Apache", "ls-remote", APACHE, REPLAYED),
    costs("no-op fetch: CPU of fcgiwrap", "no-op fetch", FCGIWRAP, REPLAYED),
    costs("no-op fetch: CPU of Apache", "no-op fetch", APACHE, REPLAYED),
    costs("small uncached fetch: CPU of raw git", "small fetch, uncached", RAW, UNCACHED),
    costs("small uncached fetches, 4 at a time: CPU of raw git", "small fetches, uncached", RAW, UNCACHED),
    costs("shallow uncached fetch: CPU of raw git", "shallow fetch, uncached", RAW, UNCACHED),
    costs("100 shallow clones: CPU of fcgiwrap", "100 shallow clones", FCGIWRAP, STORM),
    costs("100 shallow clones: CPU of Apache", "100 shallow clones", APACHE, STORM),
    answers(
        "full clone, hit: requests/s of a static file",
        "full clone, hit",
        ("gitward", "static-file"),
        (0.85, 0.97),
    ),
    costs("push: CPU of local receive-pack", "push", ("gitward", "raw-git"), (1.15, 1.15)),
    costs("push: CPU of fcgiwrap", "push", FCGIWRAP, PUSHED),
    costs("push: CPU of Apache", "push", APACHE, PUSHED),
];

/// The promise, how the figure's name ends, the limit and the aim.
const SINGLES: [(&str, &str, f64, f64); 6] = [
    ("first logins at once: hashes", "first logins at once: bcrypt hashes", 1.0, 1.0),
    ("first logins at once: LDAP binds", "first logins at once: LDAP binds", 1.0, 1.0),
    ("idle connection to authd, KiB", "idle connection to authd: KiB", 32.0, 20.0),
    ("idle connection to backend-runner, KiB", "idle connection to backend-runner: KiB", 32.0, 20.0),
    (
        "decision: growth to 1,000,000 users and 100,000 rules, median answer time",
        "growth of the median answer time of a decision",
        1.3,
        1.3,
    ),
    ("the same, processor time of all of authd", "growth of the processor time of a decision", 1.3, 1.3),
];

/// Adds what can be said.
pub(crate) fn add(results: &mut Results) {
    let ratio = |promise: &Promise| {
        let Promise { name, figure, commit, aim, at_most, .. } = *promise;
        let ours = results.row(promise.scenario, promise.ours)?;
        let theirs = results.row(promise.scenario, promise.theirs)?;
        Some(Ratio { name, value: figure(ours) / figure(theirs), commit, aim, at_most })
    };
    let mut ratios: Vec<Ratio> = PROMISES.iter().filter_map(ratio).collect();
    for (name, what, commit, aim) in SINGLES {
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
