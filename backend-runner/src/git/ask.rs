//! A short question to git about one repository: with an owner, a deadline and a bound of what it may say.
//!
//! git reads whatever the repository's configuration includes, and a file there may keep its reader waiting for ever.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;

use super::Git;
use crate::child::{Child, Exit, Input, Program, SpawnError};
use crate::stream::Complaints;

/// What git answered.
#[derive(Debug)]
pub struct Said {
    /// How it ended.
    pub exit: Exit,
    /// The answer.
    pub stdout: Vec<u8>,
    /// The end of its complaints, in one line.
    pub complaints: String,
}

/// git gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It cannot be run.
    #[error(transparent)]
    Start(#[from] SpawnError),
    /// What it says cannot be read, or nobody can wait for it.
    #[error("cannot ask git")]
    System(#[from] io::Error),
    /// It says too much.
    #[error("git says more than 1 MiB")]
    Long,
    /// It was not done in time.
    #[error("git is not done in time")]
    Slow,
}

/// How long git may take: less than a request waits for storage.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much it may say.
const LONGEST: u64 = 1 << 20;

impl Git {
    /// Runs git with these words on `repository`, and waits: not for a thread that must not.
    ///
    /// # Errors
    /// When there is no answer. That git refuses is one.
    pub fn ask(&self, repository: &Path, words: &[&str]) -> Result<Said, AskError> {
        let program = self.question(repository, words);
        let answer = async { timeout(PATIENCE, answer(program)).await.unwrap_or(Err(AskError::Slow)) };
        let Ok(runtime) = Handle::try_current() else {
            return Builder::new_current_thread().enable_all().build()?.block_on(answer);
        };
        // A thread that the runtime started may not wait for the runtime; another one may.
        let answered = thread::scope(|scope| scope.spawn(|| runtime.block_on(answer)).join());
        answered.unwrap_or_else(|_| Err(io::Error::other("whoever waited for it is gone").into()))
    }

    fn question(&self, repository: &Path, words: &[&str]) -> Program {
        let repository = repository.display().to_string();
        let words = ["--git-dir", &repository].into_iter().chain(words.iter().copied());
        let variable = |name: &'static str, value: &str| (name.into(), value.to_owned());
        Program {
            path: self.program.clone(),
            arguments: words.map(str::to_owned).collect(),
            environment: vec![
                variable("PATH", &self.search_path),
                variable("HOME", "/nonexistent"),
                variable("LC_ALL", "C"),
                variable("GIT_CONFIG_NOSYSTEM", "1"),
                variable("GIT_CONFIG_GLOBAL", "/dev/null"),
                variable("GIT_CONFIG_COUNT", "1"),
                variable("GIT_CONFIG_KEY_0", "safe.directory"),
                variable("GIT_CONFIG_VALUE_0", &repository),
            ],
            input: Input::Nothing,
            memory: None,
            processor: None,
        }
    }
}

/// Dropping it ends the process group.
async fn answer(program: Program) -> Result<Said, AskError> {
    let Child { stdout, mut stderr, group, .. } = Child::spawn(program)?;
    let (mut said, mut complaints) = (Vec::new(), Complaints::default());
    let mut bounded = stdout.take(LONGEST + 1);
    group.quiet().await;
    tokio::select! {
        read = bounded.read_to_end(&mut said) => { read?; }
        () = complaints.collect_for_ever(&mut stderr) => {}
    }
    if said.len() as u64 > LONGEST {
        return Err(AskError::Long);
    }
    let exit = group.finish(complaints.collect(&mut stderr)).await;
    Ok(Said { exit, stdout: said, complaints: complaints.escaped() })
}
