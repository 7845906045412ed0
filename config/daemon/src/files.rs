//! Files as they were read, so that a change of content can be told from a touch, a rename back, or our own reading.
//!
//! Whoever loads a configuration reads every file through [`Files`]; what was read is then exactly what is watched, and no
//! change can slip through between reading and watching. Digests are never shown: some of these files are secrets.
//!
//! Whether a file has changed is told by its content, and by its stamp alone only where that is as good: on a file system of
//! this machine, of a file that had been left alone for a while when it was read. Two changes in a row can carry the same
//! time, so the stamp of a younger file says nothing. See "Racy Git" in git's own documentation.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::volume;

/// The files of one load, with what was in them.
#[derive(Clone, Debug, Default)]
pub struct Files(BTreeMap<PathBuf, Mark>);

/// What `stat(2)` says of a file; another one means that it may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// One file as it was read.
#[derive(Clone, Debug)]
struct Mark {
    limit: usize,
    stamp: Option<Stamp>,
    /// Another content would have another stamp.
    proven: bool,
    content: Content,
}

/// What came of reading a file.
struct Reading {
    bytes: Vec<u8>,
    stamp: Stamp,
    mode: u32,
    proven: bool,
}

/// What makes two readings the same. The mode belongs to it: a secret may be refused for being readable by others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Read { digest: [u8; 32], mode: u32 },
    Unreadable(io::ErrorKind),
}

impl Files {
    /// Reads a file up to one byte over `limit`, which is enough to be refused for its size.
    ///
    /// # Errors
    /// When it cannot be read; that is remembered too.
    pub fn read(&mut self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let read = read(path, limit);
        let mark = match &read {
            Ok(Reading { bytes, stamp, mode, proven }) => {
                let content = Content::Read { digest: Sha256::digest(bytes).into(), mode: *mode };
                Mark { limit, stamp: Some(*stamp), proven: *proven, content }
            }
            Err(error) => {
                let content = Content::Unreadable(error.kind());
                Mark { limit, stamp: Stamp::of(path), proven: false, content }
            }
        };
        self.0.insert(path.to_owned(), mark);
        read.map(|reading| reading.bytes)
    }

    /// Takes note of a file that somebody else reads.
    pub fn note(&mut self, path: &Path, limit: usize) {
        // What cannot be read has been noted as just that.
        let _ = self.read(path, limit);
    }

    /// The same files as they are now. Read are those of which the stamp does not say enough.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut now = Self::default();
        for (path, mark) in &self.0 {
            if mark.proven && mark.stamp == Stamp::of(path) {
                now.0.insert(path.clone(), mark.clone());
            } else {
                now.note(path, mark.limit);
            }
        }
        now
    }

    /// As if the file had been changed without another stamp since it was read.
    #[cfg(test)]
    pub(crate) fn deceived(path: &Path) -> Self {
        let content = Content::Unreadable(io::ErrorKind::Other);
        let mark = Mark { limit: 100, stamp: Stamp::of(path), proven: true, content };
        Self(BTreeMap::from([(path.to_owned(), mark)]))
    }

    /// Believes no stamp any more: the next look reads every file.
    pub fn doubt(&mut self) {
        self.0.values_mut().for_each(|mark| mark.proven = false);
    }

    /// Whether both are the same files with the same content.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        let contents = |files: &'_ Self| -> Vec<_> {
            files.0.iter().map(|(path, mark)| (path.clone(), mark.content)).collect()
        };
        contents(self) == contents(other)
    }

    /// Whether no file has been touched since it was read: then all of them were as they were read at one time.
    #[must_use]
    pub fn untouched(&self) -> bool {
        self.0.iter().all(|(path, mark)| mark.stamp == Stamp::of(path))
    }

    /// The permission bits a file had when it was read.
    #[must_use]
    pub fn mode(&self, path: &Path) -> Option<u32> {
        match self.0.get(path)?.content {
            Content::Read { mode, .. } => Some(mode),
            Content::Unreadable(_) => None,
        }
    }

    /// The files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// What `stat(2)` says of each of them now.
    #[must_use]
    pub fn stamps(&self) -> Vec<Option<Stamp>> {
        self.paths().map(Stamp::of).collect()
    }
}

impl Stamp {
    /// The stamp of the file that `path` names now, if there is one.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::new(&metadata))
    }

    pub(crate) fn new(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the file had been left alone for so long by `now` that its next change cannot carry the same time.
    fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        let parts = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
        let touched = parts.map(|(seconds, nanoseconds)| UNIX_EPOCH + Duration::new(seconds, nanoseconds));
        // A time that is still to come says nothing.
        touched.and_then(|touched| now.duration_since(touched).ok()).is_some_and(|age| age >= SETTLED)
    }
}

/// File systems that count whole seconds are two seconds coarse.
const SETTLED: Duration = Duration::from_secs(2);

/// Opens a plain file to read; never waits, as a pipe in its place would make its reader do.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a plain file")) }
}

fn read(path: &Path, limit: usize) -> io::Result<Reading> {
    let file = open(path)?;
    let now = SystemTime::now();
    // Before the content: what changes while it is read has another stamp afterwards.
    let metadata = file.metadata()?;
    let stamp = Stamp::new(&metadata);
    let proven = stamp.is_settled(now) && volume::holds_local(&file);
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Reading { bytes, stamp, mode: metadata.mode() & PERMISSIONS, proven })
}

const PERMISSIONS: u32 = 0o7777;

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { mode, .. } => write!(f, "Read({mode:04o})"),
            Self::Unreadable(kind) => write!(f, "Unreadable({kind})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, text).unwrap();
        (directory, path)
    }

    fn read(path: &Path) -> Files {
        let mut files = Files::default();
        files.note(path, 100);
        files
    }

    #[test]
    fn the_same_bytes_are_the_same_content_however_they_came_there() {
        let (_directory, path) = file("one");
        let before = read(&path);
        assert!(before.untouched());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "one").unwrap();
        assert!(!before.untouched());
        assert!(before.same_content(&before.again()));
        fs::write(&path, "two").unwrap();
        assert!(!before.same_content(&before.again()));
    }

    #[test]
    fn a_missing_file_a_directory_and_another_mode_are_changes() {
        let (_directory, path) = file("one");
        let before = read(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let private = before.again();
        assert!(!before.same_content(&private));
        assert_eq!(private.mode(&path), Some(0o600));
        fs::remove_file(&path).unwrap();
        let missing = before.again();
        assert!(!missing.same_content(&private) && missing.untouched());
        fs::create_dir(&path).unwrap();
        assert!(!missing.same_content(&before.again()));
    }

    /// Waits: nobody can set back the time of a file's last change.
    fn settle(path: &Path) {
        while !Stamp::of(path).unwrap().is_settled(SystemTime::now()) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_file_that_was_young_is_read_again_and_an_old_one_is_known_by_its_stamp() {
        // Where the tests run may be a file system that is never believed.
        let (directory, path) = file("one");
        let young = read(&path);
        assert!(!young.0[&path].proven && !young.again().0[&path].proven);
        settle(&path);
        let mut old = young.again();
        assert_eq!(old.0[&path].proven, volume::is_local(directory.path()));
        assert!(old.same_content(&young));
        old.doubt();
        assert!(!old.0[&path].proven);
    }

    #[test]
    fn only_what_is_proven_is_not_read_again() {
        let (_directory, path) = file("one");
        let mut known = Files::deceived(&path);
        assert!(known.again().same_content(&known));
        known.doubt();
        assert!(!known.again().same_content(&known));
        let known = Files::deceived(&path);
        fs::write(&path, "three").unwrap();
        assert!(!known.again().same_content(&known), "another stamp");
    }

    #[test]
    fn a_time_that_is_still_to_come_proves_nothing() {
        let (_directory, path) = file("one");
        let stamp = Stamp::of(&path).unwrap();
        let now = SystemTime::now();
        assert!(!stamp.is_settled(now) && !stamp.is_settled(now - Duration::from_secs(60)));
        assert!(stamp.is_settled(now + SETTLED));
    }

    #[test]
    fn no_digest_is_shown() {
        let (_directory, path) = file("secret");
        assert!(!format!("{:?}", read(&path)).contains("digest"));
    }

    #[test]
    fn a_file_over_its_limit_is_read_one_byte_over() {
        let (_directory, path) = file("123456");
        assert_eq!(Files::default().read(&path, 3).unwrap(), b"1234");
    }
}
