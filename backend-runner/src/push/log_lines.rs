//! What hook scripts wrote to their log directory, read back to be logged with the request's id.
//!
//! A file is named `<epoch>_<hook>`, a line is `<epoch.micros> [LEVEL] message (file:line)`; any other line is information.
//! Scripts are not trusted with the log: lines, length and number are bounded, control characters escaped, links not followed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::text::escape;

/// How much of all files of a push is read.
const BYTES: u64 = 256 * 1024;

/// How many lines are logged.
const LINES: usize = 1000;

/// How many files are looked at.
const FILES: usize = 100;

/// How long a logged message may be.
const LENGTH: usize = 4096;

/// One line of a hook script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The script, from the name of the file.
    pub hook: String,
    /// How grave it is.
    pub level: Level,
    /// What it says.
    pub message: String,
}

/// How grave a line is, in the words of Python's logging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `DEBUG`
    Debug,
    /// `INFO`, and whatever is unknown.
    Info,
    /// `WARNING`
    Warning,
    /// `ERROR`, `CRITICAL`
    Error,
}

/// The lines in `directory`, by file name; `true` when there were more than fit.
#[must_use]
pub fn read(directory: &Path) -> (Vec<LogLine>, bool) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    let mut cut = names.len() > FILES;
    let (mut lines, mut left) = (Vec::new(), BYTES);
    for name in names.into_iter().take(FILES) {
        let Some(bytes) = contents(&directory.join(&name), left) else { continue };
        cut |= bytes.len() as u64 >= left;
        left = left.saturating_sub(bytes.len() as u64);
        let name = escape(&name.to_string_lossy());
        let hook = name.split_once('_').map_or(&*name, |(_, hook)| hook);
        let text = String::from_utf8_lossy(&bytes);
        lines.extend(text.lines().filter(|line| !line.trim().is_empty()).map(|line| parse(hook, line)));
    }
    cut |= lines.len() > LINES;
    lines.truncate(LINES);
    (lines, cut)
}

/// A regular file's content; a pipe or a link is nothing to wait for or to follow.
fn contents(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(CWD, path, flags, Mode::empty()).ok()?);
    let mut bytes = Vec::new();
    let regular = file.metadata().ok()?.is_file();
    (regular && file.take(limit).read_to_end(&mut bytes).is_ok()).then_some(bytes)
}

fn parse(hook: &str, line: &str) -> LogLine {
    let (level, message) = split(line).unwrap_or((Level::Info, line));
    let end = message.char_indices().nth(LENGTH).map_or(message.len(), |(at, _)| at);
    LogLine { hook: hook.to_owned(), level, message: escape(&message[..end]) }
}

/// Level and message of a line in the documented form.
fn split(line: &str) -> Option<(Level, &str)> {
    let (time, rest) = line.split_once(" [")?;
    let (level, message) = rest.split_once("] ")?;
    time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then_some(())?;
    let level = match level.trim() {
        "DEBUG" => Level::Debug,
        "WARN" | "WARNING" => Level::Warning,
        "ERROR" | "CRITICAL" | "FATAL" => Level::Error,
        _ => Level::Info,
    };
    Some((level, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_level_and_lose_their_control_characters() {
        let directory = tempfile::tempdir().unwrap();
        let text = "1700000000.123456 [WARNING] a \x1b[31mred\x1b[0m word (hook.py:3)\n\nnot in form\n1.2 [CRITICAL] end (x:1)\n";
        std::fs::write(directory.path().join("1700000000_branch_flow"), text).unwrap();
        let (lines, cut) = read(directory.path());
        assert!(!cut);
        let seen: Vec<_> = lines.iter().map(|line| (line.level, line.message.as_str())).collect();
        assert_eq!(
            seen,
            [
                (Level::Warning, "a \\u{1b}[31mred\\u{1b}[0m word (hook.py:3)"),
                (Level::Info, "not in form"),
                (Level::Error, "end (x:1)"),
            ]
        );
        assert!(lines.iter().all(|line| line.hook == "branch_flow"));
    }

    #[test]
    fn a_flood_a_link_and_a_pipe_are_bounded_or_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("1_a"), "x\n".repeat(200_000)).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", directory.path().join("0_link")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(directory.path().join("0_pipe")).status();
        assert!(pipe.unwrap().success());
        let (lines, cut) = read(directory.path());
        assert!(cut && lines.len() == LINES && lines.iter().all(|line| line.hook == "a"));
    }
}
