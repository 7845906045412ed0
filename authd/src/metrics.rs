//! Everything authd counts, in a registry of its own.
//!
//! Label values come from closed sets and the names of configured directories. No user, repository, path
//! or address is ever a label: callers choose those, and each new value would be a new series for ever.

use std::time::Duration;

use policy::git_request::Service;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    process_collector::ProcessCollector,
};

use crate::shadow::Change;

/// The counters; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    decisions: IntCounterVec,
    duration: Histogram,
    directory_requests: IntCounterVec,
    directory_duration: Histogram,
    credential_cache: IntCounterVec,
    throttled: IntCounterVec,
    generation: IntGauge,
    reloads: IntCounterVec,
    last_reload_success: IntGauge,
    shadow_differences: IntCounterVec,
}

/// Where the outcome of a login came from.
#[derive(Clone, Copy, Debug)]
pub enum CacheOutcome {
    /// It was remembered.
    Hit,
    /// It was found out for this request.
    Miss,
    /// It was just being found out for another request.
    Joined,
    /// Its time was over, but the directory gave no answer.
    Stale,
}

/// What a directory said about a login.
#[derive(Clone, Copy, Debug)]
pub enum DirectoryOutcome {
    /// The password is the user's.
    Right,
    /// It is not.
    Wrong,
    /// No such user, or one without a password.
    Unknown,
    /// Asked without a password: this is the user.
    Found,
    /// It could not say.
    Error,
}

// === impl Metrics ===

impl Metrics {
    /// Registers everything in a new registry.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = IntGaugeVec::new(
            Opts::new("gitward_build_info", "1, labelled with what runs."),
            &["program", "version"],
        )?;
        build.with_label_values(&["authd", env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            decisions: counters(
                "gitward_auth_decisions_total",
                "Answers to nginx.",
                &["decision", "service"],
            )?,
            duration: histogram("gitward_auth_duration_seconds", "Time to answer nginx.", &ANSWER_TIMES)?,
            directory_requests: counters(
                "gitward_directory_requests_total",
                "Logins and look-ups that reached a directory.",
                &["directory", "outcome"],
            )?,
            directory_duration: histogram(
                "gitward_directory_duration_seconds",
                "Time a directory took for a login, waiting included.",
                &DIRECTORY_TIMES,
            )?,
            credential_cache: counters(
                "gitward_credential_cache_total",
                "Lookups of verified logins.",
                &["outcome"],
            )?,
            throttled: counters("gitward_auth_throttled_total", "Logins refused unverified.", &["scope"])?,
            generation: IntGauge::new("gitward_config_generation", "Number of the configuration in use.")?,
            reloads: counters(
                "gitward_config_reloads_total",
                "Reloads, by what was read.",
                &["file", "outcome"],
            )?,
            last_reload_success: IntGauge::new(
                "gitward_config_last_reload_success",
                "1 when the last reload succeeded, 0 when the last good configuration had to stay.",
            )?,
            shadow_differences: counters(
                "gitward_shadow_differences_total",
                "Decisions the shadow policy would have made otherwise.",
                &["change"],
            )?,
            registry,
        };
        // From the start, so that the first failure and the first difference are seen as an increase.
        for outcome in ["success", "failure"] {
            for file in ["config", "policy"] {
                metrics.reloads.with_label_values(&[file, outcome]);
            }
        }
        for change in [Change::WouldAllow, Change::WouldDeny] {
            metrics.shadow_differences.with_label_values(&[change.as_str()]);
        }
        metrics.register(build)?;
        Ok(metrics)
    }

    fn register(&self, build: IntGaugeVec) -> Result<(), prometheus::Error> {
        // `dyn` is the registry's own interface.
        let collectors: [Box<dyn Collector>; 12] = [
            Box::new(build),
            Box::new(self.decisions.clone()),
            Box::new(self.duration.clone()),
            Box::new(self.directory_requests.clone()),
            Box::new(self.directory_duration.clone()),
            Box::new(self.credential_cache.clone()),
            Box::new(self.throttled.clone()),
            Box::new(self.generation.clone()),
            Box::new(self.reloads.clone()),
            Box::new(self.last_reload_success.clone()),
            Box::new(self.shadow_differences.clone()),
            Box::new(ProcessCollector::for_self()),
        ];
        collectors.into_iter().try_for_each(|collector| self.registry.register(collector))
    }

    /// For the admin listener to show.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// An answer to nginx.
    pub fn decided(&self, decision: &'static str, service: Option<Service>, elapsed: Duration) {
        let service = service.map_or("none", |service| service.as_str());
        self.decisions.with_label_values(&[decision, service]).inc();
        self.duration.observe(elapsed.as_secs_f64());
    }

    /// A login that reached the directory of that name.
    pub fn directory_request(&self, directory: &str, outcome: DirectoryOutcome, elapsed: Duration) {
        self.directory_requests.with_label_values(&[directory, outcome.as_str()]).inc();
        self.directory_duration.observe(elapsed.as_secs_f64());
    }

    /// A lookup among verified logins.
    pub fn credential_cache(&self, outcome: CacheOutcome) {
        self.credential_cache.with_label_values(&[outcome.as_str()]).inc();
    }

    /// A login refused unverified, because of a `user`, a `client` or the `queue`.
    pub fn throttled(&self, scope: &'static str) {
        self.throttled.with_label_values(&[scope]).inc();
    }

    /// A configuration came into use.
    pub fn configured(&self, generation: u64) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.last_reload_success.set(1);
    }

    /// A reload read this kind of file, well or not.
    pub fn reloaded(&self, file: &'static str, success: bool) {
        self.reloads.with_label_values(&[file, if success { "success" } else { "failure" }]).inc();
        self.last_reload_success.set(i64::from(success));
    }

    /// The shadow policy would have decided otherwise.
    pub fn shadow_differs(&self, change: Change) {
        self.shadow_differences.with_label_values(&[change.as_str()]).inc();
    }

    /// How often a password was really verified.
    #[cfg(test)]
    pub fn verifications(&self) -> u64 {
        self.directory_duration.get_sample_count()
    }
}

impl CacheOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Joined => "joined",
            Self::Stale => "stale",
        }
    }
}

impl DirectoryOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
            Self::Found => "found",
            Self::Error => "error",
        }
    }
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn histogram(name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
}

/// From a remembered login to a long wait for a slow directory, in seconds.
const ANSWER_TIMES: [f64; 12] = [0.0001, 0.0002, 0.0005, 0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 20.0];
const DIRECTORY_TIMES: [f64; 9] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 20.0];
