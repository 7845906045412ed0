//! One exchange with a running child: the request's body in, git's answer out, both at once.
//!
//! Every byte waits for the slower side: nothing is buffered beyond a few chunks, whatever the size of a pack. The rules:
//! an aborted request ends the group *before* its standard input is closed, since an early end of input could pass for a
//! complete push; a child that stops reading is left to finish its answer; the answer's end is only reported as good when the
//! child was not killed. Nothing here knows about HTTP.

mod commands;
pub mod download;
mod feed;
mod head;
mod inflate;
mod moved;
mod stderr;
pub mod upload;
pub mod whole;

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::cgi::response::{self, Head, ResponseError};
use crate::child::{Child, Exit, GRACE, Group, SpawnError};

pub use self::feed::Source;
use self::head::Pending;
pub use self::head::{HeadSender, NoHead};
use self::moved::Moved;
pub use self::stderr::Complaints;

/// How much is read from a child at once.
const READ: usize = 64 * 1024;

/// How much of an answer is held back while the request's body is still arriving. nginx passes no more of a body on once it
/// has seen an answer's head, and git starts to answer a push before it has read it; but a git that is not heard for long
/// would stop reading.
const HELD: usize = 1 << 20;

/// What decides how long a child may run.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Without a byte moved in either direction.
    pub idle: Duration,
    /// In all.
    pub request: Duration,
}

/// The ends that belong to the HTTP side.
#[derive(Debug)]
pub struct Streams {
    /// The request's body.
    pub source: Source,
    /// Gets the answer's head, or why there is none.
    pub head: HeadSender,
    /// The answer's body.
    pub download: download::Sender,
}

/// Where the head of the answer comes from.
#[derive(Debug)]
pub enum Answer {
    /// The child prints a CGI header block first.
    Cgi,
    /// The child prints only the body, and this goes before it as soon as there is some of it, or a good end.
    Plain {
        /// The head.
        head: Head,
        /// The start of the body.
        preamble: &'static [u8],
        /// Whether a child that fails without a word has answered all the same, as `http-backend` sees it.
        may_be_silent: bool,
    },
}

/// Why an exchange ended.
#[derive(Debug, thiserror::Error)]
pub enum Ending {
    /// The leader ended by itself and all of its answer was taken.
    #[error("finished")]
    Finished(Exit),
    /// The child could not be started.
    #[error("git did not start")]
    NotStarted(#[source] SpawnError),
    /// What the child printed is not a CGI answer.
    #[error("no usable answer from git")]
    BadHead(#[source] ResponseError),
    /// The child's answer could not be read.
    #[error("the answer of git broke off")]
    Broken(#[source] std::io::Error),
    /// The request's body broke off.
    #[error("the request's body broke off")]
    BodyAborted,
    /// The request's body is not the gzip it claims to be.
    #[error("the request's body cannot be decoded")]
    BadBody(#[source] std::io::Error),
    /// The request's body is longer than allowed.
    #[error("the request's body is too large")]
    TooLarge,
    /// Nobody takes the answer any more.
    #[error("the client left")]
    ClientGone,
    /// No byte moved for too long.
    #[error("no byte moved for too long")]
    Idle,
    /// The request took too long in all.
    #[error("the request took too long")]
    Deadline,
    /// The daemon stops.
    #[error("the daemon is stopping")]
    Stopped,
}

/// What is known after the last process of the group is gone.
#[derive(Debug)]
pub struct Report {
    /// Why it ended.
    pub ending: Ending,
    /// How the leader ended.
    pub exit: Option<Exit>,
    /// The status git answered with, if it got that far.
    pub status: Option<u16>,
    /// Bytes of the request's body that reached git.
    pub received: u64,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// What git complained about.
    pub complaints: Complaints,
}

/// Runs one exchange to its end; returns when the group is gone and reaped.
pub async fn exchange(
    child: Child,
    answer: Answer,
    streams: Streams,
    patience: Patience,
    stop: &CancellationToken,
) -> Report {
    let Child { mut stdin, mut stdout, mut stderr, group } = child;
    let Streams { source, head, mut download } = streams;
    let mut head = Pending::new(head);
    let moved = Moved::default();
    let mut complaints = Complaints::default();
    let deadline = Instant::now() + patience.request;

    let ending = tokio::select! {
        ending = relay(&mut stdout, &group, answer, &mut head, &mut download, &moved) => ending,
        ending = feed::feed(&mut stdin, source, &moved) => ending,
        () = complaints.collect_for_ever(&mut stderr) => Ending::Stopped,
        () = moved.stands_still(patience.idle) => Ending::Idle,
        () = sleep_until(deadline) => Ending::Deadline,
        () = stop.cancelled() => Ending::Stopped,
    };
    head.give_up(ending.no_head());
    let exit = if let Ending::Finished(Exit::Code(_)) = ending {
        download.end();
        group.finish(complaints.collect(&mut stderr)).await
    } else {
        drop(download);
        group.terminate(complaints.collect(&mut stderr)).await
    };
    // Held until here: see the first rule above.
    drop(stdin);
    Report {
        ending,
        exit: Some(exit),
        status: head.status(),
        received: moved.received(),
        sent: moved.sent(),
        complaints,
    }
}

impl Ending {
    /// What a client that still waits for a head is told.
    #[must_use]
    pub fn no_head(&self) -> NoHead {
        match self {
            Self::TooLarge => NoHead::TooLarge,
            Self::Stopped => NoHead::Stopped,
            _ => NoHead::Failed,
        }
    }
}

impl Report {
    /// The report of a request whose child never ran.
    #[must_use]
    pub fn not_started(error: SpawnError) -> Self {
        let ending = Ending::NotStarted(error);
        Self { ending, exit: None, status: None, received: 0, sent: 0, complaints: Complaints::default() }
    }
}

/// Passes the answer on until its end and the leader's.
async fn relay(
    stdout: &mut pipe::Receiver,
    group: &Group,
    answer: Answer,
    head: &mut Pending,
    download: &mut download::Sender,
    moved: &Moved,
) -> Ending {
    let mut buffer = BytesMut::with_capacity(READ);
    let first = tokio::select! {
        first = begin(stdout, group, answer, &mut buffer, moved) => first,
        () = download.closed() => return Ending::ClientGone,
    };
    match first {
        Ok(parsed) => {
            if !head.send(parsed) {
                return Ending::ClientGone;
            }
        }
        Err(ending) => return ending,
    }
    loop {
        if !buffer.is_empty() {
            let chunk = buffer.split().freeze();
            let length = chunk.len();
            if download.send(chunk).await.is_err() {
                return Ending::ClientGone;
            }
            moved.add_sent(length);
        }
        tokio::select! {
            biased;
            read = read(stdout, group, &mut buffer) => match read {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Ending::Broken(error),
            },
            () = download.closed() => return Ending::ClientGone,
        }
    }
    tokio::select! {
        biased;
        exit = group.exited() => Ending::Finished(exit),
        () = download.closed() => Ending::ClientGone,
    }
}

/// The head of the answer, when it may go out; what is known of the body is in `buffer` then.
async fn begin(
    stdout: &mut pipe::Receiver,
    group: &Group,
    answer: Answer,
    buffer: &mut BytesMut,
    moved: &Moved,
) -> Result<Head, Ending> {
    let head = first_word(stdout, group, answer, buffer).await?;
    hold(stdout, group, buffer, moved).await.map_err(Ending::Broken)?;
    Ok(head)
}

/// Lets the answer wait in `buffer` until the request's body has ended, or the answer grows beyond [`HELD`].
async fn hold(
    stdout: &mut pipe::Receiver,
    group: &Group,
    buffer: &mut BytesMut,
    moved: &Moved,
) -> std::io::Result<()> {
    let mut complete = false;
    while buffer.len() < HELD {
        tokio::select! {
            biased;
            () = moved.body_end() => break,
            read = read(stdout, group, buffer), if !complete => complete = read? == 0,
        }
    }
    Ok(())
}

/// The head of the answer as soon as git says something.
async fn first_word(
    stdout: &mut pipe::Receiver,
    group: &Group,
    answer: Answer,
    buffer: &mut BytesMut,
) -> Result<Head, Ending> {
    let (head, preamble, may_be_silent) = match answer {
        Answer::Cgi => return read_head(stdout, group, buffer).await,
        Answer::Plain { head, preamble, may_be_silent } => (head, preamble, may_be_silent),
    };
    buffer.extend_from_slice(preamble);
    if read(stdout, group, buffer).await.map_err(Ending::Broken)? > 0 {
        return Ok(head);
    }
    match group.exited().await {
        Exit::Code(code) if code == 0 || may_be_silent => Ok(head),
        exit => Err(Ending::Finished(exit)),
    }
}

/// Reads until a CGI header block is complete; what follows it stays in `buffer`.
async fn read_head(
    stdout: &mut pipe::Receiver,
    group: &Group,
    buffer: &mut BytesMut,
) -> Result<Head, Ending> {
    loop {
        let count = read(stdout, group, buffer).await.map_err(Ending::Broken)?;
        match response::parse(buffer, count == 0) {
            Ok(Some((head, length))) => {
                let _ = buffer.split_to(length);
                return Ok(head);
            }
            Ok(None) => {}
            Err(error) => return Err(Ending::BadHead(error)),
        }
    }
}

/// Reads once; `Ok(0)` is the end. A process that outlives the leader by [`GRACE`] without a word cannot hold up that end.
async fn read(stdout: &mut pipe::Receiver, group: &Group, buffer: &mut BytesMut) -> std::io::Result<usize> {
    buffer.reserve(READ);
    tokio::select! {
        biased;
        read = stdout.read_buf(buffer) => read,
        () = async { group.exited().await; sleep(GRACE).await } => Ok(0),
    }
}
