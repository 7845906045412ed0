//! Answers without a process: what git said is recorded and said again while nothing it depends on has changed.
//!
//! Nothing here invents a byte, and nothing here decides who may read: the decision is verified before a cache is asked. A key
//! never holds a user, an agent or a session, so everybody who may read a repository shares its answers.
//! `ARCHITECTURE.md`, "Cache", has the rules; gitprotocol-v2(5) is what they follow.

pub mod digest;
pub mod epoch;
pub mod framing;
pub mod question;
pub mod replay;
pub mod standing;
pub mod volume;
pub mod witness;

use std::sync::Arc;

use self::epoch::Epochs;
use self::replay::Replay;
use crate::config::Cache as Settings;

/// Everything that is kept.
#[derive(Debug)]
pub struct Cache {
    /// Small answers, in memory.
    pub replay: Arc<Replay>,
    /// The pushes of every repository.
    pub epochs: Arc<Epochs>,
}

impl Cache {
    /// An empty one.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { replay: Arc::new(Replay::new(settings.memory)), epochs: Arc::default() }
    }

    /// The same cache under other settings.
    #[must_use]
    pub fn with(&self, settings: &Settings, last: &Settings) -> Self {
        let same = settings.memory == last.memory;
        let replay = if same { Arc::clone(&self.replay) } else { Arc::new(Replay::new(settings.memory)) };
        Self { replay, epochs: Arc::clone(&self.epochs) }
    }
}
