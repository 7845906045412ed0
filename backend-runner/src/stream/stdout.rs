//! What a child says, read in pieces that are worth passing on, and overheard where it reports on a push.

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

use super::relay::HELD;
use crate::child::{GRACE, Group, Output};
use crate::push::status::Status;

/// How much is read from a child at once.
const READ: usize = 64 * 1024;

/// Less than this at once waits a moment for what follows: git writes small answers and its progress in pieces of a few bytes, and
/// each would go through three processes.
const LITTLE: usize = 4 * 1024;

/// Where the answer comes from, and who listens to it on its way.
pub(super) struct Stdout {
    pipe: Output,
    status: Option<Status>,
}

impl Stdout {
    pub(super) fn new(pipe: Output, status: Option<Status>) -> Self {
        Self { pipe, status }
    }

    /// Reads the next of the answer, and what follows it if it is a little; `false` at the end.
    pub(super) async fn read_on(&mut self, group: &Group, buffer: &mut BytesMut) -> std::io::Result<bool> {
        Ok(self.read(group, buffer).await? > 0 && self.follow(group, buffer).await?)
    }

    /// Reads once; `Ok(0)` is the end. A process that outlives the leader by [`GRACE`] without a word cannot hold up that end.
    pub(super) async fn read(&mut self, group: &Group, buffer: &mut BytesMut) -> std::io::Result<usize> {
        // What a child said while it was not watched is little, and memory that was never touched costs more than the reading.
        if !self.pipe.is_watched()
            && let Some(length) = self.read_now(buffer)?
        {
            return Ok(length);
        }
        buffer.reserve(READ);
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

    /// Gives a child that has said a little time for what follows, and reads what is there; `false` at the end.
    pub(super) async fn follow(&mut self, group: &Group, buffer: &mut BytesMut) -> std::io::Result<bool> {
        if buffer.len() < LITTLE {
            group.quiet().await;
        } else if self.pipe.is_watched() {
            return Ok(true);
        }
        while buffer.len() < READ {
            match self.read_now(buffer)? {
                Some(0) => return Ok(false),
                Some(_) => {}
                None => break,
            }
        }
        Ok(true)
    }

    /// Reads what is there, if anything; `Some(0)` is the end.
    fn read_now(&mut self, buffer: &mut BytesMut) -> std::io::Result<Option<usize>> {
        let before = buffer.len();
        buffer.resize(before + LITTLE, 0);
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

    /// What git reported; what it had said when it was ended counts, though nobody took it. A pipe holds no more than [`HELD`].
    pub(super) fn drain(mut self) -> Option<Status> {
        let mut buffer = [0; 4096];
        for _ in 0..HELD / buffer.len() {
            match self.status.is_some().then(|| self.pipe.read_now(&mut buffer)) {
                Some(Ok(Some(length @ 1..))) => self.listen(&buffer[..length]),
                _ => break,
            }
        }
        self.status
    }
}
