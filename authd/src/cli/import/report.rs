//! What an import has to say about its source, place by place.

use std::fmt;

use serde_json::{Value, json};

/// How a remark bears on who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// The new files allow something that the source does not.
    Wider,
    /// The source allows something that the new files do not.
    Narrower,
    /// Good to know.
    Note,
}

/// The remarks of one import.
#[derive(Debug, Default)]
pub(super) struct Report {
    remarks: Vec<Remark>,
}

#[derive(Debug, PartialEq, Eq)]
struct Remark {
    place: String,
    weight: Weight,
    message: String,
}

impl Report {
    pub(super) fn add(&mut self, weight: Weight, place: impl Into<String>, message: impl Into<String>) {
        let remark = Remark { place: place.into(), weight, message: message.into() };
        // One rule may be looked at for several levels.
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    pub(super) fn has(&self, weight: Weight) -> bool {
        self.remarks.iter().any(|remark| remark.weight == weight)
    }

    /// One line each, in the order of the source.
    pub(super) fn text(&self) -> String {
        self.remarks.iter().map(|remark| format!("{remark}\n")).collect()
    }

    pub(super) fn json(&self) -> Value {
        let remarks = self.remarks.iter().map(|remark| {
            json!({ "at": remark.place, "weight": remark.weight.as_str(), "message": remark.message })
        });
        remarks.collect()
    }
}

impl Weight {
    fn as_str(self) -> &'static str {
        match self {
            Self::Wider => "wider",
            Self::Narrower => "narrower",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.weight.as_str(), self.message)
    }
}
