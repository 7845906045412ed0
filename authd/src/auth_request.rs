//! The handler: a front server asks about one request, authd answers. Read it from top to bottom.
//!
//! Nothing here knows a status (`response`), a header (`request`) or a rule (`policy`). One snapshot is
//! taken at the start and used to the end. Whatever fails, the answer is a refusal.

mod list;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use actix_web::{HttpRequest, HttpResponse, web};
use policy::access::{Denial, Permit, Verdict};
use policy::decision::{self, Decision};
use policy::git_request::{GitRequest, Refusal, Service};
use policy::identity::{GroupName, Identity, UserName};
use policy::list_request::ListRequest;
use policy::web_request::Web;

use crate::dialect::Dialect;
use crate::network::{Client, Peer};
use crate::request::{self, Asked, AuthRequest, UnreadableRequest};
use crate::response::{Allowed, Refused};
use crate::shadow::Difference;
use crate::state::{Snapshot, State};

/// Answers at the endpoint of one dialect.
pub async fn auth_request(dialect: Dialect, http: HttpRequest, front: web::Data<Front>) -> HttpResponse {
    let started = Instant::now();
    let state = &front.state;
    let snapshot = state.snapshot();
    let mut trail = Trail::new(request::request_id(dialect, http.headers()));
    let answer = match read(dialect, &http, &snapshot, front.peer(&http)) {
        Ok(request) => decide(state, &snapshot, &request, &mut trail).await,
        Err(unreadable) => Err(unreadable.into()),
    };
    trail.log(&answer, snapshot.generation);
    if let Some(difference) = &trail.shadow {
        trail.log_difference(difference);
        state.metrics().shadow_differs(difference.change);
    }
    let word = answer.as_ref().map_or_else(Refused::as_str, |_| "allowed");
    state.metrics().decided(word, trail.service, started.elapsed());
    match answer {
        Ok(allowed) => allowed.into_response(),
        Err(refused) => refused.into_response(snapshot.challenge(), dialect.passes_answers()),
    }
}

fn read<'a>(
    dialect: Dialect,
    http: &'a HttpRequest,
    snapshot: &Snapshot,
    peer: Peer,
) -> Result<AuthRequest<'a>, UnreadableRequest> {
    if !snapshot.config.endpoints.answer(dialect) {
        return Err(UnreadableRequest::SwitchedOff(dialect.as_str()));
    }
    let target = http.uri().path_and_query().map_or("", |target| target.as_str());
    let asked = Asked { dialect, method: http.method().as_str(), target, headers: http.headers(), peer };
    AuthRequest::read(asked, &snapshot.config.trusted_proxies)
}

/// What handlers share.
#[derive(Debug)]
pub struct Front {
    /// The daemon's state.
    pub state: std::sync::Arc<State>,
    /// The data listener is a Unix socket.
    pub unix: bool,
}

impl Front {
    fn peer(&self, http: &HttpRequest) -> Peer {
        match http.peer_addr() {
            _ if self.unix => Peer::Unix,
            Some(address) => Peer::Tcp(address.ip()),
            None => Peer::Unknown,
        }
    }
}

/// Grammar, identity, policy, signature: in this order, each only when the one before says yes.
async fn decide(
    state: &State,
    snapshot: &Snapshot,
    request: &AuthRequest<'_>,
    trail: &mut Trail,
) -> Result<Allowed, Refused> {
    trail.client = request.client;
    let mount = snapshot.config.mounts.find(request.host, request.target).ok_or(Refused::NotGit)?;
    let web = snapshot.config.web == Web::Gitweb;
    if let Some(list) = web.then(|| ListRequest::parse(mount, request.method, request.target)).flatten() {
        return list::decide(state, snapshot, request, list, trail).await;
    }
    let parse = if web { GitRequest::parse_with_web } else { GitRequest::parse };
    let git = parse(mount, request.method, request.target)
        .map_err(|refusal| outside_grammar(refusal, snapshot.directories.names_anybody(request)))?;
    trail.service = Some(git.service);
    trail.git = Some(git.clone());
    let identity = snapshot.directories.identify(state.logins(), request).await?;
    trail.user = identity.name().cloned();
    let verdict = snapshot.policy.decide(&identity, &git.repo, git.service.access());
    trail.shadow = snapshot.shadow.as_ref().and_then(|shadow| {
        Difference::between(verdict, shadow.decide(&identity, &git.repo, git.service.access()))
    });
    let permit = match verdict {
        Verdict::Allow(permit) => permit,
        Verdict::Deny(denial) => return Err(denied(&identity, denial)),
    };
    trail.permit(permit);
    let decision = sign(snapshot, &git, &identity, trail)?;
    Ok(Allowed { decision, user: identity.name().cloned() })
}

/// git asks the user for a password only on 401, so a path that may be a repository gets one first.
fn outside_grammar(refusal: Refusal, names_anybody: bool) -> Refused {
    match refusal {
        Refusal::CouldBeRepository if !names_anybody => Refused::NotGitYet,
        _ => Refused::NotGit,
    }
}

fn denied(identity: &Identity, denial: Denial<'_>) -> Refused {
    match (identity, denial) {
        (Identity::Anonymous, _) => Refused::NoCredentials,
        (Identity::User(_), Denial::NoGrant) => Refused::NoGrant,
        (Identity::User(_), Denial::Frozen(level)) => Refused::Frozen(level.to_string()),
    }
}

/// Signs the decision with all groups, or where they are too many with those the policy names: no other
/// group can change what a hook decides by it.
fn sign(
    snapshot: &Snapshot,
    git: &GitRequest,
    identity: &Identity,
    trail: &Trail,
) -> Result<String, Refused> {
    let key = snapshot.key.current();
    let mut decision = Decision::permitting(git, trail.request_id.clone(), now());
    decision.client = trail.client.to_string();
    decision.generation = snapshot.generation;
    if let Some(user) = identity.user() {
        decision.user = Some(user.name.clone());
        decision.groups = user.groups.iter().cloned().collect();
        decision.info = (*user.info).clone();
    }
    let whole = decision::sign(&key, &decision);
    if whole.len() < decision::MAX_LEN {
        return Ok(whole);
    }
    let all = decision.groups.len();
    decision.groups.retain(|group: &GroupName| snapshot.policy.names_group(group));
    let user = identity.name().map(UserName::as_str);
    tracing::warn!(
        request_id = trail.request_id,
        user,
        groups = all,
        sent = decision.groups.len(),
        "groups left out"
    );
    let shorter = decision::sign(&key, &decision);
    match shorter.len() < decision::MAX_LEN {
        true => Ok(shorter),
        false => Err(Refused::DecisionTooLarge),
    }
}

/// In seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// What became known about a request on its way, for the one log line it gets.
#[derive(Debug)]
struct Trail {
    request_id: String,
    client: Client,
    git: Option<GitRequest>,
    service: Option<Service>,
    user: Option<UserName>,
    level: Option<String>,
    shadow: Option<Difference>,
}

impl Trail {
    fn new(request_id: String) -> Self {
        Self {
            request_id,
            client: Client::Unknown,
            git: None,
            service: None,
            user: None,
            level: None,
            shadow: None,
        }
    }

    fn permit(&mut self, permit: Permit<'_>) {
        self.level = Some(permit.level.to_string());
    }

    /// Fields that came from outside are `str`, which the log formats escape.
    fn log(&self, answer: &Result<Allowed, Refused>, generation: u64) {
        let request_id = self.request_id.as_str();
        let client = self.client.to_string();
        let user = self.user.as_ref().map(UserName::as_str);
        let repo = self.git.as_ref().map(|git| git.repo.as_str());
        let service = self.service.map(Service::as_str);
        let access = self.service.map(|service| service.access().as_str());
        match answer {
            Ok(_) => {
                let level = self.level.as_deref();
                tracing::info!(
                    request_id,
                    client,
                    user,
                    repo,
                    service,
                    access,
                    level,
                    generation,
                    status = 200,
                    "access allowed"
                );
            }
            Err(refused) => {
                let (status, reason) = (refused.status(), refused.to_string());
                tracing::info!(
                    request_id,
                    client,
                    user,
                    repo,
                    service,
                    access,
                    reason,
                    generation,
                    status,
                    "access denied"
                );
            }
        }
    }

    /// A line of its own, and only where the two policies disagree.
    fn log_difference(&self, difference: &Difference) {
        tracing::info!(
            request_id = self.request_id.as_str(),
            client = self.client.to_string(),
            user = self.user.as_ref().map(UserName::as_str),
            repo = self.git.as_ref().map(|git| git.repo.as_str()),
            service = self.git.as_ref().map(|git| git.service.as_str()),
            access = self.git.as_ref().map(|git| git.service.access().as_str()),
            change = difference.change.as_str(),
            level = difference.level.as_deref(),
            shadow_level = difference.shadow_level.as_deref(),
            "shadow policy differs"
        );
    }
}
