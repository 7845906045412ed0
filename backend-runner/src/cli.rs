//! The command line: one file for each command, and the exit codes they share.

pub mod check;
pub mod create_repo;
pub mod health;
pub mod install_hooks;
pub mod maintain;
pub mod purge;
pub mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use daemon::health::AskError;
use daemon::shell::{Completions, Manual};

use crate::config::LoadError;
use crate::managed_hooks::InstallError;
use crate::server::StartError;

/// Runs git for requests that authd has permitted.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon; SIGTERM drains it, SIGHUP reloads the configuration
    Serve(ConfigFile),
    /// Look at configuration, policy, git and the project root, and print what is wrong
    Check(ConfigFile),
    /// Create a bare repository with safe settings below the project root
    CreateRepo(create_repo::Arguments),
    /// Repack repositories that need it, remove what broken pushes left, report locks nobody holds
    Maintain(maintain::Arguments),
    /// Forget kept packs, also in a daemon that runs
    Purge(purge::Arguments),
    /// Fill the directory of the managed hooks
    InstallHooks(install_hooks::Arguments),
    /// Ask the running daemon how it is: exit 0 when it can run git, 1 when not
    Health(health::Arguments),
    /// Print what a shell needs to complete this program's commands
    Completions(Completions),
    /// Write manual pages
    #[command(hide = true)]
    Man(Manual),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The daemon's configuration file
    #[arg(
        long = "config",
        value_name = "FILE",
        env = "GITWARD_CONFIG",
        default_value = "/etc/gitward/backend-runner.yaml"
    )]
    pub path: PathBuf,
}

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// The daemon cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The repository cannot be created.
    #[error(transparent)]
    Create(#[from] create_repo::CreateError),
    /// The hooks cannot be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The daemon is not well.
    #[error(transparent)]
    Health(#[from] AskError),
    /// The configuration has no admin listener to ask.
    #[error("the configuration has no `admin`; say --address where to ask")]
    NoAdmin,
    /// There is no such repository to work on.
    #[error("{name}")]
    Repository {
        /// As it was named.
        name: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something was found that should be looked at.
    #[error("{0} problems found")]
    Problems(usize),
    /// The system refused something.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

impl Cli {
    /// Does what the command line asks for.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn run(self) -> Result<(), CommandError> {
        match self.command {
            Command::Serve(config) => serve::run(&config.path),
            Command::Check(config) => check::run(&config.path),
            Command::CreateRepo(arguments) => create_repo::run(&arguments),
            Command::Maintain(arguments) => maintain::run(&arguments),
            Command::Purge(arguments) => purge::run(&arguments),
            Command::InstallHooks(arguments) => install_hooks::run(&arguments),
            Command::Health(arguments) => health::run(&arguments),
            Command::Completions(arguments) => Ok(arguments.print(Self::command())?),
            Command::Man(arguments) => Ok(arguments.write(Self::command())?),
        }
    }
}

impl CommandError {
    /// 64 bad configuration, 65 bad or taken name, 1 anything else.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::Start(StartError::Load(_) | StartError::Git(_) | StartError::Directory { .. }) => {
                ExitCode::from(64)
            }
            Self::Problems(_) | Self::NoAdmin => ExitCode::from(64),
            Self::Create(error) if error.is_name() => ExitCode::from(65),
            Self::Repository { .. } => ExitCode::from(65),
            _ => ExitCode::FAILURE,
        }
    }
}
