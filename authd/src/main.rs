//! The program `authd`: command line, logs, and the command that was asked for.

use std::process::ExitCode;

use authd::cli::{Cli, Command, check, hash_password, serve};
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::HashPassword => hash_password::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
