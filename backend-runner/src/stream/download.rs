//! git's answer on its way to the client: a bounded channel that ends well only when it is told to.
//!
//! A body that just stops would look complete to HTTP. So the end is a message of its own, and its absence is an error that
//! makes actix cut the connection, which nginx and git recognise as a truncated answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};

/// Chunks between child and client, each of at most 64 KiB or so.
const CHUNKS: usize = 4;

/// The answer broke off.
#[derive(Debug, thiserror::Error)]
#[error("git was ended before its answer was complete")]
pub struct Truncated;

/// Nobody reads the answer any more.
#[derive(Debug)]
pub struct Gone;

/// The exchange's side.
#[derive(Debug)]
pub struct Sender {
    chunks: mpsc::Sender<Bytes>,
    end: oneshot::Sender<()>,
}

/// The response body.
#[derive(Debug)]
pub struct Body {
    chunks: mpsc::Receiver<Bytes>,
    end: oneshot::Receiver<()>,
}

/// A channel for one answer.
#[must_use]
pub fn channel() -> (Sender, Body) {
    let (sender, chunks) = mpsc::channel(CHUNKS);
    let (end, ended) = oneshot::channel();
    (Sender { chunks: sender, end }, Body { chunks, end: ended })
}

impl Sender {
    /// Passes a chunk on, when there is room.
    ///
    /// # Errors
    /// When nobody reads the answer any more.
    pub async fn send(&self, chunk: Bytes) -> Result<(), Gone> {
        self.chunks.send(chunk).await.map_err(|_| Gone)
    }

    /// Completes when nobody reads the answer any more.
    pub async fn closed(&self) {
        self.chunks.closed().await;
    }

    /// The answer is complete.
    pub fn end(self) {
        let _ = self.end.send(());
    }
}

impl Stream for Body {
    type Item = Result<Bytes, Truncated>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(chunk) = ready!(self.chunks.poll_recv(context)) {
            return Poll::Ready(Some(Ok(chunk)));
        }
        match ready!(Pin::new(&mut self.end).poll(context)) {
            Ok(()) => Poll::Ready(None),
            Err(_) => Poll::Ready(Some(Err(Truncated))),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn an_answer_ends_well_only_when_told_to() {
        let (sender, mut body) = channel();
        sender.send(Bytes::from_static(b"pack")).await.unwrap();
        sender.end();
        assert_eq!(body.next().await.unwrap().unwrap(), "pack");
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn an_answer_that_is_dropped_half_way_is_an_error() {
        let (sender, mut body) = channel();
        sender.send(Bytes::from_static(b"pa")).await.unwrap();
        drop(sender);
        assert!(body.next().await.unwrap().is_ok());
        assert!(body.next().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn the_child_is_told_when_nobody_reads_any_more() {
        let (sender, body) = channel();
        drop(body);
        sender.closed().await;
        assert!(sender.send(Bytes::new()).await.is_err());
    }
}
