//! `Recording`: one answer while git gives it, followed by everybody who asked for it.
//!
//! The recorder writes git's answer to a file as fast as the disk takes it; readers, the first client among them, follow the file
//! at their own pace. So one git serves them all, a client that leaves or stalls holds up nobody, and git is gone as soon as it
//! has spoken. Bounds: the recorder stays within [`WINDOW`] of the fastest reader, and ends git when the last one has left.
//! When the disk takes no more, what follows is handed on through a little memory at the pace of the slowest; nothing is kept
//! then, and nobody's fetch fails.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::reader::Reader;
use crate::cgi::response::Head;

/// How far the recorder may be ahead of the fastest reader.
pub const WINDOW: u64 = 256 << 20;

/// What is claimed of the file at once, before the answer fills it; also the most that one packet of the kernel's carries.
const BLOCK: usize = 64 << 10;

static EMPTY: [u8; BLOCK] = [0; BLOCK];

/// How much is handed on through memory once the disk takes no more.
const TAIL: usize = 1 << 20;

/// An answer in the making.
#[derive(Debug)]
pub struct Recording {
    file: File,
    part: PathBuf,
    state: Mutex<State>,
    /// Something was written or has ended.
    pub(super) written: Notify,
    /// Somebody has read or left.
    pub(super) read: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) head: Option<Head>,
    /// Bytes readers find in the file.
    pub(super) on_disk: u64,
    /// What follows them, when the disk takes no more.
    tail: VecDeque<Bytes>,
    dropped: u64,
    pub(super) spilled: bool,
    /// Where each reader is; nothing for one that waits for the end.
    pub(super) readers: HashMap<u64, Option<u64>>,
    next_reader: u64,
    pub(super) end: Option<End>,
    pub(super) fate: Option<Fate>,
}

/// How git's answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All of it is here.
    Well,
    /// It broke off.
    Broken,
    /// There never was one.
    Never,
}

/// What became of an answer that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is kept, under this name.
    Kept(String),
    /// It is not.
    Dropped,
}

impl Recording {
    /// A recording into `file`, which is at `part`.
    #[must_use]
    pub fn new(file: File, part: PathBuf) -> Arc<Self> {
        let (written, read) = (Notify::new(), Notify::new());
        Arc::new(Self { file, part, state: Mutex::default(), written, read })
    }

    /// The file it is written to.
    #[must_use]
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// What was written so far.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Follows it from the beginning; `None` when it is too late for that. The first reader must come before the recorder.
    #[must_use]
    pub fn join(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.state();
        let is_left = state.readers.is_empty() && state.next_reader > 0;
        if is_left || state.spilled || matches!(state.end, Some(End::Broken | End::Never)) {
            return None;
        }
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(id, None);
        Some(Reader::new(Arc::clone(self), id))
    }

    /// The answer begins.
    pub fn begin(&self, head: Head) {
        self.state().head = Some(head);
        self.written.notify_waiters();
    }

    /// Writes the next pieces. May wait for the disk.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn write(&self, pieces: &[Bytes]) -> io::Result<()> {
        let mut position = self.state().on_disk;
        for piece in pieces {
            let end = position + piece.len() as u64;
            self.claim(position, end)?;
            self.file.write_all_at(piece, position)?;
            position = end;
        }
        self.state().on_disk = position;
        self.written.notify_waiters();
        Ok(())
    }

    /// Fills the blocks that begin before `end` with nothing. The kernel keeps a file in memory in runs of pages as long as the
    /// first writes to them, and git's are short and begin anywhere; nginx would send the file in as many fragments each time.
    fn claim(&self, position: u64, end: u64) -> io::Result<()> {
        let block = BLOCK as u64;
        (position.next_multiple_of(block)..end)
            .step_by(BLOCK)
            .try_for_each(|start| self.file.write_all_at(&EMPTY, start))
    }

    /// Cuts off what was claimed behind the last byte.
    ///
    /// # Errors
    /// When that fails: it is not to be kept then.
    pub fn cut(&self) -> io::Result<()> {
        let length = self.state().on_disk;
        self.file.set_len(length)
    }

    /// Hands the next pieces on without the disk, from now on.
    pub fn spill(&self, pieces: Vec<Bytes>) {
        let mut state = self.state();
        state.spilled = true;
        state.tail.extend(pieces);
        drop(state);
        self.written.notify_waiters();
    }

    /// Waits until there is room for more; `false` when nobody is left to read it.
    pub async fn room(&self) -> bool {
        loop {
            let read = self.read.notified();
            let has_room = self.state().has_room();
            match has_room {
                Some(true) => return true,
                Some(false) => read.await,
                None => return false,
            }
        }
    }

    /// Completes when the last reader has left.
    pub async fn left(&self) {
        loop {
            let read = self.read.notified();
            if self.state().readers.is_empty() {
                return;
            }
            read.await;
        }
    }

    /// No more will come. The first word counts.
    pub fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.written.notify_waiters();
    }

    /// Tells what became of it.
    pub fn settle(&self, fate: Fate) {
        self.state().fate = Some(fate);
        self.written.notify_waiters();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether any of the answer's body has come.
    pub(super) fn has_spoken(&self) -> bool {
        self.on_disk > 0 || self.spilled
    }

    fn has_room(&self) -> Option<bool> {
        if self.readers.is_empty() {
            return None;
        }
        if self.spilled {
            return Some(self.tail.iter().map(Bytes::len).sum::<usize>() < TAIL);
        }
        // Who waits for the end wants it soon.
        let waits = self.readers.values().any(Option::is_none);
        let fastest = self.readers.values().flatten().max().copied().unwrap_or_default();
        Some(waits || self.on_disk.saturating_sub(fastest) < WINDOW)
    }

    /// Forgets what all readers have read of the tail.
    pub(super) fn trim(&mut self) {
        let slowest =
            self.readers.values().map(|position| position.unwrap_or_default()).min().unwrap_or(u64::MAX);
        while let Some(first) = self.tail.front() {
            let end = self.on_disk + self.dropped + first.len() as u64;
            if end > slowest {
                return;
            }
            self.dropped += first.len() as u64;
            self.tail.pop_front();
        }
    }

    /// What is next for a reader at `position`.
    pub(super) fn next(&self, position: u64) -> Next {
        if position < self.on_disk {
            return Next::OnDisk(self.on_disk - position);
        }
        let mut start = self.on_disk + self.dropped;
        for piece in &self.tail {
            let end = start + piece.len() as u64;
            if position < end {
                return Next::Here(piece.slice(usize::try_from(position - start).unwrap_or_default()..));
            }
            start = end;
        }
        match self.end {
            Some(End::Well) => Next::End,
            Some(_) => Next::Broken,
            None => Next::Later,
        }
    }
}

/// What a reader does next.
pub(super) enum Next {
    OnDisk(u64),
    Here(Bytes),
    Later,
    End,
    Broken,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::download::Truncated;

    fn recording() -> (tempfile::TempDir, Arc<Recording>) {
        let directory = tempfile::tempdir().unwrap();
        let part = directory.path().join("part");
        let file = File::options().read(true).write(true).create_new(true).open(&part).unwrap();
        (directory, Recording::new(file, part))
    }

    async fn all(mut reader: Reader) -> Result<Vec<u8>, Truncated> {
        let mut bytes = Vec::new();
        while let Some(piece) = reader.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn readers_follow_from_the_beginning_whenever_they_come() {
        let (_directory, recording) = recording();
        let first = tokio::spawn(all(recording.join().unwrap()));
        recording.write(&[Bytes::from_static(b"one ")]).unwrap();
        let second = tokio::spawn(all(recording.join().unwrap()));
        recording.write(&[Bytes::from_static(b"two "), Bytes::from_static(b"three")]).unwrap();
        recording.end(End::Well);
        let third = recording.join().unwrap();
        assert_eq!(third.length(), Some(13));
        for read in [first.await.unwrap(), second.await.unwrap(), all(third).await] {
            assert_eq!(read.unwrap(), b"one two three");
        }
    }

    #[test]
    fn the_file_grows_by_whole_blocks_and_ends_where_the_answer_ends() {
        let (_directory, recording) = recording();
        let mut bytes = Vec::new();
        for length in [1, BLOCK - 1, 1, 3 * BLOCK, 7] {
            let piece = vec![b'a' + bytes.len() as u8 % 26; length];
            bytes.extend_from_slice(&piece);
            recording.write(&[piece.into()]).unwrap();
            let claimed = recording.file().metadata().unwrap().len();
            assert_eq!(claimed, bytes.len().next_multiple_of(BLOCK) as u64);
        }
        recording.cut().unwrap();
        assert!(std::fs::read(recording.part()).unwrap() == bytes);
    }

    #[tokio::test]
    async fn what_breaks_off_is_an_error_to_every_reader() {
        let (_directory, recording) = recording();
        let readers =
            [recording.join().unwrap(), recording.join().unwrap()].map(|reader| tokio::spawn(all(reader)));
        recording.write(&[Bytes::from_static(b"half")]).unwrap();
        recording.end(End::Broken);
        for reader in readers {
            assert!(reader.await.unwrap().is_err());
        }
        assert!(recording.join().is_none());
    }

    #[tokio::test]
    async fn an_answer_without_a_word_is_for_nobody_who_joined_it() {
        for end in [End::Well, End::Broken, End::Never] {
            let (_directory, recording) = recording();
            let joined = recording.join().unwrap();
            recording.begin(crate::engine::head("a/b"));
            recording.end(end);
            assert_eq!(joined.begun().await, None, "{end:?}");
        }
        let (_directory, recording) = recording();
        let joined = recording.join().unwrap();
        recording.begin(crate::engine::head("a/b"));
        recording.write(&[Bytes::from_static(b"word")]).unwrap();
        assert!(joined.begun().await.is_some());
    }

    #[tokio::test]
    async fn who_is_gone_is_not_waited_for_and_without_readers_it_ends() {
        let (_directory, recording) = recording();
        let (first, second) = (recording.join().unwrap(), recording.join().unwrap());
        drop(first);
        assert!(recording.room().await);
        drop(second);
        assert!(!recording.room().await);
        recording.left().await;
        assert!(recording.join().is_none());
    }

    #[tokio::test]
    async fn without_a_disk_everybody_still_gets_everything() {
        let (_directory, recording) = recording();
        let fast = tokio::spawn(all(recording.join().unwrap()));
        let mut slow = recording.join().unwrap();
        recording.write(&[Bytes::from_static(b"disk ")]).unwrap();
        recording.spill(vec![Bytes::from(vec![b'x'; TAIL])]);
        assert!(recording.join().is_none());
        let waiting = Arc::clone(&recording);
        let room = tokio::spawn(async move { waiting.room().await });
        let mut read = Vec::new();
        while read.len() < 5 + TAIL {
            assert!(!room.is_finished());
            read.extend_from_slice(&slow.next().await.unwrap().unwrap());
        }
        assert!(room.await.unwrap());
        recording.spill(vec![Bytes::from_static(b" end")]);
        recording.end(End::Well);
        assert_eq!(slow.next().await.unwrap().unwrap(), " end");
        assert!(slow.next().await.is_none());
        assert_eq!(fast.await.unwrap().unwrap().len(), 5 + TAIL + 4);
    }

    #[tokio::test]
    async fn the_recorder_waits_for_the_fastest_reader_only() {
        let (_directory, recording) = recording();
        let (mut fast, mut slow) = (recording.join().unwrap(), recording.join().unwrap());
        recording.write(&[Bytes::from_static(b"x")]).unwrap();
        fast.next().await.unwrap().unwrap();
        slow.next().await.unwrap().unwrap();
        // A hole in the file stands for bytes on the disk.
        recording.state().on_disk = WINDOW + 1;
        assert_eq!(recording.state().has_room(), Some(false));
        fast.next().await.unwrap().unwrap_err();
        fast.skip(1);
        assert_eq!(recording.state().has_room(), Some(true));
    }
}
