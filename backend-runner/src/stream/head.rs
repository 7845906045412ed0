//! The head of the answer on its way to the HTTP side: at most one, and what it said is remembered for the log.

use tokio::sync::oneshot;

use crate::cgi::response::Head;

/// Carries the answer's head, or why there is none.
pub type HeadSender = oneshot::Sender<Result<Head, NoHead>>;

/// Why a request gets no answer from git. The log has the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHead {
    /// git failed, or took too long.
    Failed,
    /// The request's body is longer than allowed.
    TooLarge,
    /// The daemon stops.
    Stopped,
}

/// A head that is still to come, is known, or was sent.
#[derive(Debug)]
pub(super) enum Pending {
    /// Nothing is known of it.
    Unknown(HeadSender),
    /// It waits for the first of the body, and for the end of an answer that is short.
    Known(HeadSender, Head),
    /// The HTTP side has it, or has left.
    Sent(Head),
    /// There will be none.
    GivenUp,
}

impl Pending {
    pub(super) fn new(sender: HeadSender) -> Self {
        Self::Unknown(sender)
    }

    /// Makes the head known, without sending it: who gets it finds all of the answer that is there already.
    pub(super) fn know(&mut self, head: Head) {
        *self = match std::mem::replace(self, Self::GivenUp) {
            Self::Unknown(sender) => Self::Known(sender, head),
            other => other,
        };
    }

    /// Sends the head that is known, if it was not sent yet; `false` when nobody waits for it any more.
    pub(super) fn send(&mut self) -> bool {
        match std::mem::replace(self, Self::GivenUp) {
            Self::Known(sender, head) => {
                *self = Self::Sent(head.clone());
                sender.send(Ok(head)).is_ok()
            }
            other => {
                *self = other;
                true
            }
        }
    }

    /// Tells whoever still waits that there will be none.
    pub(super) fn give_up(&mut self, reason: NoHead) {
        match std::mem::replace(self, Self::GivenUp) {
            Self::Unknown(sender) | Self::Known(sender, _) => _ = sender.send(Err(reason)),
            other => *self = other,
        }
    }

    /// The head that was sent.
    pub(super) fn sent(self) -> Option<Head> {
        match self {
            Self::Sent(head) => Some(head),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;

    use super::*;

    fn head() -> Head {
        Head { status: StatusCode::OK, headers: Vec::new() }
    }

    #[test]
    fn a_head_that_is_known_goes_out_once_and_cannot_be_taken_back() {
        let (sender, mut receiver) = oneshot::channel();
        let mut pending = Pending::new(sender);
        assert!(pending.send(), "nothing is known yet");
        pending.know(head());
        assert!(receiver.try_recv().is_err());
        assert!(pending.send() && pending.send());
        pending.give_up(NoHead::Failed);
        assert_eq!(receiver.try_recv().unwrap().unwrap().status, StatusCode::OK);
        assert!(pending.sent().is_some());
    }

    #[test]
    fn a_head_that_is_known_and_not_sent_can_still_become_an_error() {
        let (sender, mut receiver) = oneshot::channel();
        let mut pending = Pending::new(sender);
        pending.know(head());
        pending.give_up(NoHead::Failed);
        assert_eq!(receiver.try_recv().unwrap().unwrap_err(), NoHead::Failed);
        assert!(pending.send());
        assert!(pending.sent().is_none());
    }

    #[test]
    fn whoever_has_left_is_noticed() {
        let (sender, receiver) = oneshot::channel();
        drop(receiver);
        let mut pending = Pending::new(sender);
        pending.know(head());
        assert!(!pending.send());
    }
}
