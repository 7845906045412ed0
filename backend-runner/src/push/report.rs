//! What a hook says about its verdict, for the runner's log, counters and audit: one line of JSON each. That pre-receive accepts is
//! said by its proof.
//!
//! The hook program writes, the runner reads; what cannot be read is left out, for the verdict itself does not depend on it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use policy::rule::Rule;
use serde::{Deserialize, Serialize};

use super::layout::REPORTS;

/// One statement of one hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `pre-receive`, `update` or `post-receive`.
    pub hook: String,
    /// What came of it.
    pub verdict: Outcome,
    /// The name of the rule, see [`Rule::as_str`]; empty when none refused.
    #[serde(default)]
    pub rule: String,
    /// What the pusher was told, for the log.
    #[serde(default)]
    pub detail: String,
    /// Why the rules were set aside.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What came of a hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It has no objection.
    Accepted,
    /// It refuses.
    #[default]
    Refused,
    /// Rules refused and were set aside.
    Overridden,
    /// It changed nothing and could not be refused any more.
    Failed,
    /// There is no proof that the rules were asked.
    Missing,
}

impl Outcome {
    /// The label in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Overridden => "overridden",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

impl Report {
    /// Something a rule says.
    #[must_use]
    pub fn new(hook: &str, verdict: Outcome, rule: Rule, detail: impl Into<String>) -> Self {
        let (hook, rule) = (hook.to_owned(), rule.as_str().to_owned());
        Self { hook, verdict, rule, detail: detail.into(), reason: None }
    }

    /// Nothing to object.
    #[must_use]
    pub fn accepted(hook: &str) -> Self {
        Self { hook: hook.to_owned(), verdict: Outcome::Accepted, ..Self::default() }
    }

    /// Appends it to the reports in a push's directory.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn append(&self, directory: &Path) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        let mut file = File::options().create(true).append(true).open(directory.join(REPORTS))?;
        file.write_all(&line)
    }
}

/// All reports in a push's directory.
#[must_use]
pub fn read(directory: &Path) -> Vec<Report> {
    let text = std::fs::read_to_string(directory.join(REPORTS)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
