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
use self::task::TaskError;
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

/// What was done for one repository, in order.
#[derive(Debug, Default)]
pub struct Account {
    /// Each task, why it was needed, and how it ended.
    pub done: Vec<(Task, String, Outcome)>,
    /// Whether somebody was pushing, so that nothing was begun.
    pub in_use: bool,
}

/// How a task ended.
#[derive(Debug)]
pub enum Outcome {
    /// As it should.
    Done,
    /// Somebody came to push, so it was broken off; git clears up behind itself.
    Interrupted,
    /// It was not allowed to go on for longer, or the daemon stops.
    OutOfTime,
    /// git could not do it.
    Failed(TaskError),
}

impl Outcome {
    /// The label in metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Interrupted => "interrupted",
            Self::OutOfTime => "out_of_time",
            Self::Failed(_) => "failed",
        }
    }
}

/// What a repository needs now, without doing it. Reads directories, so it belongs on a thread that may block.
#[must_use]
pub fn needed(repository: &Path) -> Vec<(Task, String)> {
    plan::needed(&Condition::of(repository))
}

/// Does for one repository what it needs, until it is done, somebody pushes, or `stop` is cancelled.
pub async fn attend(repository: &Path, git: &Git, budget: Budget, stop: &CancellationToken) -> Account {
    let mut account = Account::default();
    for (task, reason) in look(repository).await {
        let Ok(Some(caring)) = Caring::begin(repository) else {
            account.in_use = true;
            break;
        };
        let interrupted = async {
            tokio::select! {
                () = stop.cancelled() => Outcome::OutOfTime,
                () = sleep(budget.time) => Outcome::OutOfTime,
                () = wanted(&caring) => Outcome::Interrupted,
            }
        };
        let outcome = task::run(task, repository, git, budget.memory, interrupted).await;
        let goes_on = matches!(outcome, Outcome::Done);
        account.done.push((task, reason, outcome));
        if !goes_on {
            break;
        }
    }
    account
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
