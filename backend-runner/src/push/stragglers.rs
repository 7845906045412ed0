//! Ends what a push left behind when its hook program could not do so itself: hooks run in process groups of their own.
//!
//! A process belongs to the push when its environment names the push's private directory, a name that is never used twice.
//! It is held by a pidfd while that is looked up, so that nobody else of the same number is hit. See pidfd_open(2).

use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How often is looked again for processes that were started meanwhile.
const ROUNDS: usize = 10;

/// Kills every process that has `log` as its log directory.
pub(super) fn end(log: &Path) {
    let mark = format!("GITWARD_LOG_DIR={}", log.display());
    for _ in 0..ROUNDS {
        let hit = processes().filter(|pid| end_one(*pid, mark.as_bytes())).count();
        if hit == 0 {
            return;
        }
    }
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether the process was one of those.
fn end_one(number: i32, mark: &[u8]) -> bool {
    let Some(pid) = Pid::from_raw(number) else { return false };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let environment = std::fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == mark)
        && pidfd_send_signal(pidfd, Signal::KILL).is_ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_carries_the_mark_is_ended_and_nothing_else() {
        let log = Path::new("/nonexistent/push-of-this-test/log");
        let sleep = |log: &str| Command::new("sleep").arg("60").env("GITWARD_LOG_DIR", log).spawn().unwrap();
        let mut ours = sleep("/nonexistent/push-of-this-test/log");
        let mut other = sleep("/nonexistent/push-of-this-test/log2");
        end(log);
        assert!(!ours.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
