//! The signals of a service manager: SIGTERM and SIGINT end the daemon, SIGHUP reloads it, and
//! `sd_notify(3)` tells systemd what is going on. Without systemd the notifications do nothing.
//!
//! What ending and reloading mean is the daemon's business; this module only says when.

use std::io;
use std::pin::pin;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals a daemon listens to, caught from the moment this exists.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Starts to catch the signals. Call it before the daemon says it is ready, so none is lost.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Says the daemon is ready, then waits for the signal to end, asking for reloads and feeding the service
    /// manager's watchdog meanwhile. Whoever reloads tells the service manager.
    pub async fn until_shutdown(self, mut reload: impl AsyncFnMut()) {
        let Self { mut terminate, mut interrupt, mut hangup } = self;
        notify_ready();
        let watchdog = sd_notify::watchdog_enabled();
        let mut beat = tokio::time::interval(watchdog.map_or(IDLE_BEAT, |limit| limit / 2));
        let mut going_on = true;
        while going_on {
            let mut reloading = pin!(async {
                hangup.recv().await;
                reload().await;
            });
            going_on = loop {
                // A reload that hangs on dead storage must not keep the daemon from ending, nor from being alive.
                tokio::select! {
                    _ = terminate.recv() => break false,
                    _ = interrupt.recv() => break false,
                    () = &mut reloading => break true,
                    _ = beat.tick() => if watchdog.is_some() { notify(&[NotifyState::Watchdog]) },
                }
            };
        }
        notify(&[NotifyState::Stopping]);
    }
}

/// How often the loop turns when no watchdog wants to hear of it.
const IDLE_BEAT: Duration = Duration::from_secs(3600);

/// Says that the daemon is reading its configuration. systemd wants the time with the message, or it takes the reload for failed.
pub(crate) fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(error = error.to_string(), "the monotonic clock cannot be read"),
    }
}

/// Says that the daemon is ready, or again so.
pub(crate) fn notify_ready() {
    notify(&[NotifyState::Ready]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(error = error.to_string(), "the service manager cannot be notified");
    }
}
