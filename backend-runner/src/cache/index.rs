//! Which answers a directory holds, how large they are together, and which of them goes first when room is needed.
//!
//! A plain value: it touches no file. What it gives back as removed is for its owner to unlink.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::digest::Digest;
use super::name::Name;
use super::witness::Stamp;

/// The answers of one directory.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<Digest, Entry>,
    /// By the last use.
    order: BTreeMap<u64, Digest>,
    uses: u64,
    total: u64,
    /// Bytes of answers in the making.
    growing: u64,
}

/// One answer.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Name,
    /// What its file was when its content was last known to be right.
    pub(super) proven: Option<Stamp>,
    /// The repository's directory, when this process has seen it.
    pub(super) repository: Option<PathBuf>,
    /// When nginx was last told its name.
    pub(super) handed: Option<Instant>,
    used: u64,
}

impl Entry {
    pub(super) fn new(name: Name, proven: Option<Stamp>, repository: Option<PathBuf>) -> Self {
        Self { name, proven, repository, handed: None, used: 0 }
    }

    /// Whether nginx may be about to open it.
    pub(super) fn may_be_opened(&self) -> bool {
        self.handed.is_some_and(|handed| handed.elapsed() < GRACE)
    }
}

/// How long nginx gets between being told of a file and opening it.
pub(super) const GRACE: Duration = Duration::from_secs(30);

impl Index {
    pub(super) fn insert(&mut self, mut entry: Entry) -> Option<Entry> {
        let last = self.remove(&entry.name.key);
        self.uses += 1;
        entry.used = self.uses;
        self.total += entry.name.size;
        self.order.insert(entry.used, entry.name.key);
        self.entries.insert(entry.name.key, entry);
        last
    }

    pub(super) fn remove(&mut self, key: &Digest) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.used);
        self.total -= entry.name.size;
        Some(entry)
    }

    /// The entry of this key, which is used now.
    pub(super) fn touch(&mut self, key: &Digest) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.used);
        self.uses += 1;
        entry.used = self.uses;
        self.order.insert(entry.used, *key);
        Some(entry)
    }

    pub(super) fn contains(&self, key: &Digest) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Removes all that `is_over` says.
    pub(super) fn retain_not(&mut self, is_over: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let over: Vec<_> =
            self.entries.values().filter(|entry| is_over(entry)).map(|entry| entry.name.key).collect();
        over.iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Makes room for `more` bytes of an answer in the making, at the cost of those that were not used for longest. `None`
    /// when there is not so much room in all.
    pub(super) fn grow(&mut self, more: u64, size: u64) -> Option<Vec<Entry>> {
        if self.growing + more > size {
            return None;
        }
        self.growing += more;
        Some(self.shrink(size))
    }

    /// Removes what is too much for `size`.
    pub(super) fn shrink(&mut self, size: u64) -> Vec<Entry> {
        let mut removed = Vec::new();
        while self.total + self.growing > size
            && let Some((_, &oldest)) = self.order.first_key_value()
        {
            removed.extend(self.remove(&oldest));
        }
        removed
    }

    /// An answer of `bytes` is not in the making any more.
    pub(super) fn grown(&mut self, bytes: u64) {
        self.growing -= bytes;
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u8, size: u64) -> Entry {
        let name = Name { key: [number; 32], tag: "0".repeat(16), created: 0, size, sum: 0 };
        Entry::new(name, None, None)
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut index = Index::default();
        (0..4).for_each(|number| drop(index.insert(entry(number, 10))));
        assert!(index.touch(&[0; 32]).is_some());
        let removed = index.grow(25, 50).unwrap();
        assert_eq!(removed.iter().map(|entry| entry.name.key[0]).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(index.total(), 20);
        index.grown(25);
        assert!(index.grow(51, 50).is_none());
        assert!(index.shrink(9).len() == 2 && index.total() == 0);
    }
}
