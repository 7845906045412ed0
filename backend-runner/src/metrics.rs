//! What is counted. Labels come from closed sets: never a user, a repository, a path or a method.

use std::time::Duration;

use policy::git_request::Service;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// All metrics of the daemon.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    duration: Histogram,
    bytes: IntCounterVec,
    reloads: IntCounterVec,
    verdicts: IntCounterVec,
    audit: IntCounterVec,
    care: IntCounterVec,
    cache: IntCounterVec,
    /// Children running.
    pub running: IntGauge,
    /// Requests waiting for a permit.
    pub queued: IntGauge,
    /// Pages being made.
    pub pages_running: IntGauge,
    /// Pages waiting for a permit.
    pub pages_queued: IntGauge,
    /// Bytes of kept packs.
    pub kept: IntGauge,
    generation: IntGauge,
    reload_success: IntGauge,
}

/// What a cache is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// What the server can do.
    Capabilities,
    /// Refs, of clients before v2 and before a push.
    Advertisement,
    /// Refs, of v2.
    LsRefs,
    /// A pack.
    Fetch,
}

impl AnswerKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::Advertisement => "advertisement",
            Self::LsRefs => "ls-refs",
            Self::Fetch => "fetch",
        }
    }
}

/// The files a reload reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// `backend-runner.yaml`, and what it names besides files of ours.
    Config,
    /// `policy.yaml`
    Policy,
    /// The signing key.
    SigningKey,
}

impl ConfigFile {
    fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Policy => "policy",
            Self::SigningKey => "signing_key",
        }
    }
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When something of the same name is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, help| registered(registry, IntGauge::new(name, help)?);
        let counters = |name, help, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let buckets =
            vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0, 3600.0];
        let seconds = HistogramOpts::new(
            "gitward_git_duration_seconds",
            "Time from the request to the end of its git process",
        )
        .buckets(buckets);
        let build = IntGaugeVec::new(Opts::new("gitward_build_info", "The version that runs"), &["version"])?;
        registered(registry, build)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            requests: counters(
                "gitward_git_requests_total",
                "Requests by service and outcome",
                &["service", "outcome"],
            )?,
            duration: registered(registry, Histogram::with_opts(seconds)?)?,
            bytes: counters("gitward_git_bytes_total", "Bytes of request and answer bodies", &["direction"])?,
            reloads: counters(
                "gitward_config_reloads_total",
                "Reloads by file and outcome",
                &["file", "outcome"],
            )?,
            verdicts: counters(
                "gitward_hook_verdicts_total",
                "Verdicts on pushes by rule",
                &["rule", "verdict"],
            )?,
            audit: counters("gitward_audit_records_total", "Audit records by outcome", &["outcome"])?,
            care: counters(
                "gitward_maintenance_tasks_total",
                "Tasks of repository maintenance by outcome",
                &["task", "outcome"],
            )?,
            cache: counters(
                "gitward_response_cache_total",
                "What caches were asked for, and what came of it",
                &["kind", "outcome"],
            )?,
            running: gauge("gitward_git_running", "Requests with a running git process")?,
            queued: gauge("gitward_git_queued", "Requests waiting for a permit")?,
            pages_running: gauge("gitward_web_running", "Pages for browsers being made")?,
            pages_queued: gauge("gitward_web_queued", "Pages for browsers waiting for a permit")?,
            kept: gauge("gitward_response_cache_bytes", "Bytes of kept packs")?,
            generation: gauge("gitward_config_generation", "Number of the configuration in use")?,
            reload_success: gauge(
                "gitward_config_last_reload_success",
                "1 when the last reload succeeded, 0 when the last good configuration had to stay",
            )?,
        };
        // From the start, so that the first failure is seen as an increase.
        for file in [ConfigFile::Config, ConfigFile::Policy, ConfigFile::SigningKey] {
            for outcome in ["success", "failure"] {
                metrics.reloads.with_label_values(&[file.as_str(), outcome]);
            }
        }
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// A request that ended without a git process; `service` is unknown when its decision was not valid.
    pub fn refused(&self, service: Option<Service>, outcome: &'static str) {
        self.requests
            .with_label_values(&[service.map_or("unknown", |service| service.as_str()), outcome])
            .inc();
    }

    /// A git process that ended, or a page's program, which is not among git's times.
    pub fn ended(&self, service: Service, outcome: &'static str, took: Duration, received: u64, sent: u64) {
        self.requests.with_label_values(&[service.as_str(), outcome]).inc();
        if service != Service::Web {
            self.duration.observe(took.as_secs_f64());
        }
        self.bytes.with_label_values(&["received"]).inc_by(received);
        self.bytes.with_label_values(&["sent"]).inc_by(sent);
    }

    /// A request that was answered without a git process of its own.
    pub fn answered(&self, service: Service, outcome: &'static str, received: u64, sent: u64) {
        self.requests.with_label_values(&[service.as_str(), outcome]).inc();
        self.bytes.with_label_values(&["received"]).inc_by(received);
        self.bytes.with_label_values(&["sent"]).inc_by(sent);
    }

    /// A cache was asked, or has or has not kept an answer; `outcome` is of a closed set.
    pub fn cached(&self, kind: AnswerKind, outcome: &'static str) {
        self.cache.with_label_values(&[kind.as_str(), outcome]).inc();
    }

    /// A configuration came into use.
    pub fn configured(&self, generation: u64) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.reload_success.set(1);
    }

    /// A reload read this file, well or not.
    pub fn reloaded(&self, file: ConfigFile, success: bool) {
        let outcome = if success { "success" } else { "failure" };
        self.reloads.with_label_values(&[file.as_str(), outcome]).inc();
        self.reload_success.set(i64::from(success));
    }

    /// A verdict on a push; both words are of closed sets.
    pub fn judged(&self, rule: &str, verdict: &str) {
        self.verdicts.with_label_values(&[rule, verdict]).inc();
    }

    /// A task of maintenance ended; both words are of closed sets.
    pub fn cared(&self, task: &'static str, outcome: &'static str) {
        self.care.with_label_values(&[task, outcome]).inc();
    }

    /// An audit record was `written` or `lost`.
    pub fn audited(&self, outcome: &'static str) {
        self.audit.with_label_values(&[outcome]).inc();
    }
}

/// What is counted with, known to the registry.
fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
