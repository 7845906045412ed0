//! `backend-runner check`: everything `serve` depends on, without serving.

use std::io::Write;
use std::path::Path;

use super::CommandError;
use crate::config::{Config, LoadError};
use crate::git::{FLOOR, Git};
use crate::server::{self, StartError};

/// Prints what is found; the first problem ends the check.
///
/// # Errors
/// That problem.
pub fn run(config: &Path) -> Result<(), CommandError> {
    let config = Config::load(config)?;
    let policy = std::fs::read(&config.policy_file)
        .map_err(|source| LoadError::Read { path: config.policy_file.clone(), source })?;
    let policy =
        policy::Policy::parse(&config.policy_file.display().to_string(), &policy).map_err(LoadError::from)?;
    let git = Git::probe(&config.git).map_err(StartError::from)?;
    server::check_directories(&config)?;

    let mut out = std::io::stdout().lock();
    writeln!(out, "configuration: {}", config.file.display())?;
    writeln!(out, "policy:        {}", config.policy_file.display())?;
    writeln!(out, "git:           {} ({})", git.banner, git.http_backend.display())?;
    writeln!(out, "repositories:  {}", config.repositories.display())?;
    if git.version < FLOOR {
        writeln!(out, "warning: this git is older than 2.39, the oldest that was tried")?;
    }
    if policy.has_branch_rules() && config.hooks.directory.is_none() {
        writeln!(
            out,
            "warning: the policy has branch rules, but hooks.directory is not set: they are not enforced"
        )?;
    }
    Ok(())
}
