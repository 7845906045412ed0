//! What a contender costs: processor time of everything it ever started, what it wrote, what it holds.
//!
//! A control group (cgroup v2, see cgroups(7)) counts processor time whoever reaps a process; some servers let the kernel
//! do it, and `/proc` then forgets. Without the right to make one, `/proc` is summed, which can only flatter such servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use harness::procfs;

/// The processes of one contender.
#[derive(Debug)]
pub(crate) struct Account {
    group: Option<Group>,
    /// The first process; all others descend from it.
    root: u32,
}

impl Account {
    /// For the contender whose first process is `root`, which has joined `group`.
    pub(crate) fn new(group: Option<Group>, root: u32) -> Self {
        Self { group, root }
    }

    /// The control group as a second reader has it, which does not remove it.
    pub(crate) fn reader(&self) -> Self {
        let group = self.group.as_ref().map(|group| Group { path: group.path.clone(), owned: false });
        Self { group, root: self.root }
    }

    /// Processor time of all processes so far, also of those that have ended.
    pub(crate) fn processor_time(&self) -> Duration {
        if let Some(time) = self.group.as_ref().and_then(Group::processor_time) {
            return time;
        }
        let times = |pid: &u32| procfs::cpu_time(*pid) + procfs::cpu_time_of_children(*pid);
        self.processes().iter().map(times).sum()
    }

    /// Processes that are alive now.
    pub(crate) fn processes(&self) -> Vec<u32> {
        match &self.group {
            Some(group) => group.processes(),
            None => procfs::descendants(self.root),
        }
    }

    /// Processes that run git.
    pub(crate) fn git_processes(&self) -> usize {
        let is_git = |pid: &&u32| {
            let line = procfs::command_line(**pid);
            let program = line.split(' ').next().unwrap_or_default();
            Path::new(program).file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"git"))
        };
        self.processes().iter().filter(is_git).count()
    }

    /// Bytes that the processes alive now have caused to be written to storage. What git itself writes is the same for all.
    pub(crate) fn written(&self) -> u64 {
        self.processes().into_iter().filter_map(|pid| procfs::written(pid).ok()).sum()
    }

    /// Memory of all processes, pages that several share counted once (proportional set size).
    pub(crate) fn memory(&self) -> u64 {
        self.processes().into_iter().filter_map(|pid| proportional(pid).ok()).sum()
    }
}

/// A control group of our own below the root of the hierarchy.
#[derive(Debug)]
pub(crate) struct Group {
    path: PathBuf,
    owned: bool,
}

impl Group {
    /// A new group, when this user may make one.
    pub(crate) fn create(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/mounts").ok()?;
        let hierarchy = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
        let root = Path::new(hierarchy.split(' ').nth(1)?);
        remove_left_over(root);
        let path = root.join(name);
        fs::create_dir(&path).ok()?;
        let group = Self { path, owned: true };
        group.processor_time().map(|_| group)
    }

    /// Where a process joins it.
    pub(crate) fn door(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    fn processor_time(&self) -> Option<Duration> {
        let text = fs::read_to_string(self.path.join("cpu.stat")).ok()?;
        let usage = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        Some(Duration::from_micros(usage.parse().ok()?))
    }

    fn processes(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.door()).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.owned {
            return;
        }
        // Processes that are being killed leave it one by one.
        let gone = || fs::remove_dir(&self.path).is_ok();
        if harness::until_true("an empty control group", Duration::from_secs(5), gone).is_err() {
            eprintln!("{} could not be removed", self.path.display());
        }
    }
}

/// A run that was ended from outside leaves its groups behind; only those without processes can be removed.
fn remove_left_over(root: &Path) {
    let lives = |rest: &str| rest.split('-').next().is_some_and(|pid| Path::new("/proc").join(pid).exists());
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().strip_prefix(PREFIX).is_some_and(|rest| !lives(rest)) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// How the names of all our groups begin; the process id of the benchmark follows.
pub(crate) const PREFIX: &str = "gitward-bench-";

fn proportional(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
    let kib: u64 = line.split_whitespace().next().context("no value")?.parse()?;
    Ok(kib * 1024)
}
