//! Lengths of time and numbers of bytes as people write them in configuration files: `5s`, `2GiB`.
//!
//! A number always needs its unit; there is no default to guess wrong.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::document;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time: a whole number with `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

/// A number of bytes: a whole number with `B`, `KiB`, `MiB`, `GiB` or `TiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A value without a unit, with an unknown one, or too large to count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {text:?}: expected {expected}")]
pub struct InvalidUnit {
    what: &'static str,
    text: String,
    expected: &'static str,
}

// === impl Seconds ===

impl Seconds {
    /// The time as the standard library has it.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Seconds {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        scaled(text, &TIME_UNITS).map(Duration::from_millis).map(Self).ok_or_else(|| InvalidUnit {
            what: "time",
            text: text.to_owned(),
            expected: "a whole number with a unit, like 30s, 5m, 1h or 2d",
        })
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        print_scaled(f, millis, &TIME_UNITS)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, str::parse)
    }
}

// === impl ByteSize ===

impl ByteSize {
    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        scaled(text, &BYTE_UNITS).map(Self).ok_or_else(|| InvalidUnit {
            what: "size",
            text: text.to_owned(),
            expected: "a whole number with a unit, like 512KiB, 64MiB or 2GiB",
        })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print_scaled(f, self.0, &BYTE_UNITS)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, str::parse)
    }
}

type Units = [(&'static str, u64); 5];

const TIME_UNITS: Units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const BYTE_UNITS: Units = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// `None` when the number or the unit is missing, unknown or does not fit.
fn scaled(text: &str, units: &Units) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Prints in the largest unit that leaves a whole number.
fn print_scaled(f: &mut fmt::Formatter<'_>, value: u64, units: &Units) -> fmt::Result {
    let fitting = units.iter().rev().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    let (unit, factor) = fitting.unwrap_or(&units[0]);
    write!(f, "{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_counts_right() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h", 3600), ("2d", 172_800), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(Seconds(Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!("250ms".parse(), Ok(Seconds(Duration::from_millis(250))));
        for (text, bytes) in [("7B", 7), ("512KiB", 524_288), ("2GiB", 2_147_483_648)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_known_unit_is_refused() {
        for text in ["", "5", "s", "5 s", "-5s", "5sec", "1.5h", "5S", "99999999999999999999s", "1m30s"] {
            assert!(text.parse::<Seconds>().is_err(), "{text:?}");
        }
        for text in ["", "5", "5GB", "5gib", "99999999TiB", "+1B"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn values_print_in_the_largest_fitting_unit() {
        for text in ["250ms", "90s", "2m", "36h", "1d"] {
            assert_eq!(text.parse::<Seconds>().unwrap().to_string(), text);
        }
        for text in ["0B", "1023B", "512KiB", "2GiB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
    }
}
