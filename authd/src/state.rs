//! The daemon's state: one immutable snapshot of everything configured, swapped as a whole.
//!
//! A request takes the snapshot once and sees no other. A reload that fails leaves the last good one in
//! place, says so in log, metrics and `/readyz`, and never ends the daemon.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix_web::http::header::HeaderValue;
use arc_swap::ArcSwap;
use daemon::admin::Readiness;
use daemon::signing_key::{KeyError, KeyFile};
use policy::Policy;
use tokio::runtime::Handle;

use crate::config::Config;
use crate::identity::Directories;
use crate::identity::login::{Logins, LoginsError};
use crate::load::{self, FileKind, Loaded, Problem};
use crate::metrics::Metrics;

/// What requests are decided by.
#[derive(Debug)]
pub struct Snapshot {
    /// `authd.yaml`.
    pub config: Config,
    /// Who may do what.
    pub policy: Policy,
    /// Who is who.
    pub directories: Directories,
    /// What decisions are signed with.
    pub key: Arc<KeyFile>,
    /// Counts snapshots from 1; part of every decision.
    pub generation: u64,
    challenge: HeaderValue,
}

/// The current snapshot, and what outlives one.
#[derive(Debug)]
pub struct State {
    current: ArcSwap<Snapshot>,
    logins: Arc<Logins>,
    metrics: Metrics,
    config_path: PathBuf,
    /// Held for the time of a reload, so that there is one at a time.
    reloading: Mutex<()>,
    status: Mutex<Status>,
    draining: AtomicBool,
}

/// Why there is no state to start with.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be used.
    #[error("the configuration cannot be used:\n{0}")]
    Config(Problems),
    /// The signing key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Logins cannot be verified.
    #[error(transparent)]
    Logins(#[from] LoginsError),
    /// The metrics cannot be made.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct Problems(Vec<Problem>);

/// How the configuration in use came to be.
#[derive(Debug)]
struct Status {
    since: Instant,
    last_error: Option<String>,
}

// === impl State ===

impl State {
    /// Loads everything for the first time.
    pub fn start(config_path: &Path, runtime: Handle) -> Result<Self, StartError> {
        let loaded = load::load(config_path).map_err(|problems| StartError::Config(Problems(problems)))?;
        let key = Arc::new(KeyFile::open(&loaded.config.signing_key_file)?);
        let metrics = Metrics::new()?;
        let logins = Logins::new(loaded.config.cache.capacity, runtime, metrics.clone())?;
        metrics.configured(FIRST_GENERATION);
        warn(&loaded.warnings);
        Ok(Self {
            current: ArcSwap::from_pointee(Snapshot::new(loaded, key, FIRST_GENERATION)),
            logins: Arc::new(logins),
            metrics,
            config_path: config_path.to_owned(),
            reloading: Mutex::default(),
            status: Mutex::new(Status { since: Instant::now(), last_error: None }),
            draining: AtomicBool::new(false),
        })
    }

    /// Loads everything again; what is now in the files holds from the next request on. Reads files and so
    /// belongs on a thread that may block.
    pub fn reload(&self) -> Result<(), Problems> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.snapshot();
        let loaded = load::load(&self.config_path).and_then(|loaded| {
            let key = reopen(&last.key, &loaded.config).map_err(|problem| vec![problem])?;
            Ok((loaded, key))
        });
        match loaded {
            Ok((loaded, key)) => {
                self.replace(&last, loaded, key);
                Ok(())
            }
            Err(problems) => Err(self.keep_last_good(Problems(problems))),
        }
    }

    fn replace(&self, last: &Snapshot, loaded: Loaded, key: Arc<KeyFile>) {
        warn(&loaded.warnings);
        if loaded.config.fixed_at_start_differs(&last.config) {
            tracing::warn!("listen, admin and cache.capacity have changed: restart to use the new ones");
        }
        for kind in &loaded.files {
            self.metrics.reloaded(kind.as_str(), true);
        }
        let generation = last.generation + 1;
        self.current.store(Arc::new(Snapshot::new(loaded, key, generation)));
        self.metrics.configured(generation);
        *self.status() = Status { since: Instant::now(), last_error: None };
        tracing::info!(generation, "configuration reloaded");
    }

    fn keep_last_good(&self, problems: Problems) -> Problems {
        for problem in &problems.0 {
            self.metrics.reloaded(problem.file.as_str(), false);
        }
        self.status().last_error = Some(problems.to_string());
        tracing::error!(problems = problems.to_string(), "reload failed, the last good configuration stays");
        problems
    }

    /// What requests are decided by, now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Verifies passwords.
    pub fn logins(&self) -> &Arc<Logins> {
        &self.logins
    }

    /// Counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// From now on `/readyz` says that no new requests are wanted.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// What `/readyz` answers. A failed reload is shown but does not make the daemon unready: it decides
    /// by the last good configuration, and taking every replica out of service would help nobody.
    pub fn readiness(&self) -> Readiness {
        let draining = self.draining.load(Ordering::Relaxed);
        let generation = self.snapshot().generation;
        let status = self.status();
        let report = serde_json::json!({
            "ready": !draining,
            "draining": draining,
            "generation": generation,
            "age_seconds": status.since.elapsed().as_secs(),
            "last_reload_error": status.last_error,
        });
        Readiness { ready: !draining, report }
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Snapshot ===

impl Snapshot {
    fn new(loaded: Loaded, key: Arc<KeyFile>, generation: u64) -> Self {
        let Loaded { config, policy, directories, .. } = loaded;
        let challenge = config.realm.challenge();
        Self { config, policy, directories, key, generation, challenge }
    }

    /// The value of `WWW-Authenticate`.
    pub fn challenge(&self) -> &HeaderValue {
        &self.challenge
    }
}

const FIRST_GENERATION: u64 = 1;

/// The same file is watched by the same reader; only another path needs another one.
fn reopen(last: &Arc<KeyFile>, config: &Config) -> Result<Arc<KeyFile>, Problem> {
    if last.path() == config.signing_key_file {
        return Ok(Arc::clone(last));
    }
    let opened = KeyFile::open(&config.signing_key_file).map(Arc::new);
    opened.map_err(|error| Problem::new(FileKind::SigningKey, error.to_string()))
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(warning = warning.as_str(), "configuration can be improved");
    }
}

// === impl Problems ===

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}
