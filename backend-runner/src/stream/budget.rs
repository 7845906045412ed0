//! How much memory copies of answers may take together, whoever makes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that are left.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicUsize>);

/// What one copy has taken, given back at its end.
#[derive(Debug)]
pub struct Draw {
    left: Arc<AtomicUsize>,
    taken: usize,
}

impl Budget {
    /// So many bytes for all.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Nothing yet.
    #[must_use]
    pub fn draw(&self) -> Draw {
        Draw { left: Arc::clone(&self.0), taken: 0 }
    }
}

impl Draw {
    /// Takes `bytes` more; `false` when there are not so many.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        let is_taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        self.taken += if is_taken { bytes } else { 0 };
        is_taken
    }
}

impl Drop for Draw {
    fn drop(&mut self) {
        self.left.fetch_add(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_has_taken_another_cannot_have_until_it_is_given_back() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (budget.draw(), budget.draw());
        assert!(one.take(4) && one.take(3) && other.take(3));
        assert!(!other.take(1) && !one.take(1));
        drop(one);
        assert!(other.take(7));
        assert!(!other.take(1));
    }
}
