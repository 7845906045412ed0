//! Watches the files of a configuration and says when to load it again: one thread, for one daemon.
//!
//! A change counts when the files have been left alone for a moment and their content is another one; so a file that is
//! written in two halves is not read in between, and neither a touch nor our own reading causes a reload. The system's
//! notifications (inotify(7)) only make this quick: where there are none, or they are lost, a slow poll finds the change, by
//! the content of every file whose stamp does not prove it (see [`Files`]). The thread loads, so no thread that answers
//! requests ever parses a file.

mod directories;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use tokio::sync::oneshot;

use crate::files::{Files, Stamp};
use crate::shutdown;
use directories::Directories;

/// A running watch; it ends when dropped.
#[derive(Debug)]
pub struct Watch {
    sender: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// Why a configuration is loaded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A file has changed.
    Changed,
    /// Somebody asked for it, by SIGHUP.
    Asked,
    /// The last time failed, and the reason may be gone.
    Retry,
}

/// What came of a reload.
#[derive(Debug)]
pub struct Reloaded {
    /// The files that were read: what to watch from now on.
    pub files: Files,
    /// Nothing was replaced. It is tried again at the next poll, should the reason lie outside the files.
    pub failed: bool,
}

/// How patient a watch is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long the files must have been left alone before they are read.
    pub quiet: Duration,
    /// How often files are compared without any notification.
    pub poll: Duration,
    /// How often every file is read for that, whatever its stamp says.
    pub read: Duration,
    /// How often files are looked at while the system gives no notifications.
    pub blind: Duration,
}

impl Watch {
    /// Watches `files`, and calls `reload` when their content is another one.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        files: Files,
        pace: Pace,
        reload: impl FnMut(Cause) -> Reloaded + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_on(files, pace, reload, directories::inotify)
    }

    fn start_on(
        files: Files,
        pace: Pace,
        reload: impl FnMut(Cause) -> Reloaded + Send + 'static,
        notifier: directories::MakeNotifier,
    ) -> io::Result<Self> {
        let (sender, messages) = mpsc::channel();
        let pending = Arc::new(AtomicBool::new(false));
        let notify = {
            let (sender, pending) = (sender.clone(), Arc::clone(&pending));
            move || {
                // One message stands for any number of changes until it is read.
                if !pending.swap(true, Ordering::AcqRel) {
                    let _ = sender.send(Message::Changed);
                }
            }
        };
        let directories = Directories::new(notifier, notify);
        let watcher = Watcher {
            pace,
            reload,
            directories,
            pending,
            loaded: files,
            settled: None,
            candidate: None,
            failed: false,
            next_poll: Instant::now() + pace.poll,
            next_reading: Instant::now() + pace.read,
        };
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(move || watcher.run(&messages))?;
        Ok(Self { sender, thread: Some(thread) })
    }

    /// Loads everything again now, changed or not, and waits until that is done.
    pub async fn reload(&self) {
        let (done, waiting) = oneshot::channel();
        if self.sender.send(Message::Reload(done)).is_err() || waiting.await.is_err() {
            tracing::error!("nobody watches the configuration any more: restart to use a new one");
        }
    }
}

/// Waits for the requests that still use what has been replaced, so that it is the reloading thread that takes it apart: a
/// large policy would hold up the request that used it last.
pub fn retire<T>(last: Arc<T>) {
    let started = Instant::now();
    while Arc::strong_count(&last) > 1 && started.elapsed() < RETIREMENT {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Longer than a decision takes, short enough for the next reload.
const RETIREMENT: Duration = Duration::from_millis(500);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.sender.send(Message::Stop);
        let Some(thread) = self.thread.take() else { return };
        // A thread that reads from dead storage does not end; the daemon does, and takes it along.
        let started = Instant::now();
        while !thread.is_finished() && started.elapsed() < FAREWELL {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// How long the end of the thread is waited for.
const FAREWELL: Duration = Duration::from_secs(1);

impl Default for Pace {
    fn default() -> Self {
        Self {
            // Longer than an editor or a copy pauses within one save.
            quiet: Duration::from_millis(300),
            poll: Duration::from_secs(30),
            // Writing through a mapping (mmap(2)) or below the file system leaves stamps as they are.
            read: Duration::from_secs(15 * 60),
            blind: Duration::from_secs(1),
        }
    }
}

/// What wakes the thread.
enum Message {
    /// Something happened in a watched directory.
    Changed,
    /// Somebody wants a reload, and to know when it is over.
    Reload(oneshot::Sender<()>),
    /// The watch is over.
    Stop,
}

/// The thread's own state.
struct Watcher<R> {
    pace: Pace,
    reload: R,
    directories: Directories,
    /// A `Changed` is on its way.
    pending: Arc<AtomicBool>,
    /// The files as they were loaded.
    loaded: Files,
    /// What `stat` said when their content was last found to be the loaded one.
    settled: Option<Vec<Option<Stamp>>>,
    /// What `stat` says now, if that is something else, and since when.
    candidate: Option<(Vec<Option<Stamp>>, Instant)>,
    failed: bool,
    next_poll: Instant,
    next_reading: Instant,
}

impl<R: FnMut(Cause) -> Reloaded> Watcher<R> {
    fn run(mut self, messages: &Receiver<Message>) {
        self.look();
        loop {
            match messages.recv_timeout(self.patience()) {
                Ok(Message::Changed) => {
                    thread::sleep(GATHER);
                    self.pending.store(false, Ordering::Release);
                }
                Ok(Message::Reload(done)) => {
                    self.load(Cause::Asked);
                    // Whoever asked may have left.
                    let _ = done.send(());
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.poll(),
                Ok(Message::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            self.look();
        }
    }

    /// How long to wait for a message.
    fn patience(&self) -> Duration {
        let now = Instant::now();
        let poll = self.next_poll.saturating_duration_since(now);
        let quiet = self.candidate.as_ref().map(|(_, since)| self.pace.quiet.saturating_sub(now - *since));
        let blind = (!self.directories.all_watched()).then_some(self.pace.blind);
        [quiet, blind].into_iter().flatten().fold(poll, Duration::min)
    }

    /// Makes the next look compare files, whatever was found before.
    fn poll(&mut self) {
        let now = Instant::now();
        if now < self.next_poll {
            return;
        }
        self.next_poll = now + self.pace.poll;
        self.settled = None;
        if now >= self.next_reading {
            self.next_reading = now + self.pace.read;
            self.loaded.doubt();
        }
        if self.failed {
            self.load(Cause::Retry);
        }
    }

    /// Has anything been touched, and for how long has it been left alone?
    fn look(&mut self) {
        self.directories.watch(&self.loaded);
        let now = Instant::now();
        let stamps = self.loaded.stamps();
        if self.settled.as_ref() == Some(&stamps) {
            self.candidate = None;
            return;
        }
        match self.candidate.take() {
            Some((seen, since)) if seen == stamps => match now - since < self.pace.quiet {
                true => self.candidate = Some((seen, since)),
                false => self.compare(stamps),
            },
            _ => self.candidate = Some((stamps, now)),
        }
    }

    /// Has the content changed?
    fn compare(&mut self, stamps: Vec<Option<Stamp>>) {
        let now = self.loaded.again();
        if now.stamps() != stamps {
            // Touched while it was read: wait once more.
            self.candidate = Some((now.stamps(), Instant::now()));
        } else if now.same_content(&self.loaded) {
            // The same, but what was young when it was loaded may have become old enough for its stamp to be believed.
            self.loaded = now;
            self.settled = Some(stamps);
        } else {
            // Should the load panic, these are the files it panicked at.
            self.loaded = now;
            self.load(Cause::Changed);
            self.directories.watch(&self.loaded);
            self.candidate = Some((self.loaded.stamps(), Instant::now()));
        }
    }

    fn load(&mut self, cause: Cause) {
        shutdown::notify_reloading();
        // A file that makes a parser panic must not end the watch: the next one may mend it.
        match panic::catch_unwind(AssertUnwindSafe(|| (self.reload)(cause))) {
            Ok(Reloaded { files, failed }) => {
                self.loaded = files;
                self.failed = failed;
            }
            Err(_) => {
                tracing::error!("a reload panicked, the last good configuration stays");
                self.failed = true;
            }
        }
        shutdown::notify_ready();
        self.settled = None;
    }
}

impl<R> fmt::Debug for Watcher<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("loaded", &self.loaded).finish_non_exhaustive()
    }
}

/// One save makes several notifications; this long they are taken for one.
const GATHER: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
