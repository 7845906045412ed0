//! The daemon's state: one immutable snapshot of everything configured, swapped as a whole.
//!
//! A request takes the snapshot once and sees no other. A reload that fails leaves the last good one in
//! place, says so in log, metrics and `/readyz`, and never ends the daemon.

use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix_web::http::header::HeaderValue;
use arc_swap::ArcSwap;
use daemon::admin::Readiness;
use daemon::files::Files;
use daemon::signing_key::{KeyError, KeyFile};
use daemon::watch::{Cause, retire};
use policy::Policy;
use policy::changes;
use tokio::runtime::Handle;

use crate::advice::advice;
use crate::config::Config;
use crate::identity::Directories;
use crate::identity::login::{Logins, LoginsError};
use crate::load::{self, FileKind, Loaded, Problem, Problems};
use crate::metrics::Metrics;

/// What requests are decided by.
#[derive(Debug)]
pub struct Snapshot {
    /// `authd.yaml`.
    pub config: Config,
    /// Who may do what.
    pub policy: Policy,
    /// A policy to compare with.
    pub shadow: Option<Policy>,
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
    /// The configuration the listeners and the cache were made by.
    started: Config,
    /// The files as they were last read. Held for the time of a reload, so that there is one at a time.
    files: Mutex<Files>,
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

/// How the configuration in use came to be.
#[derive(Debug)]
struct Status {
    since: Instant,
    last_error: Option<String>,
    shadow_error: Option<String>,
    needs_restart: Vec<&'static str>,
}

// === impl State ===

impl State {
    /// Loads everything for the first time.
    pub fn start(config_path: &Path, runtime: Handle) -> Result<Self, StartError> {
        let mut files = Files::default();
        let mut loaded = load::load_noting(config_path, &mut files)
            .map_err(|problems| StartError::Config(Problems(problems)))?;
        let key = Arc::new(KeyFile::open(&loaded.config.signing_key_file)?);
        files.note(&loaded.config.signing_key_file, KEY_LIMIT);
        let metrics = Metrics::new()?;
        let logins = Logins::new(loaded.config.cache.capacity, runtime, metrics.clone())?;
        metrics.configured(FIRST_GENERATION);
        let (text, status) = (mem::take(&mut loaded.policy_text), Status::new(&mut loaded, Vec::new()));
        warn(&mem::take(&mut loaded.warnings));
        let snapshot = Snapshot::new(loaded, key, FIRST_GENERATION);
        warn(&snapshot.advice(&text));
        Ok(Self {
            started: snapshot.config.clone(),
            current: ArcSwap::from_pointee(snapshot),
            logins: Arc::new(logins),
            metrics,
            config_path: config_path.to_owned(),
            files: Mutex::new(files),
            status: Mutex::new(status),
            draining: AtomicBool::new(false),
        })
    }

    /// The files as they were last read: those to watch.
    pub fn files(&self) -> Files {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads everything again because somebody asked for it. Reads files and so belongs on a thread that may block.
    pub fn reload(&self) -> Result<(), Problems> {
        self.reload_because(Cause::Asked)
    }

    /// Loads everything again; what is now in the files holds from the next request on.
    pub fn reload_because(&self, cause: Cause) -> Result<(), Problems> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.snapshot();
        let loaded = load::load_noting(&self.config_path, &mut files).and_then(|loaded| {
            let key = reopen(&last.key, &loaded.config).map_err(|problem| vec![problem])?;
            Ok((loaded, key))
        });
        let key = loaded.as_ref().map_or_else(|_| &last.key, |(_, key)| key);
        files.note(key.path(), KEY_LIMIT);
        match loaded {
            Ok((loaded, key)) => {
                self.replace(last, loaded, key);
                Ok(())
            }
            Err(problems) => Err(self.keep_last_good(Problems(problems), cause)),
        }
    }

    /// The swap is the first thing to happen; what is to be said about it takes its time afterwards.
    fn replace(&self, last: Arc<Snapshot>, mut loaded: Loaded, key: Arc<KeyFile>) {
        let generation = last.generation + 1;
        loaded.directories.inherit(&last.directories);
        let key_error = key.reload().err();
        let needs_restart = loaded.config.needs_restart(&self.started);
        let status = Status::new(&mut loaded, needs_restart);
        let (kinds, warnings) = (mem::take(&mut loaded.files), mem::take(&mut loaded.warnings));
        let text = mem::take(&mut loaded.policy_text);
        let snapshot = Arc::new(Snapshot::new(loaded, key, generation));
        self.current.store(Arc::clone(&snapshot));
        self.metrics.configured(generation);
        for kind in kinds {
            self.metrics.reloaded(kind.as_str(), true);
        }
        if !status.needs_restart.is_empty() {
            let keys = status.needs_restart.join(", ");
            tracing::warn!(keys, "these keys have changed and need a restart");
        }
        *self.status() = status;
        let changes = changes::summary(&crate::changes::changes(&last, &snapshot));
        tracing::info!(generation, changes, "configuration reloaded");
        if let Some(error) = key_error {
            self.report(&Problems(vec![Problem::new(FileKind::SigningKey, error.to_string())]));
        }
        warn(&warnings);
        warn(&snapshot.advice(&text));
        retire(last);
    }

    fn keep_last_good(&self, problems: Problems, cause: Cause) -> Problems {
        let known = self.status().last_error.as_ref() == Some(&problems.to_string());
        if cause != Cause::Retry || !known {
            self.report(&problems);
        }
        problems
    }

    fn report(&self, problems: &Problems) {
        for problem in &problems.0 {
            self.metrics.reloaded(problem.file.as_str(), false);
        }
        self.status().last_error = Some(problems.to_string());
        tracing::error!(problems = problems.to_string(), "reload failed, the last good configuration stays");
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

    /// What `/readyz` answers. A failed reload or a directory that is out is shown but does not make the
    /// daemon unready: it decides by what it knows, and taking every replica out of service would help nobody.
    pub fn readiness(&self) -> Readiness {
        let draining = self.draining.load(Ordering::Relaxed);
        let snapshot = self.snapshot();
        let generation = snapshot.generation;
        let out: Vec<_> =
            snapshot.directories.ldap().filter(|ldap| ldap.is_out()).map(|ldap| &**ldap.name()).collect();
        let status = self.status();
        let report = serde_json::json!({
            "ready": !draining,
            "draining": draining,
            "generation": generation,
            "age_seconds": status.since.elapsed().as_secs(),
            "last_reload_error": status.last_error,
            "shadow_policy_error": status.shadow_error,
            "needs_restart": status.needs_restart,
            "directories_out": out,
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
        let Loaded { config, policy, shadow, directories, .. } = loaded;
        let challenge = config.realm.challenge();
        Self { config, policy, shadow, directories, key, generation, challenge }
    }

    /// What can be said of the policy, which is written as `text`.
    fn advice(&self, text: &str) -> Vec<String> {
        advice(&self.policy, &self.directories, &self.config.policy_file.display().to_string(), text)
    }

    /// The value of `WWW-Authenticate`.
    pub fn challenge(&self) -> &HeaderValue {
        &self.challenge
    }
}

impl Status {
    fn new(loaded: &mut Loaded, needs_restart: Vec<&'static str>) -> Self {
        let shadow_error = loaded.shadow_error.take();
        Self { since: Instant::now(), last_error: None, shadow_error, needs_restart }
    }
}

const FIRST_GENERATION: u64 = 1;

/// More than a key is; a longer one is refused by whoever reads it.
const KEY_LIMIT: usize = 1024;

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
