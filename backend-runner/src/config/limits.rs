//! `limits:` of `backend-runner.yaml`: how much, how many, how long; each with its default.

use std::num::NonZeroUsize;

use daemon::units::{ByteSize, Seconds};
use serde::Deserialize;

use super::seconds;
use crate::limits::Sizes;
use crate::stream::Patience;

/// How much, how many, how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Children at once.
    pub sizes: Sizes,
    /// Time for one request.
    pub patience: Patience,
    /// The largest pack of a push.
    pub push_size: u64,
    /// How much memory each process of a push may allocate.
    pub push_memory: u64,
    /// The largest request of a fetch, as it is sent.
    pub negotiation: u64,
    /// How long running requests may take to finish when the daemon is told to stop.
    pub drain: std::time::Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    running: NonZeroUsize,
    per_repository: NonZeroUsize,
    per_user: NonZeroUsize,
    queue: Seconds,
    idle: Seconds,
    request: Seconds,
    push_size: ByteSize,
    push_memory: ByteSize,
    negotiation: ByteSize,
    drain: Seconds,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            running: at_least_one(64),
            per_repository: at_least_one(16),
            per_user: at_least_one(16),
            queue: seconds(30),
            idle: seconds(60),
            request: seconds(3600),
            push_size: ByteSize(2 << 30),
            // git unpacks files of up to 512 MiB in memory, and a delta needs its base and its result.
            push_memory: ByteSize(2 << 30),
            // git's own default of GIT_HTTP_MAX_REQUEST_BUFFER.
            negotiation: ByteSize(10 << 20),
            // With the grace period of a killed child, below the 30 seconds Kubernetes waits.
            drain: seconds(20),
        }
    }
}

impl From<RawLimits> for Limits {
    fn from(raw: RawLimits) -> Self {
        let RawLimits { running, per_repository, per_user, queue, idle, request, .. } = raw;
        Self {
            sizes: Sizes {
                running: running.get(),
                per_repository: per_repository.get(),
                per_user: per_user.get(),
                queue: queue.duration(),
            },
            patience: Patience { idle: idle.duration(), request: request.duration() },
            push_size: raw.push_size.bytes(),
            push_memory: raw.push_memory.bytes(),
            negotiation: raw.negotiation.bytes(),
            drain: raw.drain.duration(),
        }
    }
}

fn at_least_one(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}
