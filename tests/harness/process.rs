//! A child process of a test: its output goes to a file, and it is ended and reaped when dropped.
//!
//! Nothing here sleeps for a fixed time; [`until`] polls for an event against a deadline.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a child may take to obey SIGTERM while a stack is torn down.
const GRACE: Duration = Duration::from_secs(4);

/// A running program and the file its output is written to.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; standard output and standard error are appended to `<logs>/<name>.log`.
    pub fn spawn(name: &str, command: &mut Command, logs: &Path) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {name} ({})", command.get_program().to_string_lossy()))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process has printed so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(|_| String::new(), |b| String::from_utf8_lossy(&b).into_owned())
    }

    /// The exit status, when the process has ended.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends `signal` and returns at once.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Ends the process with SIGKILL and reaps it.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        until(&what, patience, || self.exited())
    }

    /// SIGTERM, then SIGKILL when `patience` runs out.
    pub fn stop(&mut self, patience: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exited()? {
            return Ok(status);
        }
        self.signal(Signal::TERM)?;
        match self.wait(patience) {
            Ok(status) => Ok(status),
            Err(_) => {
                self.child.kill()?;
                Ok(self.child.wait()?)
            }
        }
    }

    /// Prints the log with every line prefixed by the name of the process.
    pub fn print_log(&self) {
        for line in self.log().lines() {
            eprintln!("{:>8} | {line}", self.name);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.stop(GRACE).is_err() {
            eprintln!("{}: process {} may still be running", self.name, self.id());
        }
        if thread::panicking() {
            self.print_log();
        }
    }
}

/// Polls `event` until it yields a value; an error of `event` ends the wait.
pub fn until<T>(what: &str, patience: Duration, mut event: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = event().with_context(|| format!("waiting for {what}"))? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("no {what} within {patience:?}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// [`until`] for a condition.
pub fn until_true(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    until(what, patience, || Ok(condition().then_some(())))
}
