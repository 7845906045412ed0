//! What a child says, read in pieces that are worth passing on, and overheard where it reports on a push.

use std::io;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

use crate::child::{GRACE, Group, Output};
use crate::push::status::Status;

/// How much is read from a child at once.
const READ: usize = 64 * 1024;

/// Less than this at once waits a moment for what follows: git writes small answers and its progress in pieces of a few bytes, and
/// each would go through three processes.
const LITTLE: usize = 4 * 1024;

/// The most that a pipe holds in bytes, unless the system was told otherwise; see pipe(7).
const PIPE: usize = 1 << 20;

/// What is left of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// There may be more.
    ToCome,
    /// That was all.
    Over,
}

/// Where the answer comes from, and who listens to it on its way.
pub(super) struct Stdout {
    pipe: Output,
    status: Option<Status>,
}

impl Stdout {
    pub(super) fn new(pipe: Output, status: Option<Status>) -> Self {
        Self { pipe, status }
    }

    /// Reads the next of the answer, and what follows it if it is a little.
    pub(super) async fn read_on(&mut self, group: &Group, buffer: &mut BytesMut) -> io::Result<Rest> {
        match self.read(group, buffer).await? {
            0 => Ok(Rest::Over),
            _ => self.follow(group, buffer).await,
        }
    }

    /// Reads once; `Ok(0)` is the end. A process that outlives the leader by [`GRACE`] without a word cannot hold up that end.
    pub(super) async fn read(&mut self, group: &Group, buffer: &mut BytesMut) -> io::Result<usize> {
        // A child that is not watched yet has said little, as far as is known, and memory that was never touched costs more
        // than the reading.
        buffer.reserve(if self.pipe.is_watched() { READ } else { LITTLE });
        let before = buffer.len();
        tokio::select! {
            biased;
            read = self.pipe.read_buf(buffer) => {
                let length = read?;
                self.listen(&buffer[before..]);
                Ok(length)
            }
            () = async { group.exited().await; sleep(GRACE).await } => Ok(0),
        }
    }

    /// Gives a child that has said a little time for what follows, and reads what is there.
    pub(super) async fn follow(&mut self, group: &Group, buffer: &mut BytesMut) -> io::Result<Rest> {
        if buffer.len() < LITTLE {
            group.quiet().await;
        } else if self.pipe.is_watched() {
            return Ok(Rest::ToCome);
        }
        while buffer.len() < READ {
            match self.read_now(buffer)? {
                Some(0) => return Ok(Rest::Over),
                Some(_) => {}
                None => return Ok(Rest::ToCome),
            }
        }
        // It has much to say.
        self.pipe.watch()?;
        Ok(Rest::ToCome)
    }

    /// Reads what is there, if anything; `Some(0)` is the end.
    fn read_now(&mut self, buffer: &mut BytesMut) -> io::Result<Option<usize>> {
        let before = buffer.len();
        buffer.resize(before + before.clamp(LITTLE, READ), 0);
        let read = self.pipe.read_now(&mut buffer[before..]);
        let length = if let Ok(Some(length)) = &read { *length } else { 0 };
        buffer.truncate(before + length);
        self.listen(&buffer[before..]);
        read
    }

    fn listen(&mut self, bytes: &[u8]) {
        if let Some(status) = &mut self.status {
            status.follow(bytes);
        }
    }

    /// What git reported; what it had said when it was ended counts, though nobody took it. A pipe holds no more than [`PIPE`].
    pub(super) fn drain(mut self) -> Option<Status> {
        let mut buffer = [0; 4096];
        for _ in 0..PIPE / buffer.len() {
            match self.status.is_some().then(|| self.pipe.read_now(&mut buffer)) {
                Some(Ok(Some(length @ 1..))) => self.listen(&buffer[..length]),
                _ => break,
            }
        }
        self.status
    }
}
