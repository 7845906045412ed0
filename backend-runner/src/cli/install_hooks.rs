//! `backend-runner install-hooks`: fills the directory that `hooks.directory` names, or brings it up to date.

use std::path::PathBuf;

use clap::Args;

use super::CommandError;
use crate::managed_hooks::{self, INSTALLED};

/// What `install-hooks` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The directory
    #[arg(default_value = INSTALLED)]
    directory: PathBuf,
}

/// Installs the hooks.
///
/// # Errors
/// See [`managed_hooks::InstallError`].
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    Ok(managed_hooks::install(&arguments.directory)?)
}
