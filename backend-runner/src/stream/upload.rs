//! The request's body on its way to a child: actix on one side, the exchange on the other.
//!
//! actix ties a body to the worker thread that reads it, so a small task there pumps it into a bounded channel. The channel
//! tells the end of a body from a body that broke off, because only the first may end a push.

use std::time::Duration;

use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Chunks between the two sides; actix makes them of at most 64 KiB.
const CHUNKS: usize = 4;

/// What comes next of a body.
#[derive(Debug)]
pub enum Piece {
    /// Some of it.
    Data(Bytes),
    /// It is complete.
    End,
    /// It broke off.
    Aborted,
    /// It is longer than allowed.
    TooLarge,
}

/// The exchange's side.
#[derive(Debug)]
pub struct Receiver(mpsc::Receiver<Piece>);

/// The worker's side.
#[derive(Debug)]
pub struct Sender(mpsc::Sender<Piece>);

/// A channel for one body.
#[must_use]
pub fn channel() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    (Sender(sender), Receiver(receiver))
}

impl Receiver {
    /// Waits for the next piece. A pump that is gone without a word counts as a broken body.
    pub async fn next(&mut self) -> Piece {
        self.0.recv().await.unwrap_or(Piece::Aborted)
    }
}

impl Sender {
    /// Tells that there is no body.
    pub fn end(self) {
        // A new channel has room for one piece.
        let _ = self.0.try_send(Piece::End);
    }

    /// Pumps `body` until its end. When the exchange needs no more of it, the rest is read and dropped, so that a client which
    /// insists on sending it all still gets to read the answer; `idle` and `limit` bound that too.
    pub async fn pump(self, mut body: Payload, limit: u64, idle: Duration) {
        let mut total = 0_u64;
        let mut wanted = true;
        loop {
            let next =
                if wanted { body.next().await } else { timeout(idle, body.next()).await.unwrap_or(None) };
            let piece = match next {
                Some(Ok(bytes)) => {
                    total = total.saturating_add(bytes.len() as u64);
                    if total > limit { Piece::TooLarge } else { Piece::Data(bytes) }
                }
                Some(Err(_)) => Piece::Aborted,
                None => Piece::End,
            };
            let last = !matches!(piece, Piece::Data(_));
            wanted = wanted && self.0.send(piece).await.is_ok();
            if last {
                return;
            }
        }
    }
}
