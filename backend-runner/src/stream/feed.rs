//! The request's body on its last step: from the channel into the child's standard input.

use std::io;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use super::inflate::Inflate;
use super::moved::Moved;
use super::{Ending, upload};

/// What is done to a body before the child gets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preparation {
    /// It is compressed and the child wants it plain.
    pub inflate: bool,
    /// The child may answer before it has read all, and some clients read nothing before they have sent all: the body is
    /// taken whole before the child gets any of it. Only for bodies of bounded length.
    pub collect: bool,
}

/// Writes the request's body to the child. Completes only when the exchange must end.
///
/// `stdin` becomes `None`, which closes it, only after a body that is complete, or when the child takes no more.
pub(super) async fn feed(
    stdin: &mut Option<pipe::Sender>,
    mut upload: upload::Receiver,
    preparation: Preparation,
    moved: &Moved,
) -> Ending {
    let mut inflate = preparation.inflate.then(Inflate::new);
    let mut collected = Vec::new();
    loop {
        match upload.next().await {
            upload::Piece::Data(bytes) => {
                moved.add_received(bytes.len());
                if preparation.collect {
                    collected.push(bytes);
                } else if let Err(error) = write(stdin, &mut inflate, bytes, moved).await {
                    return Ending::BadBody(error);
                }
            }
            upload::Piece::End => break,
            upload::Piece::Aborted => return Ending::BodyAborted,
            upload::Piece::TooLarge => return Ending::TooLarge,
        }
    }
    for bytes in collected {
        if let Err(error) = write(stdin, &mut inflate, bytes, moved).await {
            return Ending::BadBody(error);
        }
    }
    match inflate.map(Inflate::finish).transpose() {
        Ok(rest) => put(stdin, &rest.unwrap_or_default(), moved).await,
        Err(error) => return Ending::BadBody(error),
    }
    *stdin = None;
    std::future::pending().await
}

/// Writes a chunk, decoded if need be.
///
/// # Errors
/// When the chunk cannot be decoded.
async fn write(
    stdin: &mut Option<pipe::Sender>,
    inflate: &mut Option<Inflate>,
    mut bytes: Bytes,
    moved: &Moved,
) -> io::Result<()> {
    let Some(inflate) = inflate else {
        put(stdin, &bytes, moved).await;
        return Ok(());
    };
    while !bytes.is_empty() {
        put(stdin, &inflate.take(&mut bytes)?, moved).await;
    }
    Ok(())
}

/// A child that stops reading has read enough: its answer counts, and the rest of the body is let go.
async fn put(stdin: &mut Option<pipe::Sender>, bytes: &[u8], moved: &Moved) {
    if let Some(pipe) = stdin
        && pipe.write_all(bytes).await.is_err()
    {
        *stdin = None;
    }
    moved.touch();
}
