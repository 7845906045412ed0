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

/// The same where a copy is kept anyway, so that git can end before its client has read.
const CHUNKS_COPIED: usize = 256;

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
    copy: Option<Copy>,
}

/// What was passed on, kept by the way as long as it is not too much.
#[derive(Debug)]
struct Copy {
    chunks: Vec<Bytes>,
    left: usize,
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
    with(CHUNKS, None)
}

/// A channel for an answer of which a copy is kept, if it has at most `largest` bytes. A small one does not wait for its client.
#[must_use]
pub fn copying(largest: usize) -> (Sender, Body) {
    with(CHUNKS_COPIED, Some(Copy { chunks: Vec::new(), left: largest }))
}

fn with(chunks: usize, copy: Option<Copy>) -> (Sender, Body) {
    let (sender, chunks) = mpsc::channel(chunks);
    let (end, ended) = oneshot::channel();
    (Sender { chunks: sender, end, copy }, Body { chunks, end: ended })
}

impl Sender {
    /// Passes a chunk on, when there is room.
    ///
    /// # Errors
    /// When nobody reads the answer any more.
    pub async fn send(&mut self, chunk: Bytes) -> Result<(), Gone> {
        if let Some(copy) = &mut self.copy {
            match copy.left.checked_sub(chunk.len()) {
                Some(left) => {
                    copy.left = left;
                    copy.chunks.push(chunk.clone());
                }
                None => self.copy = None,
            }
        }
        self.chunks.send(chunk).await.map_err(|_| Gone)
    }

    /// Completes when nobody reads the answer any more.
    pub async fn closed(&self) {
        self.chunks.closed().await;
    }

    /// The answer is complete. Gives back its copy, if there is one.
    #[must_use]
    pub fn end(self) -> Option<Vec<Bytes>> {
        let _ = self.end.send(());
        self.copy.map(|copy| copy.chunks)
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
        let (mut sender, mut body) = channel();
        sender.send(Bytes::from_static(b"pack")).await.unwrap();
        assert!(sender.end().is_none());
        assert_eq!(body.next().await.unwrap().unwrap(), "pack");
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn an_answer_that_is_dropped_half_way_is_an_error() {
        let (mut sender, mut body) = channel();
        sender.send(Bytes::from_static(b"pa")).await.unwrap();
        drop(sender);
        assert!(body.next().await.unwrap().is_ok());
        assert!(body.next().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn the_child_is_told_when_nobody_reads_any_more() {
        let (mut sender, body) = channel();
        drop(body);
        sender.closed().await;
        assert!(sender.send(Bytes::new()).await.is_err());
    }

    #[tokio::test]
    async fn a_copy_is_kept_of_what_is_small_enough() {
        for (largest, kept) in [(8, true), (7, false)] {
            let (mut sender, _body) = copying(largest);
            sender.send(Bytes::from_static(b"0006")).await.unwrap();
            sender.send(Bytes::from_static(b"ab00")).await.unwrap();
            assert_eq!(sender.end().is_some(), kept);
        }
    }
}
