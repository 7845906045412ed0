//! One task, done by git: which command, under which limits, and what came of it.
//!
//! The environment starts empty and the repository's own settings are overruled where they run programs or decide about memory, as
//! for requests. git works at a lower priority than requests do, with one thread. Dropping the future ends the process group.

use std::io;
use std::path::Path;

use super::Outcome;
use super::plan::Task;
use crate::cgi::environment;
use crate::child::{Child, Exit, Input, Program, SpawnError};
use crate::git::Git;
use crate::stream::Complaints;

/// The task was not done.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The directories cannot be locked, so a push could come in between.
    #[error("pushes cannot be kept apart from it: the file system gives no locks")]
    Lock(#[source] io::Error),
    /// git could not be started.
    #[error(transparent)]
    Start(#[from] SpawnError),
    /// It ended badly, and said why.
    #[error("git ended with {exit:?}: {complaints}")]
    Git {
        /// How it ended.
        exit: Exit,
        /// The end of what it said.
        complaints: String,
    },
}

/// Has git do `task` in `repository`, with at most `memory` bytes, unless `interrupted` completes before. No process is left
/// when this returns.
pub(super) async fn run(
    task: Task,
    repository: &Path,
    git: &Git,
    memory: u64,
    interrupted: impl Future<Output = Outcome>,
) -> Outcome {
    let program = Program {
        path: git.program.clone(),
        arguments: arguments(task).iter().map(|&word| word.to_owned()).collect(),
        environment: environment::for_care(repository, git, memory),
        input: Input::Nothing,
        memory: Some(memory),
        processor: None,
    };
    let Child { mut stdout, mut stderr, group, .. } = match Child::spawn(program) {
        Ok(child) => child,
        Err(error) => return Outcome::Failed(error.into()),
    };
    group.lower_priority();
    let mut complaints = Complaints::default();
    let mut nowhere = tokio::io::sink();
    let ended = tokio::select! {
        // Both end when the last process does; git writes nothing of use to its output.
        _ = async { tokio::join!(tokio::io::copy(&mut stdout, &mut nowhere), complaints.collect(&mut stderr)) } => None,
        outcome = interrupted => Some(outcome),
    };
    if let Some(outcome) = ended {
        group.terminate(complaints.collect(&mut stderr)).await;
        return outcome;
    }
    match group.finish(std::future::ready(())).await {
        Exit::Code(0) => Outcome::Done,
        exit => Outcome::Failed(TaskError::Git { exit, complaints: complaints.escaped() }),
    }
}

fn arguments(task: Task) -> &'static [&'static str] {
    const REPACK: [&str; 8] =
        ["repack", "--geometric=2", "-d", "-l", "-n", "-q", "--write-midx", "--write-bitmap-index"];
    match task {
        Task::PackRefs => &["pack-refs", "--all"],
        Task::Repack { bitmap: true } => &REPACK,
        Task::Repack { bitmap: false } => REPACK.split_last().map_or(&[], |(_, without)| without),
        Task::CommitGraph => &["commit-graph", "write", "--reachable", "--split", "--no-progress"],
    }
}
