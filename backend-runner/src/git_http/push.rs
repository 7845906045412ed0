//! What a push needs before git starts: hooks that work, what the rules ask of git, a private directory, and its turn.

use std::sync::Arc;

use policy::decision::Decision;
use policy::git_request::Service;

use super::refusal::Refusal;
use crate::care::turnstile::{self, Pushing};
use crate::cgi::environment::RulesForGit;
use crate::managed_hooks::HooksError;
use crate::push::directory::PushDirectory;
use crate::push::order;
use crate::repository::Repository;
use crate::runner::Runner;

/// What was prepared.
#[derive(Default)]
pub(super) struct Prepared {
    /// The private directory.
    pub directory: Option<PushDirectory>,
    /// Whether the repository borrows no objects, and git can be told so.
    pub no_alternates: bool,
    /// Keeps maintenance out until the push is over.
    pub turn: Option<Pushing>,
}

/// What the rules ask of git in a push or the advertisement before it, once the hooks are known to work; nothing for other
/// requests.
pub(super) async fn rules(runner: &Runner, decision: &Decision) -> Result<RulesForGit, Refusal> {
    if !matches!(decision.service, Service::AdvertiseReceivePack | Service::ReceivePack) {
        return Ok(RulesForGit::default());
    }
    if !runner.hooks.are_proven()? {
        let hooks = Arc::clone(&runner.hooks);
        let proven = runner.runtime.spawn_blocking(move || hooks.prove());
        proven.await.map_err(|error| HooksError::Test(error.into()))??;
    }
    Ok(RulesForGit::of(&runner.policy.branch_rules(&decision.repo)))
}

/// Prepares a push; nothing for other requests.
pub(super) async fn prepare(
    runner: &Runner,
    decision: &Decision,
    repository: &Repository,
) -> Result<Prepared, Refusal> {
    if decision.service != Service::ReceivePack {
        return Ok(Prepared::default());
    }
    let rules = runner.policy.branch_rules(&decision.repo);
    let hooks = &runner.config.hooks;
    let settings = order::Settings {
        git: runner.git.program.clone(),
        external: hooks.external.clone(),
        timeout: hooks.timeout,
    };
    let push = PushDirectory::create(&hooks.scratch, decision, rules.to_level(), &settings)
        .map_err(Refusal::PushDirectory)?;
    let turn = turnstile::push(repository.path.clone()).await;
    if let Err(error) = &turn {
        let (request_id, error) = (decision.request_id.as_str(), error.to_string());
        tracing::warn!(
            request_id,
            error,
            "nothing keeps maintenance away from this push but git's own locks"
        );
    }
    let no_alternates = runner.git.has_true && !repository.path.join("objects/info/alternates").exists();
    Ok(Prepared { directory: Some(push), no_alternates, turn: turn.ok() })
}
