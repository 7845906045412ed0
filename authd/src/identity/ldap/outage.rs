//! What follows when a directory gives no answer: the log, and the probe that goes on until it does.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::time::{self, Instant as Deadline};

use super::breaker::Probe;
use super::error::AskError;
use super::{Ldap, Unavailable, chain};

impl Ldap {
    /// Notes an error, and begins to probe if it is the first that concerns the directory as a whole.
    pub(super) fn failed(self: &Arc<Self>, error: &AskError) -> Unavailable {
        tracing::warn!(directory = &*self.name, error = chain(error), "the directory gave no answer");
        if let Some(found) = finding(error) {
            let wait = self.breaker().unanswered(found, Instant::now());
            if let Some(wait) = wait {
                tokio::spawn(watch(Arc::downgrade(self), wait));
            }
        }
        Unavailable
    }
}

/// Probes until there is an answer, or the directory is no longer configured.
async fn watch(directory: Weak<Ldap>, mut wait: Duration) {
    loop {
        time::sleep(wait).await;
        let Some(directory) = directory.upgrade() else { return };
        let patience = directory.origin.config.timeout.min(PROBE_TIMEOUT);
        let probe = Box::pin(directory.sessions.probe(Deadline::now() + patience));
        let found = match contained(probe).await {
            Ok(()) => Probe::Answered,
            Err(error) => finding(&error).unwrap_or(Probe::Answered),
        };
        let (was_out, next) = {
            let mut breaker = directory.breaker();
            (!breaker.admits(), breaker.probed(found, Instant::now()))
        };
        match (was_out, next) {
            (true, None) => tracing::info!(directory = &*directory.name, "the directory answers again"),
            (false, Some(_)) => {
                tracing::error!(directory = &*directory.name, "the directory is out: known users go on");
            }
            _ => {}
        }
        let Some(next) = next else { return };
        wait = next;
    }
}

/// ldap3 panics on some answers that are no LDAP; the directory must not be lost by it.
pub(super) async fn contained<T>(question: impl Future<Output = Result<T, AskError>>) -> Result<T, AskError> {
    let answer = AssertUnwindSafe(question).catch_unwind().await;
    answer.unwrap_or(Err(AskError::Nonsense("it cannot be read at all")))
}

/// What an error says about the directory as a whole; `None` where it is about one request.
fn finding(error: &AskError) -> Option<Probe> {
    match error {
        AskError::ServiceAccount { .. } => Some(Probe::AccountRefused),
        error if error.is_network() => Some(Probe::Silent),
        _ => None,
    }
}

/// A directory that answers so late is no help; those who wait for the end of an outage should not.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
