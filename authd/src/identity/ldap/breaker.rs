//! Whether a directory is worth asking. Pure: what happened comes in, what to do comes out.
//!
//! One request without an answer makes the directory suspect; a probe of its own then decides, so that one
//! slow search condemns nobody. While it is out, requests are answered at once and nobody waits; the
//! probe goes on until it gets an answer.

use std::time::{Duration, Instant};

/// What is believed of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    /// It answers.
    Closed,
    /// It did not answer once; a probe is under way, requests still go to it.
    Suspect,
    /// The probe got no answer either; requests do not go to it.
    Open {
        /// Since when.
        since: Instant,
    },
}

/// What the probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// An answer.
    Answered,
    /// Nothing.
    Silent,
    /// The service account was refused. To try again soon could lock it.
    AccountRefused,
}

impl Breaker {
    /// A request went unanswered. How long to wait before the first probe, if there has to be one.
    pub(super) fn unanswered(&mut self, found: Probe, now: Instant) -> Option<Duration> {
        match (*self, found) {
            (Self::Closed, Probe::AccountRefused) => self.probed(found, now),
            (Self::Closed, Probe::Silent) => {
                *self = Self::Suspect;
                Some(Duration::ZERO)
            }
            _ => None,
        }
    }

    /// The probe came back. How long to wait before the next one, if there has to be one.
    pub(super) fn probed(&mut self, probe: Probe, now: Instant) -> Option<Duration> {
        let since = match *self {
            Self::Open { since } => since,
            Self::Closed | Self::Suspect => now,
        };
        match probe {
            Probe::Answered => {
                *self = Self::Closed;
                None
            }
            Probe::Silent => {
                *self = Self::Open { since };
                let out_for = now.saturating_duration_since(since);
                Some((out_for / 4).clamp(FIRST_WAIT, LAST_WAIT))
            }
            Probe::AccountRefused => {
                *self = Self::Open { since };
                Some(ACCOUNT_WAIT)
            }
        }
    }

    /// Whether a request may go to the directory.
    pub(super) fn admits(&self) -> bool {
        !matches!(self, Self::Open { .. })
    }
}

/// Between probes: often at first, and never so rarely that people notice the end of an outage late.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(2);
/// Five tries in five minutes could lock an account; one in two minutes is looked at by an administrator first.
const ACCOUNT_WAIT: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unanswered_request_starts_one_probe_and_condemns_nobody() {
        let (mut breaker, now) = (Breaker::Closed, Instant::now());
        assert_eq!(breaker.unanswered(Probe::Silent, now), Some(Duration::ZERO));
        assert_eq!(breaker.unanswered(Probe::Silent, now), None, "one probe is enough");
        assert!(breaker.admits());
        assert_eq!(breaker.probed(Probe::Answered, now), None);
        assert_eq!(breaker, Breaker::Closed);
    }

    #[test]
    fn a_silent_probe_opens_and_the_first_answered_one_closes() {
        let (mut breaker, start) = (Breaker::Closed, Instant::now());
        breaker.unanswered(Probe::Silent, start);
        assert_eq!(breaker.probed(Probe::Silent, start), Some(FIRST_WAIT));
        assert!(!breaker.admits());
        assert_eq!(breaker.unanswered(Probe::Silent, start), None, "the probe is still at work");
        let later = start + Duration::from_secs(3600);
        assert_eq!(breaker.probed(Probe::Silent, later), Some(LAST_WAIT));
        assert_eq!(breaker.probed(Probe::Answered, later), None);
        assert!(breaker.admits());
        assert_eq!(breaker, Breaker::Closed);
    }

    #[test]
    fn a_refused_service_account_is_not_tried_again_at_once() {
        let mut breaker = Breaker::Closed;
        assert_eq!(breaker.unanswered(Probe::AccountRefused, Instant::now()), Some(ACCOUNT_WAIT));
        assert!(!breaker.admits());
    }
}
