//! git's answer on its first step: from the child's standard output to the channel that leads to the client.
//!
//! The head goes out when git has said something and the request's body has ended; then every chunk waits for room.

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

use super::head::Pending;
use super::moved::Moved;
use super::{Ending, download};
use crate::cgi::response::{self, Head, ResponseError};
use crate::child::{Exit, GRACE, Group, Output};
use crate::push::status::Status;
use crate::web::answer::PageRules;

/// How much is read from a child at once.
const READ: usize = 64 * 1024;

/// Less than this at once waits a moment for what follows: git writes small answers and its progress in pieces of a few bytes, and
/// each would go through three processes.
const LITTLE: usize = 4 * 1024;

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
    pipe: Output,
    status: Option<Status>,
}

/// Passes the answer on until its end and the leader's. The head goes out before anything is waited for; an answer that ends
/// before that is complete when its head comes.
pub(super) async fn relay(
    stdout: &mut Stdout,
    group: &Group,
    answer: Answer,
    head: &mut Pending,
    download: &mut download::Sender,
    moved: &Moved,
) -> Ending {
    let mut buffer = BytesMut::new();
    let most = if let Answer::Page(rules) = &answer { rules.most } else { u64::MAX };
    let first = tokio::select! {
        first = begin(stdout, group, answer, &mut buffer, moved) => first,
        () = download.closed() => return Ending::ClientGone,
    };
    let mut more = match first {
        Ok((parsed, more)) => {
            head.put(parsed);
            more
        }
        Err(ending) => return ending,
    };
    loop {
        if !buffer.is_empty()
            && let Err(ending) = pass_on(buffer.split().freeze(), head, download, moved).await
        {
            return ending;
        }
        if moved.sent() > most {
            return Ending::AnswerTooLarge;
        }
        if !more {
            return ended(group, head, download).await;
        }
        if !head.send() {
            return Ending::ClientGone;
        }
        let read = tokio::select! {
            biased;
            read = read_on(stdout, group, &mut buffer) => read,
            () = download.closed() => return Ending::ClientGone,
        };
        match read {
            Ok(is_more) => more = is_more,
            Err(error) => return Ending::Broken(error),
        }
    }
}

/// Gives the client some of the answer. There is always room for the first of it, for which no head has to be out.
async fn pass_on(
    chunk: Bytes,
    head: &mut Pending,
    download: &mut download::Sender,
    moved: &Moved,
) -> Result<(), Ending> {
    let length = chunk.len();
    if moved.sent() > 0 && !head.send() {
        return Err(Ending::ClientGone);
    }
    download.send(chunk).await.map_err(|_| Ending::ClientGone)?;
    moved.add_sent(length);
    Ok(())
}

/// Waits for the leader after the end of its answer.
async fn ended(group: &Group, head: &mut Pending, download: &download::Sender) -> Ending {
    if let Some(exit) = group.exited().now_or_never() {
        return Ending::Finished(exit);
    }
    head.send();
    tokio::select! {
        biased;
        exit = group.exited() => Ending::Finished(exit),
        () = download.closed() => Ending::ClientGone,
    }
}

/// The head of the answer, when it may go out, and whether there is more than what is in `buffer` then.
async fn begin(
    stdout: &mut Stdout,
    group: &Group,
    answer: Answer,
    buffer: &mut BytesMut,
    moved: &Moved,
) -> Result<(Head, bool), Ending> {
    let (head, more) = first_word(stdout, group, answer, buffer).await?;
    hold(stdout, group, buffer, moved).await.map_err(Ending::Broken)?;
    let more = more && follow(stdout, group, buffer).await.map_err(Ending::Broken)?;
    Ok((head, more))
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

/// The head of the answer as soon as git says something, and whether that was not the end.
async fn first_word(
    stdout: &mut Stdout,
    group: &Group,
    answer: Answer,
    buffer: &mut BytesMut,
) -> Result<(Head, bool), Ending> {
    let (head, preamble, may_be_silent) = match answer {
        Answer::Cgi => return read_head(stdout, group, buffer, response::parse).await,
        Answer::Page(rules) => {
            return read_head(stdout, group, buffer, |bytes, ended| rules.parse(bytes, ended)).await;
        }
        Answer::Plain { head, preamble, may_be_silent } => (head, preamble, may_be_silent),
    };
    buffer.extend_from_slice(preamble);
    if read(stdout, group, buffer).await.map_err(Ending::Broken)? > 0 {
        return Ok((head, true));
    }
    match group.exited().await {
        Exit::Code(code) if code == 0 || may_be_silent => Ok((head, false)),
        exit => Err(Ending::Finished(exit)),
    }
}

/// Reads until a CGI header block is complete; what follows it stays in `buffer`.
async fn read_head(
    stdout: &mut Stdout,
    group: &Group,
    buffer: &mut BytesMut,
    parse: impl Fn(&[u8], bool) -> Result<Option<(Head, usize)>, ResponseError>,
) -> Result<(Head, bool), Ending> {
    loop {
        let count = read(stdout, group, buffer).await.map_err(Ending::Broken)?;
        match parse(buffer, count == 0) {
            Ok(Some((head, length))) => {
                let _ = buffer.split_to(length);
                return Ok((head, count > 0));
            }
            Ok(None) => {}
            Err(error) => return Err(Ending::BadHead(error)),
        }
    }
}

impl Stdout {
    pub(super) fn new(pipe: Output, status: Option<Status>) -> Self {
        Self { pipe, status }
    }

    fn listen(&mut self, bytes: &[u8]) {
        if let Some(status) = &mut self.status {
            status.follow(bytes);
        }
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

/// Reads the next of the answer, and what follows it if it is a little; `false` at the end.
async fn read_on(stdout: &mut Stdout, group: &Group, buffer: &mut BytesMut) -> std::io::Result<bool> {
    Ok(read(stdout, group, buffer).await? > 0 && follow(stdout, group, buffer).await?)
}

/// Gives a child that has said a little time for what follows, and reads what is there; `false` at the end.
async fn follow(stdout: &mut Stdout, group: &Group, buffer: &mut BytesMut) -> std::io::Result<bool> {
    if buffer.len() < LITTLE {
        group.quiet().await;
    } else if stdout.pipe.is_watched() {
        return Ok(true);
    }
    while buffer.len() < READ {
        match stdout.read_now(buffer)? {
            Some(0) => return Ok(false),
            Some(_) => {}
            None => break,
        }
    }
    Ok(true)
}

/// Reads once; `Ok(0)` is the end. A process that outlives the leader by [`GRACE`] without a word cannot hold up that end.
async fn read(stdout: &mut Stdout, group: &Group, buffer: &mut BytesMut) -> std::io::Result<usize> {
    // What a child said while it was not watched is little, and memory that was never touched costs more than the reading.
    if !stdout.pipe.is_watched()
        && let Some(length) = stdout.read_now(buffer)?
    {
        return Ok(length);
    }
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
