//! The body of a request, and how it gets to git: a fetch's is taken whole first, and a small push's; a large push streams.

use std::time::Duration;

use actix_web::web::Payload;
use policy::git_request::Service;

use crate::cgi::environment::RequestHeaders;
use crate::child::Input;
use crate::limits::{Busy, FileRoom, Room};
use crate::push::hooks::Spare;
use crate::stream::whole::{self, GatherError, Whole};
use crate::stream::{Source, upload};

/// What is left to do about a body once a place for git is found.
pub(super) enum RequestBody {
    /// The service reads none.
    Nothing,
    /// It is here, decoded.
    Whole(Whole),
    /// It is still arriving.
    Arriving(Payload),
}

/// How much of a body may come, and how slowly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The most, in bytes as sent.
    pub(super) limit: u64,
    /// What the client says it will be.
    pub(super) announced: Option<u64>,
    /// The longest time without a byte.
    pub(super) idle: Duration,
}

impl RequestBody {
    /// Takes the body of a fetch whole, and a small push's; others are left for later. `enter` gives leave to take the time that
    /// needs.
    pub(super) async fn take(
        body: Payload,
        service: Service,
        headers: RequestHeaders,
        bounds: Bounds,
        enter: impl FnOnce() -> Result<Room, Busy>,
    ) -> Result<Self, GatherError> {
        let Bounds { limit, announced, idle } = bounds;
        let compressed = headers.encoding.is_some();
        let is_small = !compressed && announced.is_some_and(|length| length <= SMALL);
        match service {
            Service::ReceivePack if !is_small => Ok(Self::Arriving(body)),
            Service::UploadPack | Service::ReceivePack => {
                Ok(Self::Whole(whole::gather(body, limit, compressed, idle, &enter()?).await?))
            }
            _ => Ok(Self::Nothing),
        }
    }

    /// What git is told about the body: one that was taken whole is not compressed any more.
    pub(super) fn headers_for_git(&self, headers: RequestHeaders) -> RequestHeaders {
        match self {
            Self::Arriving(_) => headers,
            _ => RequestHeaders { encoding: None, ..headers },
        }
    }

    /// The child's standard input, and what has to be written to it.
    ///
    /// # Errors
    /// When a body that was taken whole cannot become a file.
    pub(super) fn split(self) -> Result<(Input, Unsent), GatherError> {
        match self {
            Self::Nothing => Ok((Input::Nothing, Unsent::Nothing)),
            Self::Whole(whole) => {
                let (file, length, room) = whole.into_file().map_err(GatherError::Unkept)?;
                Ok((Input::File(file), Unsent::InFile { length, room }))
            }
            Self::Arriving(payload) => Ok((Input::Pipe, Unsent::Arriving(payload))),
        }
    }
}

/// A push of no more bytes is taken whole: one that breaks off is never started then, and passing it on piece by piece costs
/// more than it is worth.
const SMALL: u64 = 64 << 10;

/// What has to be written to a child.
pub(super) enum Unsent {
    Nothing,
    InFile { length: u64, room: Option<FileRoom> },
    Arriving(Payload),
}

impl Unsent {
    /// Sets a body that is still arriving in motion, on the worker that receives it.
    pub(super) fn into_source(
        self,
        inflate: bool,
        limit: u64,
        idle: Duration,
        unreported: Option<Spare>,
    ) -> Source {
        match self {
            Self::Nothing => Source::Nothing,
            Self::InFile { length, room } => Source::File { length, room },
            Self::Arriving(payload) => {
                let (sender, upload) = upload::channel();
                actix_web::rt::spawn(sender.pump(payload, limit, idle));
                Source::Arriving { upload, inflate, limit, unreported }
            }
        }
    }
}
