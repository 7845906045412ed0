//! The handler: one permitted git request, from the signed decision to the streamed answer.
//!
//! The request target is not looked at: what is asked stands in the decision, and only there. This is also the only place
//! where the daemon's own refusals become statuses (see `refusal`).
//! See git's `http-protocol` manual page and git-http-backend(1).

mod body;
mod dumb;
mod find;
mod front;
mod kept;
mod list;
mod packs;
mod page;
mod pass;
mod push;
mod refusal;
mod run;
mod served;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use policy::decision::{self, Decision, Permitted, VerifyError};
use policy::git_request::Service;
use tokio::time::Instant;

use self::body::{Bounds, RequestBody};
use self::find::Found;
pub use self::front::Front;
use self::kept::{Asked, Kept};
pub use self::pass::Connection;
use self::refusal::Refusal;
use self::run::{Run, Told};
use crate::alias::Alias;
use crate::cgi::environment::{self, RequestHeaders};
use crate::cgi::response::Head;
use crate::config::{Config, Limits};
use crate::runner::Runner;
use crate::state::State;
use crate::stream::download;

/// Answers one request on the data listener.
pub async fn handle(request: HttpRequest, body: web::Payload, state: web::Data<State>) -> HttpResponse {
    let runner = state.runner();
    let permitted = match verify(&request, &runner) {
        Ok(permitted) => permitted,
        Err(refusal) => return refusal.answer(None, &runner),
    };
    let answered = match &permitted {
        Permitted::List(decision) => list::serve(&request, decision, &runner).await,
        Permitted::Repository(decision) => match decision.service {
            Service::Web => page::serve(&request, decision, &runner).await,
            _ => serve(&request, body, decision, &runner).await,
        },
    };
    answered.unwrap_or_else(|refusal| refusal.answer(Some(&permitted), &runner))
}

async fn serve(
    request: &HttpRequest,
    body: web::Payload,
    decision: &Decision,
    runner: &Arc<Runner>,
) -> Result<HttpResponse, Refusal> {
    let started = Instant::now();
    let (service, config) = (decision.service, &runner.config);
    if request.method().as_str() != service.method() {
        return Err(Refusal::Method(service.method()));
    }
    let (alias, store) = (config.aliases.of(&decision.repo), config.aliases.store(&decision.repo));
    if !is_offered(service, config, alias) {
        return Err(Refusal::NotOffered);
    }
    let headers = request_headers(request, service)?;
    let limit = body_limit(service, &config.limits);
    if announced_length(request).is_some_and(|length| length > limit) {
        return Err(Refusal::TooLarge);
    }
    let Found { repository, hidden_refs, file, ground } = find::repository(runner, decision, store).await?;
    if let Some(file) = file.filter(|_| dumb::is_for_nginx(request)) {
        return Ok(file.hand_over(decision, runner, started));
    }
    let rules = push::rules(runner, decision).await?;
    let bounds = Bounds { limit, announced: announced_length(request), idle: config.limits.patience.idle };
    let body = RequestBody::take(body, service, headers, bounds, || runner.limits.enter(decision)).await?;
    let headers = body.headers_for_git(headers);
    let accel = dumb::is_for_nginx(request);
    let connection = request.conn_data::<Connection>();
    let asked = Asked {
        runner,
        decision,
        headers,
        repository: &repository,
        ground: ground.as_deref(),
        started,
        connection,
        accel,
    };
    if let Some(response) = asked.probe(&body) {
        return Ok(response);
    }
    let run = Run { asked, hidden_refs: &hidden_refs, rules, limit, alias, store };
    match asked.kept(&body, &|| run.environment(None, Told::default())).await? {
        Kept::Answer(response) => Ok(response),
        Kept::AskGit(keep) => run.git(body, keep).await,
    }
}

/// Whether this configuration has the service for what is asked.
fn is_offered(service: Service, config: &Config, alias: Option<&Alias>) -> bool {
    match service {
        Service::Web => false,
        // The list of packs would give out the objects of all namespaces.
        Service::Dumb => config.dumb_http && alias.is_none(),
        _ => true,
    }
}

/// The decision, if the request has exactly one that holds now.
fn verify(request: &HttpRequest, runner: &Runner) -> Result<Permitted, Refusal> {
    let header = only(request, &HeaderName::from_static(DECISION))
        .ok()
        .flatten()
        .and_then(|header| header.to_str().ok())
        .ok_or(Refusal::NoDecision)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match decision::verify_any(&runner.key.current(), header, now) {
        // authd may have made a new key just now.
        Err(VerifyError::BadSignature) => decision::verify_any(&runner.key.recheck(), header, now),
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
fn body_limit(service: Service, limits: &Limits) -> u64 {
    match service {
        Service::ReceivePack => limits.push_size.saturating_add(PUSH_COMMANDS),
        _ => limits.negotiation,
    }
}

/// Room for the commands of a push beside its pack.
const PUSH_COMMANDS: u64 = 16 << 20;

fn announced_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn respond(head: Head, body: download::Body) -> HttpResponse {
    let length = head.headers.iter().find(|(name, _)| *name == CONTENT_LENGTH);
    let length = length.and_then(|(_, value)| value.to_str().ok()?.parse().ok());
    let mut response = with_head(head);
    if let Some(length) = length {
        response.no_chunking(length);
    }
    response.streaming(body)
}

/// The beginning of an answer whose length is told otherwise.
fn with_head(head: Head) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(head.status);
    for header in head.headers.into_iter().filter(|(name, _)| *name != CONTENT_LENGTH) {
        response.insert_header(header);
    }
    response
}
