//! `authd serve`: start, serve until told to stop, drain.

use clap::Args;
use daemon::shutdown::Signals;
use daemon::telemetry::{self, LogFormat};
use daemon::watch::{Pace, Reloaded, Watch};
use tokio::runtime::Builder;

use super::{ConfigArgument, Failure};
use crate::server::{RunError, Server, ServerError};
use crate::state::StartError;

/// What `serve` can be told.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// How log lines look: json or text; text on a terminal, else json
    #[arg(long, value_name = "FORMAT", env = telemetry::FORMAT_VARIABLE)]
    log_format: Option<LogFormat>,
}

/// Runs the daemon.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let _logs = telemetry::init(arguments.log_format).map_err(Failure::other)?;
    daemon::open_files::raise_limit();
    let runtime = Builder::new_multi_thread().worker_threads(RUNTIME_THREADS).enable_all().build();
    let runtime = runtime.map_err(Failure::other)?;
    // Caught from here on: a SIGHUP that comes while the configuration is read must not end the daemon.
    let signals = runtime.block_on(async { Signals::install() }).map_err(Failure::other)?;
    let server = Server::bind(&arguments.config.config, runtime.handle().clone()).map_err(explain)?;
    runtime.block_on(serve(server, signals)).map_err(Failure::other)
}

async fn serve(server: Server, signals: Signals) -> Result<(), RunError> {
    let state = server.state();
    let (listen, admin) = (server.address()?.to_string(), server.admin_address()?.to_string());
    tracing::info!(listen, admin, version = env!("CARGO_PKG_VERSION"), "serving");
    let watch = Watch::start(state.files(), Pace::default(), move |cause| {
        // The state itself reports what came of it.
        let failed = state.reload_because(cause).is_err();
        Reloaded { files: state.files(), failed }
    })?;
    server.run(signals.until_shutdown(async || watch.reload().await)).await
}

fn explain(error: ServerError) -> Failure {
    match error {
        ServerError::Start(StartError::Config(problems)) => Failure::configuration(problems.to_string()),
        error => Failure::other(error),
    }
}

/// Requests are served on threads of their own; this runtime keeps signals, logins and the cache going.
const RUNTIME_THREADS: usize = 2;
