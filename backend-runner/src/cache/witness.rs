//! `Witness`: everything on disk that an answer about refs depends on, as it was; and whether it still is.
//!
//! Both ways of storing refs are known: files (HEAD, packed-refs, every directory and file below refs) and reftable (its list of
//! tables). A file is recognised by its stat(2) alone when it has not been touched for a while; what is younger is compared by
//! content as well, since two changes can carry the same time. What is younger still is not recorded at all. See "Racy Git" in
//! git's own documentation.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, lstat, open, stat};
use rustix::io::Errno;

use super::digest::{Digest, Parts};
use super::standing::is_missing;

/// What was seen of the refs of one repository.
#[derive(Clone, Debug)]
pub struct Witness(Vec<Seen>);

/// One file or directory, or that there is none.
#[derive(Clone, Debug)]
struct Seen {
    path: PathBuf,
    stamp: Option<Stamp>,
    /// Of those that are too young to be known by their stamp.
    content: Option<Digest>,
}

/// What stat(2) says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    kind: FileType,
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

/// Why the refs cannot be witnessed now.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// They changed a moment ago.
    #[error("the refs changed a moment ago")]
    TooYoung,
    /// There is something that is no file and no directory, or too much of everything.
    #[error("the refs are stored in an unusual way")]
    Unusual,
    /// It cannot be read.
    #[error("the refs cannot be looked at")]
    Unreadable,
}

/// Younger than this, a file is compared by content too. File systems that count whole seconds are two seconds coarse.
const SETTLED: Duration = Duration::from_secs(2);

/// Younger than this, two changes may not even differ in their times: a kernel's clock for files ticks each 10 ms at worst.
const TICK: Duration = Duration::from_millis(50);

/// The most files and directories looked at: with more loose refs than that, `git pack-refs` is what helps.
const MOST: usize = 4096;

/// With more loose refs than that, looking at each takes a worker too long.
const GLANCE: usize = 256;

/// The largest file compared by content.
const LARGEST: u64 = 256 << 10;

impl Witness {
    /// Looks at the refs of `repository`. Reads files: for a thread that may wait.
    ///
    /// # Errors
    /// When an answer about them must not be recorded.
    pub fn take(repository: &Path) -> Result<Self, Unfit> {
        let now = SystemTime::now();
        let mut seen = vec![Seen::at(repository.to_owned(), now)?];
        for name in ["HEAD", "packed-refs", "shallow", "reftable/tables.list"] {
            seen.push(Seen::at(repository.join(name), now)?);
        }
        let mut next = vec![repository.join("refs")];
        while let Some(path) = next.pop() {
            let entry = Seen::at(path, now)?;
            if entry.is_directory() {
                let entries = fs::read_dir(&entry.path).map_err(|_| Unfit::Unreadable)?;
                for entry in entries {
                    next.push(entry.map_err(|_| Unfit::Unreadable)?.path());
                }
            }
            seen.push(entry);
            if seen.len() + next.len() > MOST {
                return Err(Unfit::Unusual);
            }
        }
        Ok(Self(seen))
    }

    /// Whether everything still is as it was.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.iter().all(Seen::holds)
    }

    /// The same, known by stamps alone, once every file is so old that a change would show in its stamp; for a witness that holds.
    #[must_use]
    pub fn settled(&self) -> Option<Self> {
        let now = SystemTime::now();
        let is_young = |seen: &Seen| seen.stamp.is_some_and(|stamp| !stamp.is_settled(now));
        if self.0.iter().all(|seen| seen.content.is_none()) || self.0.iter().any(is_young) {
            return None;
        }
        Some(Self(self.0.iter().map(|seen| Seen { content: None, ..seen.clone() }).collect()))
    }

    /// Whether a glance tells if it holds: nothing has to be read, and not too much looked at.
    #[must_use]
    pub fn is_quick(&self) -> bool {
        self.0.len() <= GLANCE && self.0.iter().all(|seen| seen.content.is_none())
    }

    /// What it takes in memory, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.0.iter().map(|seen| size_of::<Seen>() + seen.path.as_os_str().len()).sum()
    }
}

impl Seen {
    fn at(path: PathBuf, now: SystemTime) -> Result<Self, Unfit> {
        let stamp = Stamp::of(&path).map_err(|_| Unfit::Unreadable)?;
        let Some(found) = stamp else { return Ok(Self { path, stamp, content: None }) };
        if !matches!(found.kind, FileType::RegularFile | FileType::Directory) {
            return Err(Unfit::Unusual);
        }
        if found.is_settled(now) {
            return Ok(Self { path, stamp, content: None });
        }
        if found.age(now) < TICK || found.counts_whole_seconds() {
            return Err(Unfit::TooYoung);
        }
        let content = Some(content(&path, found.kind).ok_or(Unfit::TooYoung)?);
        Ok(Self { path, stamp, content })
    }

    fn is_directory(&self) -> bool {
        self.stamp.is_some_and(|stamp| stamp.kind == FileType::Directory)
    }

    fn holds(&self) -> bool {
        let Ok(stamp) = Stamp::of(&self.path) else { return false };
        if stamp != self.stamp {
            return false;
        }
        match (self.content, stamp) {
            (Some(known), Some(stamp)) => content(&self.path, stamp.kind) == Some(known),
            _ => true,
        }
    }
}

impl Stamp {
    /// The stamp of what is at `path`, if there is something; a link is not followed.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn of(path: &Path) -> Result<Option<Self>, Errno> {
        match lstat(path) {
            Ok(found) => Ok(Some(Self::from(found))),
            Err(error) if is_missing(error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The stamp of the file that `path` leads to.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_target(path: &Path) -> Result<Self, Errno> {
        stat(path).map(Self::from)
    }

    /// The stamp of an open file.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn of_file(file: &File) -> Result<Self, Errno> {
        fstat(file).map(Self::from)
    }

    /// For a key.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let Self { device, inode, size, modified, changed, .. } = *self;
        let numbers = [device, inode, size.cast_unsigned(), modified.0.cast_unsigned(), modified.1];
        let times = [changed.0.cast_unsigned(), changed.1];
        numbers.into_iter().chain(times).flat_map(u64::to_le_bytes).collect()
    }

    /// The size of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size.cast_unsigned()
    }

    /// Whether it is so old that a change from now on would show in it.
    #[must_use]
    pub fn is_settled(&self, now: SystemTime) -> bool {
        self.age(now) >= SETTLED
    }

    /// What kind of file it is.
    #[must_use]
    pub fn kind(&self) -> FileType {
        self.kind
    }

    /// How long ago it was last touched; nothing, when its times are still to come.
    fn age(&self, now: SystemTime) -> Duration {
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        let after = |seconds: i64| u64::try_from(seconds).ok().map(Duration::from_secs);
        let touched = after(seconds).map(|since| UNIX_EPOCH + since + Duration::from_nanos(nanoseconds));
        touched.and_then(|touched| now.duration_since(touched).ok()).unwrap_or_default()
    }

    fn counts_whole_seconds(&self) -> bool {
        self.modified.1 == 0 && self.changed.1 == 0
    }
}

impl From<Stat> for Stamp {
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_fallible_conversions,
        reason = "the types of these fields differ between processors"
    )]
    fn from(found: Stat) -> Self {
        let nanoseconds = |value| u64::try_from(value).unwrap_or_default();
        Self {
            kind: FileType::from_raw_mode(found.st_mode),
            device: found.st_dev.into(),
            inode: found.st_ino.into(),
            size: found.st_size.into(),
            modified: (found.st_mtime.into(), nanoseconds(found.st_mtime_nsec)),
            changed: (found.st_ctime.into(), nanoseconds(found.st_ctime_nsec)),
        }
    }
}

/// The content of a file, or the names in a directory.
fn content(path: &Path, kind: FileType) -> Option<Digest> {
    if kind == FileType::Directory {
        let mut names = Vec::new();
        for entry in fs::read_dir(path).ok()? {
            names.push(entry.ok()?.file_name());
        }
        names.sort_unstable();
        return Some(
            names.iter().fold(Parts::of("names"), |parts, name| parts.and(name.as_bytes())).digest(),
        );
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty()).ok()?);
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= LARGEST).then(|| Parts::of("content").and(&bytes).digest())
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    fn repository() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("refs/heads")).unwrap();
        fs::write(directory.path().join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(directory.path().join("refs/heads/main"), "1234\n").unwrap();
        sleep(TICK);
        directory
    }

    #[test]
    fn every_kind_of_change_is_noticed_at_once() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 8] = [
            ("a ref of the same length", |path| fs::write(path.join("refs/heads/main"), "5678\n").unwrap()),
            ("a new ref", |path| fs::write(path.join("refs/heads/new"), "1234\n").unwrap()),
            ("a new directory", |path| fs::create_dir(path.join("refs/tags")).unwrap()),
            ("a deleted ref", |path| fs::remove_file(path.join("refs/heads/main")).unwrap()),
            ("another HEAD", |path| fs::write(path.join("HEAD"), "ref: refs/heads/next\n").unwrap()),
            ("packed refs", |path| fs::write(path.join("packed-refs"), "# pack-refs\n").unwrap()),
            ("a shallow history", |path| fs::write(path.join("shallow"), "1234\n").unwrap()),
            ("a table", |path| {
                fs::create_dir(path.join("reftable")).unwrap();
                fs::write(path.join("reftable/tables.list"), "1.ref\n").unwrap();
            }),
        ];
        for (what, change) in changes {
            let directory = repository();
            let witness = Witness::take(directory.path()).unwrap();
            assert!(witness.holds(), "{what}");
            change(directory.path());
            assert!(!witness.holds(), "{what}");
        }
    }

    #[test]
    fn a_file_that_was_written_just_now_is_no_witness() {
        let directory = repository();
        fs::write(directory.path().join("refs/heads/main"), "5678\n").unwrap();
        assert_eq!(Witness::take(directory.path()).map(drop), Err(Unfit::TooYoung));
    }

    #[test]
    fn a_young_witness_knows_contents_and_an_old_one_stamps() {
        let directory = repository();
        let witness = Witness::take(directory.path()).unwrap();
        assert!(witness.0.iter().any(|seen| seen.content.is_some()));
        assert!(witness.settled().is_none());
        sleep(SETTLED);
        assert!(witness.holds());
        let settled = witness.settled().unwrap();
        assert!(settled.holds() && settled.0.iter().all(|seen| seen.content.is_none()));
        fs::write(directory.path().join("refs/heads/main"), "5678\n").unwrap();
        assert!(!settled.holds());
    }

    #[test]
    fn what_is_no_plain_file_is_unusual() {
        let directory = repository();
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("refs/heads/link")).unwrap();
        sleep(TICK);
        assert_eq!(Witness::take(directory.path()).map(drop), Err(Unfit::Unusual));
    }
}
