//! How many children run at once: in all, for one repository, for one caller.
//!
//! A request first [enters](Limits::enter): that is bounded too, since everything that waits holds a connection, and perhaps a
//! file with its body. It then waits its turn in order of arrival, for its caller's and its repository's slot first so that it does not sit on a
//! slot others could use, and gives up at one deadline for all three. The permit is held until the child is reaped.

mod slots;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policy::decision::Decision;
use policy::identity::UserName;
use policy::repo_path::RepoPath;
use prometheus::IntGauge;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use self::slots::{Slot, Slots};

/// The sizes, from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Children in all.
    pub running: usize,
    /// Children for one repository.
    pub per_repository: usize,
    /// Children for one user, or for one address without a user.
    pub per_user: usize,
    /// How long a request waits.
    pub queue: Duration,
}

/// Hands out permits.
#[derive(Debug)]
pub struct Limits {
    all: Arc<Semaphore>,
    repositories: Arc<Slots<Option<RepoPath>>>,
    callers: Arc<Slots<Caller>>,
    /// Room to wait in: for each caller and in all. Every request that waits holds a connection.
    waiting: Arc<Slots<Caller>>,
    all_waiting: Arc<Semaphore>,
    files: Arc<Slots<Caller>>,
    all_files: Arc<Semaphore>,
    /// Answers from a cache on their way, which take no child.
    streams: Arc<Slots<Caller>>,
    /// What one caller may take of one repository.
    shares: Arc<Slots<(Caller, Option<RepoPath>)>>,
    sizes: Mutex<Sizes>,
    running: IntGauge,
    queued: IntGauge,
}

/// Leave to run one child.
#[derive(Debug)]
pub struct Permit {
    // First, so that it is uncounted before the next request can be counted.
    _counted: Counted,
    _all: OwnedSemaphorePermit,
    _share: Slot<(Caller, Option<RepoPath>)>,
    _repository: Slot<Option<RepoPath>>,
    _caller: Slot<Caller>,
}

/// Leave to wait: held from a request's arrival until it has a permit.
#[derive(Debug)]
pub struct Room {
    caller: Caller,
    files: Arc<Slots<Caller>>,
    all_files: Arc<Semaphore>,
    _own: Slot<Caller>,
    _all: OwnedSemaphorePermit,
}

/// Leave to keep one request's body in a file.
#[derive(Debug)]
pub struct FileRoom {
    _own: Slot<Caller>,
    _all: OwnedSemaphorePermit,
}

/// Leave to pass one answer from a cache on.
#[derive(Debug)]
pub struct Stream(#[expect(dead_code, reason = "held")] Slot<Caller>);

/// The request waited for as long as it may, or may not wait at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are running")]
pub struct Busy;

/// Who a request counts for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Caller {
    User(UserName),
    Address(String),
}

impl Limits {
    /// Limits of these sizes; the gauges show how many requests run and wait.
    #[must_use]
    pub fn new(sizes: Sizes, running: IntGauge, queued: IntGauge) -> Self {
        Self {
            all: Arc::new(Semaphore::new(sizes.running)),
            repositories: Slots::new(sizes.per_repository),
            callers: Slots::new(sizes.per_user),
            waiting: Slots::new(waiting(sizes.per_user)),
            all_waiting: Arc::new(Semaphore::new(all_waiting(sizes.running))),
            files: Slots::new(FILES_EACH),
            all_files: Arc::new(Semaphore::new(FILES)),
            streams: Slots::new(streams(sizes.per_user)),
            shares: Slots::new(share(sizes.per_repository)),
            sizes: Mutex::new(sizes),
            running,
            queued,
        }
    }

    /// Limits of other sizes, for whoever comes from now on and for who waits. Where fewer may run than run now, nobody new is let
    /// in until enough are done. A caller or a repository in use keeps its own limit until nobody uses it.
    pub fn resize(&self, sizes: Sizes, runtime: &Handle) {
        let mut current = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        resize(&self.all, current.running, sizes.running, runtime);
        resize(&self.all_waiting, all_waiting(current.running), all_waiting(sizes.running), runtime);
        self.repositories.each.store(sizes.per_repository, Ordering::Relaxed);
        self.callers.each.store(sizes.per_user, Ordering::Relaxed);
        self.waiting.each.store(waiting(sizes.per_user), Ordering::Relaxed);
        self.streams.each.store(streams(sizes.per_user), Ordering::Relaxed);
        self.shares.each.store(share(sizes.per_repository), Ordering::Relaxed);
        *current = sizes;
    }

    /// Lets a request in that may have to wait.
    ///
    /// # Errors
    /// When its caller, or all callers together, have too many waiting.
    pub fn enter(&self, decision: &Decision) -> Result<Room, Busy> {
        self.enter_as(decision.user.as_ref(), &decision.client)
    }

    /// Lets a caller in that may have to wait: by name, or else by address.
    ///
    /// # Errors
    /// When there are too many, as for [`Limits::enter`].
    pub fn enter_as(&self, user: Option<&UserName>, client: &str) -> Result<Room, Busy> {
        let caller = Caller::of(user, client);
        Ok(Room {
            _own: self.waiting.try_acquire(caller.clone()).ok_or(Busy)?,
            _all: Arc::clone(&self.all_waiting).try_acquire_owned().map_err(|_| Busy)?,
            caller,
            files: Arc::clone(&self.files),
            all_files: Arc::clone(&self.all_files),
        })
    }

    /// Lets an answer from a cache be passed on. It waits for nothing: only who has a great many on their way gets no more.
    ///
    /// # Errors
    /// When its caller has.
    pub fn stream(&self, decision: &Decision) -> Result<Stream, Busy> {
        self.streams.try_acquire(Caller::of(decision.user.as_ref(), &decision.client)).map(Stream).ok_or(Busy)
    }

    /// Waits for a permit to run a child for `repo`, or to do something about all of them.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn acquire<'r>(
        &self,
        room: Room,
        repo: impl Into<Option<&'r RepoPath>>,
    ) -> Result<Permit, Busy> {
        let repo = repo.into();
        let _queued = Counted::new(&self.queued);
        let turn = async {
            let share = self.shares.acquire((room.caller.clone(), repo.cloned())).await?;
            let caller = self.callers.acquire(room.caller.clone()).await?;
            let repository = self.repositories.acquire(repo.cloned()).await?;
            let all = Arc::clone(&self.all).acquire_owned().await.map_err(|_| Busy)?;
            Ok(Permit {
                _counted: Counted::new(&self.running),
                _all: all,
                _share: share,
                _repository: repository,
                _caller: caller,
            })
        };
        let queue = self.sizes.lock().unwrap_or_else(PoisonError::into_inner).queue;
        timeout(queue, turn).await.unwrap_or(Err(Busy))
    }
}

impl Caller {
    fn of(user: Option<&UserName>, client: &str) -> Self {
        match user {
            Some(user) => Self::User(user.clone()),
            None => Self::Address(network(client)),
        }
    }
}

impl Room {
    /// Waits until the request's body may go to a file.
    ///
    /// # Errors
    /// When the daemon ends.
    pub async fn file(&self) -> Result<FileRoom, Busy> {
        let own = self.files.acquire(self.caller.clone()).await?;
        let all = Arc::clone(&self.all_files).acquire_owned().await.map_err(|_| Busy)?;
        Ok(FileRoom { _own: own, _all: all })
    }
}

/// How many bodies may be in files at once, of each caller and in all, so that nobody fills the disk.
const FILES_EACH: usize = 2;
const FILES: usize = 32;

/// How many requests of one caller may wait: eight for each that may run, and a storm of continuous integration at least.
fn waiting(per_user: usize) -> usize {
    per_user.saturating_mul(8).max(128)
}

/// How many answers from a cache one caller may be reading: a storm of continuous integration, but no more connections than that.
fn streams(per_user: usize) -> usize {
    per_user.saturating_mul(32).max(512)
}

/// How many requests may wait in all.
fn all_waiting(running: usize) -> usize {
    waiting(running).saturating_mul(4)
}

/// What stands for a client without a name: its address, or the /64 of it that an IPv6 customer has all of.
fn network(client: &str) -> String {
    match client.parse() {
        Ok(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).to_string(),
        _ => client.to_owned(),
    }
}

/// Makes a semaphore of `from` permits one of `to`. Permits that are held are taken away when they come back, before anybody
/// who waits gets them.
fn resize(semaphore: &Arc<Semaphore>, from: usize, to: usize, runtime: &Handle) {
    semaphore.add_permits(to.saturating_sub(from));
    let taken = semaphore.forget_permits(from.saturating_sub(to));
    if let Ok(more @ 1..) = u32::try_from(from.saturating_sub(to) - taken) {
        let semaphore = Arc::clone(semaphore);
        // It is never closed.
        runtime
            .spawn(async move { semaphore.acquire_many_owned(more).await.map(OwnedSemaphorePermit::forget) });
    }
}

/// Three quarters of a repository's children at most are one caller's: nobody shuts the others out alone.
fn share(per_repository: usize) -> usize {
    (per_repository * 3).div_ceil(4).max(1)
}

/// Counts itself in a gauge for as long as it lives.
#[derive(Debug)]
struct Counted(IntGauge);

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use policy::git_request::{GitRequest, Mount};

    use super::*;

    fn decision(user: &str, repo: &str) -> Decision {
        let target = format!("/git/{repo}/git-upload-pack");
        let request = GitRequest::parse(&Mount::default(), "POST", target.as_bytes()).unwrap();
        let mut decision = Decision::permitting(&request, "id".into(), 0);
        decision.user = UserName::parse(user).ok();
        decision.client = "192.0.2.1".into();
        decision
    }

    fn limits(running: usize, per_repository: usize, per_user: usize) -> Limits {
        let gauge = |name: &str| IntGauge::new(name, name).unwrap();
        let sizes = Sizes { running, per_repository, per_user, queue: Duration::from_millis(20) };
        Limits::new(sizes, gauge("running"), gauge("queued"))
    }

    async fn take(limits: &Limits, decision: &Decision) -> Result<Permit, Busy> {
        limits.acquire(limits.enter(decision)?, &decision.repo).await
    }

    #[tokio::test]
    async fn each_limit_holds_by_itself() {
        for (limits, second) in [
            (limits(1, 9, 9), decision("joe", "b.git")),
            (limits(9, 1, 9), decision("eve", "a.git")),
            (limits(9, 9, 1), decision("joe", "b.git")),
        ] {
            let first = take(&limits, &decision("joe", "a.git")).await.unwrap();
            assert_eq!(limits.running.get(), 1);
            assert!(take(&limits, &second).await.is_err());
            drop(first);
            assert!(take(&limits, &second).await.is_ok());
        }
    }

    #[tokio::test]
    async fn callers_without_a_name_are_told_apart_by_address() {
        let limits = limits(9, 9, 1);
        let mut other = decision("", "a.git");
        other.client = "192.0.2.2".into();
        let _first = take(&limits, &decision("", "a.git")).await.unwrap();
        assert!(take(&limits, &decision("", "b.git")).await.is_err());
        assert!(take(&limits, &other).await.is_ok());
    }

    #[tokio::test]
    async fn answers_from_a_cache_need_no_place_until_they_are_a_great_many() {
        let limits = limits(1, 1, 1);
        let _running = take(&limits, &decision("joe", "a.git")).await.unwrap();
        let held: Vec<_> =
            (0..streams(1)).map(|_| limits.stream(&decision("joe", "a.git")).unwrap()).collect();
        assert_eq!(limits.stream(&decision("joe", "b.git")).unwrap_err(), Busy);
        assert!(limits.stream(&decision("eve", "a.git")).is_ok());
        drop(held);
        assert!(limits.stream(&decision("joe", "a.git")).is_ok());
    }

    #[test]
    fn an_ipv6_client_counts_by_its_network() {
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[tokio::test]
    async fn a_queue_that_is_full_is_not_joined() {
        let limits = Arc::new(limits(1, 9, 1));
        limits.sizes.lock().unwrap().queue = Duration::from_secs(60);
        let _running = take(&limits, &decision("eve", "a.git")).await.unwrap();
        let wait = |_| {
            let limits = Arc::clone(&limits);
            tokio::spawn(async move { take(&limits, &decision("joe", "a.git")).await })
        };
        let room = waiting(1);
        let waiting: Vec<_> = (0..room).map(wait).collect();
        while limits.queued.get() < i64::try_from(room).unwrap() {
            tokio::task::yield_now().await;
        }
        assert!(take(&limits, &decision("joe", "b.git")).await.is_err(), "at once");
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn nothing_is_remembered_of_requests_that_are_over() {
        let limits = limits(1, 1, 1);
        let first = take(&limits, &decision("joe", "a.git")).await.unwrap();
        assert!(take(&limits, &decision("joe", "a.git")).await.is_err());
        assert!(take(&limits, &decision("eve", "b.git")).await.is_err());
        drop(first);
        assert!(limits.callers.used.lock().unwrap().is_empty());
        assert!(limits.repositories.used.lock().unwrap().is_empty());
        assert_eq!((limits.running.get(), limits.queued.get()), (0, 0));
    }

    #[tokio::test]
    async fn a_request_that_waits_gets_the_slot_that_comes_free() {
        let limits = Arc::new(limits(1, 1, 1));
        limits.sizes.lock().unwrap().queue = Duration::from_secs(60);
        let first = take(&limits, &decision("joe", "a.git")).await.unwrap();
        let waiting = {
            let limits = Arc::clone(&limits);
            tokio::spawn(async move { take(&limits, &decision("eve", "b.git")).await.is_ok() })
        };
        while limits.queued.get() == 0 {
            tokio::task::yield_now().await;
        }
        drop(first);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn a_limit_can_grow_and_shrink_while_requests_run() {
        let limits = limits(2, 9, 9);
        let sizes = |running| Sizes { running, ..*limits.sizes.lock().unwrap() };
        let handle = Handle::current();
        let _first = take(&limits, &decision("a", "a.git")).await.unwrap();
        let second = take(&limits, &decision("b", "b.git")).await.unwrap();
        let third = decision("c", "c.git");
        assert!(take(&limits, &third).await.is_err());
        limits.resize(sizes(3), &handle);
        drop(take(&limits, &third).await.unwrap());
        limits.resize(sizes(1), &handle);
        assert!(take(&limits, &third).await.is_err(), "two still run");
        drop(second);
        assert!(take(&limits, &third).await.is_err(), "one still runs");
        limits.resize(sizes(2), &handle);
        assert!(take(&limits, &third).await.is_ok());
    }
}
