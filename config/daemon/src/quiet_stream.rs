//! A Unix stream that wakes its owner only for what it waits for.
//!
//! tokio watches every socket for both directions, and a Unix socket tells of room to write each time its peer has read
//! something (unix(7) keeps what was sent with the sender). So each answer would wake its worker once more, for nothing. Here the
//! system is asked for what can be read, and for room only while there is none. See epoll(7).

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{SendFlags, Shutdown, send, shutdown};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;

/// A connected Unix stream socket.
pub struct QuietStream {
    /// Watched for what can be read.
    socket: AsyncFd<OwnedFd>,
    /// The same socket, watched for room while a write waits for it.
    room: Option<AsyncFd<OwnedFd>>,
    /// How much is asked for at once: little, until there is more than that.
    appetite: usize,
}

/// Most requests are smaller than this.
const SIP: usize = 4 << 10;

/// The most that is read at once.
const GULP: usize = 64 << 10;

impl QuietStream {
    /// Takes over a connection. Must be called on the runtime that shall watch it.
    ///
    /// # Errors
    /// When the system cannot watch one more.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        let socket = watch(stream.into_std()?.into(), Interest::READABLE)?;
        Ok(Self { socket, room: None, appetite: SIP })
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may lie about their descriptor; OwnedFd does not"
)]
fn watch(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(socket, interest)
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

impl AsFd for QuietStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

impl fmt::Debug for QuietStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuietStream").field("socket", self.socket.get_ref()).finish_non_exhaustive()
    }
}

impl AsyncRead for QuietStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut readable = ready!(this.socket.poll_read_ready(cx))?;
            // Only what may be needed is cleared first.
            let space = buffer.initialize_unfilled_to(buffer.remaining().min(this.appetite));
            match rustix::io::retry_on_intr(|| rustix::io::read(&this.socket, &mut *space)) {
                Ok(count) => {
                    this.appetite = if count == space.len() { GULP } else { SIP };
                    // Nothing was left, or the next read will say so: this spares asking.
                    if count > 0 && count < space.len() {
                        readable.clear_ready();
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(rustix::io::Errno::AGAIN) => readable.clear_ready(),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl AsyncWrite for QuietStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            let mut room = match &this.room {
                Some(room) => Some(ready!(room.poll_write_ready(cx))?),
                None => None,
            };
            match this.send(bytes) {
                Err(error) if would_block(&error) => room.iter_mut().for_each(AsyncFdReadyGuard::clear_ready),
                sent => {
                    // After a part there is no room again.
                    if sent.as_ref().is_ok_and(|sent| *sent == bytes.len()) {
                        this.room = None;
                    }
                    return Poll::Ready(sent);
                }
            }
            if this.room.is_none() {
                // A second handle, because one is watched for one interest.
                this.room = Some(watch(this.as_fd().try_clone_to_owned()?, Interest::WRITABLE)?);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shutdown(&self.socket, Shutdown::Write).map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair() -> (QuietStream, UnixStream) {
        let (one, other) = UnixStream::pair().unwrap();
        (QuietStream::new(one).unwrap(), other)
    }

    #[tokio::test]
    async fn what_is_sent_arrives_in_both_directions_however_much_it_is() {
        let (mut ours, mut theirs) = pair();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        let peer = tokio::spawn(async move {
            let mut received = vec![0; expected.len()];
            theirs.read_exact(&mut received).await.unwrap();
            theirs.write_all(&received).await.unwrap();
            theirs.shutdown().await.unwrap();
            received == expected
        });
        // More than a socket holds, so room is waited for.
        ours.write_all(&sent).await.unwrap();
        let mut received = Vec::new();
        ours.read_to_end(&mut received).await.unwrap();
        assert!(received == sent && peer.await.unwrap());
    }

    /// What the runtime asks the system about `socket`: proc_pid_fdinfo(5).
    fn watched_for(socket: &impl AsRawFd) -> u32 {
        let entries = std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
        let infos = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
        let lines: Vec<String> =
            infos.flat_map(|info| info.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        let words = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let number = socket.as_raw_fd().to_string();
        let found = words.filter(|words| words.len() > 3 && words[0] == "tfd:" && words[1] == number);
        found.map(|words| u32::from_str_radix(words[3], 16).unwrap()).fold(0, |all, events| all | events)
    }

    #[tokio::test]
    async fn the_system_is_not_asked_to_tell_of_room_to_write() {
        const IN: u32 = 1;
        const OUT: u32 = 4;
        let (mut ours, mut theirs) = pair();
        assert_eq!(watched_for(&theirs) & (IN | OUT), IN | OUT, "as tokio has it");
        for _ in 0..2 {
            assert_eq!(watched_for(ours.socket.get_ref()) & (IN | OUT), IN);
            ours.write_all(b"answer").await.unwrap();
            theirs.read_exact(&mut [0; 6]).await.unwrap();
        }
    }

    #[tokio::test]
    async fn room_is_watched_for_only_while_there_is_none() {
        let (mut ours, mut theirs) = pair();
        let sent = vec![7; 4 << 20];
        let length = sent.len();
        let writing = tokio::spawn(async move {
            ours.write_all(&sent).await.unwrap();
            ours
        });
        let mut received = vec![0; length];
        theirs.read_exact(&mut received).await.unwrap();
        assert!(writing.await.unwrap().room.is_none());
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_an_error_to_a_writer_and_the_end_to_a_reader() {
        let (mut ours, theirs) = pair();
        drop(theirs);
        assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(ours.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
