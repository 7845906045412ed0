//! What is on the disk for a request: the repository, what it says of itself, and the file that is asked for.
//!
//! Storage that does not answer costs a request its answer, and no other one its worker: so a thread that may wait looks, unless the
//! repository is known from lately and a glance settles that it is the same (see [`crate::cache::ground`]).

use std::sync::Arc;
use std::time::Duration;

use policy::decision::Decision;
use policy::git_request::{Access, Service};
use policy::repo_path::RepoPath;
use tokio::time::timeout;

use super::dumb::StoredFile;
use super::refusal::Refusal;
use crate::cache::ground::{Ground, Marks};
use crate::cache::standing::Standing;
use crate::engine::EngineKind;
use crate::repository::{self, Repository};
use crate::runner::Runner;
use crate::switches::{self, Mentioned};

/// What was found.
pub(super) struct Found {
    pub(super) repository: Repository,
    /// What it hides from a push.
    pub(super) hidden_refs: Vec<String>,
    /// What a client of the dumb protocol asks for, unless git has to make it.
    pub(super) file: Option<StoredFile>,
    /// What is known of it beyond this request.
    pub(super) ground: Option<Arc<Ground>>,
}

/// The repository, once it is known to be one and to let itself be served, and what is asked of it.
pub(super) async fn repository(
    runner: &Arc<Runner>,
    decision: &Decision,
    store: &RepoPath,
) -> Result<Found, Refusal> {
    // Its files are looked for one by one.
    let is_dumb = decision.service == Service::Dumb;
    if !is_dumb && let Some(ground) = runner.grounds.recall(&decision.repo) {
        let repository = ground.repository.clone();
        return Ok(Found { repository, hidden_refs: Vec::new(), file: None, ground: Some(ground) });
    }
    let runtime = runner.runtime.clone();
    let (runner, decision, store) = (Arc::clone(runner), decision.clone(), store.clone());
    let look = runtime.spawn_blocking(move || look(&runner, &decision, &store));
    match timeout(STORAGE, look).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) | Err(_) => Err(Refusal::NoStorage),
    }
}

/// How long the file system has to show a repository.
pub(super) const STORAGE: Duration = Duration::from_secs(10);

fn look(runner: &Runner, decision: &Decision, store: &RepoPath) -> Result<Found, Refusal> {
    let (root, git) = (&runner.config.repositories, &runner.git);
    // Before anything else: what changes from here on changes them.
    let marks = Marks::take(root, store, &git.program);
    let repository = repository::find(root, store, runner.config.export_all)?;
    let Mentioned { switches, hiding } = switches::mentioned(&repository)?;
    let is_off = switches
        && asks_switches(runner.config.engine, decision)
        && !switches::allow(git, &repository, decision.service)?;
    if is_off {
        return Err(Refusal::SwitchedOff);
    }
    let hides = hiding && decision.access == Access::Write;
    let hidden_refs = if hides { switches::hidden(git, &repository)? } else { Vec::new() };
    let file = StoredFile::find(&repository, decision)?;
    // One that says something of its own is looked at each time.
    let plain = marks.filter(|_| !switches && !hiding);
    let ground = plain.and_then(|marks| {
        let standing = Standing::of(&repository.path, &git.program)?;
        Some(runner.grounds.remember(&decision.repo, repository.clone(), standing, marks))
    });
    Ok(Found { repository, hidden_refs, file, ground })
}

/// Whether the repository's switches are looked up here: where `http-backend` does not run, or is told not to. See [`switches`].
fn asks_switches(engine: EngineKind, decision: &Decision) -> bool {
    let nobody_pushes = decision.access == Access::Write && decision.user.is_none();
    decision.service == Service::Dumb || engine == EngineKind::Direct || nobody_pushes
}
