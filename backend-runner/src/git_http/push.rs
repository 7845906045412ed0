//! What a push needs before git starts: hooks that work, what the rules ask of git, a private directory, and its turn.

use std::sync::Arc;

use policy::decision::Decision;
use policy::git_request::Service;
use tokio::time::timeout;

use super::body::RequestBody;
use super::find::STORAGE;
use super::refusal::Refusal;
use crate::care::turnstile::{self, Pushing};
use crate::cgi::environment::RulesForGit;
use crate::engine::EngineKind;
use crate::hook;
use crate::managed_hooks::HooksError;
use crate::push::directory::PushDirectory;
use crate::push::hooks::{POST_RECEIVE, Spare};
use crate::push::order;
use crate::push::status::Status;
use crate::repository::Repository;
use crate::runner::Runner;
use crate::stream::commands;
use crate::stream::whole::Whole;

/// What was prepared.
#[derive(Default)]
pub(super) struct Prepared {
    /// The private directory.
    pub directory: Option<PushDirectory>,
    /// Listens for git's report, if this engine's answer is one.
    pub status: Option<Status>,
    /// What notes a push that git is not asked to report on.
    pub unreported: Option<Spare>,
    /// Whether the repository borrows no objects, and git can be told so.
    pub no_alternates: bool,
    /// Keeps maintenance out until the push is over.
    pub turn: Option<Pushing>,
}

impl Prepared {
    /// Sees to it that a push is noted of which git is not asked to report, if it is here whole; others are looked at on their
    /// way to git.
    ///
    /// # Errors
    /// When the hook for that cannot be put in its place.
    pub(super) fn note_unreported(&self, body: &RequestBody) -> Result<(), Refusal> {
        let (Some(spare), RequestBody::Whole(Whole::Memory(bytes))) = (&self.unreported, body) else {
            return Ok(());
        };
        spare.put_unless(commands::asks_report(bytes)).map_err(Refusal::PushDirectory)
    }
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

/// Prepares a push; nothing for other requests. `near` says that the repository is on storage that answers at once.
pub(super) async fn prepare(
    runner: &Arc<Runner>,
    decision: &Decision,
    repository: &Repository,
    near: bool,
) -> Result<Prepared, Refusal> {
    if decision.service != Service::ReceivePack {
        return Ok(Prepared::default());
    }
    let set = match near {
        true => Ok(set_up(runner, decision, repository)),
        false => {
            let (runner, decision, repository) = (Arc::clone(runner), decision.clone(), repository.clone());
            let runtime = runner.runtime.clone();
            let set = runtime.spawn_blocking(move || set_up(&runner, &decision, &repository));
            timeout(STORAGE, set).await.unwrap_or_else(|_| Ok(Err(Refusal::NoStorage)))
        }
    };
    let (push, no_alternates) = set.unwrap_or(Err(Refusal::NoStorage))?;
    let turn = turnstile::push(repository.path.clone(), near).await;
    if let Err(error) = &turn {
        let (request_id, error) = (decision.request_id.as_str(), error.to_string());
        tracing::warn!(
            request_id,
            error,
            "nothing keeps maintenance away from this push but git's own locks"
        );
    }
    // What `http-backend` answers is not followed.
    let status = (runner.config.engine == EngineKind::Direct).then(Status::default);
    Ok(Prepared { unreported: push.spare(), directory: Some(push), status, no_alternates, turn: turn.ok() })
}

/// The private directory, and whether git can be told that the repository borrows no objects. Waits for the file system.
fn set_up(
    runner: &Runner,
    decision: &Decision,
    repository: &Repository,
) -> Result<(PushDirectory, bool), Refusal> {
    let rules = runner.policy.branch_rules(&decision.repo);
    let hooks = &runner.config.hooks;
    let settings = order::Settings {
        git: runner.git.program.clone(),
        external: hooks.external.clone(),
        timeout: hooks.timeout,
    };
    let found = runner.hooks.for_push(|hook| is_wanted(runner, repository, hook));
    let push = PushDirectory::create(&hooks.scratch, decision, rules.to_level(), &settings, &found)
        .map_err(Refusal::PushDirectory)?;
    let borrows = repository.path.join("objects/info/alternates").exists();
    Ok((push, runner.git.has_true && !borrows))
}

/// Whether a hook has something to do besides judging.
fn is_wanted(runner: &Runner, repository: &Repository, hook: &str) -> bool {
    // Its word is all there is about what was applied.
    let tells = hook == POST_RECEIVE && runner.config.engine == EngineKind::HttpBackend;
    tells || hook::is_wanted(runner.config.hooks.external.as_deref(), &repository.path, hook)
}
