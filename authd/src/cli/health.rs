//! `authd health`: asks the running daemon how it is. See [`daemon::health`].

use clap::Args;
use daemon::health::Health;
use daemon::listen::Listen;

use super::{ConfigArgument, Failure, print};
use crate::config::Config;

/// What `health` can be told.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    health: Health,
}

/// Prints what the daemon says of itself; fails when it is not well.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let address = match arguments.health.address() {
        Some(address) => address.clone(),
        None => configured(&arguments.config)?,
    };
    let answer = arguments.health.ask(&address).map_err(Failure::other)?;
    print(&answer)
}

fn configured(argument: &ConfigArgument) -> Result<Listen, Failure> {
    let path = &argument.config;
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::configuration(format!("cannot read {}: {error}", path.display())))?;
    let config = Config::parse(path, &bytes).map_err(|error| Failure::configuration(error.to_string()))?;
    Ok(config.admin)
}
