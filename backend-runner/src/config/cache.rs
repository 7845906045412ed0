//! `cache:` of `backend-runner.yaml`: what is kept of git's answers, how much, for how long; each with its default.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::units::{ByteSize, Seconds};
use serde::Deserialize;

use super::seconds;

/// What is kept of git's answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Memory for advertisements and lists of refs; 0 keeps none.
    pub memory: u64,
    /// Where packs are kept, if they are.
    pub directory: Option<PathBuf>,
    /// How much of the disk they may take.
    pub size: u64,
    /// How long one is kept.
    pub ttl: Duration,
    /// Which are kept.
    pub admission: Admission,
    /// Whether a push that rewrites or deletes a ref makes the repository's packs be forgotten.
    pub forget_rewritten: bool,
}

/// Which packs are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// All.
    #[default]
    First,
    /// Those that are asked for a second time within the time to live.
    Second,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCache {
    memory: ByteSize,
    directory: Option<PathBuf>,
    size: ByteSize,
    ttl: Seconds,
    admission: Admission,
    forget_rewritten: bool,
}

impl Default for RawCache {
    fn default() -> Self {
        Self {
            memory: ByteSize(64 << 20),
            directory: None,
            size: ByteSize(2 << 30),
            ttl: seconds(300),
            admission: Admission::default(),
            forget_rewritten: false,
        }
    }
}

impl RawCache {
    /// With the directory relative to `base`.
    pub(super) fn beside(self, base: &Path) -> Cache {
        let Self { admission, forget_rewritten, .. } = self;
        Cache {
            memory: self.memory.bytes(),
            directory: self.directory.map(|directory| base.join(directory)),
            size: self.size.bytes(),
            ttl: self.ttl.duration(),
            admission,
            forget_rewritten,
        }
    }
}
