//! git's answer on its first step: from the child's standard output to the channel that leads to the client.
//!
//! The head goes out when git has said something and the request's body has ended; then every chunk waits for room.

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::sleep;

use super::head::Pending;
use super::moved::Moved;
use super::{Ending, download};
use crate::cgi::response::{self, Head, ResponseError};
use crate::child::{Exit, GRACE, Group};
use crate::push::status::Status;
use crate::web::answer::PageRules;

/// How much is read from a child at once.
const READ: usize = 64 * 1024;

/// How much of an answer is held back while the request's body is still arriving. nginx passes no more of a body on once it
/// has seen an answer's head, and git starts to answer a push before it has read it; but a git that is not heard for long
/// would stop reading.
const HELD: usize = 1 << 20;

/// Where the head of the answer comes from.
#[derive(Debug)]
pub enum Answer {
    /// The child prints a CGI header block first.
    Cgi,
    /// The same, and it is a page for a browser.
    Page(PageRules),
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

/// Where the answer comes from, and who listens to it on its way.
pub(super) struct Stdout {
    pipe: pipe::Receiver,
    status: Option<Status>,
}

/// Passes the answer on until its end and the leader's.
pub(super) async fn relay(
    stdout: &mut Stdout,
    group: &Group,
    answer: Answer,
    head: &mut Pending,
    download: &mut download::Sender,
    moved: &Moved,
) -> Ending {
    let mut buffer = BytesMut::with_capacity(READ);
    let most = if let Answer::Page(rules) = &answer { rules.most } else { u64::MAX };
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
            if moved.sent() > most {
                return Ending::AnswerTooLarge;
            }
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
    stdout: &mut Stdout,
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
    stdout: &mut Stdout,
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
    stdout: &mut Stdout,
    group: &Group,
    answer: Answer,
    buffer: &mut BytesMut,
) -> Result<Head, Ending> {
    let (head, preamble, may_be_silent) = match answer {
        Answer::Cgi => return read_head(stdout, group, buffer, response::parse).await,
        Answer::Page(rules) => {
            return read_head(stdout, group, buffer, |bytes, ended| rules.parse(bytes, ended)).await;
        }
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
    stdout: &mut Stdout,
    group: &Group,
    buffer: &mut BytesMut,
    parse: impl Fn(&[u8], bool) -> Result<Option<(Head, usize)>, ResponseError>,
) -> Result<Head, Ending> {
    loop {
        let count = read(stdout, group, buffer).await.map_err(Ending::Broken)?;
        match parse(buffer, count == 0) {
            Ok(Some((head, length))) => {
                let _ = buffer.split_to(length);
                return Ok(head);
            }
            Ok(None) => {}
            Err(error) => return Err(Ending::BadHead(error)),
        }
    }
}

impl Stdout {
    pub(super) fn new(pipe: pipe::Receiver, status: Option<Status>) -> Self {
        Self { pipe, status }
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
            match self.status.is_some().then(|| self.pipe.try_read(&mut buffer)) {
                Some(Ok(length @ 1..)) => self.listen(&buffer[..length]),
                _ => break,
            }
        }
        self.status
    }
}

/// Reads once; `Ok(0)` is the end. A process that outlives the leader by [`GRACE`] without a word cannot hold up that end.
async fn read(stdout: &mut Stdout, group: &Group, buffer: &mut BytesMut) -> std::io::Result<usize> {
    buffer.reserve(READ);
    let before = buffer.len();
    tokio::select! {
        biased;
        read = stdout.pipe.read_buf(buffer) => {
            let length = read?;
            stdout.listen(&buffer[before..]);
            Ok(length)
        }
        () = async { group.exited().await; sleep(GRACE).await } => Ok(0),
    }
}
