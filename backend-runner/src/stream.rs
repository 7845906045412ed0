//! One exchange with a running child: the request's body in, git's answer out, both at once.
//!
//! Every byte waits for the slower side: nothing is buffered beyond a few chunks, whatever the size of a pack. The rules:
//! an aborted request ends the group *before* its standard input is closed, since an early end of input could pass for a
//! complete push; a child that stops reading is left to finish its answer; the answer's end is only reported as good when the
//! child was not killed. Nothing here knows about HTTP.

pub mod budget;
pub(crate) mod commands;
pub mod download;
mod feed;
mod head;
mod inflate;
mod moved;
mod relay;
mod stderr;
mod stdout;
pub mod upload;
pub mod whole;

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::cgi::response::{Head, ResponseError};
use crate::child::{Child, Exit, SpawnError};
use crate::push::status::Status;

pub use self::download::Copied;
pub use self::feed::Source;
use self::head::Pending;
pub use self::head::{HeadSender, NoHead};
use self::moved::Moved;
pub use self::relay::Answer;
pub use self::stderr::Complaints;
use self::stdout::Stdout;

/// What decides how long a child may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Listens for git's report of a push.
    pub status: Option<Status>,
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
    /// What a push needs came up while it ran, and could not be provided.
    #[error("the push cannot be prepared")]
    Unprepared(#[source] std::io::Error),
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
    /// The answer is longer than allowed.
    #[error("the answer is too large")]
    AnswerTooLarge,
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
    /// The head git answered with, if it got that far.
    pub head: Option<Head>,
    /// The whole body of a good answer, when a copy was asked for.
    pub copy: Option<Copied>,
    /// Bytes of the request's body that reached git.
    pub received: u64,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// What git complained about.
    pub complaints: Complaints,
    /// What it reported of a push.
    pub status: Option<Status>,
}

/// Runs one exchange to its end; returns when the group is gone and reaped.
pub async fn exchange(
    child: Child,
    answer: Answer,
    streams: Streams,
    patience: Patience,
    stop: &CancellationToken,
) -> Report {
    let Child { mut stdin, stdout, mut stderr, group } = child;
    let Streams { source, head, mut download, status } = streams;
    let mut stdout = Stdout::new(stdout, status);
    let mut head = Pending::new(head);
    let moved = Moved::default();
    let mut complaints = Complaints::default();
    let deadline = Instant::now() + patience.request;

    let hear = async {
        // Most have ended by then, and there is nothing to wait for.
        group.quiet().await;
        tokio::select! {
            ending = relay::relay(&mut stdout, &group, answer, &mut head, &mut download, &moved) => ending,
            () = complaints.collect_for_ever(&mut stderr) => Ending::Stopped,
        }
    };
    let ending = tokio::select! {
        ending = hear => ending,
        ending = feed::feed(&mut stdin, source, &moved) => ending,
        () = moved.stands_still(patience.idle) => Ending::Idle,
        () = sleep_until(deadline) => Ending::Deadline,
        () = stop.cancelled() => Ending::Stopped,
    };
    let complete = matches!(ending, Ending::Finished(Exit::Code(_)));
    let (ending, copy) = tell(ending, &mut head, download);
    let rest = complaints.collect(&mut stderr);
    let exit = if complete { group.finish(rest).await } else { group.terminate(rest).await };
    // Held until here: see the first rule above.
    drop(stdin);
    Report {
        ending,
        exit: Some(exit),
        head: head.sent(),
        copy,
        received: moved.received(),
        sent: moved.sent(),
        complaints,
        status: stdout.drain(),
    }
}

/// Tells the HTTP side how it ended; gives back the copy of an answer that is complete.
fn tell(ending: Ending, head: &mut Pending, download: download::Sender) -> (Ending, Option<Copied>) {
    let Ending::Finished(Exit::Code(_)) = ending else {
        head.give_up(ending.no_head());
        return (ending, None);
    };
    // The end goes first: who gets the head finds it.
    let copy = download.end();
    let ending = if head.send() { ending } else { Ending::ClientGone };
    head.give_up(ending.no_head());
    (ending, copy)
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
        let complaints = Complaints::default();
        Self { ending, exit: None, head: None, copy: None, received: 0, sent: 0, complaints, status: None }
    }
}
