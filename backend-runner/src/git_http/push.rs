//! What a push needs before git starts: hooks that work, what the rules ask of git, and a private directory.

use std::sync::Arc;

use policy::decision::Decision;
use policy::git_request::Service;

use super::refusal::Refusal;
use crate::cgi::environment::RulesForGit;
use crate::managed_hooks::HooksError;
use crate::push::directory::PushDirectory;
use crate::push::order;
use crate::runner::Runner;

/// Prepares a push or the advertisement before it; nothing for other requests.
pub(super) async fn prepare(
    runner: &Runner,
    decision: &Decision,
) -> Result<(RulesForGit, Option<PushDirectory>), Refusal> {
    if !matches!(decision.service, Service::AdvertiseReceivePack | Service::ReceivePack) {
        return Ok((RulesForGit::default(), None));
    }
    if !runner.hooks.are_proven()? {
        let hooks = Arc::clone(&runner.hooks);
        let proven = runner.runtime.spawn_blocking(move || hooks.prove());
        proven.await.map_err(|error| HooksError::Test(error.into()))??;
    }
    let rules = runner.policy.branch_rules(&decision.repo);
    let for_git = RulesForGit::of(&rules);
    if decision.service != Service::ReceivePack {
        return Ok((for_git, None));
    }
    let hooks = &runner.config.hooks;
    let settings = order::Settings {
        git: runner.git.program.clone(),
        external: hooks.external.clone(),
        timeout: hooks.timeout,
    };
    let push = PushDirectory::create(&hooks.scratch, decision, rules.to_level(), &settings)
        .map_err(Refusal::PushDirectory)?;
    Ok((for_git, Some(push)))
}
