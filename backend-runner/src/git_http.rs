//! The handler: one permitted git request, from the signed decision to the streamed answer.
//!
//! The request target is not looked at: what is asked stands in the decision, and only there. This is also the only place
//! where the daemon's own refusals become statuses; a missing repository and a decision that does not hold look the same.
//! See git's `http-protocol` manual page and git-http-backend(1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use actix_web::{HttpRequest, HttpResponse, web};
use policy::decision::{self, Decision, VerifyError};
use policy::git_request::Service;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::cgi::environment::{self, RequestHeaders};
use crate::cgi::response::Head;
use crate::engine;
use crate::job::Job;
use crate::limits::Busy;
use crate::repository::{self, LookupError};
use crate::runner::Runner;
use crate::stream::{NoHead, Streams, download, upload};

/// Answers one request on the data listener.
pub async fn handle(request: HttpRequest, body: web::Payload, runner: web::Data<Runner>) -> HttpResponse {
    let decision = match verify(&request, &runner) {
        Ok(decision) => decision,
        Err(refusal) => return refusal.answer(None, &runner),
    };
    match serve(&request, body, &decision, &runner).await {
        Ok(response) => response,
        Err(refusal) => refusal.answer(Some(&decision), &runner),
    }
}

async fn serve(
    request: &HttpRequest,
    body: web::Payload,
    decision: &Decision,
    runner: &Runner,
) -> Result<HttpResponse, Refusal> {
    let started = Instant::now();
    let service = decision.service;
    if request.method().as_str() != service.method() {
        return Err(Refusal::Method(service.method()));
    }
    if service == Service::Web || (service == Service::Dumb && !runner.config.dumb_http) {
        return Err(Refusal::NotOffered);
    }
    let headers = request_headers(request, service)?;
    let limit = body_limit(service, runner.config.limits.push_size);
    if announced_length(request).is_some_and(|length| length > limit) {
        return Err(Refusal::TooLarge);
    }
    let repository = repository::find(&runner.config.repositories, &decision.repo, runner.config.export_all)?;
    let permit = tokio::select! {
        permit = runner.limits.acquire(decision) => permit?,
        () = runner.stop.cancelled() => return Err(Refusal::Stopping),
    };

    let environment = environment::variables(decision, headers, &repository.path, &runner.settings());
    let reads_body = service.method() == "POST";
    let (program, answer) = engine::plan(runner.config.engine, &runner.git, environment, reads_body);
    let (upload, to_git) = upload::channel();
    let (from_git, answer_body) = download::channel();
    let (head_sender, head) = oneshot::channel();
    let patience = runner.config.limits.patience;
    runner.start(Job {
        decision: decision.clone(),
        program,
        answer,
        streams: Streams { upload: to_git, head: head_sender, download: from_git },
        patience,
        stop: runner.stop.clone(),
        permit,
        metrics: runner.metrics.clone(),
        started,
    });
    if reads_body {
        actix_web::rt::spawn(upload.pump(body, limit, patience.idle));
    } else {
        upload.end();
    }
    // A job that is gone without a word has failed.
    match head.await.unwrap_or(Err(NoHead::Failed)) {
        Ok(head) => Ok(respond(head, answer_body)),
        Err(NoHead::Failed) => Err(Refusal::GitFailed),
        Err(NoHead::TooLarge) => Err(Refusal::TooLarge),
        Err(NoHead::Stopped) => Err(Refusal::Stopping),
    }
}

/// The decision, if the request has exactly one that holds now.
fn verify(request: &HttpRequest, runner: &Runner) -> Result<Decision, Refusal> {
    let header = only(request, &HeaderName::from_static(DECISION))
        .ok()
        .flatten()
        .and_then(|header| header.to_str().ok())
        .ok_or(Refusal::NoDecision)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match decision::verify(&runner.key.current(), header, now) {
        // authd may have made a new key just now.
        Err(VerifyError::BadSignature) => decision::verify(&runner.key.recheck(), header, now),
        verified => verified,
    }
    .map_err(Refusal::Decision)
}

/// [`decision::HEADER`] as HTTP libraries want it.
const DECISION: &str = "x-gitward-decision";

/// The three headers git needs, each one of a closed set of values.
fn request_headers(request: &HttpRequest, service: Service) -> Result<RequestHeaders, Refusal> {
    let kind = only(request, &CONTENT_TYPE)?;
    if let Some(expected) = environment::request_type(service)
        && kind.is_none_or(|kind| kind != expected)
    {
        return Err(Refusal::MediaType);
    }
    let encoding = match only(request, &CONTENT_ENCODING)? {
        None => None,
        Some(value) => Some(known(value, &["gzip", "x-gzip"]).ok_or(Refusal::MediaType)?),
    };
    let protocol = only(request, &HeaderName::from_static("git-protocol"))?
        .and_then(|value| known(value, &["version=0", "version=1", "version=2"]));
    Ok(RequestHeaders { protocol, encoding })
}

fn known(value: &HeaderValue, values: &[&'static str]) -> Option<&'static str> {
    values.iter().find(|known| value == **known).copied()
}

/// The header's value, if it is there; two of them are one too many.
fn only<'a>(request: &'a HttpRequest, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = request.headers().get_all(name);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Refusal::Repeated),
    }
}

/// How long a body may be: a pack may be as large as git is told, and git says so more kindly than this daemon could.
fn body_limit(service: Service, push_size: u64) -> u64 {
    match service {
        Service::ReceivePack => push_size.saturating_add(PUSH_COMMANDS),
        _ => NEGOTIATION,
    }
}

/// Room for the commands of a push beside its pack.
const PUSH_COMMANDS: u64 = 16 << 20;

/// git's own limit for what a fetch may say (`GIT_HTTP_MAX_REQUEST_BUFFER`).
const NEGOTIATION: u64 = 10 << 20;

fn announced_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn respond(head: Head, body: download::Body) -> HttpResponse {
    let mut response = HttpResponse::build(head.status);
    for (name, value) in head.headers {
        let length = (name == CONTENT_LENGTH).then(|| value.to_str().ok()?.parse().ok()).flatten();
        match length {
            Some(length) => response.no_chunking(length),
            None => response.insert_header((name, value)),
        };
    }
    response.streaming(body)
}

/// A request that gets no answer from git.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("not exactly one decision")]
    NoDecision,
    #[error("the decision does not hold")]
    Decision(#[source] VerifyError),
    #[error("the decision is for another method")]
    Method(&'static str),
    #[error("the service is not offered")]
    NotOffered,
    #[error("a header is repeated")]
    Repeated,
    #[error("the content type or encoding is not git's")]
    MediaType,
    #[error("the request's body is too large")]
    TooLarge,
    #[error("no repository to run git in")]
    Repository(#[from] LookupError),
    #[error("no permit in time")]
    Busy(#[from] Busy),
    #[error("the daemon is stopping")]
    Stopping,
    #[error("git gave no answer")]
    GitFailed,
}

impl Refusal {
    fn answer(&self, decision: Option<&Decision>, runner: &Runner) -> HttpResponse {
        let status = self.status();
        self.account(decision, status, runner);
        let mut response = HttpResponse::build(status);
        response.content_type("text/plain; charset=utf-8");
        match self {
            Self::Method(allowed) => response.insert_header((ALLOW, *allowed)),
            Self::Busy(_) | Self::Stopping => response.insert_header((RETRY_AFTER, RETRY.as_secs())),
            _ => &mut response,
        };
        response.body(self.text())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoDecision | Self::Decision(_) | Self::NotOffered => StatusCode::FORBIDDEN,
            Self::Repository(LookupError::ForeignOwner { .. } | LookupError::Unreadable(_))
            | Self::GitFailed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Repository(_) => StatusCode::FORBIDDEN,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Repeated => StatusCode::BAD_REQUEST,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy(_) | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One line for the person at the other end.
    fn text(&self) -> &'static str {
        match self.status() {
            StatusCode::FORBIDDEN => "forbidden\n",
            StatusCode::METHOD_NOT_ALLOWED => "method not allowed\n",
            StatusCode::BAD_REQUEST => "bad request\n",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "not a git request body\n",
            StatusCode::PAYLOAD_TOO_LARGE => "the request is larger than this server allows\n",
            StatusCode::SERVICE_UNAVAILABLE => "the server is busy, try again shortly\n",
            _ => "git could not be run, see the server's log\n",
        }
    }

    /// A failed run has had its line and its count already.
    fn account(&self, decision: Option<&Decision>, status: StatusCode, runner: &Runner) {
        let outcome = match self {
            Self::GitFailed | Self::TooLarge if decision.is_some() => return,
            Self::Busy(_) | Self::Stopping => "busy",
            Self::Repository(_) if status == StatusCode::INTERNAL_SERVER_ERROR => "failed",
            _ => "refused",
        };
        runner.metrics.refused(decision.map(|decision| decision.service), outcome);
        let cause = std::error::Error::source(self).map(ToString::to_string);
        tracing::warn!(
            request_id = decision.map(|decision| decision.request_id.as_str()),
            user =
                decision.and_then(|decision| decision.user.as_ref()).map(policy::identity::UserName::as_str),
            repo = decision.map(|decision| decision.repo.as_str()),
            service = decision.map(|decision| decision.service.as_str()),
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
