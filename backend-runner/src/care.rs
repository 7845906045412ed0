//! Care for repositories: keeping them fast to read without ever being in the way of a push.
//!
//! `condition` looks at a repository, `plan` says what it needs, `task` has git do it. Only one repository is worked on at a
//! time, within a limit of memory, and only while nobody pushes to it: see `turnstile`. Nothing is thrown away: objects that no
//! ref reaches are packed like all others. `backend-runner maintain` does it on demand and `schedule` does it by itself.
//! See git-repack(1), git-commit-graph(1) and git-pack-refs(1).

mod condition;
pub mod leftovers;
mod plan;
pub mod schedule;
mod task;
pub mod turnstile;

use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::condition::Condition;
pub use self::plan::Task;
pub use self::task::TaskError;
use self::turnstile::Caring;
use crate::git::Git;

/// What the work may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many bytes of memory git may allocate for it.
    pub memory: u64,
    /// How long one task may take.
    pub time: Duration,
}

/// A task that a repository needed.
#[derive(Debug)]
pub struct Attended {
    /// What was to be done.
    pub task: Task,
    /// Why it was needed.
    pub reason: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// How a task ended.
#[derive(Debug)]
pub enum Outcome {
    /// As it should.
    Done,
    /// Somebody was pushing, or cares already, so it was not begun.
    InUse,
    /// Somebody came to push, so it was broken off; git clears up behind itself.
    Interrupted,
    /// It was not allowed to go on for longer.
    OutOfTime,
    /// The daemon stops.
    Stopped,
    /// git could not do it, or pushes could not be kept apart from it.
    Failed(TaskError),
}

impl Outcome {
    /// The label in metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::InUse => "in_use",
            Self::Interrupted => "interrupted",
            Self::OutOfTime => "out_of_time",
            Self::Stopped => "stopped",
            Self::Failed(_) => "failed",
        }
    }
}

/// What a repository needs now, without doing it. Reads directories, so it belongs on a thread that may block.
#[must_use]
pub fn needed(repository: &Path) -> Vec<(Task, String)> {
    plan::needed(&Condition::of(repository))
}

/// Does for one repository what it needs, a task after the other as long as they succeed. `stop` breaks the work off.
pub async fn attend(repository: &Path, git: &Git, budget: Budget, stop: &CancellationToken) -> Vec<Attended> {
    let mut attended = Vec::new();
    for (task, reason) in look(repository).await {
        let outcome = match Caring::begin(repository) {
            Ok(Some(caring)) => work(task, &caring, repository, git, budget, stop).await,
            Ok(None) => Outcome::InUse,
            Err(error) => Outcome::Failed(TaskError::Lock(error)),
        };
        let goes_on = matches!(outcome, Outcome::Done);
        attended.push(Attended { task, reason, outcome });
        if !goes_on {
            break;
        }
    }
    attended
}

async fn work(
    task: Task,
    caring: &Caring,
    repository: &Path,
    git: &Git,
    budget: Budget,
    stop: &CancellationToken,
) -> Outcome {
    let interrupted = async {
        tokio::select! {
            () = stop.cancelled() => Outcome::Stopped,
            () = sleep(budget.time) => Outcome::OutOfTime,
            () = wanted(caring) => Outcome::Interrupted,
        }
    };
    task::run(task, repository, git, budget.memory, interrupted).await
}

async fn look(repository: &Path) -> Vec<(Task, String)> {
    let repository = repository.to_owned();
    tokio::task::spawn_blocking(move || needed(&repository)).await.unwrap_or_default()
}

/// Completes when somebody waits to push. Nothing tells that a lock is asked for, so it has to be looked at.
async fn wanted(caring: &Caring) {
    while !caring.is_wanted() {
        sleep(Duration::from_millis(50)).await;
    }
}
