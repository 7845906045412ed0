//! The handler: one permitted git request, from the signed decision to the streamed answer.
//!
//! The request target is not looked at: what is asked stands in the decision, and only there. This is also the only place
//! where the daemon's own refusals become statuses (see `refusal`).
//! See git's `http-protocol` manual page and git-http-backend(1).

mod body;
mod dumb;
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

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use policy::decision::{self, Decision, Permitted, VerifyError};
use policy::git_request::{Access, Service};
use policy::repo_path::RepoPath;
use tokio::time::{Instant, timeout};

use self::body::RequestBody;
use self::dumb::StoredFile;
pub use self::front::Front;
use self::kept::{Asked, Kept};
pub use self::pass::Connection;
use self::refusal::Refusal;
use self::run::{Run, Told};
use crate::alias::Alias;
use crate::cgi::environment::{self, RequestHeaders};
use crate::cgi::response::Head;
use crate::config::{Config, Limits};
use crate::engine::EngineKind;
use crate::repository::{self, Repository};
use crate::runner::Runner;
use crate::state::State;
use crate::stream::download;
use crate::switches;

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
    runner: &Runner,
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
    let Found { repository, hidden_refs, file } = find_repository(runner, decision, store).await?;
    if let Some(file) = file.filter(|_| dumb::is_for_nginx(request)) {
        return Ok(file.hand_over(decision, runner, started));
    }
    let rules = push::rules(runner, decision).await?;
    let length = announced_length(request);
    let body = RequestBody::take(body, service, headers, (limit, length), || runner.limits.enter(decision));
    let body = body.await?;
    let headers = body.headers_for_git(headers);
    let accel = dumb::is_for_nginx(request);
    let connection = request.conn_data::<Connection>();
    let asked = Asked { runner, decision, headers, repository: &repository, started, connection, accel };
    if let Some(response) = asked.probe(&body) {
        return Ok(response);
    }
    let run = Run { asked, hidden_refs: &hidden_refs, rules, limit, alias, store };
    match asked.kept(&body, run.environment(None, Told::default())).await? {
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

/// What is on the disk for a request.
struct Found {
    repository: Repository,
    /// What it hides from a push.
    hidden_refs: Vec<String>,
    /// What a client of the dumb protocol asks for, unless git has to make it.
    file: Option<StoredFile>,
}

/// The repository, once it is known to be one and to let itself be served, and what is asked of it. Storage that does not
/// answer costs this request its answer, and no other one its worker.
async fn find_repository(runner: &Runner, decision: &Decision, store: &RepoPath) -> Result<Found, Refusal> {
    let (root, export_all) = (runner.config.repositories.clone(), runner.config.export_all);
    let (git, decision, store) = (runner.git.clone(), decision.clone(), store.clone());
    let asks_switches = asks_switches(runner.config.engine, &decision);
    let look = runner.runtime.spawn_blocking(move || -> Result<_, Refusal> {
        let repository = repository::find(&root, &store, export_all)?;
        let allowed = !asks_switches
            || !switches::may_be_set(&repository)?
            || switches::allow(&git, &repository, decision.service)?;
        if !allowed {
            return Err(Refusal::SwitchedOff);
        }
        let hides = decision.access == Access::Write && switches::may_hide(&repository)?;
        let hidden_refs = if hides { switches::hidden(&git, &repository)? } else { Vec::new() };
        let file = StoredFile::find(&repository, &decision)?;
        Ok(Found { repository, hidden_refs, file })
    });
    match timeout(STORAGE, look).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) | Err(_) => Err(Refusal::NoStorage),
    }
}

/// How long the file system has to show a repository.
const STORAGE: Duration = Duration::from_secs(10);

/// Whether the repository's switches are looked up here: where `http-backend` does not run, or is told not to. See [`switches`].
fn asks_switches(engine: EngineKind, decision: &Decision) -> bool {
    let nobody_pushes = decision.access == Access::Write && decision.user.is_none();
    decision.service == Service::Dumb || engine == EngineKind::Direct || nobody_pushes
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
