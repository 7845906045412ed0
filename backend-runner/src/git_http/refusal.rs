//! Requests that get no answer from git: which status each of them has, and what is said about it where.
//!
//! A missing repository, one that is switched off and a decision that does not hold are the same 403 to a client; only the
//! log knows better.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, RETRY_AFTER};
use daemon::refusals;
use policy::decision::{Permitted, VerifyError};
use policy::identity::UserName;
use policy::rule::Rule;

use super::dumb::FileError;
use crate::audit::Record;
use crate::limits::Busy;
use crate::managed_hooks::HooksError;
use crate::repository::LookupError;
use crate::runner::Runner;
use crate::stream::NoHead;
use crate::stream::whole::GatherError;
use crate::switches::SwitchError;
use crate::web::view::ViewError;

/// A request that gets no answer from git.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("not exactly one decision")]
    NoDecision,
    #[error("the decision does not hold")]
    Decision(#[source] VerifyError),
    #[error("the decision is for another method")]
    Method(&'static str),
    #[error("the service is not offered")]
    NotOffered,
    #[error("the repository's own configuration switches the service off")]
    SwitchedOff,
    #[error("the repository hides refs (hideRefs), and pages would show them")]
    HidesRefs,
    #[error("the repository's own configuration cannot be read")]
    Switches(#[from] SwitchError),
    #[error("the managed hooks do not work, so no push is taken")]
    Hooks(#[from] HooksError),
    #[error("a push cannot be prepared")]
    PushDirectory(#[source] std::io::Error),
    #[error("a page cannot be prepared")]
    View(#[from] ViewError),
    #[error("a header is repeated")]
    Repeated,
    #[error("the content type or encoding is not git's")]
    MediaType,
    #[error("the request's body is too large")]
    TooLarge,
    #[error(transparent)]
    Body(#[from] GatherError),
    #[error("no repository to run git in")]
    Repository(#[from] LookupError),
    #[error("no such file for the dumb protocol")]
    File(#[from] FileError),
    #[error("the repository's storage does not answer")]
    NoStorage,
    #[error("the repositories cannot be listed")]
    Unlisted(#[source] std::io::Error),
    #[error("no permit in time")]
    Busy(#[from] Busy),
    #[error("the daemon is stopping")]
    Stopping,
    /// The run has had its line in the log and its count already.
    #[error("git gave no answer")]
    Unanswered(NoHead),
}

impl Refusal {
    /// The answer, after the log and the counters have heard of it.
    pub(super) fn answer(&self, permitted: Option<&Permitted>, runner: &Runner) -> HttpResponse {
        let status = self.status();
        self.account(permitted, status, runner);
        let mut response = HttpResponse::build(status);
        response.content_type("text/plain; charset=utf-8");
        match self {
            Self::Method(allowed) => response.insert_header((ALLOW, *allowed)),
            _ if status == StatusCode::FORBIDDEN => response.insert_header((CACHE_CONTROL, "no-store")),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((RETRY_AFTER, RETRY.as_secs()))
            }
            Self::File(_) => response.insert_header((CACHE_CONTROL, "no-cache")),
            _ => &mut response,
        };
        response.body(format!("{}\n", self.text()))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoDecision | Self::Decision(_) | Self::NotOffered | Self::SwitchedOff | Self::HidesRefs => {
                StatusCode::FORBIDDEN
            }
            Self::Repository(LookupError::ForeignOwner { .. } | LookupError::Unreadable(_))
            | Self::Body(GatherError::Unkept(_))
            | Self::Switches(_)
            | Self::File(FileError::Unreadable(_))
            | Self::Hooks(_)
            | Self::PushDirectory(_)
            | Self::View(_)
            | Self::Unanswered(NoHead::Failed) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Repository(_) => StatusCode::FORBIDDEN,
            // A client of the dumb protocol goes on to the packs when an object is not there.
            Self::File(FileError::Missing | FileError::NotPlain) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Repeated | Self::Body(GatherError::Aborted | GatherError::Undecodable(_)) => {
                StatusCode::BAD_REQUEST
            }
            Self::Body(GatherError::Slow) => StatusCode::REQUEST_TIMEOUT,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge | Self::Body(GatherError::TooLarge) | Self::Unanswered(NoHead::TooLarge) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Busy(_)
            | Self::NoStorage
            | Self::Unlisted(_)
            | Self::Stopping
            | Self::Body(GatherError::Crowded)
            | Self::Unanswered(NoHead::Stopped) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One line for the person at the other end.
    fn text(&self) -> &'static str {
        match self.status() {
            // authd's answer to the byte: some front servers put no page of their own in its place.
            StatusCode::FORBIDDEN => refusals::DENIED,
            StatusCode::NOT_FOUND => "there is no such object in this repository",
            StatusCode::REQUEST_TIMEOUT => "the request's body comes too slowly",
            StatusCode::METHOD_NOT_ALLOWED => "method not allowed",
            StatusCode::BAD_REQUEST => "bad request",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "not a git request body",
            StatusCode::PAYLOAD_TOO_LARGE => "the request is larger than this server allows",
            StatusCode::SERVICE_UNAVAILABLE => "the server is busy, try again shortly",
            _ => "git could not be run, see the server's log",
        }
    }

    fn account(&self, permitted: Option<&Permitted>, status: StatusCode, runner: &Runner) {
        let outcome = match self {
            Self::Unanswered(_) => return,
            Self::Busy(_) | Self::Stopping | Self::Body(GatherError::Crowded) => "busy",
            Self::Body(GatherError::Aborted) => "client_gone",
            Self::Body(GatherError::Slow) => "timeout",
            Self::NoStorage | Self::Unlisted(_) => "failed",
            _ if status == StatusCode::INTERNAL_SERVER_ERROR => "failed",
            _ => "refused",
        };
        runner.metrics.refused(permitted.map(Permitted::service), outcome);
        if matches!(self, Self::Hooks(_)) {
            runner.metrics.judged(Rule::Proof.as_str(), "unusable");
        }
        if let Some(permitted) = permitted {
            runner.audit.record(&Record::of_permitted(permitted, outcome));
        }
        let cause = std::error::Error::source(self).map(ToString::to_string);
        tracing::warn!(
            request_id = permitted.map(Permitted::request_id),
            user = permitted.and_then(Permitted::user).map(UserName::as_str),
            repo = permitted.map(Permitted::place),
            service = permitted.map(|permitted| permitted.service().as_str()),
            outcome,
            status = status.as_u16(),
            reason = self.to_string(),
            cause,
            "git request refused"
        );
    }
}

/// When to come back after a 503.
const RETRY: Duration = Duration::from_secs(10);
