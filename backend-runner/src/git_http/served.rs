//! Accounting for requests that were answered without a git of their own.

use policy::decision::Decision;
use policy::identity::UserName;
use tokio::time::Instant;

use super::kept::Asked;
use crate::audit::{Audit, Record};
use crate::metrics::Metrics;

/// A request on its way to its end. One that is dropped before it was finished was left by its client.
#[derive(Debug)]
pub(super) struct Served {
    decision: Decision,
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
        Self {
            decision: decision.clone(),
            metrics: runner.metrics.clone(),
            audit: runner.audit.clone(),
            started,
            by,
            received,
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
        let Self { decision, received, sent, .. } = self;
        self.audit.record(&Record::of(decision, outcome).with_bytes(*received, *sent));
        if self.by == By::Led {
            return;
        }
        self.metrics.answered(decision.service, outcome, *received, *sent);
        tracing::info!(
            request_id = decision.request_id.as_str(),
            user = decision.user.as_ref().map(UserName::as_str),
            client = decision.client.as_str(),
            repo = decision.repo.as_str(),
            service = decision.service.as_str(),
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
            Self::Replay => "replay",
            Self::Cache => "cache",
            Self::Nginx => "nginx",
            Self::Joined => "joined",
            Self::Led => "git",
        }
    }
}
