//! The daemon's state: the [`Runner`] that requests are served by, replaced as a whole when the configuration changes.
//!
//! A request takes the runner once and sees no other. A reload that fails leaves the last good one in place, says so in log,
//! metrics and `/readyz`, and never ends the daemon. What runs, waits and is counted is shared by all runners.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use daemon::admin::Readiness;
use daemon::files::Files;
use daemon::signing_key::KeyFile;
use daemon::watch::{Cause, retire};
use policy::changes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::Audit;
use crate::cache::Cache;
use crate::config::{Config, LoadError};
use crate::limits::Limits;
use crate::load::{self, Loaded};
use crate::managed_hooks::ManagedHooks;
use crate::metrics::{ConfigFile, Metrics};
use crate::runner::Runner;
use crate::server::StartError;
use crate::web::view;

/// The current runner, and how it came to be.
#[derive(Debug)]
pub struct State {
    current: ArcSwap<Runner>,
    /// The configuration the listeners were made by.
    started: Config,
    path: PathBuf,
    /// The files as they were last read. Held for the time of a reload, so that there is one at a time.
    files: Mutex<Files>,
    status: Mutex<Status>,
}

#[derive(Debug)]
struct Status {
    since: Instant,
    last_error: Option<String>,
    needs_restart: Vec<&'static str>,
}

impl State {
    /// Loads everything for the first time. Must be called on the runtime that shall run git.
    ///
    /// # Errors
    /// When something cannot be used.
    pub fn start(path: PathBuf, metrics: Metrics) -> Result<Self, StartError> {
        let mut files = Files::default();
        let loaded = load::load(&path, &mut files)?;
        let key = KeyFile::open(&loaded.config.signing_key_file)?;
        files.note(key.path(), KEY_LIMIT);
        let Loaded { config, policy, policy_text, git } = loaded;
        warn(&load::warnings(&config, &git, &policy, &policy_text));
        let limits = Limits::new(config.limits.sizes, metrics.running.clone(), metrics.queued.clone());
        let (running, queued) = (metrics.pages_running.clone(), metrics.pages_queued.clone());
        let pages = Limits::new(config.gitweb.sizes, running, queued);
        let hooks = hooks(&config);
        let audit = Audit::open(config.audit_log.clone(), metrics.clone()).map_err(StartError::Audit)?;
        metrics.configured(FIRST_GENERATION);
        let runner = Runner {
            hooks,
            audit,
            git,
            policy: Arc::new(policy),
            generation: FIRST_GENERATION,
            key: Arc::new(key),
            limits: Arc::new(limits),
            cache: Arc::new(Cache::open(&config.cache, metrics.kept.clone(), &Handle::current())),
            grounds: Arc::default(),
            pages: Arc::new(pages),
            catalogue: Arc::default(),
            metrics,
            runtime: Handle::current(),
            jobs: TaskTracker::new(),
            stop: CancellationToken::new(),
            config: config.clone(),
        };
        sweep(&config);
        let status = Status { since: Instant::now(), last_error: None, needs_restart: Vec::new() };
        let current = ArcSwap::from_pointee(runner);
        Ok(Self { current, started: config, path, files: Mutex::new(files), status: Mutex::new(status) })
    }

    /// What requests are served by, now.
    pub fn runner(&self) -> Arc<Runner> {
        self.current.load_full()
    }

    /// The files as they were last read: those to watch.
    pub fn files(&self) -> Files {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads everything again; what is now in the files holds from the next request on. Reads files, and so belongs on a
    /// thread that may block.
    ///
    /// # Errors
    /// When the last good configuration stays.
    pub fn reload(&self, cause: Cause) -> Result<(), StartError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.runner();
        let loaded = load::load(&self.path, &mut files)
            .and_then(|loaded| Ok((reopen(&last.key, &loaded.config)?, loaded)));
        let key = loaded.as_ref().map_or_else(|_| &last.key, |(key, _)| key);
        files.note(key.path(), KEY_LIMIT);
        match loaded {
            Ok((key, loaded)) => {
                self.replace(last, key, loaded);
                Ok(())
            }
            Err(error) => {
                let known = self.status().last_error.as_ref() == Some(&chain(&error));
                if cause != Cause::Retry || !known {
                    self.report(&last.metrics, self.file_of(&error), &error);
                }
                Err(error)
            }
        }
    }

    /// The swap is the first thing to happen; what is to be said about it takes its time afterwards.
    fn replace(&self, last: Arc<Runner>, key: Arc<KeyFile>, loaded: Loaded) {
        let key_error = key.reload().err();
        let Loaded { config, policy, policy_text, git } = loaded;
        let needs_restart = config.needs_restart(&self.started);
        last.limits.resize(config.limits.sizes, &last.runtime);
        last.pages.resize(config.gitweb.sizes, &last.runtime);
        let generation = last.generation + 1;
        let policy = Arc::new(policy);
        let same_hooks = config.hooks.directory == last.config.hooks.directory
            && config.hooks.scratch == last.config.hooks.scratch;
        let hooks = if same_hooks { Arc::clone(&last.hooks) } else { hooks(&config) };
        let cache = Arc::new(last.cache.with(&config.cache, &last.config.cache, &last.runtime));
        let (catalogue, grounds) = (Arc::default(), Arc::default());
        let next = Arc::new(Runner {
            config,
            git,
            policy,
            generation,
            key,
            hooks,
            cache,
            catalogue,
            grounds,
            ..Runner::clone(&last)
        });
        self.current.store(Arc::clone(&next));
        next.metrics.configured(generation);
        for file in [ConfigFile::Config, ConfigFile::Policy] {
            next.metrics.reloaded(file, true);
        }
        if !needs_restart.is_empty() {
            tracing::warn!(keys = needs_restart.join(", "), "these keys have changed and need a restart");
        }
        *self.status() = Status { since: Instant::now(), last_error: None, needs_restart };
        let mut changed = changes::changes(&last.policy, &next.policy);
        changed.extend(next.config.changes(&last.config));
        tracing::info!(generation, changes = changes::summary(&changed), "configuration reloaded");
        if let Some(error) = key_error {
            self.report(&next.metrics, ConfigFile::SigningKey, &error);
        }
        warn(&load::warnings(&next.config, &next.git, &next.policy, &policy_text));
        retire(last);
    }

    fn report(&self, metrics: &Metrics, file: ConfigFile, error: &(dyn Error + 'static)) {
        let error = chain(error);
        metrics.reloaded(file, false);
        tracing::error!(error, "reload failed, the last good configuration stays");
        self.status().last_error = Some(error);
    }

    /// Which file to blame; whatever it names belongs to the configuration itself.
    fn file_of(&self, error: &StartError) -> ConfigFile {
        let own = self.path.display().to_string();
        match error {
            StartError::Load(LoadError::Document(error)) if error.name != own => ConfigFile::Policy,
            StartError::Load(LoadError::Read { path, .. }) if *path != self.path => ConfigFile::Policy,
            StartError::Key(_) => ConfigFile::SigningKey,
            _ => ConfigFile::Config,
        }
    }

    /// What `/readyz` answers. A failed reload is shown but does not make the daemon unready.
    pub fn readiness(&self) -> Readiness {
        let runner = self.runner();
        let draining = runner.jobs.is_closed();
        let status = self.status();
        let report = serde_json::json!({
            "ready": !draining,
            "draining": draining,
            "git": runner.git.banner,
            "hooks": if runner.hooks.are_proven().unwrap_or(false) { "ok" } else { "unusable, no push is taken" },
            "generation": runner.generation,
            "age_seconds": status.since.elapsed().as_secs(),
            "last_reload_error": status.last_error,
            "needs_restart": status.needs_restart,
        });
        Readiness { ready: !draining, report }
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const FIRST_GENERATION: u64 = 1;

/// More than a key is; a longer one is refused by whoever reads it.
const KEY_LIMIT: usize = 1024;

/// The same file is watched by the same reader; only another path needs another one.
fn reopen(last: &Arc<KeyFile>, config: &Config) -> Result<Arc<KeyFile>, StartError> {
    match last.path() == config.signing_key_file {
        true => Ok(Arc::clone(last)),
        false => Ok(Arc::new(KeyFile::open(&config.signing_key_file)?)),
    }
}

/// The hooks of this configuration, tested. Those that fail let no push through, and everything else goes on.
fn hooks(config: &Config) -> Arc<ManagedHooks> {
    let hooks = ManagedHooks::open(&config.hooks);
    if let Err(error) = hooks.prove() {
        tracing::error!(error = chain(&error), "NO PUSH IS TAKEN: the managed hooks do not work");
    }
    Arc::new(hooks)
}

/// Removes what a daemon that was killed left of pages.
fn sweep(config: &Config) {
    let scratch = config.hooks.scratch.clone();
    let age = ABANDONED.max(2 * config.gitweb.patience.request);
    Handle::current().spawn_blocking(move || view::sweep(&scratch, age));
}

/// From when on a page's directory is taken for one that nobody uses.
const ABANDONED: Duration = Duration::from_secs(3600);

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(warning = warning.as_str(), "configuration can be improved");
    }
}

/// An error and its causes in one text.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}
