//! `backend-runner maintain`: brings repositories in order, clears up after pushes that were broken off, and reports locks that
//! nobody seems to hold.
//!
//! It may run beside the daemon: see `care::turnstile`. Locks are reported and never removed: they may guard half a change.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use daemon::units::Seconds;
use policy::repo_path::RepoPath;
use tokio_util::sync::CancellationToken;

use super::{CommandError, ConfigFile};
use crate::care::{self, Attended, Outcome, leftovers};
use crate::config::Config;
use crate::git::Git;
use crate::inventory;
use crate::repository;
use crate::server::StartError;

/// What `maintain` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Remove leftovers of pushes only when nobody has touched them for this long, for example 24h
    #[arg(long, value_name = "TIME", default_value = "24h")]
    older_than: Seconds,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// The repositories below the project root; all of them when none is named
    repositories: Vec<String>,
}

/// Does it, and says what it did.
///
/// # Errors
/// When the configuration or the project root cannot be read, or git failed in a repository.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config.path)?;
    let git = Git::probe(&config.git).map_err(StartError::from)?;
    // A push that still runs is never older than that.
    let age = arguments.older_than.duration().max(config.limits.patience.request);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut out = std::io::stdout().lock();
    let mut failed = 0;
    for repository in chosen(&config.repositories, &arguments.repositories)? {
        let shown = repository.display();
        for lock in inventory::locks(&repository, inventory::STALE_LOCK) {
            writeln!(out, "stale lock: {}: remove it when no git runs there", lock.display())?;
        }
        if arguments.dry_run {
            for (task, reason) in care::needed(&repository) {
                writeln!(out, "needed: {shown}: {task}: {reason}")?;
            }
            for quarantine in inventory::quarantines(&repository, age) {
                writeln!(out, "to be removed: {}", quarantine.display())?;
            }
            continue;
        }
        clear_up(&repository, age, &mut out)?;
        let never = CancellationToken::new();
        let work = care::attend(&repository, &git, config.maintenance.budget, &never);
        failed += report(&repository, &runtime.block_on(work), &mut out)?;
    }
    if failed == 0 { Ok(()) } else { Err(CommandError::Problems(failed)) }
}

fn clear_up(repository: &Path, age: std::time::Duration, out: &mut impl Write) -> std::io::Result<()> {
    for quarantine in inventory::quarantines(repository, age) {
        match leftovers::remove(&quarantine) {
            Ok(true) => writeln!(out, "removed: {}", quarantine.display())?,
            Ok(false) => writeln!(out, "in use: {}", quarantine.display())?,
            Err(error) => writeln!(out, "not removed: {}: {error}", quarantine.display())?,
        }
    }
    Ok(())
}

/// A line for each task; returns how many git failed at.
fn report(repository: &Path, attended: &[Attended], out: &mut impl Write) -> std::io::Result<usize> {
    let shown = repository.display();
    let mut failed = 0;
    for Attended { task, reason, outcome } in attended {
        match outcome {
            Outcome::Done => writeln!(out, "done: {shown}: {task}: {reason}")?,
            Outcome::Interrupted => writeln!(out, "interrupted: {shown}: {task}: somebody pushes")?,
            Outcome::InUse => {
                writeln!(out, "in use: {shown}: {task}: somebody pushes, or it is being maintained already")?;
            }
            Outcome::OutOfTime => writeln!(out, "broken off: {shown}: {task}: maintenance.timeout is over")?,
            Outcome::Stopped => writeln!(out, "broken off: {shown}: {task}")?,
            Outcome::Failed(error) => {
                failed += 1;
                writeln!(out, "failed: {shown}: {task}: {error}")?;
            }
        }
    }
    Ok(failed)
}

fn chosen(root: &Path, names: &[String]) -> Result<Vec<PathBuf>, CommandError> {
    if names.is_empty() {
        return Ok(inventory::repositories(root)?);
    }
    names.iter().map(|name| named(root, name)).collect()
}

fn named(root: &Path, name: &str) -> Result<PathBuf, CommandError> {
    let missing =
        |source: Box<dyn Error + Send + Sync>| CommandError::Repository { name: name.to_owned(), source };
    let repo = RepoPath::parse(name).map_err(|error| missing(error.into()))?;
    repository::find(root, &repo, true).map(|found| found.path).map_err(|error| missing(error.into()))
}
