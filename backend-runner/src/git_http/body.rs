//! The body of a request, and how it gets to git: a fetch's is taken whole first, a push's streams.

use std::time::Duration;

use actix_web::web::Payload;
use bytes::Bytes;
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

impl RequestBody {
    /// Takes the body of a fetch whole, and a push's that is too short to be one; others are left for later. `enter` gives leave
    /// to take the time that needs.
    pub(super) async fn take(
        body: Payload,
        service: Service,
        headers: RequestHeaders,
        (limit, announced): (u64, Option<u64>),
        enter: impl FnOnce() -> Result<Room, Busy>,
    ) -> Result<Self, GatherError> {
        let is_probe = announced == Some(PROBE) && headers.encoding.is_none();
        match service {
            Service::UploadPack => {
                let whole = whole::gather(body, limit, headers.encoding.is_some(), &enter()?).await?;
                Ok(Self::Whole(whole))
            }
            Service::ReceivePack if is_probe => {
                Ok(Self::Whole(whole::gather(body, PROBE, false, &enter()?).await?))
            }
            Service::ReceivePack => Ok(Self::Arriving(body)),
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
    pub(super) fn split(self) -> (Input, Unsent) {
        match self {
            Self::Nothing => (Input::Nothing, Unsent::Nothing),
            Self::Whole(Whole::File(file, room)) => (Input::File(file), Unsent::InFile(room)),
            Self::Whole(Whole::Memory(bytes)) => (Input::Pipe, Unsent::All(bytes)),
            Self::Arriving(payload) => (Input::Pipe, Unsent::Arriving(payload)),
        }
    }
}

/// The length of a flush packet, which is all a client sends to see whether it may push.
const PROBE: u64 = 4;

/// What has to be written to a child.
pub(super) enum Unsent {
    Nothing,
    InFile(FileRoom),
    All(Bytes),
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
            Self::InFile(room) => Source::File(room),
            Self::All(bytes) => Source::Whole(bytes),
            Self::Arriving(payload) => {
                let (sender, upload) = upload::channel();
                actix_web::rt::spawn(sender.pump(payload, limit, idle));
                Source::Arriving { upload, inflate, limit, unreported }
            }
        }
    }
}
