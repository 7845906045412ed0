//! The time that judging may take. When it is over the push is refused, whatever git is still busy with.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use policy::rule::Rule;

use super::super::Context;

/// A clock that runs until it is stopped or dropped.
pub(super) struct Clock(Sender<()>);

impl Clock {
    /// Starts it. A clock that cannot start is one that nobody waits for: the runner ends the request in the end.
    pub(super) fn start(context: &Context, time: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let context = context.clone();
        std::thread::spawn(move || {
            if stopped.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                context.refuse(Rule::Failure, "judging this push took too long, so it is refused");
                // git children that still run are ended by the runner, with the group they share.
                std::process::exit(1);
            }
        });
        Self(stop)
    }

    /// Judging is over.
    pub(super) fn stop(self) {
        let _ = self.0.send(());
    }
}
