//! `backend-runner serve`: the daemon.

use std::path::Path;

use daemon::shutdown::Signals;
use daemon::watch::{Pace, Reloaded, Watch};

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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("git").build()?;
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
