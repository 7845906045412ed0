//! The command line: what can be asked of the program, and its exit codes.

pub mod check;
pub mod hash_password;
pub mod serve;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Answers nginx auth_request for git URLs: who is asking, and may they.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM; SIGHUP reloads the configuration
    Serve(serve::Arguments),
    /// Read the configuration and every file it names, and print what is wrong
    Check(check::Arguments),
    /// Make the argon2id hash of a password, asked for or read from standard input
    HashPassword,
}

/// Which configuration.
#[derive(Debug, Args)]
pub struct ConfigArgument {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "GITWARD_CONFIG", default_value = "/etc/gitward/authd.yaml")]
    pub config: PathBuf,
}

/// Why a command failed, and the exit code that says so.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The configuration is wrong: 64, EX_USAGE of sysexits(3).
    pub fn configuration(message: impl Into<String>) -> Self {
        Self { code: 64, message: message.into() }
    }

    /// Anything else: 1. The message goes down to the cause.
    pub fn other(error: impl Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self { code: 1, message }
    }

    /// Says it on standard error.
    pub fn report(self) -> ExitCode {
        // When standard error is gone too, the exit code has to do.
        let _ = writeln!(io::stderr(), "authd: {}", self.message);
        ExitCode::from(self.code)
    }
}
