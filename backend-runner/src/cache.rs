//! Answers without a process: what git said is recorded and said again while nothing it depends on has changed.
//!
//! Nothing here invents a byte, and nothing here decides who may read: the decision is verified before a cache is asked. A key
//! never holds a user, an agent or a session, so everybody who may read a repository shares its answers.
//! `ARCHITECTURE.md`, "Cache", has the rules; gitprotocol-v2(5) is what they follow.

pub mod digest;
pub mod epoch;
pub mod framing;
pub mod ground;
mod housekeeping;
mod identity;
mod index;
pub mod lead;
pub mod name;
pub mod question;
pub mod reader;
pub mod recorder;
pub mod recording;
pub mod replay;
pub mod standing;
pub mod store;
pub mod witness;

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntGauge;
use tokio::runtime::Handle;
use tokio::time::sleep;

use self::epoch::Epochs;
use self::replay::Replay;
use self::store::Store;
use crate::config::Cache as Settings;

/// Everything that is kept.
#[derive(Debug)]
pub struct Cache {
    /// Small answers, in memory.
    pub replay: Arc<Replay>,
    /// Packs, on the disk.
    pub packs: Option<Arc<Store>>,
    /// The pushes of every repository.
    pub epochs: Arc<Epochs>,
    bytes: IntGauge,
}

impl Cache {
    /// Opens what the settings ask for. A directory that cannot be used is said aloud, and does without: no fetch fails for it.
    #[must_use]
    pub fn open(settings: &Settings, bytes: IntGauge, runtime: &Handle) -> Self {
        let replay = Arc::new(Replay::new(settings.memory));
        let packs = open(settings, &bytes, runtime);
        Self { replay, packs, epochs: Arc::default(), bytes }
    }

    /// The same cache under other settings.
    #[must_use]
    pub fn with(&self, settings: &Settings, last: &Settings, runtime: &Handle) -> Self {
        let replay = match settings.memory == last.memory {
            true => Arc::clone(&self.replay),
            false => Arc::new(Replay::new(settings.memory)),
        };
        let same =
            self.packs.as_ref().filter(|packs| Some(packs.directory()) == settings.directory.as_deref());
        let packs = match same {
            Some(packs) => {
                packs.obey(settings);
                Some(Arc::clone(packs))
            }
            None => open(settings, &self.bytes, runtime),
        };
        Self { replay, packs, epochs: Arc::clone(&self.epochs), bytes: self.bytes.clone() }
    }
}

fn open(settings: &Settings, bytes: &IntGauge, runtime: &Handle) -> Option<Arc<Store>> {
    let directory = settings.directory.as_ref()?;
    let store = match Store::open(directory, settings, bytes.clone()) {
        Ok(store) => store,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(error = error.to_string(), cause, "packs are not kept");
            return None;
        }
    };
    let swept = Arc::downgrade(&store);
    runtime.spawn(async move {
        loop {
            sleep(SWEEP).await;
            let Some(store) = swept.upgrade() else { return };
            let _ = tokio::task::spawn_blocking(move || store.sweep()).await;
        }
    });
    Some(store)
}

/// How often a directory is looked through for what is too old.
const SWEEP: Duration = Duration::from_secs(15);
