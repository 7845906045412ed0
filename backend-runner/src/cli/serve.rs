//! `backend-runner serve`: the daemon.

use std::path::Path;

use daemon::shutdown::Signals;
use daemon::watch::{Pace, Reloaded, Watch};
use tokio::runtime::Builder;

use super::CommandError;
use crate::config::Config;
use crate::server::Server;

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When the configuration or something it names cannot be used.
pub fn run(config: &Path) -> Result<(), CommandError> {
    let config = Config::load(config)?;
    daemon::open_files::raise_limit();
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(threads()).thread_name("git").enable_all().build()?;
    runtime.block_on(async {
        let signals = Signals::install()?;
        let server = Server::bind(config)?;
        let state = server.state();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = server.address()?.to_string(),
            "serving"
        );
        let watch = Watch::start(state.files(), Pace::default(), move |cause| {
            // The state itself reports what came of it.
            let failed = state.reload(cause).is_err();
            Reloaded { files: state.files(), failed }
        })?;
        server.run(signals.until_shutdown(async || watch.reload().await)).await?;
        tracing::info!("stopped");
        Ok(())
    })
}

/// Threads that start git and pass on what it says; files are read and written on others. Half of the processors: git wants the
/// rest, and on a small machine a second thread costs more in wakes than it brings.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
}
