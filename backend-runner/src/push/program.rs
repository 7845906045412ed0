//! A copy of the hook program that belongs to this daemon alone, for the hooks directories of pushes.
//!
//! Between the look at the managed hooks and the moment git starts one, an administrator may replace them, and git skips what is
//! missing or not executable. A name of this copy in a push's own directory stays whatever happens to them, and to the daemon:
//! what is known by the daemon's descriptors only, such as a file in memory, would be gone when it is killed, and git would go on
//! without. Hard links need a file system that has them and lets programs run (`noexec`); elsewhere the managed directory itself is used.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, CWD, FlockOperation, Mode, OFlags, access, flock, openat};
use tempfile::TempDir;

/// The name of the copy.
const PROGRAM: &str = "gitward-hook";

/// The copy. Removed when it is dropped; its links in pushes stay.
#[derive(Debug)]
pub struct PrivateCopy {
    directory: TempDir,
    /// Shows other daemons that this one lives; see flock(2).
    _lock: OwnedFd,
    mark: Mark,
}

/// What changes when the content does. Links come and go with pushes, so the time of the last change says nothing.
type Mark = (u64, u64, u32, u64, [i64; 2]);

impl PrivateCopy {
    /// Copies `program` to a directory below `scratch`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn of(program: &Path, scratch: &Path) -> io::Result<Self> {
        sweep(scratch, ABANDONED);
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(scratch)?;
        let lock = open(directory.path())?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let path = directory.path().join(PROGRAM);
        let mut copy = File::options().write(true).create_new(true).mode(0o700).open(&path)?;
        io::copy(&mut File::open(program)?, &mut copy)?;
        copy.set_permissions(Permissions::from_mode(0o500))?;
        drop(copy);
        let mark = mark(&fs::metadata(path)?);
        Ok(Self { directory, _lock: lock, mark })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.path().join(PROGRAM)
    }

    /// Whether it is there, nobody has written to it, and it can be run: git skips a hook that cannot, as after `mount -o
    /// remount,noexec`.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let path = self.path();
        fs::metadata(&path).is_ok_and(|found| mark(&found) == self.mark)
            && access(&path, Access::EXEC_OK).is_ok()
    }
}

/// How the directories of copies begin.
const PREFIX: &str = "gitward-hook-";

/// From when on a directory that nobody holds is not one that is just being made.
const ABANDONED: Duration = Duration::from_secs(60);

/// Removes what daemons that were killed left. Their pushes have names of their own.
fn sweep(scratch: &Path, age: Duration) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(scratch).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        // Not through links.
        let Ok(found) = entry.metadata() else { continue };
        let is_old = found.modified().is_ok_and(|time| time.elapsed().is_ok_and(|passed| passed >= age));
        if found.is_dir() && is_old && found.uid() == own && is_free(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_free(directory: &Path) -> bool {
    open(directory).is_ok_and(|lock| flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}

fn open(directory: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(CWD, directory, flags, Mode::empty())?)
}

fn mark(found: &Metadata) -> Mark {
    (found.dev(), found.ino(), found.mode(), found.size(), [found.mtime(), found.mtime_nsec()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_daemons_that_were_killed_are_swept_and_those_in_use_are_not() {
        let scratch = tempfile::tempdir().unwrap();
        let copy = PrivateCopy::of(Path::new("/etc/hostname"), scratch.path()).unwrap();
        let left = scratch.path().join("gitward-hook-left");
        fs::create_dir(&left).unwrap();
        fs::create_dir(scratch.path().join("gitward-push-other")).unwrap();
        sweep(scratch.path(), ABANDONED);
        assert!(left.exists(), "it may just be made");
        sweep(scratch.path(), Duration::ZERO);
        assert!(!left.exists() && copy.is_whole() && scratch.path().join("gitward-push-other").exists());
    }

    #[test]
    fn a_copy_stays_whole_whatever_becomes_of_the_original_and_of_its_links() {
        let scratch = tempfile::tempdir().unwrap();
        let original = scratch.path().join("original");
        fs::write(&original, "program").unwrap();
        let copy = PrivateCopy::of(&original, scratch.path()).unwrap();
        fs::remove_file(&original).unwrap();
        fs::hard_link(copy.path(), &original).unwrap();
        assert!(copy.is_whole() && fs::read_to_string(copy.path()).unwrap() == "program");
        fs::set_permissions(copy.path(), Permissions::from_mode(0o400)).unwrap();
        assert!(!copy.is_whole());
        fs::set_permissions(copy.path(), Permissions::from_mode(0o500)).unwrap();
        fs::remove_file(copy.path()).unwrap();
        assert!(!copy.is_whole());
    }
}
