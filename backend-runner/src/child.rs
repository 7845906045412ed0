//! `Child`: one git process with the ends of its pipes, and the group of everything it starts.
//!
//! The environment is exactly what the caller lists.

mod group;
mod output;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Resource;
use tokio::net::unix::pipe;

pub use self::group::{Exit, GRACE, Group};
pub use self::output::Output;
use crate::cgi::environment::Variable;

/// What to execute. The program is an absolute path: a search of `PATH` would cost `posix_spawn`.
#[derive(Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<Variable>,
    /// Its standard input.
    pub input: Input,
    /// How many bytes of memory it and each of its children may allocate; what they map of files does not count.
    pub memory: Option<u64>,
    /// How many seconds of processor time it and each of its children may take.
    pub processor: Option<u64>,
}

/// What a program's standard input is.
#[derive(Debug)]
pub enum Input {
    /// Empty.
    Nothing,
    /// A pipe, written by [`Child::stdin`].
    Pipe,
    /// A file, from its present position.
    File(File),
}

impl From<Input> for Stdio {
    fn from(input: Input) -> Self {
        match input {
            Input::Nothing => Self::null(),
            Input::Pipe => Self::piped(),
            Input::File(file) => file.into(),
        }
    }
}

/// The program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The system refused to start it.
    #[error("cannot start {}", path.display())]
    Start {
        /// The executable.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It runs, but its pipes cannot be watched; it was ended again.
    #[error("cannot watch a started process")]
    Watch(#[source] io::Error),
}

/// A running process group and the ends of its pipes.
#[derive(Debug)]
pub struct Child {
    /// Where the request body goes; `None` when its input is no pipe.
    pub stdin: Option<pipe::Sender>,
    /// What git answers.
    pub stdout: Output,
    /// What git complains about.
    pub stderr: Output,
    /// The processes.
    pub group: Group,
}

impl Child {
    /// Starts `program` as the leader of a group of its own. Must run on the runtime that shall watch it.
    ///
    /// # Errors
    /// When the system has no process, pipe or file descriptor left, or the program cannot be executed.
    pub fn spawn(program: Program) -> Result<Self, SpawnError> {
        let spawned = Command::new(&program.path)
            .args(&program.arguments)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (&**name, value)))
            .current_dir("/")
            .process_group(0)
            .stdin(program.input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut spawned = spawned.map_err(|source| SpawnError::Start { path: program.path, source })?;
        let limits = [(Resource::Data, program.memory), (Resource::Cpu, program.processor)];
        let group = Group::adopt(spawned.id(), limits).map_err(SpawnError::Watch)?;
        let missing = || SpawnError::Watch(io::ErrorKind::BrokenPipe.into());
        let stdout: OwnedFd = spawned.stdout.take().ok_or_else(missing)?.into();
        let stderr: OwnedFd = spawned.stderr.take().ok_or_else(missing)?.into();
        let stdin = spawned.stdin.take().map(|stdin| pipe::Sender::from_owned_fd(stdin.into()));
        Ok(Self {
            stdin: stdin.transpose().map_err(SpawnError::Watch)?,
            stdout: Output::new(stdout).map_err(SpawnError::Watch)?,
            stderr: Output::new(stderr).map_err(SpawnError::Watch)?,
            group,
        })
    }
}
