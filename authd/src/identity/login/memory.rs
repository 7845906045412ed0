//! What is remembered of a login, and for how long.

use std::time::{Duration, Instant};

use moka::Expiry;

use crate::failures::Digest;
use crate::identity::ldap::Checked;

#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) checked: Checked,
    pub(super) lifetime: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Proven {
    pub(super) lifetime: Duration,
}

/// Every entry lives as long as it says, counted from when it was made. Reading does not prolong it, or a
/// client that polls would keep a revoked password alive.
pub(super) struct Lifetime;

impl Expiry<Digest, Outcome> for Lifetime {
    fn expire_after_create(&self, _: &Digest, outcome: &Outcome, _: Instant) -> Option<Duration> {
        Some(outcome.lifetime)
    }

    fn expire_after_update(
        &self,
        _: &Digest,
        outcome: &Outcome,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(outcome.lifetime)
    }
}

impl Expiry<Digest, Proven> for Lifetime {
    fn expire_after_create(&self, _: &Digest, proven: &Proven, _: Instant) -> Option<Duration> {
        Some(proven.lifetime)
    }

    fn expire_after_update(
        &self,
        _: &Digest,
        proven: &Proven,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(proven.lifetime)
    }
}
