//! `Reader`: one client's way through a recording, at its own pace, from the beginning.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::recording::{End, Fate, Next, Recording, State};
use crate::cgi::response::Head;
use crate::stream::download::Truncated;

/// How much is read at once.
const READ: u64 = 64 << 10;

/// One who follows a recording.
#[derive(Debug)]
pub struct Reader {
    recording: Arc<Recording>,
    id: u64,
    position: u64,
}

impl Reader {
    pub(super) fn new(recording: Arc<Recording>, id: u64) -> Self {
        Self { recording, id, position: 0 }
    }

    /// Waits for the answer's head; `None` when there will be none.
    pub async fn head(&self) -> Option<Head> {
        self.wait(|state| {
            state.head.clone().map(Some).or_else(|| state.end.filter(|end| *end != End::Well).map(|_| None))
        })
        .await
    }

    /// Waits until there is something to send, so that a git that dies before it has spoken costs its own client the answer and
    /// nobody else; `None` when there will be nothing.
    pub async fn begun(&self) -> Option<Head> {
        self.wait(|state| match state.has_spoken() {
            true => Some(state.head.clone()),
            false => state.end.map(|_| None),
        })
        .await
    }

    /// The name the answer is kept under, if that is known within `patience`.
    pub async fn kept(&self, patience: Duration) -> Option<String> {
        let known = self.wait(|state| match &state.fate {
            Some(Fate::Kept(name)) => Some(Some(name.clone())),
            Some(Fate::Dropped) => Some(None),
            None if state.spilled || state.end == Some(End::Broken) => Some(None),
            None => None,
        });
        timeout(patience, known).await.ok().flatten()
    }

    /// How long the answer is, when all of it is on the disk.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        let state = self.recording.state();
        (state.end == Some(End::Well) && !state.spilled).then_some(state.on_disk)
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Truncated>> {
        let position = self.position;
        let next = self.wait(|state| match state.next(position) {
            Next::Later => None,
            next => Some(next),
        });
        let piece = match next.await {
            Next::OnDisk(length) => self.read(length.min(READ)).await,
            Next::Here(piece) => Ok(piece),
            Next::End => return None,
            Next::Later | Next::Broken => Err(Truncated),
        };
        if let Ok(piece) = &piece {
            self.skip(piece.len() as u64);
        }
        Some(piece)
    }

    async fn read(&self, length: u64) -> Result<Bytes, Truncated> {
        let (recording, position) = (Arc::clone(&self.recording), self.position);
        let read = spawn_blocking(move || read(recording.file(), position, length));
        read.await.ok().and_then(Result::ok).ok_or(Truncated)
    }

    pub(super) fn skip(&mut self, length: u64) {
        self.position += length;
        let mut state = self.recording.state();
        state.readers.insert(self.id, Some(self.position));
        state.trim();
        drop(state);
        self.recording.read.notify_waiters();
    }

    async fn wait<T>(&self, mut look: impl FnMut(&State) -> Option<T>) -> T {
        loop {
            let written = self.recording.written.notified();
            if let Some(found) = look(&self.recording.state()) {
                return found;
            }
            written.await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.recording.state();
        state.readers.remove(&self.id);
        state.trim();
        drop(state);
        self.recording.read.notify_waiters();
    }
}

/// Reads `length` bytes at `position`.
///
/// # Errors
/// When they are not there.
pub(crate) fn read(file: &File, position: u64, length: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut bytes, position)?;
    Ok(bytes.into())
}
