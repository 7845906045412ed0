//! Where slow hashes are computed: on a few threads of their own, with a bounded queue before them.
//!
//! A flood of logins must neither take every core (requests of users who are already known need one too)
//! nor pile up without end; what finds the queue full is told to come again. The threads are always the
//! same few, and each keeps the memory its hashes work in.

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use tokio::sync::oneshot;

use super::argon2id::Scratch;

/// A few threads that compute what they are given, in order. They end when the pool is dropped.
#[derive(Debug)]
pub struct HashPool {
    jobs: SyncSender<Job>,
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

/// `dyn`, because the queue holds closures of every caller.
type Job = Box<dyn FnOnce(&mut Scratch) + Send>;

impl HashPool {
    /// A pool that uses about half of the cores.
    pub fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self::with_size((cores / 2).max(1), QUEUE_LENGTH)
    }

    fn with_size(threads: usize, waiting: usize) -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(waiting);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name("password-hash".to_owned()).spawn(move || work(&queue))?;
        }
        Ok(Self { jobs })
    }

    /// Does the job when its turn comes, and does it to the end even if nobody waits for it any more.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (done, result) = oneshot::channel();
        let job = Box::new(move |scratch: &mut Scratch| drop(done.send(job(scratch))));
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => PoolError::Full,
            mpsc::TrySendError::Disconnected(_) => PoolError::Aborted,
        })?;
        result.await.map_err(|_| PoolError::Aborted)
    }
}

/// One thread's life. A job that panics drops its sender, by which its caller knows; the thread goes on.
fn work(queue: &Mutex<Receiver<Job>>) {
    let mut scratch = Scratch::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        let _ = panic::catch_unwind(AssertUnwindSafe(|| job(&mut scratch)));
    }
}

/// With the usual costs the last in the queue waits some 10 seconds, less than nginx does.
const QUEUE_LENGTH: usize = 256;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn what_finds_the_queue_full_is_refused_and_the_rest_is_done() {
        let pool = HashPool::with_size(1, 1).unwrap();
        let (release, gate) = mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let mut first = pin!(pool.run(move |_| {
            started.send(()).unwrap();
            gate.recv().unwrap();
        }));
        assert!(poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_pending())).await);
        has_started.await.unwrap();
        let mut second = pin!(pool.run(|_| 2));
        assert!(poll_fn(|context| Poll::Ready(second.as_mut().poll(context).is_pending())).await);
        assert_eq!(pool.run(|_| 3).await, Err(PoolError::Full));
        release.send(()).unwrap();
        assert_eq!(first.await, Ok(()));
        assert_eq!(second.await, Ok(2));
    }

    #[tokio::test]
    async fn a_job_that_panics_is_aborted_and_the_thread_goes_on() {
        let pool = HashPool::with_size(1, 1).unwrap();
        assert_eq!(pool.run(|_| panic!("on purpose")).await, Err(PoolError::Aborted));
        assert_eq!(pool.run(|_| 1).await, Ok(1));
    }
}
