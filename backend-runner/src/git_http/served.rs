//! Accounting for requests that were answered without a git of their own.

use policy::decision::Permitted;
use policy::identity::UserName;
use tokio::time::Instant;

use super::kept::Asked;
use crate::audit::{Audit, Record};
use crate::metrics::Metrics;
use crate::runner::Runner;

/// A request on its way to its end. One that is dropped before it was finished was left by its client.
#[derive(Debug)]
pub(super) struct Served {
    permitted: Permitted,
    metrics: Metrics,
    audit: Audit,
    started: Instant,
    by: By,
    received: u64,
    sent: u64,
    open: bool,
}

/// Who answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The daemon: a probe needs no more.
    Probe,
    /// The daemon, from its catalogue.
    Catalogue,
    /// The memory.
    Replay,
    /// The directory, through the daemon.
    Cache,
    /// The directory, through nginx.
    Nginx,
    /// git, for another request.
    Joined,
    /// git, for this request; its run is logged and counted by the job.
    Led,
}

impl Served {
    pub(super) fn new(asked: &Asked<'_>, by: By, received: u64) -> Self {
        let Asked { runner, decision, started, .. } = *asked;
        let mut served = Self::of(Permitted::Repository(decision.clone()), runner, by, started);
        served.received = received;
        served
    }

    pub(super) fn of(permitted: Permitted, runner: &Runner, by: By, started: Instant) -> Self {
        Self {
            permitted,
            metrics: runner.metrics.clone(),
            audit: runner.audit.clone(),
            started,
            by,
            received: 0,
            sent: 0,
            open: true,
        }
    }

    /// nginx sends the answer after all.
    pub(super) fn by_nginx(mut self) -> Self {
        if self.by != By::Led {
            self.by = By::Nginx;
        }
        self
    }

    pub(super) fn add(&mut self, sent: u64) {
        self.sent += sent;
    }

    /// It is refused after all, and accounted for as that.
    pub(super) fn give_up(&mut self) {
        self.open = false;
    }

    /// Counts, logs and records it.
    pub(super) fn finish(&mut self, outcome: &'static str) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let Self { permitted, received, sent, .. } = self;
        self.audit.record(&Record::of_permitted(permitted, outcome).with_bytes(*received, *sent));
        if self.by == By::Led {
            return;
        }
        self.metrics.answered(permitted.service(), outcome, *received, *sent);
        tracing::info!(
            request_id = permitted.request_id(),
            user = permitted.user().map(UserName::as_str),
            client = permitted.client(),
            repo = permitted.place(),
            service = permitted.service().as_str(),
            outcome,
            by = self.by.as_str(),
            received,
            sent,
            took_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "git request"
        );
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.finish("client_gone");
    }
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Catalogue => "catalogue",
            Self::Replay => "replay",
            Self::Cache => "cache",
            Self::Nginx => "nginx",
            Self::Joined => "joined",
            Self::Led => "git",
        }
    }
}
