//! The program `authd`: does what the command line asks for, or says why not.

use std::process::ExitCode;

use authd::cli::{Cli, Failure};
use clap::Parser;

fn main() -> ExitCode {
    Cli::parse().run().unwrap_or_else(Failure::report)
}
