//! The running daemon: bound listeners, the workers behind them, and the orderly end.
//!
//! `Server::bind` does everything that can fail; `run` serves until it is told to stop, then drains: no new connections,
//! running requests get `limits.drain` to finish, what is left is ended as a process group. When `run` returns, no child is left.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server as Workers, ServerHandle};
use actix_web::{App, HttpServer, web};
use daemon::admin::{self, Readiness};
use daemon::listen::{BindError, Listen, Listener};
use daemon::signing_key::{KeyError, KeyFile};
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::child::GRACE;
use crate::config::{Config, LoadError};
use crate::git::{FLOOR, Git, ProbeError};
use crate::git_http;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::runner::Runner;
use crate::snapshot::PolicySnapshot;

/// A daemon that is ready to serve.
#[derive(Debug)]
pub struct Server {
    runner: web::Data<Runner>,
    policy: Arc<PolicySnapshot>,
    registry: Registry,
    data: Listener,
    admin: Option<Listener>,
}

/// The daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The policy or another file it depends on is not valid.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// git cannot be used.
    #[error(transparent)]
    Git(#[from] ProbeError),
    /// The project root or the hooks directory cannot be used.
    #[error("{what} {path} cannot be read", path = path.display())]
    Directory {
        /// Which one.
        what: &'static str,
        /// Where it should be.
        path: std::path::PathBuf,
        /// Why it cannot.
        #[source]
        source: io::Error,
    },
    /// The signing key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The metrics do not fit together.
    #[error("cannot register metrics")]
    Metrics(#[from] prometheus::Error),
}

impl Server {
    /// Checks everything the daemon depends on and binds its listeners. Must be called on the runtime that shall run git.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry)?;
        let policy = Arc::new(PolicySnapshot::load(config.policy_file.clone(), metrics.clone())?);
        let git = Git::probe(&config.git)?;
        check_directories(&config)?;
        warn(&config, &git, &policy);
        let key = KeyFile::open(&config.signing_key_file)?;
        let limits = Limits::new(config.limits.sizes, metrics.running.clone(), metrics.queued.clone());
        let data = config.listen.bind()?;
        let admin = config.admin.as_ref().map(Listen::bind).transpose()?;
        let runner = Runner {
            config,
            git,
            key,
            limits,
            metrics,
            runtime: Handle::current(),
            jobs: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Ok(Self { runner: web::Data::new(runner), policy, registry, data, admin })
    }

    /// The address of the data listener, with the port the system chose.
    ///
    /// # Errors
    /// When the system does not know it.
    pub fn address(&self) -> io::Result<Listen> {
        self.data.address()
    }

    /// The policy, for whoever reloads it.
    #[must_use]
    pub fn policy(&self) -> Arc<PolicySnapshot> {
        Arc::clone(&self.policy)
    }

    /// Serves until `shutdown` completes, then drains.
    ///
    /// # Errors
    /// When the listeners cannot be served.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self { runner, policy, registry, data, admin } = self;
        let workers = workers(data, runner.clone())?;
        let handle = workers.handle();
        let mut serving = tokio::spawn(workers);
        let admin = match admin {
            Some(listener) => Some(admin_server(listener, registry, policy, &runner)?),
            None => None,
        };
        let admin_handle = admin.as_ref().map(Workers::handle);
        let admin = admin.map(tokio::spawn);
        tokio::select! {
            () = shutdown => {}
            ended = &mut serving => return ended.unwrap_or_else(|error| Err(io::Error::other(error))),
        }
        tracing::info!("draining");
        drain(&handle, &runner).await;
        if let Some(handle) = admin_handle {
            handle.stop(true).await;
        }
        let _ = serving.await;
        drop(admin);
        Ok(())
    }
}

/// The HTTP side. nginx keeps connections for 60 s, so they are kept longer here: whoever closes first must be nginx.
fn workers(listener: Listener, runner: web::Data<Runner>) -> io::Result<Workers> {
    let drain = runner.config.limits.drain + 2 * GRACE;
    let server = HttpServer::new(move || {
        App::new().app_data(runner.clone()).default_service(web::to(git_http::handle))
    })
    .disable_signals()
    // Otherwise a client that is gone is not noticed.
    .h1_allow_half_closed(false)
    .keep_alive(Duration::from_secs(75))
    // How long a client that still sends may take to read an early answer.
    .client_disconnect_timeout(Duration::from_secs(5))
    .h1_write_buffer_size(WRITE_BUFFER)
    .shutdown_timeout(drain.as_secs() + 1);
    let server = match listener {
        Listener::Unix(socket) => server.listen_uds(socket)?,
        Listener::Tcp(socket) => server.listen(socket)?,
    };
    Ok(server.run())
}

/// What actix collects before it waits for the client: a few reads from a child.
const WRITE_BUFFER: usize = 256 * 1024;

fn admin_server(
    listener: Listener,
    registry: Registry,
    policy: Arc<PolicySnapshot>,
    runner: &web::Data<Runner>,
) -> io::Result<Workers> {
    let runner = runner.clone();
    let probe = move || {
        let draining = runner.jobs.is_closed();
        let report = serde_json::json!({
            "draining": draining,
            "git": runner.git.banner,
            "policy": { "generation": policy.generation(), "last_reload": if policy.is_stale() { "failed" } else { "ok" } },
        });
        Readiness { ready: !draining, report }
    };
    admin::server(listener, registry, Arc::new(probe))
}

/// Lets what runs come to its end, then ends it.
async fn drain(workers: &ServerHandle, runner: &Runner) {
    runner.jobs.close();
    let mut stopping = std::pin::pin!(workers.stop(true));
    if timeout(runner.config.limits.drain, &mut stopping).await.is_err() {
        tracing::warn!(running = runner.jobs.len(), "requests do not finish in time and are ended");
        runner.stop.cancel();
        stopping.await;
    }
    runner.stop.cancel();
    runner.jobs.wait().await;
}

/// Looks at the directories the configuration names.
///
/// # Errors
/// When one of them is missing or may not be read.
pub fn check_directories(config: &Config) -> Result<(), StartError> {
    let directories = [
        ("the project root", Some(&config.repositories)),
        ("hooks.directory", config.hooks.directory.as_ref()),
    ];
    for (what, path) in directories {
        let Some(path) = path else { continue };
        if let Err(source) = std::fs::read_dir(path) {
            return Err(StartError::Directory { what, path: path.clone(), source });
        }
    }
    Ok(())
}

/// What works but should not stay as it is.
fn warn(config: &Config, git: &Git, policy: &PolicySnapshot) {
    if git.version < FLOOR {
        tracing::warn!(git = git.banner.as_str(), "this git is older than any that was tried");
    }
    if policy.current().has_branch_rules() && config.hooks.directory.is_none() {
        tracing::error!(
            "the policy has branch rules, but hooks.directory is not set: BRANCH RULES ARE NOT ENFORCED"
        );
    }
}
