//! The rule that care for a repository and pushes to it exclude each other, with pushes going first.
//!
//! Two locks, both on directories that are there anyway, so that nothing is left behind and every process of this machine keeps
//! the rule: the *door* (the repository) and the *room* (its `objects`). A push takes its share of the door, then of the room. Care
//! begins only when it finds the door free, and holds the room for itself; from then on anybody at the door is a push that
//! waits, and care leaves. See flock(2). Where a file system knows no such locks (NFS, for directories), pushes go on without and
//! care does not begin.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

/// A push that may go on: held until it is over.
#[derive(Debug)]
pub struct Pushing {
    _door: OwnedFd,
    _room: OwnedFd,
}

/// Care that may go on: held while it works.
#[derive(Debug)]
pub struct Caring {
    door: OwnedFd,
    _room: OwnedFd,
}

/// How long a push waits for care to leave: that takes a moment, or the program is stopped, and then git's own locks have to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// Comes before a push to `repository`; `near` says that it is on storage that answers at once.
///
/// # Errors
/// When the directories cannot be locked, or care does not leave in time.
pub async fn push(repository: PathBuf, near: bool) -> io::Result<Pushing> {
    let enter = move || Ok((open(&repository)?, open(&repository.join("objects"))?));
    let entered = if near { Ok(enter()) } else { spawn_blocking(enter).await };
    let (door, room) = entered.unwrap_or_else(|error| Err(io::Error::other(error)))?;
    // Care holds the door for no longer than a glance.
    lock(&door, FlockOperation::NonBlockingLockShared).await?;
    lock(&room, FlockOperation::NonBlockingLockShared).await?;
    Ok(Pushing { _door: door, _room: room })
}

/// Nothing wakes up who waits for such a lock without blocking a thread, so it is asked for again and again.
async fn lock(directory: &OwnedFd, how: FlockOperation) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        match flock(directory, how) {
            Err(Errno::WOULDBLOCK) if Instant::now() < until => sleep(Duration::from_millis(10)).await,
            locked => return Ok(locked?),
        }
    }
}

impl Caring {
    /// Begins, if nobody is pushing and nobody else cares; otherwise `None`.
    ///
    /// # Errors
    /// When the directories cannot be locked.
    pub fn begin(repository: &Path) -> io::Result<Option<Self>> {
        let door = open(repository)?;
        let room = open(&repository.join("objects"))?;
        if !taken(flock(&door, FlockOperation::NonBlockingLockExclusive))? {
            return Ok(None);
        }
        if !taken(flock(&room, FlockOperation::NonBlockingLockExclusive))? {
            return Ok(None);
        }
        flock(&door, FlockOperation::Unlock)?;
        Ok(Some(Self { door, _room: room }))
    }

    /// Whether somebody waits to push. A glance in which this holds the door makes a push wait a moment.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        match flock(&self.door, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => flock(&self.door, FlockOperation::Unlock).is_err(),
            Err(_) => true,
        }
    }
}

fn taken(locked: Result<(), Errno>) -> io::Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A directory of its own for each holder: locks belong to what was opened, not to who opened it.
fn open(directory: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("objects")).unwrap();
        root
    }

    #[tokio::test]
    async fn pushes_go_together_and_keep_care_out() {
        let repository = repository();
        let first = push(repository.path().to_owned(), true).await.unwrap();
        let second = push(repository.path().to_owned(), true).await.unwrap();
        assert!(Caring::begin(repository.path()).unwrap().is_none());
        drop(first);
        assert!(Caring::begin(repository.path()).unwrap().is_none());
        drop(second);
        assert!(Caring::begin(repository.path()).unwrap().is_some());
    }

    #[tokio::test]
    async fn a_push_that_waits_is_seen_and_let_in() {
        let repository = repository();
        let caring = Caring::begin(repository.path()).unwrap().unwrap();
        assert!(!caring.is_wanted());
        assert!(Caring::begin(repository.path()).unwrap().is_none(), "one at a time");
        let waiting = tokio::spawn({
            let path = repository.path().to_owned();
            async move { push(path, false).await.is_ok() }
        });
        while !caring.is_wanted() {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        drop(caring);
        assert!(waiting.await.unwrap());
    }
}
