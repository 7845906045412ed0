//! The time that judging may take. When it is over the push is refused, whatever git is still busy with.

use std::cell::OnceCell;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::Builder;
use std::time::{Duration, Instant};

use policy::rule::Rule;

use super::{Context, Refused};

/// A clock whose time runs from the beginning, and that is watched once something may take long: most pushes are judged
/// before a thread has started.
#[derive(Debug)]
pub(super) struct Clock<'a> {
    context: &'a Context,
    end: Instant,
    watch: OnceCell<Sender<()>>,
}

impl<'a> Clock<'a> {
    /// Starts the time.
    pub(super) fn start(context: &'a Context, time: Duration) -> Self {
        Self { context, end: Instant::now() + time, watch: OnceCell::new() }
    }

    /// Refuses the push when the time is over, from now on and whatever this thread is busy with.
    ///
    /// A clock that cannot be watched is read at the end, and until then nobody waits for it: the runner ends the request.
    pub(super) fn watch(&self) {
        self.watch.get_or_init(|| {
            let (stop, stopped) = mpsc::channel();
            let (context, end) = (self.context.clone(), self.end);
            let _ = Builder::new().spawn(move || {
                let left = end.saturating_duration_since(Instant::now());
                if stopped.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                    late(&context);
                    // git children that still run are ended by the runner, with the group they share.
                    std::process::exit(1);
                }
            });
            stop
        });
    }

    /// Judging is over: in time, or the push is refused.
    pub(super) fn stop(self) -> Result<(), Refused> {
        if let Some(watch) = self.watch.get() {
            let _ = watch.send(());
        }
        if Instant::now() >= self.end { Err(late(self.context)) } else { Ok(()) }
    }
}

fn late(context: &Context) -> Refused {
    context.refuse(Rule::Failure, "judging this push took too long, so it is refused")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_that_was_judged_too_late_is_refused_though_nobody_watched_the_clock() {
        let directory = tempfile::tempdir().unwrap();
        let context = Context { name: "pre-receive", directory: directory.path().to_owned() };
        assert!(Clock::start(&context, Duration::from_secs(60)).stop().is_ok());
        assert!(Clock::start(&context, Duration::ZERO).stop().is_err());
        let reports = std::fs::read_to_string(directory.path().join(crate::push::layout::REPORTS)).unwrap();
        assert!(reports.contains("took too long"), "{reports}");
    }
}
