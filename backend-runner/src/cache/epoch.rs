//! Epochs: how often a repository was pushed to by this daemon, as far as a cache needs to know.
//!
//! The number changes before git starts on a push and after it has ended. So nothing that was recorded while a push ran is
//! said again after it, whatever the file system claims about times.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The epochs of all repositories. Two may share a number; that only forgets more than it must.
#[derive(Debug)]
pub struct Epochs(Box<[AtomicU64]>);

impl Default for Epochs {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }
}

const SLOTS: usize = 4096;

/// A push that runs.
#[derive(Debug)]
pub struct Pushing {
    epochs: Arc<Epochs>,
    slot: usize,
}

impl Epochs {
    /// The present epoch of `repository`.
    #[must_use]
    pub fn current(&self, repository: &Path) -> u64 {
        self.0[slot(repository)].load(Ordering::SeqCst)
    }

    /// Begins a push; dropping what is returned ends it.
    #[must_use]
    pub fn push(self: &Arc<Self>, repository: &Path) -> Pushing {
        let slot = slot(repository);
        self.0[slot].fetch_add(1, Ordering::SeqCst);
        Pushing { epochs: Arc::clone(self), slot }
    }
}

impl Drop for Pushing {
    fn drop(&mut self) {
        self.epochs.0[self.slot].fetch_add(1, Ordering::SeqCst);
    }
}

fn slot(repository: &Path) -> usize {
    let mut hasher = DefaultHasher::new();
    repository.hash(&mut hasher);
    usize::try_from(hasher.finish() % SLOTS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_begins_and_ends_an_epoch() {
        let epochs = Arc::new(Epochs::default());
        let repository = Path::new("/srv/git/a.git");
        let before = epochs.current(repository);
        let push = epochs.push(repository);
        let during = epochs.current(repository);
        drop(push);
        assert!(before < during && during < epochs.current(repository));
    }
}
