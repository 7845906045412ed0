//! The running daemon: bound listeners, the workers behind them, and the orderly end.
//!
//! `Server::bind` does everything that can fail; `run` serves until it is told to stop, then drains: no new connections,
//! running requests get `limits.drain` to finish, what is left is ended as a process group. When `run` returns, no child is left.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix_web::dev::{Extensions, Server as Workers, ServerHandle};
use actix_web::web;
use daemon::admin;
use daemon::http_server::{self, Socket};
use daemon::listen::{BindError, Listen, Listener};
use daemon::signing_key::KeyError;
use policy::web_request::Web;
use prometheus::Registry;
use tokio::time::timeout;

use crate::care::schedule;
use crate::child::GRACE;
use crate::config::{Config, LoadError};
use crate::git::ProbeError;
use crate::git_http::{self, Connection, Front};
use crate::metrics::Metrics;
use crate::runner::Runner;
use crate::state::State;

/// A daemon that is ready to serve.
#[derive(Debug)]
pub struct Server {
    state: web::Data<State>,
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
    /// The project root or another path cannot be used.
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
    /// No thread for the audit log.
    #[error("cannot start the audit log")]
    Audit(#[source] io::Error),
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
        let state = web::Data::new(State::start(config.file, metrics)?);
        let data = config.listen.bind()?;
        let admin = config.admin.as_ref().map(Listen::bind).transpose()?;
        Ok(Self { state, registry, data, admin })
    }

    /// The address of the data listener, with the port the system chose.
    ///
    /// # Errors
    /// When the system does not know it.
    pub fn address(&self) -> io::Result<Listen> {
        self.data.address()
    }

    /// For whoever reloads it.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        web::Data::clone(&self.state).into_inner()
    }

    /// Serves until `shutdown` completes, then drains.
    ///
    /// # Errors
    /// When the listeners cannot be served.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self { state, registry, data, admin } = self;
        let workers = workers(data, state.clone())?;
        let handle = workers.handle();
        let mut serving = tokio::spawn(workers);
        let admin = match admin {
            Some(listener) => Some(admin_server(listener, registry, &state)?),
            None => None,
        };
        let care = tokio::spawn(schedule::run(state.clone().into_inner()));
        let admin_handle = admin.as_ref().map(Workers::handle);
        let admin = admin.map(tokio::spawn);
        tokio::select! {
            () = shutdown => {}
            ended = &mut serving => return ended.unwrap_or_else(|error| Err(io::Error::other(error))),
        }
        tracing::info!("draining");
        drain(&handle, &state.runner()).await;
        if let Some(handle) = admin_handle {
            handle.stop(true).await;
        }
        let _ = serving.await;
        // Told to stop by what ended the jobs; it ends a git that works.
        let _ = care.await;
        drop(admin);
        Ok(())
    }
}

/// The HTTP side. nginx keeps its side for 30 s (nginx/gitward-http.conf).
fn workers(listener: Listener, state: web::Data<State>) -> io::Result<Workers> {
    let settings = http_server::Settings {
        workers: thread::available_parallelism().map_or(1, usize::from),
        keep_alive: Duration::from_secs(75),
        farewell: Duration::from_secs(5),
        write_buffer: WRITE_BUFFER,
        drain: state.runner().config.limits.drain + 2 * GRACE + Duration::from_secs(1),
    };
    let configure = move |app: &mut web::ServiceConfig| {
        app.app_data(state.clone()).default_service(web::to(git_http::handle));
    };
    let connected = |socket: Socket<'_>, data: &mut Extensions| {
        let (Socket::Unix(handle) | Socket::Tcp(handle)) = socket;
        Connection::of(&handle).map(|connection| data.insert(connection));
        if let Socket::Unix(handle) = socket {
            Front::of(handle).map(|front| data.insert(front));
        }
    };
    http_server::server(listener, settings, configure, connected)
}

/// What actix collects before it waits for the client: a few reads from a child.
const WRITE_BUFFER: usize = 256 * 1024;

fn admin_server(listener: Listener, registry: Registry, state: &web::Data<State>) -> io::Result<Workers> {
    let state = state.clone();
    admin::server(listener, registry, Arc::new(move || state.readiness()))
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

/// Looks at the directory that nothing works without, and the program that pages need.
///
/// # Errors
/// When one is missing or may not be read.
pub fn check_directories(config: &Config) -> Result<(), StartError> {
    let path = &config.repositories;
    if let Err(source) = std::fs::read_dir(path) {
        return Err(StartError::Directory { what: "the project root", path: path.clone(), source });
    }
    let path = &config.gitweb.program;
    if let Some(source) = std::fs::metadata(path).err().filter(|_| config.web == Web::Gitweb) {
        return Err(StartError::Directory { what: "gitweb's program", path: path.clone(), source });
    }
    Ok(())
}
