//! The policy as last loaded: a request sees one snapshot, a failed reload keeps the last good one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use policy::Policy;
use policy::document::RULES_LIMIT;

use crate::config::LoadError;
use crate::metrics::Metrics;

/// The policy file and what it last said.
#[derive(Debug)]
pub struct PolicySnapshot {
    file: PathBuf,
    policy: ArcSwap<Policy>,
    generation: AtomicU64,
    failed: AtomicBool,
    metrics: Metrics,
}

impl PolicySnapshot {
    /// Loads the policy for the first time.
    ///
    /// # Errors
    /// When it cannot be read or is not valid: nothing works without a policy.
    pub fn load(file: PathBuf, metrics: Metrics) -> Result<Self, LoadError> {
        let policy = ArcSwap::from_pointee(read(&file)?);
        metrics.loaded(Some(1));
        Ok(Self { file, policy, generation: AtomicU64::new(1), failed: AtomicBool::new(false), metrics })
    }

    /// Loads it again; what cannot be used is reported and changes nothing.
    pub fn reload(&self) {
        let read = read(&self.file);
        self.failed.store(read.is_err(), Ordering::Relaxed);
        match read {
            Ok(policy) => {
                self.policy.store(Arc::new(policy));
                let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
                self.metrics.loaded(Some(generation));
                tracing::info!(generation, "policy reloaded");
            }
            Err(error) => {
                self.metrics.loaded(None);
                tracing::error!(error = error.to_string(), "policy not reloaded, the last good one stays");
            }
        }
    }

    /// The policy now.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// How often the policy was loaded.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Whether the file was refused when it was last looked at.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

fn read(file: &PathBuf) -> Result<Policy, LoadError> {
    let limit = u64::try_from(RULES_LIMIT).unwrap_or(u64::MAX);
    let bytes = std::fs::File::open(file).and_then(|opened| {
        let mut bytes = Vec::new();
        // One byte more than allowed is enough to be refused.
        std::io::Read::read_to_end(&mut std::io::Read::take(opened, limit + 1), &mut bytes).map(|_| bytes)
    });
    let bytes = bytes.map_err(|source| LoadError::Read { path: file.clone(), source })?;
    Ok(Policy::parse(&file.display().to_string(), &bytes)?)
}
