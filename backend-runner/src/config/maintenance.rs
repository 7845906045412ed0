//! `maintenance:` of `backend-runner.yaml`: when repositories are cared for, and at what cost.

use std::time::Duration;

use daemon::units::{ByteSize, Seconds};
use policy::setting::Setting;
use serde::Deserialize;

use super::seconds;
use crate::care::Budget;

/// When repositories are cared for, and at what cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// From the end of one round to the next; `None` when only `backend-runner maintain` does it.
    pub interval: Option<Duration>,
    /// What one task may cost.
    pub budget: Budget,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMaintenance {
    interval: Setting<Seconds>,
    memory: ByteSize,
    timeout: Seconds,
}

impl Default for RawMaintenance {
    fn default() -> Self {
        Self {
            interval: Setting::On(seconds(6 * 3600)),
            memory: ByteSize(1 << 30),
            timeout: seconds(6 * 3600),
        }
    }
}

impl From<RawMaintenance> for Maintenance {
    fn from(raw: RawMaintenance) -> Self {
        Self {
            interval: raw.interval.value().map(|interval| interval.duration()),
            budget: Budget { memory: raw.memory.bytes(), time: raw.timeout.duration() },
        }
    }
}
