//! Where slow hashes are computed: a few at a time, a bounded number waiting, never on a thread that
//! serves requests.
//!
//! A flood of logins must neither take every core (requests of users who are already known need one too)
//! nor pile up without end; what finds the queue full is told to come again.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// A bounded number of blocking threads with a bounded queue before them.
#[derive(Clone, Debug)]
pub struct HashPool {
    runtime: Handle,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// Why a job was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Too many wait already.
    #[error("too many password checks are waiting")]
    Full,
    /// The job did not come to its end.
    #[error("a password check was aborted")]
    Aborted,
}

impl HashPool {
    /// A pool on the blocking threads of `runtime` that uses about half of the cores.
    pub fn new(runtime: Handle) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_size(runtime, (cores / 2).max(1), QUEUE_LENGTH)
    }

    fn with_size(runtime: Handle, running: usize, waiting: usize) -> Self {
        let admitted = Arc::new(Semaphore::new(running + waiting));
        Self { runtime, running: Arc::new(Semaphore::new(running)), admitted }
    }

    /// Does the job when its turn comes. The permits go with the job: it gives them back when it ends,
    /// even if nobody waits for it any more.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| PoolError::Full)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| PoolError::Aborted)?;
        let task = self.runtime.spawn_blocking(move || {
            let result = job();
            drop((running, admitted));
            result
        });
        task.await.map_err(|_| PoolError::Aborted)
    }
}

/// With the usual costs the last in the queue waits some 10 seconds, less than nginx does.
const QUEUE_LENGTH: usize = 256;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_finds_the_queue_full_is_refused_and_the_rest_is_done() {
        let pool = HashPool::with_size(Handle::current(), 1, 1);
        let (release, gate) = mpsc::channel::<()>();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move {
                pool.run(move || {
                    let _ = started.send(());
                    gate.recv().unwrap();
                })
                .await
            }
        });
        has_started.await.unwrap();
        let mut second = Box::pin(pool.run(|| 2));
        assert!(futures_pending(&mut second).await);
        assert_eq!(pool.run(|| 3).await, Err(PoolError::Full));
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await, Ok(2));
    }

    #[tokio::test]
    async fn a_job_that_panics_frees_its_place() {
        let pool = HashPool::with_size(Handle::current(), 1, 0);
        assert_eq!(pool.run(|| panic!("on purpose")).await, Err(PoolError::Aborted));
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }

    /// Polls once and says whether the future waits.
    async fn futures_pending(future: &mut (impl Future + Unpin)) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
