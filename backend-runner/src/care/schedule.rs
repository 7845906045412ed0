//! Care that comes by itself: a round through all repositories at every interval, one after the other.
//!
//! A round costs little where there is nothing to do. A repository that is pushed to while its turn comes has another one in the
//! next round. The settings are read again before each round, so a change needs no restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Attended, Outcome, attend, leftovers};
use crate::inventory::{self, STALE_QUARANTINE};
use crate::metrics::Metrics;
use crate::runner::Runner;
use crate::state::State;

/// When the first round begins: late enough for a start under load, early enough for daemons that are restarted every day.
const FIRST: Duration = Duration::from_secs(300);

/// How often the settings are looked at for another interval.
const GLANCE: Duration = Duration::from_secs(30);

/// Goes its rounds until the daemon stops.
pub async fn run(state: Arc<State>) {
    let begun = Instant::now();
    let mut last = None;
    let stop = state.runner().stop.clone();
    while wait(&state, begun, last, &stop).await {
        let runner = state.runner();
        round(&runner, &stop).await;
        last = Some(Instant::now());
    }
}

/// Waits for the next round to be due; `false` when the daemon stops.
async fn wait(state: &State, begun: Instant, last: Option<Instant>, stop: &CancellationToken) -> bool {
    loop {
        let glance = Instant::now() + GLANCE;
        let interval = state.runner().config.maintenance.interval;
        let due =
            interval.map(|interval| last.map_or_else(|| begun + FIRST.min(interval), |last| last + interval));
        tokio::select! {
            () = stop.cancelled() => return false,
            () = sleep_until(due.map_or(glance, |due| due.min(glance))) => {}
        }
        if due.is_some_and(|due| due <= Instant::now()) {
            return true;
        }
    }
}

async fn round(runner: &Runner, stop: &CancellationToken) {
    let root = runner.config.repositories.clone();
    let age = STALE_QUARANTINE.max(runner.config.limits.patience.request);
    let listed = tokio::task::spawn_blocking(move || tidied(&root, age)).await.unwrap_or_default();
    let budget = runner.config.maintenance.budget;
    for repository in listed {
        if stop.is_cancelled() {
            return;
        }
        let attended = attend(&repository, &runner.git, budget, stop).await;
        tell(&repository, &attended, &runner.metrics);
    }
}

/// All repositories, after what broken pushes left in them was removed.
fn tidied(root: &Path, age: Duration) -> Vec<PathBuf> {
    let repositories = inventory::repositories(root).unwrap_or_else(|error| {
        let path = root.display().to_string();
        tracing::warn!(
            path,
            error = error.to_string(),
            "repositories cannot be listed, so none is maintained"
        );
        Vec::new()
    });
    for quarantine in repositories.iter().flat_map(|repository| inventory::quarantines(repository, age)) {
        let path = quarantine.display().to_string();
        match leftovers::remove(&quarantine) {
            Ok(true) => tracing::info!(path, "removed what a broken push left behind"),
            Ok(false) => {}
            Err(error) => tracing::warn!(path, error = error.to_string(), "cannot remove what a push left"),
        }
    }
    repositories
}

fn tell(repository: &Path, attended: &[Attended], metrics: &Metrics) {
    let repository = repository.display().to_string();
    for Attended { task, reason, outcome } in attended {
        metrics.cared(task.as_str(), outcome.as_str());
        let task = task.as_str();
        match outcome {
            Outcome::Failed(error) => {
                tracing::warn!(repository, task, reason, error = error.to_string(), "maintenance failed");
            }
            outcome => {
                tracing::info!(repository, task, reason, outcome = outcome.as_str(), "maintenance");
            }
        }
    }
}
