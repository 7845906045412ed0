//! `Store`: packs that git made, kept in a directory for whoever asks the same within the time to live.
//!
//! A pack is a function of the objects it is made from, and objects never change; so a kept answer is right for as long as it
//! is kept. It is given only after its file was found to be the one that was written, and thrown away otherwise. The
//! directory belongs to one daemon, and everything that is known of a file is in its name: what a restart finds is checked by its
//! sum before it is first used, and whoever removes a file (`backend-runner purge`) has removed the answer.

mod proof;

use std::collections::HashMap;
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use daemon::volume;
use moka::sync::Cache;
use prometheus::IntGauge;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::watch;

use super::digest::Digest;
use super::index::Index;
use super::lead::Lead;
use super::name::{self, Name};
use super::reader::Reader;
use super::recording::Recording;
use super::witness::Stamp;
use crate::config::{Admission, Cache as Settings};

/// The kept packs of one directory.
#[derive(Debug)]
pub struct Store {
    pub(super) directory: PathBuf,
    /// Whether it is on storage that answers at once.
    near: bool,
    /// Held for as long as the directory is ours.
    _lock: File,
    rules: Mutex<Rules>,
    index: Mutex<Index>,
    /// Answers in the making.
    flights: Mutex<HashMap<Digest, Flight>>,
    /// Answers an earlier daemon left, while they are read for the first time.
    proofs: Mutex<HashMap<Digest, watch::Receiver<()>>>,
    /// Questions that were asked once.
    asked: Cache<Digest, ()>,
    /// Files that nginx may be about to open.
    pub(super) leaving: Mutex<Vec<(Instant, PathBuf)>>,
    parts: AtomicU64,
    pub(super) bytes: IntGauge,
}

#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) size: u64,
    pub(super) ttl: Duration,
    admission: Admission,
}

#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) recording: Arc<Recording>,
    pub(super) tag: String,
}

/// Whose pack is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The whole question as a key.
    pub key: Digest,
    /// The repository's directory.
    pub repository: PathBuf,
    /// Its tag.
    pub tag: String,
}

/// What is to be done about a question.
#[derive(Debug)]
pub enum Found {
    /// It is here.
    Answer(Answer),
    /// It is here, but somebody else is making sure of it. Ask again when that is over.
    Proving(watch::Receiver<()>),
    /// git is saying it.
    Join(Reader),
    /// Ask git, and record what it says.
    Lead(Lead),
    /// Ask git.
    Pass,
}

/// A kept answer.
#[derive(Debug)]
pub struct Answer {
    /// Its file.
    pub file: File,
    /// The name of that.
    pub name: String,
    /// Its length.
    pub size: u64,
}

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be made, read or written.
    #[error("the cache directory {} cannot be used", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    /// Another daemon has it.
    #[error("the cache directory {} is another daemon's", .0.display())]
    Taken(PathBuf),
}

const LOCK: &str = "lock";

/// How many questions are remembered as asked once.
const ASKED: u64 = 100_000;

impl Store {
    /// Opens the directory of `settings`, which is made when it is not there, and takes stock.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(directory: &Path, settings: &Settings, bytes: IntGauge) -> Result<Arc<Self>, OpenError> {
        let failed = |error| OpenError::Directory(directory.to_owned(), error);
        DirBuilder::new().recursive(true).mode(0o750).create(directory).map_err(failed)?;
        let mut lock = File::options();
        let lock = lock.create(true).truncate(false).write(true).mode(0o640).open(directory.join(LOCK));
        let lock = lock.map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| OpenError::Taken(directory.to_owned()))?;
        let store = Self {
            directory: directory.to_owned(),
            near: volume::is_local(directory),
            _lock: lock,
            rules: Mutex::new(Rules::of(settings)),
            index: Mutex::default(),
            flights: Mutex::default(),
            proofs: Mutex::default(),
            asked: Cache::builder().max_capacity(ASKED).time_to_live(settings.ttl).build(),
            leaving: Mutex::default(),
            parts: AtomicU64::new(0),
            bytes,
        };
        store.take_stock().map_err(failed)?;
        Ok(Arc::new(store))
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Changes size, time to live and admission.
    pub fn obey(&self, settings: &Settings) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = Rules::of(settings);
        self.sweep();
    }

    /// Looks for the answer to a question; when there is none, somebody gets to record it. Reads files: for a thread that may
    /// wait.
    pub fn look(self: &Arc<Self>, wanted: Wanted) -> Found {
        match self.find(&wanted) {
            Some(found) => found,
            None => self.join_or_lead(wanted),
        }
    }

    fn join_or_lead(self: &Arc<Self>, wanted: Wanted) -> Found {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&wanted.key) {
            let is_purged = !matches!(Stamp::of(flight.recording.part()), Ok(Some(_)));
            let joined = if is_purged { None } else { flight.recording.join() };
            return joined.map_or(Found::Pass, Found::Join);
        }
        // It may have come in while nobody held the lock.
        if self.index().contains(&wanted.key) {
            drop(flights);
            return self.find(&wanted).unwrap_or(Found::Pass);
        }
        if !self.admits(&wanted.key) {
            return Found::Pass;
        }
        let Ok(recording) = self.part(&wanted) else { return Found::Pass };
        let tag = wanted.tag.clone();
        flights.insert(wanted.key, Flight { recording: Arc::clone(&recording), tag });
        Found::Lead(Lead::new(Arc::clone(self), wanted, recording))
    }

    /// nginx is told of this answer, so its file stays for a moment whatever happens to it.
    pub fn hand_over(&self, key: &Digest) {
        if let Some(entry) = self.index().touch(key) {
            entry.handed = Some(Instant::now());
        }
    }

    /// A question that is asked for the first time is not worth the disk, if so configured.
    fn admits(&self, key: &Digest) -> bool {
        if self.rules().admission == Admission::First || self.asked.contains_key(key) {
            return true;
        }
        self.asked.insert(*key, ());
        false
    }

    fn part(&self, wanted: &Wanted) -> io::Result<Arc<Recording>> {
        let number = self.parts.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(name::part(&wanted.key, &wanted.tag, number));
        let file = File::options().read(true).write(true).create_new(true).mode(0o640).open(&path)?;
        // Whatever the umask: nginx reads it as a member of the group.
        file.set_permissions(Permissions::from_mode(0o640))?;
        Ok(Recording::new(file, path))
    }

    pub(super) fn path(&self, name: &Name) -> PathBuf {
        self.directory.join(name.file())
    }

    pub(super) fn rules(&self) -> Rules {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn proofs(&self) -> MutexGuard<'_, HashMap<Digest, watch::Receiver<()>>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn flights(&self) -> MutexGuard<'_, HashMap<Digest, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rules {
    fn of(settings: &Settings) -> Self {
        Self { size: settings.size, ttl: settings.ttl, admission: settings.admission }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
