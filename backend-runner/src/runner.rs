//! `Runner`: what all requests of one configuration share. Nothing in it is changed by a request; a changed configuration makes
//! another one (see `state`).

use std::sync::Arc;

use daemon::signing_key::KeyFile;
use policy::Policy;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cgi::environment::Settings;
use crate::config::Config;
use crate::git::Git;
use crate::job::Job;
use crate::limits::Limits;
use crate::metrics::Metrics;

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
    /// Counters.
    pub metrics: Metrics,
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

    /// What git is told of the settings.
    #[must_use]
    pub fn settings(&self) -> Settings<'_> {
        Settings {
            search_path: &self.git.search_path,
            root: &self.config.repositories,
            export_all: self.config.export_all,
            hooks: self.config.hooks.directory.as_deref(),
            push_size: self.config.limits.push_size,
            negotiation: self.config.limits.negotiation,
            allow_filter: self.config.allow_filter,
            hidden_refs: &[],
            push_options: self.config.push_options,
            config: &self.config.file,
        }
    }
}
