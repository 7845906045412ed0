//! git's answer on its way to the client: a bounded channel that ends well only when it is told to.
//!
//! A body that just stops would look complete to HTTP. So the end is a message of its own, and its absence is an error that
//! makes actix cut the connection, which nginx and git recognise as a truncated answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};

use super::budget::Draw;

/// Chunks between child and client, each of at most 64 KiB or so.
const CHUNKS: usize = 4;

/// The same while a copy is kept anyway, so that git can end before its client has read: they are the copy's bytes.
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
    copy: Option<Copied>,
    /// For what is on its way of a copy that became too much.
    given_up: Option<Draw>,
}

/// What was passed on, kept by the way as long as it is not too much.
#[derive(Debug)]
pub struct Copied {
    /// As it came.
    pub chunks: Vec<Bytes>,
    draw: Draw,
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

/// A channel for an answer of which a copy is kept, as long as `draw` gets the bytes for it. A small one does not wait for its
/// client.
#[must_use]
pub fn copying(draw: Draw) -> (Sender, Body) {
    with(CHUNKS_COPIED, Some(Copied { chunks: Vec::new(), draw }))
}

fn with(chunks: usize, copy: Option<Copied>) -> (Sender, Body) {
    let (sender, chunks) = mpsc::channel(chunks);
    let (end, ended) = oneshot::channel();
    (Sender { chunks: sender, end, copy, given_up: None }, Body { chunks, end: ended })
}

impl Sender {
    /// Passes a chunk on, when there is room.
    ///
    /// # Errors
    /// When nobody reads the answer any more.
    pub async fn send(&mut self, chunk: Bytes) -> Result<(), Gone> {
        if let Some(mut copied) = self.copy.take() {
            if copied.draw.take(chunk.len()) {
                copied.chunks.push(chunk.clone());
                self.copy = Some(copied);
            } else {
                self.given_up = Some(copied.draw);
            }
        }
        if self.copy.is_none() {
            let most = self.chunks.max_capacity() - CHUNKS + 1;
            drop(self.chunks.reserve_many(most).await.map_err(|_| Gone)?);
            self.given_up = None;
        }
        self.chunks.send(chunk).await.map_err(|_| Gone)
    }

    /// Completes when nobody reads the answer any more.
    pub async fn closed(&self) {
        self.chunks.closed().await;
    }

    /// The answer is complete. Gives back its copy, if there is one.
    #[must_use]
    pub fn end(self) -> Option<Copied> {
        let _ = self.end.send(());
        self.copy
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
    use futures_util::{FutureExt, StreamExt};

    use super::*;
    use crate::stream::budget::Budget;

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
            let (mut sender, _body) = copying(Budget::new(largest).draw());
            sender.send(Bytes::from_static(b"0006")).await.unwrap();
            sender.send(Bytes::from_static(b"ab00")).await.unwrap();
            assert_eq!(sender.end().is_some(), kept);
        }
    }
    #[tokio::test]
    async fn what_is_not_copied_waits_for_its_client() {
        let budget = Budget::new(10 * CHUNKS);
        let (mut sender, mut body) = copying(budget.draw());
        let chunk = Bytes::from_static(b"0123456789");
        for _ in 0..CHUNKS {
            sender.send(chunk.clone()).await.unwrap();
        }
        assert!(sender.send(chunk.clone()).now_or_never().is_none(), "there is room for a copy's only");
        assert!(!budget.draw().take(1), "they are on their way");
        for _ in 0..2 {
            assert_eq!(body.next().await.unwrap().unwrap(), chunk);
            assert!(sender.send(chunk.clone()).now_or_never().unwrap().is_ok());
            assert!(budget.draw().take(10 * CHUNKS));
        }
        assert!(sender.end().is_none());
    }
}
