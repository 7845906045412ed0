//! Which of several servers is asked next: the configured order, those that failed lately last.
//!
//! A server that failed is passed over for a moment, so that not every login waits for it first. When all
//! have failed, all are tried again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The health of the servers, each known by its place in the configuration.
#[derive(Debug)]
pub(super) struct Servers {
    failed: Mutex<Vec<Option<Instant>>>,
}

impl Servers {
    /// All of them well.
    pub(super) fn new(count: usize) -> Self {
        Self { failed: Mutex::new(vec![None; count]) }
    }

    /// In the order they should be tried.
    pub(super) fn in_order(&self, now: Instant) -> Vec<usize> {
        let failed = self.lock();
        let mut order: Vec<usize> = (0..failed.len()).collect();
        order.sort_by_key(|&server| failed[server].filter(|&at| now.saturating_duration_since(at) < AVOIDED));
        order
    }

    /// It did not answer.
    pub(super) fn failed(&self, server: usize, now: Instant) {
        if let Some(failed) = self.lock().get_mut(server) {
            *failed = Some(now);
        }
    }

    /// It answered.
    pub(super) fn answered(&self, server: usize) {
        if let Some(failed) = self.lock().get_mut(server) {
            *failed = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Instant>>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Long enough to spare logins the wait, short enough that the first server gets its place back.
const AVOIDED: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_server_goes_last_until_it_answers_or_a_while_has_passed() {
        let (servers, start) = (Servers::new(3), Instant::now());
        assert_eq!(servers.in_order(start), [0, 1, 2]);
        servers.failed(0, start);
        assert_eq!(servers.in_order(start), [1, 2, 0]);
        assert_eq!(servers.in_order(start + AVOIDED), [0, 1, 2]);
        servers.failed(1, start + Duration::from_secs(1));
        assert_eq!(servers.in_order(start + Duration::from_secs(2)), [2, 0, 1]);
        servers.answered(0);
        assert_eq!(servers.in_order(start + Duration::from_secs(2)), [0, 2, 1]);
    }
}
