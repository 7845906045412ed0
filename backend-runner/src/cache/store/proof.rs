//! Whether a kept file is what was written: only then is it an answer.

use std::collections::hash_map;
use std::fs::File;
use std::io::{self, Read};

use flate2::Crc;
use tokio::sync::watch;

use super::{Answer, Found, Store, Wanted, now};
use crate::cache::index::Entry;
use crate::cache::witness::Stamp;

impl Store {
    /// The answer to a question, where a glance at its file is enough: this process knows what is in it, and the directory is on
    /// storage that answers at once.
    #[must_use]
    pub fn glance(&self, wanted: &Wanted) -> Option<Answer> {
        if !self.near {
            return None;
        }
        let entry = self.index().touch(&wanted.key)?.clone();
        entry.proven?;
        let (file, _) = if self.is_old(&entry) { None } else { self.open_proven(&entry) }?;
        Some(Answer { file, name: entry.name.file(), size: entry.name.size })
    }

    /// The kept answer, if its file is what was written. One asker reads all of a file that this process has not written.
    pub(super) fn find(&self, wanted: &Wanted) -> Option<Found> {
        let entry = self.index().touch(&wanted.key)?.clone();
        if entry.proven.is_some() {
            return self.find_proven(wanted, &entry).map(Found::Answer);
        }
        let (proven, proving) = watch::channel(());
        match self.proofs().entry(wanted.key) {
            hash_map::Entry::Occupied(other) => return Some(Found::Proving(other.get().clone())),
            hash_map::Entry::Vacant(free) => _ = free.insert(proving),
        }
        let found = self.find_proven(wanted, &entry);
        self.proofs().remove(&wanted.key);
        drop(proven);
        found.map(Found::Answer)
    }

    fn find_proven(&self, wanted: &Wanted, entry: &Entry) -> Option<Answer> {
        let answer = if self.is_old(entry) { None } else { self.open_proven(entry) };
        let mut index = self.index();
        let Some((file, stamp)) = answer else {
            let removed = index.remove(&wanted.key);
            drop(index);
            removed.iter().for_each(|entry| self.discard(entry));
            return None;
        };
        if let Some(entry) = index.touch(&wanted.key) {
            entry.proven = Some(stamp);
            entry.repository = Some(wanted.repository.clone());
        }
        Some(Answer { file, name: entry.name.file(), size: entry.name.size })
    }

    fn is_old(&self, entry: &Entry) -> bool {
        entry.name.created < now().saturating_sub(self.rules().ttl.as_secs())
    }

    /// By its stamp when this process has written or read all of it before, else by its sum.
    fn open_proven(&self, entry: &Entry) -> Option<(File, Stamp)> {
        let file = File::open(self.path(&entry.name)).ok()?;
        let stamp = Stamp::of_file(&file).ok()?;
        if stamp.size() != entry.name.size || entry.proven.is_some_and(|proven| proven != stamp) {
            return None;
        }
        if entry.proven.is_none() && sum(&file).ok()? != entry.name.sum {
            return None;
        }
        Some((file, stamp))
    }
}

/// The CRC-32 of a whole file.
fn sum(file: &File) -> io::Result<u32> {
    let mut sum = Crc::new();
    let mut buffer = vec![0; 1 << 20];
    let mut file = file.try_clone()?;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum.sum()),
            count => sum.update(&buffer[..count]),
        }
    }
}
