//! One semaphore for each key that somebody uses or waits for, and no memory of the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Busy;

/// One semaphore per key that is in use; keys nobody waits for or holds are forgotten.
#[derive(Debug)]
pub(super) struct Slots<K: Eq + Hash> {
    pub(super) each: AtomicUsize,
    pub(super) used: Mutex<HashMap<K, Arc<Semaphore>>>,
}

/// A held or awaited slot of one key.
#[derive(Debug)]
pub(super) struct Slot<K: Eq + Hash> {
    slots: Arc<Slots<K>>,
    key: K,
    semaphore: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<K: Clone + Eq + Hash> Slots<K> {
    pub(super) fn new(each: usize) -> Arc<Self> {
        Arc::new(Self { each: AtomicUsize::new(each), used: Mutex::default() })
    }

    pub(super) async fn acquire(self: &Arc<Self>, key: K) -> Result<Slot<K>, Busy> {
        let (mut slot, semaphore) = self.slot(key);
        slot.permit = Some(semaphore.acquire_owned().await.map_err(|_| Busy)?);
        Ok(slot)
    }

    pub(super) fn try_acquire(self: &Arc<Self>, key: K) -> Option<Slot<K>> {
        let (mut slot, semaphore) = self.slot(key);
        slot.permit = Some(semaphore.try_acquire_owned().ok()?);
        Some(slot)
    }

    /// A slot that is not held yet, and what it is held of.
    fn slot(self: &Arc<Self>, key: K) -> (Slot<K>, Arc<Semaphore>) {
        let semaphore = {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            let each = self.each.load(Ordering::Relaxed);
            Arc::clone(used.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(each))))
        };
        let held = Some(Arc::clone(&semaphore));
        (Slot { slots: Arc::clone(self), key, semaphore: held, permit: None }, semaphore)
    }
}

impl<K: Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut used = self.slots.used.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.permit.take());
        drop(self.semaphore.take());
        // The map's own is the only one left: nobody else can take one while the lock is held.
        if used.get(&self.key).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            used.remove(&self.key);
        }
    }
}
