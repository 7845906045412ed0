//! backend-runner: reads the command line, sets up the log, does what it is asked to, says what went wrong.

use std::process::ExitCode;

use backend_runner::cli::Cli;
use clap::Parser;
use daemon::telemetry::{self, FORMAT_VARIABLE};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = std::env::var(FORMAT_VARIABLE).ok().map(|format| format.parse()).transpose();
    let logs = match format.map_err(anyhow::Error::from).and_then(|format| Ok(telemetry::init(format)?)) {
        Ok(logs) => logs,
        Err(error) => {
            complain(&error);
            return ExitCode::from(64);
        }
    };
    let done = cli.run();
    // Log lines first, then the complaint about how it ended.
    drop(logs);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            complain(&error.into());
            code
        }
    }
}

/// The error and its causes, for whoever started the command.
fn complain(error: &anyhow::Error) {
    eprintln!("backend-runner: {error:#}");
}
