//! What a `Store` does with its directory besides answering: takes stock, removes what is over, counts what there is.

use std::fs;
use std::io;
use std::sync::PoisonError;
use std::time::Instant;

use super::index::{Entry, GRACE};
use super::name::{self, Kind};
use super::store::{Rules, Store, now};

impl Store {
    /// Removes what is too old, too much, or of a repository that is gone.
    pub fn sweep(&self) {
        let Rules { size, ttl, .. } = self.rules();
        let oldest = now().saturating_sub(ttl.as_secs());
        let is_gone = |entry: &Entry| {
            entry.name.created < oldest
                || entry.repository.as_ref().is_some_and(|path| !path.is_dir())
                || !self.path(&entry.name).exists()
        };
        let entries: Vec<_> = self.index().entries().cloned().collect();
        let gone: Vec<_> = entries.into_iter().filter(is_gone).map(|entry| entry.name).collect();
        let mut index = self.index();
        let mut removed = index.retain_not(|entry| gone.contains(&entry.name));
        removed.extend(index.shrink(size));
        drop(index);
        removed.iter().for_each(|entry| self.discard(entry));
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|(since, path)| {
            let stays = since.elapsed() < GRACE;
            if !stays {
                let _ = fs::remove_file(path);
            }
            stays
        });
    }

    /// Forgets everything of the repository with this tag, also what is in the making.
    pub fn purge(&self, tag: &str) {
        self.flights().retain(|_, flight| {
            let is_meant = flight.tag == tag;
            if is_meant {
                let _ = fs::remove_file(flight.recording.part());
            }
            !is_meant
        });
        let removed = self.index().retain_not(|entry| entry.name.tag == tag);
        removed.iter().for_each(|entry| drop(fs::remove_file(self.path(&entry.name))));
        self.measure();
    }

    /// Finds what an earlier daemon left: complete answers are kept, others removed.
    pub(super) fn take_stock(&self) -> io::Result<()> {
        for file in fs::read_dir(&self.directory)? {
            let file = file?;
            match file.file_name().to_str().and_then(name::parse) {
                Some(Kind::Answer(name)) if file.metadata()?.len() == name.size => {
                    let last = self.index().insert(Entry::new(name, None, None));
                    last.iter().for_each(|entry| self.discard(entry));
                }
                Some(_) => fs::remove_file(file.path())?,
                None => {}
            }
        }
        self.sweep();
        self.measure();
        Ok(())
    }

    /// Removes the file of an answer that is no longer known, at once unless nginx may be about to open it.
    pub(super) fn discard(&self, entry: &Entry) {
        let path = self.path(&entry.name);
        if entry.may_be_opened() {
            self.leaving.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), path));
        } else {
            let _ = fs::remove_file(path);
        }
        self.measure();
    }

    pub(super) fn measure(&self) {
        self.bytes.set(i64::try_from(self.index().total()).unwrap_or(i64::MAX));
    }
}
