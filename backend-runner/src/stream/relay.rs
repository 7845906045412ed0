//! git's answer on its first step: from the child's standard output to the channel that leads to the client.
//!
//! The head goes out when git has said something and the request's body has ended; then every chunk waits for room.

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;

use super::head::Pending;
use super::moved::Moved;
use super::stdout::{Rest, Stdout};
use super::{Ending, download};
use crate::cgi::response::{self, Head, ResponseError};
use crate::child::{Exit, Group};
use crate::web::answer::PageRules;

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

/// Passes the answer on until its end and the leader's. An answer that ends while its head still waits is complete when that
/// goes out.
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
    let mut rest = match first {
        Ok((parsed, rest)) => {
            head.know(parsed);
            rest
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
        if rest == Rest::Over {
            return ended(group, head, download).await;
        }
        if !head.send() {
            return Ending::ClientGone;
        }
        let read = tokio::select! {
            biased;
            read = stdout.read_on(group, &mut buffer) => read,
            () = download.closed() => return Ending::ClientGone,
        };
        match read {
            Ok(left) => rest = left,
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
    if !head.send() {
        return Ending::ClientGone;
    }
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
) -> Result<(Head, Rest), Ending> {
    let (head, rest) = first_word(stdout, group, answer, buffer).await?;
    hold(stdout, group, buffer, moved).await.map_err(Ending::Broken)?;
    match rest {
        Rest::Over => Ok((head, rest)),
        Rest::ToCome => Ok((head, stdout.follow(group, buffer).await.map_err(Ending::Broken)?)),
    }
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
            read = stdout.read(group, buffer), if !complete => complete = read? == 0,
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
) -> Result<(Head, Rest), Ending> {
    let (head, preamble, may_be_silent) = match answer {
        Answer::Cgi => return read_head(stdout, group, buffer, response::parse).await,
        Answer::Page(rules) => {
            return read_head(stdout, group, buffer, |bytes, ended| rules.parse(bytes, ended)).await;
        }
        Answer::Plain { head, preamble, may_be_silent } => (head, preamble, may_be_silent),
    };
    buffer.extend_from_slice(preamble);
    if stdout.read(group, buffer).await.map_err(Ending::Broken)? > 0 {
        return Ok((head, Rest::ToCome));
    }
    match group.exited().await {
        Exit::Code(code) if code == 0 || may_be_silent => Ok((head, Rest::Over)),
        exit => Err(Ending::Finished(exit)),
    }
}

/// Reads until a CGI header block is complete; what follows it stays in `buffer`.
async fn read_head(
    stdout: &mut Stdout,
    group: &Group,
    buffer: &mut BytesMut,
    parse: impl Fn(&[u8], bool) -> Result<Option<(Head, usize)>, ResponseError>,
) -> Result<(Head, Rest), Ending> {
    loop {
        let count = stdout.read(group, buffer).await.map_err(Ending::Broken)?;
        match parse(buffer, count == 0) {
            Ok(Some((head, length))) => {
                let _ = buffer.split_to(length);
                return Ok((head, if count > 0 { Rest::ToCome } else { Rest::Over }));
            }
            Ok(None) => {}
            Err(error) => return Err(Ending::BadHead(error)),
        }
    }
}
