//! What broken pushes left behind: quarantines, which git leaves by design when it is killed.
//!
//! One is removed only when nothing in it was touched for longer than any push may take, and no process works in it.

use std::path::{Path, PathBuf};

/// Removes a quarantine unless a process has it in its environment or arguments; says whether it did.
///
/// # Errors
/// When processes cannot be listed or the directory cannot be removed.
pub fn remove(quarantine: &Path) -> std::io::Result<bool> {
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
    use std::io::{Read, Write};
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
