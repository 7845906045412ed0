//! git as the hook asks it: a child with the push's own environment, so that it sees the quarantined objects.
//!
//! Replace refs are off by that environment, grafts by the variable below: history is what the objects say.

use std::io::{BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::clock::Clock;

/// git could not be asked, or did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// It cannot be run.
    #[error("cannot run git")]
    Run(#[from] std::io::Error),
    /// It failed.
    #[error("git {question} failed: {complaint}")]
    Failed {
        /// The subcommand.
        question: String,
        /// What it said.
        complaint: String,
    },
    /// It answered something else than the question.
    #[error("git {0} gave an answer that makes no sense")]
    Nonsense(&'static str),
    /// The answer is longer than anybody should wait for.
    #[error("the push brings more than can be judged")]
    TooMuch,
}

/// The git program, and the clock that is watched from the first question on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Git<'a> {
    pub(super) program: &'a Path,
    pub(super) clock: &'a Clock<'a>,
}

/// How long one record of an answer may be.
const RECORD: u64 = 64 << 20;

impl Git<'_> {
    /// A question of these words. From now on the clock is watched.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        self.clock.watch();
        let mut command = Command::new(self.program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("GIT_GRAFT_FILE", "/dev/null").env_remove("GIT_PUSH_OPTION_COUNT");
        command
    }

    /// A question that is answered by an exit code of 0 or 1.
    pub(super) fn yes(&self, words: &[&str]) -> Result<bool, AskError> {
        let output = self.command(words).output()?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(failed(words[0], &output.stderr)),
        }
    }

    /// A question that is answered by records, given to `each` until it breaks.
    pub(super) fn records(
        &self,
        command: Command,
        input: Vec<u8>,
        separator: u8,
        each: impl FnMut(&[u8]) -> Result<ControlFlow<()>, AskError>,
    ) -> Result<(), AskError> {
        let is_setting = |word: &[u8]| word.starts_with(b"-") || word.contains(&b'=');
        let question = command.get_args().find(|word| !is_setting(word.as_encoded_bytes()));
        let question = question.unwrap_or_default().to_string_lossy().into_owned();
        ask(command, &question, (input, separator), None, each)
    }

    /// The same with a limit of what git may hold in memory besides the files it maps.
    pub(super) fn records_within(
        &self,
        memory: u64,
        command: Command,
        input: Vec<u8>,
        separator: u8,
        each: impl FnMut(&[u8]) -> Result<ControlFlow<()>, AskError>,
    ) -> Result<(), AskError> {
        ask(command, "within a limit of memory", (input, separator), Some(memory), each)
    }
}

fn ask(
    mut command: Command,
    question: &str,
    (input, separator): (Vec<u8>, u8),
    memory: Option<u64>,
    mut each: impl FnMut(&[u8]) -> Result<ControlFlow<()>, AskError>,
) -> Result<(), AskError> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(mut stderr)) = (stdin, stdout, stderr) else {
        return Err(AskError::Nonsense("pipe"));
    };
    if memory.is_some() {
        // In time: git has nothing to work on before it is fed.
        let limit = Rlimit { current: memory, maximum: memory };
        prlimit(Some(Pid::from_child(&child)), Resource::Data, limit).map_err(std::io::Error::from)?;
    }
    let feeder = std::thread::spawn(move || {
        // A git that has heard enough closes its end.
        let _ = stdin.write_all(&input);
    });
    let complaints = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = Read::by_ref(&mut stderr).take(4096).read_to_end(&mut text);
        let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        text
    });
    let ended = read(BufReader::with_capacity(1 << 16, stdout), separator, &mut each);
    if !matches!(ended, Ok(ControlFlow::Continue(()))) {
        let _ = child.kill();
    }
    let status = child.wait()?;
    let _ = feeder.join();
    let complaint = complaints.join().unwrap_or_default();
    match ended? {
        ControlFlow::Continue(()) if !status.success() => Err(failed(question, &complaint)),
        _ => Ok(()),
    }
}

fn read(
    mut answer: impl BufRead,
    separator: u8,
    each: &mut impl FnMut(&[u8]) -> Result<ControlFlow<()>, AskError>,
) -> Result<ControlFlow<()>, AskError> {
    let mut record = Vec::new();
    loop {
        record.clear();
        let length = answer.by_ref().take(RECORD).read_until(separator, &mut record)?;
        if length == 0 {
            return Ok(ControlFlow::Continue(()));
        }
        match record.pop() {
            Some(last) if last == separator => {}
            _ if length as u64 == RECORD => return Err(AskError::TooMuch),
            // The last record has no end: git was cut off, and its exit code will say so.
            _ => return Ok(ControlFlow::Continue(())),
        }
        if each(&record)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
}

fn failed(question: &str, complaint: &[u8]) -> AskError {
    let complaint = String::from_utf8_lossy(complaint.trim_ascii()).into_owned();
    AskError::Failed { question: question.to_owned(), complaint }
}
