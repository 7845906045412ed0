//! `backend-runner maintain`: clears up after pushes that were broken off, and reports locks that nobody seems to hold.
//!
//! git leaves a push's quarantine behind when it is killed, by design. One is removed only when nothing in it was touched for
//! longer than any push may take, and no process works in it. Locks are reported and never removed: they may guard half a change.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use daemon::units::Seconds;

use super::{CommandError, ConfigFile};
use crate::config::Config;
use crate::inventory::{self, Found};

/// What `maintain` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Remove only what nobody has touched for this long, for example 24h
    #[arg(long, value_name = "TIME", default_value = "24h")]
    older_than: Seconds,
    /// The repositories below the project root; all of them when none is named
    repositories: Vec<String>,
}

/// Clears up and says what it did.
///
/// # Errors
/// When the configuration or the project root cannot be read.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config.path)?;
    // A push that still runs is never older than that.
    let age = arguments.older_than.duration().max(config.limits.patience.request);
    let mut out = std::io::stdout().lock();
    for repository in chosen(&config.repositories, &arguments.repositories)? {
        for quarantine in inventory::quarantines(&repository, age) {
            match remove(&quarantine) {
                Ok(true) => writeln!(out, "removed: {}", quarantine.display())?,
                Ok(false) => writeln!(out, "in use: {}", quarantine.display())?,
                Err(error) => writeln!(out, "not removed: {}: {error}", quarantine.display())?,
            }
        }
        for lock in inventory::locks(&repository, inventory::STALE_LOCK) {
            writeln!(out, "stale lock: {}: remove it when no git runs there", lock.display())?;
        }
    }
    Ok(())
}

fn chosen(root: &Path, names: &[String]) -> Result<Vec<PathBuf>, CommandError> {
    if !names.is_empty() {
        return Ok(names.iter().map(|name| root.join(name)).collect());
    }
    let found = inventory::list(root)?;
    Ok(found
        .into_iter()
        .filter_map(|found| match found {
            Found::Repository(path) => Some(path),
            Found::Link(_) => None,
        })
        .collect())
}

/// Removes a quarantine unless a process has it in its environment or arguments.
fn remove(quarantine: &Path) -> std::io::Result<bool> {
    let name = quarantine.file_name().unwrap_or_default().as_encoded_bytes();
    let mentions = |file: PathBuf| {
        std::fs::read(file).is_ok_and(|bytes| bytes.windows(name.len()).any(|window| window == name))
    };
    for process in std::fs::read_dir("/proc")?.flatten() {
        let own = process.file_name().to_str() == Some(&std::process::id().to_string());
        if !own && (mentions(process.path().join("environ")) || mentions(process.path().join("cmdline"))) {
            return Ok(false);
        }
    }
    std::fs::remove_dir_all(quarantine)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_quarantine_that_a_process_works_in_stays() {
        let root = tempfile::tempdir().unwrap();
        let quarantine = root.path().join("tmp_objdir-incoming-maintained");
        std::fs::create_dir(&quarantine).unwrap();
        let mut process = std::process::Command::new("cat");
        process.env("GIT_QUARANTINE_PATH", &quarantine).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = process.spawn().unwrap();
        // Its environment can be read by others a little after it was started; once it answers, it is there.
        process.stdin.as_ref().unwrap().write_all(b"x").unwrap();
        process.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        assert!(!remove(&quarantine).unwrap());
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(remove(&quarantine).unwrap() && !quarantine.exists());
    }
}
