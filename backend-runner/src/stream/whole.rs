//! A request body that is taken whole before anything is started for it: what a fetch asks for, and a push of a few commits.
//!
//! git reads all of it before it answers a fetch, so nothing is won by starting git sooner, and much is lost: a client that sends a
//! byte now and then would hold a place among the running processes. A body is decoded on the way and bounded in every
//! direction: size as sent, size decoded, time, and memory, beyond which it goes to a file that has no name.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::StreamExt;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::inflate::Inflate;
use crate::limits::{Busy, FileRoom, Room};

/// More than this waits in a file.
const IN_MEMORY: usize = 256 << 10;

/// What a compressed body may become; a fetch with a thousand refs on each side has a tenth of a MiB.
const DECODED: u64 = 16 << 20;

/// A client has this long at most, and a second more for each [`SLOWEST`] bytes that came.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes a second that keep a body coming.
const SLOWEST: u64 = 16 << 10;

/// A whole body.
#[derive(Debug)]
pub enum Whole {
    /// A small one.
    Memory(Bytes),
    /// A large one, from its beginning, and its leave to be one.
    File(File, FileRoom),
}

impl Whole {
    /// A file that a child can read it from, with its length in bytes and its leave to be on disk, if it is.
    ///
    /// A small one is a file in memory, see memfd_create(2), where that can be had: a pipe would have to be written as the child
    /// takes it.
    ///
    /// # Errors
    /// When the system has no file descriptor or memory left.
    pub fn into_file(self) -> io::Result<(File, u64, Option<FileRoom>)> {
        match self {
            Self::File(file, room) => {
                let length = file.metadata()?.len();
                Ok((file, length, Some(room)))
            }
            Self::Memory(bytes) => {
                let file = in_memory().or_else(|_| tempfile::tempfile())?;
                // Leaves the position where it is.
                file.write_all_at(&bytes, 0)?;
                Ok((file, bytes.len() as u64, None))
            }
        }
    }
}

/// An empty file in memory that nobody can execute: where that is asked for (`vm.memfd_noexec`), the system makes no other. Linux
/// before 6.3 does not know the flag.
fn in_memory() -> io::Result<File> {
    let made = memfd_create("request", MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL);
    let made = made.or_else(|error| match error {
        Errno::INVAL => memfd_create("request", MemfdFlags::CLOEXEC),
        other => Err(other),
    });
    Ok(made?.into())
}

/// Why there is no whole body.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// It broke off.
    #[error("the request's body broke off")]
    Aborted,
    /// It comes too slowly.
    #[error("the request's body comes too slowly")]
    Slow,
    /// It is too large, as sent or decoded.
    #[error("the request's body is too large")]
    TooLarge,
    /// It is not the gzip it claims to be.
    #[error("the request's body cannot be decoded")]
    Undecodable(#[source] io::Error),
    /// It cannot be kept.
    #[error("the request's body cannot be kept in a file")]
    Unkept(#[source] io::Error),
    /// Too many large ones are being kept.
    #[error("too many large request bodies")]
    Crowded,
}

impl From<Busy> for GatherError {
    fn from(_: Busy) -> Self {
        Self::Crowded
    }
}

/// A body in the making.
#[derive(Debug)]
struct Growing {
    memory: Vec<u8>,
    file: Option<(File, FileRoom)>,
    decoded: u64,
}

/// Reads `body` to its end: at most `limit` bytes as sent, decoded when it is compressed. Something of it has to come in any time
/// of `idle`.
///
/// # Errors
/// When it does not come whole, in time, and within its bounds.
pub async fn gather(
    mut body: Payload,
    limit: u64,
    compressed: bool,
    idle: Duration,
    room: &Room,
) -> Result<Whole, GatherError> {
    let earliest_due = Instant::now() + PATIENCE;
    let mut sent = 0_u64;
    let mut inflate = compressed.then(Inflate::new);
    let mut growing = Growing { memory: Vec::new(), file: None, decoded: 0 };
    loop {
        let due = earliest_due + Duration::from_secs(sent / SLOWEST);
        let next =
            timeout_at(due.min(Instant::now() + idle), body.next()).await.map_err(|_| GatherError::Slow)?;
        let Some(piece) = next else { break };
        let mut piece = piece.map_err(|_| GatherError::Aborted)?;
        sent += piece.len() as u64;
        if sent > limit {
            return Err(GatherError::TooLarge);
        }
        let Some(inflate) = &mut inflate else {
            growing.add(&piece, room, due).await?;
            continue;
        };
        while !piece.is_empty() {
            let decoded = inflate.take(&mut piece).map_err(GatherError::Undecodable)?;
            growing.add(&decoded, room, due).await?;
            // A slice can stand for a thousand times its size, and others wait for this worker.
            yield_now().await;
        }
    }
    if let Some(inflate) = inflate {
        let rest = inflate.finish().map_err(GatherError::Undecodable)?;
        growing.add(&rest, room, earliest_due + Duration::from_secs(sent / SLOWEST)).await?;
    }
    growing.finish()
}

impl Growing {
    /// Writing blocks the worker, but only into the page cache, and only for the few bodies that are this large.
    async fn add(&mut self, bytes: &[u8], room: &Room, due: Instant) -> Result<(), GatherError> {
        self.decoded += bytes.len() as u64;
        if self.decoded > DECODED {
            return Err(GatherError::TooLarge);
        }
        if let Some((file, _)) = &mut self.file {
            return file.write_all(bytes).map_err(GatherError::Unkept);
        }
        self.memory.extend_from_slice(bytes);
        if self.memory.len() > IN_MEMORY {
            let room = timeout_at(due, room.file()).await.map_err(|_| GatherError::Crowded)??;
            let mut file = tempfile::tempfile().map_err(GatherError::Unkept)?;
            file.write_all(&self.memory).map_err(GatherError::Unkept)?;
            self.memory = Vec::new();
            self.file = Some((file, room));
        }
        Ok(())
    }

    fn finish(self) -> Result<Whole, GatherError> {
        match self.file {
            None => Ok(Whole::Memory(self.memory.into())),
            Some((mut file, room)) => {
                file.rewind().map_err(GatherError::Unkept)?;
                Ok(Whole::File(file, room))
            }
        }
    }
}
