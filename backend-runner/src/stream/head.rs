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
pub(super) struct Pending {
    sender: Option<HeadSender>,
    head: Option<Head>,
}

impl Pending {
    pub(super) fn new(sender: HeadSender) -> Self {
        Self { sender: Some(sender), head: None }
    }

    /// Makes the head known, without sending it: who gets it finds all of the answer that is there already.
    pub(super) fn put(&mut self, head: Head) {
        self.head = Some(head);
    }

    /// Sends the head that is known, if it was not sent yet; `false` when nobody waits for it any more.
    pub(super) fn send(&mut self) -> bool {
        match (&self.head, self.sender.take_if(|_| self.head.is_some())) {
            (Some(head), Some(sender)) => sender.send(Ok(head.clone())).is_ok(),
            _ => true,
        }
    }

    /// Tells whoever still waits that there will be none.
    pub(super) fn give_up(&mut self, reason: NoHead) {
        if let Some(sender) = self.sender.take() {
            self.head = None;
            let _ = sender.send(Err(reason));
        }
    }

    /// The head that was sent.
    pub(super) fn sent(self) -> Option<Head> {
        self.head
    }
}
