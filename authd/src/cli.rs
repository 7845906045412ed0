//! The command line: what can be asked of the program, and its exit codes.

pub mod check;
pub mod diff;
pub mod explain;
pub mod hash_password;
pub mod health;
pub mod import;
mod origin;
pub mod serve;
pub mod who_can;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use daemon::shell::{Completions, Manual};
use policy::git_request::Access;

use crate::load::Problem;

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
    /// Say why a request is allowed or denied: exit 0 allowed, 3 denied
    Explain(explain::Arguments),
    /// Say who may read or write a repository
    WhoCan(who_can::Arguments),
    /// Compare what two policies allow: exit 0 when they allow the same, 4 when they differ
    Diff(diff::Arguments),
    /// Turn the configuration of another access control into Gitward's files
    #[command(subcommand)]
    Import(import::Format),
    /// Make the argon2id hash of a password, asked for or read from standard input
    HashPassword,
    /// Ask the running daemon how it is: exit 0 when it can answer requests, 1 when not
    Health(health::Arguments),
    /// Print what a shell needs to complete this program's commands
    Completions(Completions),
    /// Write manual pages
    #[command(hide = true)]
    Man(Manual),
}

/// Which configuration.
#[derive(Debug, Args)]
pub struct ConfigArgument {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "GITWARD_CONFIG", default_value = "/etc/gitward/authd.yaml")]
    pub config: PathBuf,
}

impl Cli {
    /// Does what the command line asks for.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let done = match self.command {
            Command::Serve(arguments) => serve::run(&arguments),
            Command::Check(arguments) => check::run(&arguments),
            Command::Explain(arguments) => return explain::run(&arguments),
            Command::WhoCan(arguments) => return who_can::run(&arguments),
            Command::Diff(arguments) => return diff::run(&arguments),
            Command::Import(format) => return import::run(&format),
            Command::HashPassword => hash_password::run(),
            Command::Health(arguments) => health::run(&arguments),
            Command::Completions(arguments) => arguments.print(Self::command()).map_err(Failure::other),
            Command::Man(arguments) => arguments.write(Self::command()).map_err(Failure::other),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

/// The exit code of a request that is explained and denied.
const DENIED: u8 = 3;

/// The exit code of two policies that differ.
const DIFFER: u8 = 4;

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

    /// The configuration is wrong in these places.
    pub fn problems(problems: Vec<Problem>) -> Self {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Self::configuration(format!("the configuration cannot be used:\n{}", lines.join("\n")))
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

/// Reads the value of `--access`.
fn access(text: &str) -> Result<Access, &'static str> {
    match text {
        "read" => Ok(Access::Read),
        "write" => Ok(Access::Write),
        _ => Err("expected read or write"),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::other)
}

fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}
