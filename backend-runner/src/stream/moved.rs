//! How much has moved through an exchange, when the last of it did, and whether the request's body has ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Counts bytes, and knows when the last one moved.
#[derive(Debug)]
pub(super) struct Moved {
    start: Instant,
    received: AtomicU64,
    sent: AtomicU64,
    /// Milliseconds after `start`.
    last: AtomicU64,
    /// Cancelled once no more of the body will come.
    body: CancellationToken,
}

impl Default for Moved {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            start: Instant::now(),
            received: zero(),
            sent: zero(),
            last: zero(),
            body: CancellationToken::new(),
        }
    }
}

impl Moved {
    pub(super) fn add_received(&self, count: u64) {
        self.received.fetch_add(count, Ordering::Relaxed);
        self.touch();
    }

    pub(super) fn add_sent(&self, count: usize) {
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        self.touch();
    }

    pub(super) fn touch(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// No more of the body will come.
    pub(super) fn body_ended(&self) {
        self.body.cancel();
    }

    /// Completes when no more of the body will come.
    pub(super) async fn body_end(&self) {
        self.body.cancelled().await;
    }

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Completes when nothing has moved for `limit`.
    pub(super) async fn stands_still(&self, limit: Duration) {
        loop {
            let due = self.start + Duration::from_millis(self.last.load(Ordering::Relaxed)) + limit;
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_byte_in_either_direction_starts_the_wait_again() {
        let moved = Moved::default();
        let begin = Instant::now();
        let drip = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(7)).await;
                moved.add_received(1);
                tokio::time::sleep(Duration::from_secs(7)).await;
                moved.add_sent(1);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = moved.stands_still(Duration::from_secs(10)) => {}
            () = drip => {}
        }
        assert_eq!(begin.elapsed().as_secs(), 6 * 7 + 10);
        assert_eq!((moved.received(), moved.sent()), (3, 3));
    }
}
