//! A kept answer on its way to its client, from a file or behind the recorder.
//!
//! There is no git to end here, so this is what ends a client that stalls: without a byte moved for `limits.idle`, or after
//! `limits.request` in all, the file is closed and the connection cut. It lives on the daemon's own runtime, because actix does
//! not ask for the next piece of a body that nobody takes.

use std::net::{Shutdown, TcpStream};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::kept::Asked;
use super::served::Served;
use crate::cache::reader::{self, Reader};
use crate::cache::store::Answer;
use crate::limits::Stream;
use crate::stream::download::{self, Truncated};

/// Where a kept answer comes from.
pub(super) enum Source {
    /// A file that is complete, and how much of it was read.
    File(Arc<Answer>, u64),
    /// What is being recorded.
    Recording(Reader),
}

/// A second handle of a client's connection, to end it from outside.
#[derive(Clone, Debug)]
pub struct Connection(Arc<OwnedFd>);

impl Connection {
    /// Of an accepted socket; `None` when the system gives no more handles.
    #[must_use]
    pub fn of(socket: &impl AsFd) -> Option<Self> {
        socket.as_fd().try_clone_to_owned().ok().map(|handle| Self(Arc::new(handle)))
    }

    fn cut(&self) {
        // shutdown(2) is the same for all kinds of sockets.
        if let Ok(handle) = self.0.try_clone() {
            let _ = TcpStream::from(handle).shutdown(Shutdown::Both);
        }
    }
}

impl Asked<'_> {
    /// The body of the answer. `place` is given back when it is over.
    pub(super) fn pass(&self, mut source: Source, mut served: Served, place: Stream) -> download::Body {
        let (mut sender, body) = download::channel();
        let (patience, stop) = (self.runner.config.limits.patience, self.runner.stop.clone());
        let connection = self.connection.cloned();
        let passing = async move {
            let outcome = tokio::select! {
                outcome = source.pour(&mut sender, &mut served, patience.idle) => outcome,
                () = sleep(patience.request) => "timeout",
                () = stop.cancelled() => "stopped",
            };
            match outcome {
                "ok" => drop(sender.end()),
                _ => drop(sender),
            }
            served.finish(outcome);
            drop(source);
            if let Some(connection) = connection.filter(|_| outcome == "timeout") {
                connection.cut();
            }
            drop(place);
        };
        self.runner.jobs.spawn_on(passing, &self.runner.runtime);
        body
    }
}

impl Source {
    /// Passes all of it on; how that ended.
    async fn pour(
        &mut self,
        sender: &mut download::Sender,
        served: &mut Served,
        idle: std::time::Duration,
    ) -> &'static str {
        loop {
            match timeout(idle, self.step(sender, served)).await {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(outcome)) => return outcome,
                Err(_) => return "timeout",
            }
        }
    }

    async fn step(
        &mut self,
        sender: &mut download::Sender,
        served: &mut Served,
    ) -> ControlFlow<&'static str> {
        let next = tokio::select! {
            biased;
            next = self.next() => next,
            () = sender.closed() => return ControlFlow::Break("client_gone"),
        };
        match next {
            None => ControlFlow::Break("ok"),
            Some(Err(Truncated)) => ControlFlow::Break("failed"),
            Some(Ok(piece)) => {
                let length = piece.len() as u64;
                if sender.send(piece).await.is_err() {
                    return ControlFlow::Break("client_gone");
                }
                served.add(length);
                ControlFlow::Continue(())
            }
        }
    }

    async fn next(&mut self) -> Option<Result<Bytes, Truncated>> {
        let (answer, position) = match self {
            Self::Recording(reader) => return reader.next().await,
            Self::File(answer, position) => (answer, position),
        };
        let length = (answer.size - *position).min(PIECE);
        if length == 0 {
            return None;
        }
        let (file, start) = (Arc::clone(answer), *position);
        let read = spawn_blocking(move || reader::read(&file.file, start, length)).await;
        *position += length;
        Some(read.ok().and_then(Result::ok).ok_or(Truncated))
    }
}

/// How much of a file is read at once.
const PIECE: u64 = 64 << 10;
