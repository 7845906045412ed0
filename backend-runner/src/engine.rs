//! How git is run for a request: two engines that answer alike.
//!
//! `http-backend` is git's own CGI program and the reference for everything git answers over HTTP. It is executed from git's
//! program directory: `git http-backend` would be one more process that only waits for it. `direct` leaves it out too and
//! executes the service that it would execute, doing its duties here: the head of the answer, the first line of an
//! advertisement, decompression, taking a fetch's request whole. A differential test holds the two together.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderValue, PRAGMA};
use policy::git_request::Service;
use serde::Deserialize;

use crate::cgi::environment::{RequestHeaders, Variable};
use crate::cgi::response::Head;
use crate::child::{Input, Program};
use crate::git::Git;
use crate::repository::Repository;
use crate::stream::Answer;

/// The choice in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// git's services themselves.
    #[default]
    Direct,
    /// `git http-backend` as a CGI program.
    HttpBackend,
}

/// What to execute for one request, and how to talk to it.
#[derive(Debug)]
pub struct Plan {
    /// The program.
    pub program: Program,
    /// Whether a compressed body is decoded for it.
    pub inflate: bool,
    /// How to read its answer.
    pub answer: Answer,
}

impl Plan {
    /// The plan for one request whose body comes by `input`.
    #[must_use]
    pub fn new(
        (kind, git, push_memory): (EngineKind, &Git, u64),
        service: Service,
        headers: RequestHeaders,
        repository: &Repository,
        environment: Vec<Variable>,
        input: Input,
    ) -> Self {
        // A push can make git unpack a few bytes to any size; a fetch works on what is already here.
        let memory = (service == Service::ReceivePack).then_some(push_memory);
        let direct = match kind {
            EngineKind::Direct => Direct::of(service),
            EngineKind::HttpBackend => None,
        };
        let Some(direct) = direct else {
            let path = git.http_backend.clone();
            let program =
                Program { path, arguments: Vec::new(), environment, input, memory, processor: None };
            return Self { program, inflate: false, answer: Answer::Cgi };
        };
        let mut arguments: Vec<String> = direct.command.iter().map(|&word| word.to_owned()).collect();
        arguments.push(repository.path.display().to_string());
        let path = git.program.clone();
        // Version 2 needs no line that says what the answer is.
        let preamble = if headers.protocol == Some("version=2") { b"" } else { direct.preamble };
        Self {
            program: Program { path, arguments, environment, input, memory, processor: None },
            inflate: headers.encoding.is_some(),
            answer: Answer::Plain {
                head: head(direct.content_type),
                preamble,
                may_be_silent: service.method() == "POST",
            },
        }
    }
}

/// How one service is executed and presented.
struct Direct {
    command: &'static [&'static str],
    content_type: &'static str,
    preamble: &'static [u8],
}

impl Direct {
    /// `None` for what is not a service of git's pack protocol: that stays `http-backend`'s.
    fn of(service: Service) -> Option<Self> {
        let (command, content_type, preamble): (&[&str], _, &[u8]) = match service {
            Service::AdvertiseUploadPack => (
                &["upload-pack", "--strict", "--http-backend-info-refs"],
                "application/x-git-upload-pack-advertisement",
                b"001e# service=git-upload-pack\n0000",
            ),
            Service::UploadPack => {
                (&["upload-pack", "--strict", "--stateless-rpc"], "application/x-git-upload-pack-result", b"")
            }
            Service::AdvertiseReceivePack => (
                &["receive-pack", "--http-backend-info-refs"],
                "application/x-git-receive-pack-advertisement",
                b"001f# service=git-receive-pack\n0000",
            ),
            Service::ReceivePack => {
                (&["receive-pack", "--stateless-rpc"], "application/x-git-receive-pack-result", b"")
            }
            Service::Dumb | Service::Web => return None,
        };
        Some(Self { command, content_type, preamble })
    }
}

/// Nothing between git and git may keep an answer.
pub(crate) fn head(content_type: &'static str) -> Head {
    let headers = [
        (EXPIRES, "Fri, 01 Jan 1980 00:00:00 GMT"),
        (PRAGMA, "no-cache"),
        (CACHE_CONTROL, "no-cache, max-age=0, must-revalidate"),
        (CONTENT_TYPE, content_type),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    Head { status: StatusCode::OK, headers: headers.into() }
}
