//! `backend-runner health`: asks the running daemon how it is. See [`daemon::health`].

use std::io::Write;

use clap::Args;
use daemon::health::Health;

use super::{CommandError, ConfigFile};
use crate::config::Config;

/// What `health` can be told.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    health: Health,
}

/// Prints what the daemon says of itself.
///
/// # Errors
/// When it is not well, or cannot be asked.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let address = match arguments.health.address() {
        Some(address) => address.clone(),
        None => Config::load(&arguments.config.path)?.admin.ok_or(CommandError::NoAdmin)?,
    };
    let answer = arguments.health.ask(&address)?;
    Ok(std::io::stdout().lock().write_all(answer.as_bytes())?)
}
