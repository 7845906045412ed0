//! Binds the listeners, serves until told to stop, then drains.
//!
//! The data listener answers at the endpoint of each dialect and nothing else. Metrics and health have a listener of
//! their own (`daemon::admin`). A listener that ends by itself ends the daemon: the service manager starts
//! it again.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, dev, web};
use daemon::listen::{BindError, Listen, Listener};
use daemon::{admin, http_server};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

use crate::auth_request::{Front, auth_request};
use crate::dialect::Dialect;
use crate::state::{StartError, State};

/// A configured daemon with its listeners bound.
#[derive(Debug)]
pub struct Server {
    data: Listener,
    admin: Listener,
    state: Arc<State>,
}

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Something it needs is missing or wrong.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A listener cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// Why the daemon ended unasked.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system would not let it serve.
    #[error("cannot serve")]
    Serve(#[from] io::Error),
    /// A part of it is gone.
    #[error("a listener ended unexpectedly")]
    Ended(#[from] JoinError),
}

// === impl Server ===

impl Server {
    /// Loads the configuration and binds. Logins are waited for on `runtime`.
    pub fn bind(config_path: &Path, runtime: Handle) -> Result<Self, ServerError> {
        let state = Arc::new(State::start(config_path, runtime)?);
        let config = &state.snapshot().config;
        Ok(Self { data: config.listen.bind()?, admin: config.admin.bind()?, state })
    }

    /// Where nginx may ask; with port 0 configured, the port the system chose.
    pub fn address(&self) -> io::Result<Listen> {
        self.data.address()
    }

    /// Where metrics and health are.
    pub fn admin_address(&self) -> io::Result<Listen> {
        self.admin.address()
    }

    /// For reloading.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    /// Serves until `shutdown` is over, then finishes what is under way.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let Self { data, admin, state } = self;
        let probe = Arc::clone(&state);
        let admin = admin::server(admin, state.metrics().registry(), Arc::new(move || probe.readiness()))?;
        let data = data_server(data, Arc::clone(&state))?;
        let (data_handle, admin_handle) = (data.handle(), admin.handle());
        let (mut data, mut admin) = (spawn(data), spawn(admin));
        tokio::select! {
            () = shutdown => {}
            ended = &mut data => return flatten(ended),
            ended = &mut admin => return flatten(ended),
        }
        tracing::info!("draining");
        state.drain();
        data_handle.stop(true).await;
        admin_handle.stop(false).await;
        tracing::info!("stopped");
        flatten(data.await).and(flatten(admin.await))
    }
}

fn data_server(listener: Listener, state: Arc<State>) -> io::Result<dev::Server> {
    let unix = matches!(listener, Listener::Unix(_));
    let front = web::Data::new(Front { state, unix });
    let configure = move |app: &mut web::ServiceConfig| {
        app.app_data(front.clone());
        routes(app);
    };
    http_server::server(listener, settings(), configure, |_, _| ())
}

/// Only Envoy asks by the client's own method.
fn routes(app: &mut web::ServiceConfig) {
    for dialect in Dialect::ALL {
        let route = if dialect == Dialect::Envoy { web::route() } else { web::get() };
        let answer = move |http: HttpRequest, front: web::Data<Front>| auth_request(dialect, http, front);
        app.route(dialect.path(), route.to(answer));
    }
}

fn spawn(server: dev::Server) -> JoinHandle<io::Result<()>> {
    tokio::spawn(server)
}

fn flatten(ended: Result<io::Result<()>, JoinError>) -> Result<(), RunError> {
    Ok(ended??)
}

fn settings() -> http_server::Settings {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    http_server::Settings {
        // authd is nginx's sidecar: an answer takes microseconds, and nginx needs the cores.
        workers: (cores / 2).clamp(1, 2),
        // nginx keeps its side for 30 s (nginx/gitward-http.conf).
        keep_alive: Duration::from_secs(75),
        farewell: Duration::from_secs(1),
        write_buffer: 32 << 10,
        // The longest wait for a password check, with a margin.
        drain: Duration::from_secs(20),
    }
}
