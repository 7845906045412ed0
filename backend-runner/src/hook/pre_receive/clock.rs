//! The time that judging may take. When it is over the push is refused, whatever git is still busy with.

use std::cell::OnceCell;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use policy::rule::Rule;

use super::super::Context;

/// A clock whose time runs from the beginning, and that is watched once something may take long: most pushes are judged
/// before a thread has started.
#[derive(Debug)]
pub(in super::super) struct Clock<'a> {
    context: &'a Context,
    end: Instant,
    watch: OnceCell<Sender<()>>,
}

impl<'a> Clock<'a> {
    /// Starts the time.
    pub(super) fn start(context: &'a Context, time: Duration) -> Self {
        Self { context, end: Instant::now() + time, watch: OnceCell::new() }
    }

    /// Refuses the push when the time is over, from now on.
    ///
    /// A clock that nobody can watch is one that nobody waits for: the runner ends the request in the end.
    pub(in super::super) fn watch(&self) {
        self.watch.get_or_init(|| {
            let (stop, stopped) = mpsc::channel();
            let (context, end) = (self.context.clone(), self.end);
            std::thread::spawn(move || {
                let left = end.saturating_duration_since(Instant::now());
                if stopped.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                    context.refuse(Rule::Failure, "judging this push took too long, so it is refused");
                    // git children that still run are ended by the runner, with the group they share.
                    std::process::exit(1);
                }
            });
            stop
        });
    }

    /// Judging is over.
    pub(super) fn stop(self) {
        if let Some(watch) = self.watch.get() {
            let _ = watch.send(());
        }
    }
}
