//! `Lead`: leave to record one answer, from the file in the making to the kept one; and how a repository's answers are forgotten.

use std::fs;
use std::io;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::digest::Digest;
use super::index::Entry;
use super::name::Name;
use super::reader::Reader;
use super::recording::{End, Recording};
use super::store::{Store, Wanted, now};
use super::witness::Stamp;

/// Leave to record one answer, and the first to read it. What is not finished is thrown away.
#[derive(Debug)]
pub struct Lead {
    pub(super) store: Arc<Store>,
    pub(super) wanted: Wanted,
    pub(super) recording: Arc<Recording>,
    grown: u64,
}

impl Lead {
    pub(super) fn new(store: Arc<Store>, wanted: Wanted, recording: Arc<Recording>) -> Self {
        Self { store, wanted, recording, grown: 0 }
    }

    /// Makes room for `more` bytes; `false` when there is none.
    pub(super) fn grow(&mut self, more: u64) -> bool {
        let size = self.store.rules().size;
        let Some(removed) = self.store.index().grow(more, size) else { return false };
        self.grown += more;
        removed.iter().for_each(|entry| self.store.discard(entry));
        true
    }

    /// Keeps the recording, which is complete; gives the name it is kept under.
    pub(super) fn keep(&self, sum: u32) -> io::Result<String> {
        let Wanted { key, repository, tag } = self.wanted.clone();
        let name = Name { key, tag, created: now(), size: self.grown, sum };
        let path = self.store.path(&name);
        self.recording.cut()?;
        // A part that was purged is not there any more.
        fs::rename(self.recording.part(), &path)?;
        let stamp = Stamp::of(&path)?;
        let file = name.file();
        let last = self.store.index().insert(Entry::new(name, stamp, Some(repository)));
        last.filter(|last| last.name.file() != file).iter().for_each(|entry| self.store.discard(entry));
        self.store.measure();
        Ok(file)
    }

    /// Nobody joins any more.
    pub(super) fn close(&self) {
        let mut flights = self.store.flights();
        if flights.get(&self.wanted.key).is_some_and(|flight| Arc::ptr_eq(&flight.recording, &self.recording))
        {
            flights.remove(&self.wanted.key);
        }
    }

    /// The question.
    #[must_use]
    pub fn key(&self) -> &Digest {
        &self.wanted.key
    }

    /// Follows it.
    #[must_use]
    pub fn reader(&self) -> Option<Reader> {
        self.recording.join()
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.recording.end(End::Never);
        self.close();
        self.store.index().grown(self.grown);
        // It has another name when it was kept.
        let _ = fs::remove_file(self.recording.part());
    }
}

/// Forgets everything of one repository, when it is told to.
#[derive(Debug)]
pub struct Forget {
    /// Where.
    pub store: Arc<Store>,
    /// Whose.
    pub tag: String,
}

impl Forget {
    /// Does so.
    pub async fn now(self) {
        let _ = spawn_blocking(move || self.store.purge(&self.tag)).await;
    }
}
