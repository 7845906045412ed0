//! The list of repositories: who is asking is all that is decided here. What is on the list is decided in backend-runner,
//! repository by repository, for the caller that is signed here.

use policy::decision;
use policy::git_request::Service;
use policy::identity::{GroupName, Identity};
use policy::list_request::{ListDecision, ListRequest};

use super::{Trail, now};
use crate::request::AuthRequest;
use crate::response::{Allowed, Refused};
use crate::state::{Snapshot, State};

/// Everybody known may look. Others are asked who they are when they want it, or when there is nothing for them to see.
pub(super) async fn decide(
    state: &State,
    snapshot: &Snapshot,
    request: &AuthRequest<'_>,
    list: ListRequest,
    trail: &mut Trail,
) -> Result<Allowed, Refused> {
    trail.service = Some(Service::Web);
    let identity = snapshot.directories.identify(state.logins(), request).await?;
    trail.user = identity.name().cloned();
    if identity.user().is_none() && (list.wants_login() || !snapshot.policy.shows_something_to_anybody()) {
        return Err(Refused::NoCredentials);
    }
    let decision = sign(snapshot, list, &identity, trail)?;
    Ok(Allowed { decision, user: identity.name().cloned() })
}

/// Only groups the policy names can put a repository on the list.
fn sign(
    snapshot: &Snapshot,
    list: ListRequest,
    identity: &Identity,
    trail: &Trail,
) -> Result<String, Refused> {
    let mut decision = ListDecision::permitting(list, trail.request_id.clone(), now());
    decision.client = trail.client.to_string();
    decision.generation = snapshot.generation;
    if let Some(user) = identity.user() {
        let named = |group: &&GroupName| snapshot.policy.names_group(group);
        decision.user = Some(user.name.clone());
        decision.groups = user.groups.iter().filter(named).cloned().collect();
    }
    let signed = decision::sign_list(&snapshot.key.current(), &decision);
    if signed.len() < decision::MAX_LEN { Ok(signed) } else { Err(Refused::DecisionTooLarge) }
}
