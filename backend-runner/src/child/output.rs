//! `Output`: the reading end of a child's pipe, which the runtime does not watch before it has to.
//!
//! Most children are over after a few milliseconds, and what they said lies in the pipe by then. Watched, the pipe would wake
//! this process for every piece of it, which costs more than reading it.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;
use tokio::task::coop;

/// How much is read at once of a pipe that is not watched.
const AT_FIRST: usize = 4 * 1024;

/// What a child writes. Read on the runtime that owns the child.
#[derive(Debug)]
pub struct Output(State);

#[derive(Debug)]
enum State {
    /// Read only when somebody asks.
    Quiet(File),
    Watched(pipe::Receiver),
    /// It could not be watched.
    Lost,
}

impl Output {
    pub(super) fn new(pipe: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self(State::Quiet(pipe.into())))
    }

    /// Reads what is there by now: `None` when there is nothing yet, `Some(0)` at the end.
    ///
    /// # Errors
    /// When the pipe cannot be read.
    pub fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let read = match &mut self.0 {
            State::Quiet(file) => file.read(buffer),
            State::Watched(pipe) => pipe.try_read(buffer),
            State::Lost => Err(ErrorKind::BrokenPipe.into()),
        };
        match read {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the runtime watches it.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        matches!(self.0, State::Watched(_))
    }

    /// From now on the runtime tells when there is something to read.
    ///
    /// # Errors
    /// When it cannot; then nothing more can be read.
    pub fn watch(&mut self) -> io::Result<()> {
        self.0 = match std::mem::replace(&mut self.0, State::Lost) {
            State::Quiet(file) => State::Watched(pipe::Receiver::from_owned_fd(file.into())?),
            state => state,
        };
        Ok(())
    }
}

impl AsyncRead for Output {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let State::Quiet(_) = self.0 {
            // A child that writes as fast as it is read must not keep everybody else waiting.
            let turn = ready!(coop::poll_proceed(context));
            let most = buffer.remaining().min(AT_FIRST);
            if let Some(count) = self.read_now(buffer.initialize_unfilled_to(most))? {
                turn.made_progress();
                buffer.advance(count);
                return Poll::Ready(Ok(()));
            }
            self.watch()?;
        }
        match &mut self.0 {
            State::Watched(pipe) => Pin::new(pipe).poll_read(context, buffer),
            State::Quiet(_) | State::Lost => Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::pipe::{PipeFlags, pipe_with};
    use tokio::io::AsyncReadExt;

    use super::*;

    fn pair() -> (Output, File) {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        (Output::new(reader).unwrap(), writer.into())
    }

    #[tokio::test]
    async fn what_is_there_is_read_without_being_watched() {
        let (mut output, mut writer) = pair();
        let mut buffer = [0; 8];
        assert_eq!(output.read_now(&mut buffer).unwrap(), None);
        writer.write_all(b"pack").unwrap();
        assert_eq!(output.read_now(&mut buffer).unwrap(), Some(4));
        writer.write_all(b"file").unwrap();
        drop(writer);
        let mut rest = String::new();
        output.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "file");
        assert!(matches!(output.0, State::Quiet(_)));
        assert_eq!(output.read_now(&mut buffer).unwrap(), Some(0));
    }

    #[tokio::test]
    async fn what_is_still_to_come_is_waited_for() {
        let (mut output, mut writer) = pair();
        let mut buffer = [0; 8];
        let (read, ()) = tokio::join!(output.read(&mut buffer), async { writer.write_all(b"late").unwrap() });
        assert_eq!(read.unwrap(), 4);
        assert!(matches!(output.0, State::Watched(_)));
        assert_eq!(output.read_now(&mut buffer).unwrap(), None);
        drop(writer);
        assert_eq!(output.read(&mut buffer).await.unwrap(), 0);
    }
}
