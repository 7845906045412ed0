//! `Group`: a process and everything it starts, with an owner.
//!
//! A group leads itself, so that what ends the leader can end its children too: `receive-pack` goes on with a push when only
//! its parent is killed. The rules kept here: TERM before KILL, the leader is reaped only after the group was signalled (its
//! number cannot belong to somebody else before that), and every path ends in a reaped leader, also when the owner is dropped.
//! See credentials(7), pidfd_open(2) and setpgid(2).

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group,
    pidfd_open, prlimit, setpriority_pgrp, waitid, waitpgid,
};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

/// How long a group may take to end after TERM, or after its leader has ended, before it is killed.
pub const GRACE: Duration = Duration::from_secs(5);

/// How long a child is left alone at first, and after it has said little: most are over by then. Less than anybody notices.
const QUIET: Duration = Duration::from_millis(8);

/// A niceness that leaves the processor to whoever else wants it.
const LOW_PRIORITY: i32 = 10;

/// How a leader ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With an exit status.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// Owner of a process group. Dropping it ends the group in the background.
#[derive(Debug)]
pub struct Group {
    leader: Option<Arc<Leader>>,
    runtime: Handle,
}

#[derive(Debug)]
struct Leader {
    /// Process and group number; valid until the leader is reaped.
    pid: Pid,
    pidfd: AsyncFd<OwnedFd>,
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may lie about their descriptor; OwnedFd does not"
)]
fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, tokio::io::Interest::READABLE)
}

/// Set from outside right after the start: what could be set before it would cost `posix_spawn`. A child that has ended by
/// then needs no limit. See prlimit(2), `RLIMIT_DATA` and `RLIMIT_CPU`.
fn limit(pid: Pid, resource: Resource, most: u64) -> io::Result<()> {
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    match prlimit(Some(pid), resource, limit) {
        Ok(_) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Group {
    /// Takes charge of a process that was started as a group leader and is not reaped yet.
    pub(super) fn adopt(pid: u32, limits: [(Resource, Option<u64>); 2]) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        let mut set = limits.into_iter().filter_map(|(resource, most)| Some((resource, most?)));
        let limited = set.try_for_each(|(resource, most)| limit(pid, resource, most));
        let pidfd = limited.and_then(|()| pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(io::Error::from));
        match pidfd.and_then(watch) {
            Ok(pidfd) => {
                Ok(Self { leader: Some(Arc::new(Leader { pid, pidfd })), runtime: Handle::current() })
            }
            Err(error) => {
                // Without a limit or a watch there is no orderly end, so the process goes at once.
                let _ = kill_process_group(pid, Signal::KILL);
                let _ = waitpgid(pid, WaitOptions::empty());
                Err(error)
            }
        }
    }

    /// Lets everything else go first. What the group has started already keeps its priority; see setpriority(2).
    pub fn lower_priority(&self) {
        if let Some(leader) = &self.leader {
            // A leader that has ended needs none.
            let _ = setpriority_pgrp(Some(leader.pid), LOW_PRIORITY);
        }
    }

    /// Waits until the leader has ended. It stays a zombie, and the group's number stays taken.
    pub async fn exited(&self) -> Exit {
        match &self.leader {
            Some(leader) => leader.exited().await,
            None => std::future::pending().await,
        }
    }

    /// Leaves the leader alone until it has ended, or for a few milliseconds: what it says in the meantime is read in one go.
    pub async fn quiet(&self) {
        let _ = timeout(QUIET, self.exited()).await;
    }

    /// Ends the group: TERM, then KILL to whatever is left after [`GRACE`] or once `silent` completes after the leader's end.
    ///
    /// `silent` is the end of the standard error: nobody holds it open any more, so nobody is left to wait for.
    pub async fn terminate(mut self, silent: impl Future<Output = ()>) -> Exit {
        let Some(leader) = self.leader.clone() else { return Exit::Signal(Signal::KILL.as_raw()) };
        leader.signal(Signal::TERM);
        let exit = leader.end(silent).await;
        self.leader = None;
        exit
    }

    /// Clears up after a leader that ends by itself: what it left running gets [`GRACE`], then KILL.
    pub async fn finish(mut self, silent: impl Future<Output = ()>) -> Exit {
        let Some(leader) = self.leader.clone() else { return Exit::Signal(Signal::KILL.as_raw()) };
        let exit = leader.end(silent).await;
        self.leader = None;
        exit
    }
}

impl Leader {
    async fn exited(&self) -> Exit {
        loop {
            // An error of the watch itself cannot be waited out; the deadline of the request ends the group then.
            let Ok(mut ready) = self.pidfd.readable().await else { return std::future::pending().await };
            match self.wait(WaitIdOptions::NOWAIT) {
                Some(exit) => return exit,
                None => ready.clear_ready(),
            }
        }
    }

    /// The leader's end, if it has come; with `NOWAIT` it is left to be asked again.
    fn wait(&self, how: WaitIdOptions) -> Option<Exit> {
        use std::os::fd::AsFd;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | how;
        let status = waitid(WaitId::PidFd(self.pidfd.get_ref().as_fd()), options).ok()??;
        Some(match status.exit_status() {
            Some(code) => Exit::Code(code),
            None => Exit::Signal(status.terminating_signal().unwrap_or_default()),
        })
    }

    fn signal(&self, signal: Signal) {
        // The only error is that nobody is left to receive it.
        let _ = kill_process_group(self.pid, signal);
    }

    /// Waits for an orderly end, kills what is left, reaps.
    async fn end(&self, silent: impl Future<Output = ()>) -> Exit {
        let _ = timeout(GRACE, async {
            self.exited().await;
            silent.await;
        })
        .await;
        self.signal(Signal::KILL);
        let exit = self.exited().await;
        let _ = self.wait(WaitIdOptions::empty());
        self.reap_adopted().await;
        exit
    }

    /// Where this process is the first of its container, the group's orphans were given to it: nobody else reaps them.
    async fn reap_adopted(&self) {
        let until = Instant::now() + GRACE;
        while let Ok(reaped) = waitpgid(self.pid, WaitOptions::NOHANG) {
            if Instant::now() > until {
                return;
            }
            if reaped.is_none() {
                sleep(Duration::from_millis(2)).await;
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(leader) = self.leader.take() else { return };
        leader.signal(Signal::TERM);
        self.runtime.spawn(async move { leader.end(std::future::pending()).await });
    }
}
