//! One hook that runs: its process group, its clock, and what it prints.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::text::escape;

/// How much a hook may print.
const OUTPUT: usize = 64 * 1024;

/// How a hook ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With exit code 0.
    Accepted,
    /// With any other, or by a signal.
    Refused,
    /// Not in time.
    Late,
}

/// A hook, its group and its output. Dropping it ends the group.
pub(super) struct Running {
    child: Child,
    pidfd: OwnedFd,
    output: PipeReader,
    printed: Printed,
}

impl Running {
    /// Starts `script` as the leader of a process group.
    pub(super) fn start(script: &Path, arguments: &[String], input: File) -> io::Result<Self> {
        let (output, writer) = io::pipe()?;
        let mut command = Command::new(script);
        command.args(arguments).process_group(0).stdin(input).stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn()?;
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        match pidfd {
            Ok(pidfd) => Ok(Self { child, pidfd, output, printed: Printed::default() }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
        }
    }

    /// Passes on what it prints until it ends or `deadline` comes.
    pub(super) fn wait(mut self, deadline: Instant) -> io::Result<Ended> {
        let mut silent = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Ended::Late);
            }
            let wait = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut watched = vec![PollFd::new(&self.pidfd, PollFlags::IN)];
            if !silent {
                watched.push(PollFd::from_borrowed_fd(self.output.as_fd(), PollFlags::IN));
            }
            match poll(&mut watched, Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let speaks = watched.get(1).is_some_and(|output| !output.revents().is_empty());
            let ended = !watched[0].revents().is_empty();
            drop(watched);
            if speaks {
                silent = self.pass_on()? == 0;
            } else if ended {
                let status = self.child.wait()?;
                return Ok(verdict(status));
            }
        }
    }

    fn pass_on(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 8192];
        let count = self.output.read(&mut buffer)?;
        self.printed.add(&buffer[..count]);
        Ok(count)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The group's number stays taken while a member lives; an empty group is nobody.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        self.printed.end();
    }
}

fn verdict(status: ExitStatus) -> Ended {
    if status.success() { Ended::Accepted } else { Ended::Refused }
}

/// What a hook prints, made into lines that are safe to show.
#[derive(Default)]
struct Printed {
    line: Vec<u8>,
    total: usize,
}

impl Printed {
    fn add(&mut self, bytes: &[u8]) {
        let room = OUTPUT.saturating_sub(self.total);
        self.total += bytes.len();
        for byte in bytes.iter().take(room) {
            match byte {
                b'\n' => self.flush(),
                byte => self.line.push(*byte),
            }
        }
        if self.total > OUTPUT && room > 0 {
            self.flush();
            self.line.extend_from_slice(b"gitward: the hook prints too much, the rest is left out");
            self.flush();
        }
    }

    fn flush(&mut self) {
        let text = safe(&self.line) + "\n";
        self.line.clear();
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn end(&mut self) {
        if !self.line.is_empty() {
            self.flush();
        }
    }
}

/// The line without a carriage return at its end, tabs kept.
fn safe(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    line.split('\t').map(escape).collect::<Vec<_>>().join("\t")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn run(script: &str, patience: Duration) -> Ended {
        let arguments = ["-c".to_owned(), script.to_owned()];
        let input = File::open("/dev/null").unwrap();
        let hook = Running::start(Path::new("/bin/sh"), &arguments, input).unwrap();
        hook.wait(Instant::now() + patience).unwrap()
    }

    #[test]
    fn the_exit_code_decides_and_being_late_is_a_refusal() {
        let patience = Duration::from_secs(20);
        assert_eq!(run("exit 0", patience), Ended::Accepted);
        assert_eq!(run("exit 3", patience), Ended::Refused);
        assert_eq!(run("kill -SEGV $$", patience), Ended::Refused);
        assert_eq!(run("exec >&- 2>&-; sleep 60", Duration::from_millis(50)), Ended::Late);
        assert_eq!(run("while :; do echo x; done", Duration::from_millis(50)), Ended::Late);
    }

    #[test]
    fn what_a_hook_leaves_running_is_ended_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let note = directory.path().join("pid");
        let script = format!("sleep 60 & echo $! >'{}'", note.display());
        assert_eq!(run(&script, Duration::from_secs(20)), Ended::Accepted);
        let pid: i32 = std::fs::read_to_string(note).unwrap().trim().parse().unwrap();
        let gone = || {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
        };
        let until = Instant::now() + Duration::from_secs(10);
        while !gone() {
            assert!(Instant::now() < until);
            std::thread::yield_now();
        }
    }

    #[test]
    fn lines_are_shown_and_not_obeyed() {
        assert_eq!(safe(b"a\tb\x1b[2J\r"), "a\tb\\u{1b}[2J");
        assert_eq!(safe(b"\xff"), "\u{fffd}");
    }
}
