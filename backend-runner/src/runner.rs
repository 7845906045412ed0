//! `Runner`: what all requests of one configuration share. Nothing in it is changed by a request; a changed configuration makes
//! another one (see `state`).

use std::path::Path;
use std::sync::Arc;

use daemon::signing_key::KeyFile;
use policy::Policy;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::Audit;
use crate::cache::Cache;
use crate::cache::ground::Grounds;
use crate::cgi::environment::{RulesForGit, Settings};
use crate::config::Config;
use crate::git::Git;
use crate::job::Job;
use crate::limits::Limits;
use crate::managed_hooks::ManagedHooks;
use crate::metrics::Metrics;
use crate::web::catalogue::Catalogue;

/// What all requests share.
#[derive(Clone, Debug)]
pub struct Runner {
    /// The settings.
    pub config: Config,
    /// The installed git.
    pub git: Git,
    /// The policy.
    pub policy: Arc<Policy>,
    /// How often the configuration was loaded, this time included.
    pub generation: u64,
    /// The key decisions are signed with.
    pub key: Arc<KeyFile>,
    /// Permits.
    pub limits: Arc<Limits>,
    /// Permits for pages.
    pub pages: Arc<Limits>,
    /// What the list of repositories is made from.
    pub catalogue: Arc<Catalogue>,
    /// What judges pushes.
    pub hooks: Arc<ManagedHooks>,
    /// What is kept of git's answers.
    pub cache: Arc<Cache>,
    /// Repositories that were looked at lately; of this configuration alone.
    pub grounds: Arc<Grounds>,
    /// Counters.
    pub metrics: Metrics,
    /// Records of requests.
    pub audit: Audit,
    /// Where jobs run: a runtime that outlives the workers.
    pub runtime: Handle,
    /// The jobs that run.
    pub jobs: TaskTracker,
    /// Ends them all.
    pub stop: CancellationToken,
}

impl Runner {
    /// Runs `job` to its end, whoever is still there to see it.
    pub fn start(&self, job: Job) {
        self.jobs.spawn_on(job.run(), &self.runtime);
    }

    /// What git is told of the settings; `hooks` are those of one push, and otherwise the managed ones.
    #[must_use]
    pub fn settings<'a>(
        &'a self,
        rules: RulesForGit,
        hooks: Option<&'a Path>,
        log_directory: Option<&'a Path>,
    ) -> Settings<'a> {
        Settings {
            search_path: &self.git.search_path,
            root: &self.config.repositories,
            export_all: self.config.export_all,
            hooks: hooks.or_else(|| Some(self.hooks.directory())),
            push_size: self.config.limits.push_size,
            negotiation: self.config.limits.negotiation,
            allow_filter: self.config.allow_filter,
            hidden_refs: &[],
            alias: None,
            push_options: self.config.push_options,
            config: &self.config.file,
            rules,
            log_directory,
            no_alternates: false,
            shallow: false,
        }
    }
}
