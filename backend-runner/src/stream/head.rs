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

/// A head that is still to come, or was sent.
#[derive(Debug)]
pub(super) struct Pending {
    sender: Option<HeadSender>,
    sent: Option<Head>,
}

impl Pending {
    pub(super) fn new(sender: HeadSender) -> Self {
        Self { sender: Some(sender), sent: None }
    }

    /// Sends the head; `false` when nobody waits for it any more.
    pub(super) fn send(&mut self, head: Head) -> bool {
        self.sent = Some(head.clone());
        self.sender.take().is_some_and(|sender| sender.send(Ok(head)).is_ok())
    }

    /// Tells whoever still waits that there will be none.
    pub(super) fn give_up(&mut self, reason: NoHead) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(Err(reason));
        }
    }

    /// The head that was sent.
    pub(super) fn sent(self) -> Option<Head> {
        self.sent
    }
}
