//! The request's body on its last step: into the child's standard input.

use std::io;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use super::commands::Commands;
use super::inflate::Inflate;
use super::moved::Moved;
use super::{Ending, upload};
use crate::limits::FileRoom;
use crate::push::hooks::Spare;

/// Where the child's input comes from.
#[derive(Debug)]
pub enum Source {
    /// There is none.
    Nothing,
    /// The child reads it from a file.
    File {
        /// In bytes.
        length: u64,
        /// Its leave to be on disk for so long, if it is.
        room: Option<FileRoom>,
    },
    /// It is still arriving.
    Arriving {
        /// From here.
        upload: upload::Receiver,
        /// Whether it is compressed and the child wants it plain.
        inflate: bool,
        /// The most it may become when it is decoded.
        limit: u64,
        /// What notes a push that git is not asked to report on.
        unreported: Option<Spare>,
    },
}

/// Writes the request's body to the child. Completes only when the exchange must end.
///
/// `stdin` becomes `None`, which closes it, only after a body that is complete, or when the child takes no more.
pub(super) async fn feed(stdin: &mut Option<pipe::Sender>, source: Source, moved: &Moved) -> Ending {
    let _room = match source {
        Source::Nothing => None,
        Source::File { length, room } => {
            moved.add_received(length);
            room
        }
        Source::Arriving { upload, inflate, limit, unreported } => {
            let mut push = Following { commands: Commands::default(), unreported };
            let arrived = arrive(stdin, upload, inflate.then(Inflate::new), limit, &mut push, moved);
            if let Err(ending) = arrived.await {
                return ending;
            }
            None
        }
    };
    moved.body_ended();
    *stdin = None;
    std::future::pending().await
}

async fn arrive(
    stdin: &mut Option<pipe::Sender>,
    mut upload: upload::Receiver,
    mut inflate: Option<Inflate>,
    limit: u64,
    push: &mut Following,
    moved: &Moved,
) -> Result<(), Ending> {
    let mut decoded = 0_u64;
    loop {
        let mut bytes = match upload.next().await {
            upload::Piece::Data(bytes) => bytes,
            upload::Piece::End => break,
            upload::Piece::Aborted => return Err(Ending::BodyAborted),
            upload::Piece::TooLarge => return Err(Ending::TooLarge),
        };
        moved.add_received(bytes.len() as u64);
        let Some(inflate) = &mut inflate else {
            push.follow(&bytes)?;
            put(stdin, &bytes, moved).await;
            continue;
        };
        while !bytes.is_empty() {
            let piece = inflate.take(&mut bytes).map_err(Ending::BadBody)?;
            decoded += piece.len() as u64;
            if decoded > limit {
                return Err(Ending::TooLarge);
            }
            push.follow(&piece)?;
            put(stdin, &piece, moved).await;
        }
    }
    let rest = inflate.map(Inflate::finish).transpose().map_err(|error: io::Error| Ending::BadBody(error))?;
    let rest = rest.unwrap_or_default();
    push.follow(&rest)?;
    put(stdin, &rest, moved).await;
    Ok(())
}

/// The commands of a push before git gets them.
struct Following {
    commands: Commands,
    unreported: Option<Spare>,
}

impl Following {
    fn follow(&mut self, piece: &[u8]) -> Result<(), Ending> {
        self.commands.follow(piece).map_err(|_| Ending::TooLarge)?;
        let asks = self.commands.asks_report();
        match self.unreported.take_if(|_| asks.is_some()) {
            Some(spare) => spare.put_unless(asks).map_err(Ending::Unprepared),
            None => Ok(()),
        }
    }
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
