//! What `/proc` says about processes, see proc(5): whose they are, and what they cost.
//!
//! Processes of a stack are recognized by its temporary directory in their environment or arguments,
//! so that an orphan is found as well as a child.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Clock ticks per second; fixed at 100 on every Linux that nginx runs on.
const TICKS: u64 = 100;

/// Ids of every living process (zombies included) that descends from `ancestor`.
pub fn descendants(ancestor: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> =
        processes().into_iter().filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
    let mut found = vec![ancestor];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// Processes whose environment or arguments mention `directory`: those a stack started, and their children.
pub fn mentioning(directory: &Path) -> Vec<u32> {
    let needle = directory.as_os_str().as_encoded_bytes();
    let mentions = |file: String| {
        fs::read(file).is_ok_and(|text| text.windows(needle.len()).any(|window| window == needle))
    };
    let own = std::process::id();
    processes()
        .into_iter()
        .filter(|pid| *pid != own)
        .filter(|pid| mentions(format!("/proc/{pid}/environ")) || mentions(format!("/proc/{pid}/cmdline")))
        .collect()
}

/// The arguments of a process, joined by spaces; empty for a zombie or when it is gone.
pub fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// The environment of a process as `NAME=value` entries.
pub fn environment(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes
        .split(|b| *b == 0)
        .filter(|e| !e.is_empty())
        .map(|e| String::from_utf8_lossy(e).into_owned())
        .collect()
}

/// Whether the process has ended and waits to be reaped.
pub fn is_zombie(pid: u32) -> bool {
    stat(pid).is_some_and(|s| s.state == 'Z')
}

/// CPU time the process itself has used, without its children.
pub fn cpu_time(pid: u32) -> Duration {
    stat(pid).map_or(Duration::ZERO, |s| Duration::from_millis(s.ticks * 1000 / TICKS))
}

/// CPU time of the children a process has reaped, and theirs.
pub fn cpu_time_of_children(pid: u32) -> Duration {
    stat(pid).map_or(Duration::ZERO, |s| Duration::from_millis(s.reaped * 1000 / TICKS))
}

/// Number of open file descriptors.
pub fn descriptors(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Current resident memory in bytes.
pub fn resident(pid: u32) -> Result<u64> {
    Ok(1024 * field(&format!("/proc/{pid}/status"), "VmRSS:")?)
}

/// Largest resident memory in bytes since the start or the last [`forget_peak`].
pub fn peak(pid: u32) -> Result<u64> {
    Ok(1024 * field(&format!("/proc/{pid}/status"), "VmHWM:")?)
}

/// Resets [`peak`] to what is resident now.
pub fn forget_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("resetting the memory peak")
}

/// Bytes the process has caused to be written to storage, see proc(5) on `write_bytes`.
pub fn written(pid: u32) -> Result<u64> {
    field(&format!("/proc/{pid}/io"), "write_bytes:")
}

fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

struct Stat {
    state: char,
    parent: u32,
    ticks: u64,
    reaped: u64,
}

/// The fields after the command name, which itself may hold spaces and parentheses.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11..13)?.iter().filter_map(|f| f.parse::<u64>().ok()).sum();
    let reaped = fields.get(13..15)?.iter().filter_map(|f| f.parse::<u64>().ok()).sum();
    Some(Stat { state: fields.first()?.chars().next()?, parent: fields.get(1)?.parse().ok()?, ticks, reaped })
}

fn field(file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("{file} has no {name}"))
}
