//! The kinds of rules a push can break, and what the pusher is told: which rule, and what to do; never who would be allowed.

use std::fmt;

use crate::ref_update::RefName;

/// One update that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<'p> {
    /// The ref as the push names it.
    pub name: &'p RefName,
    /// Which rule refuses it.
    pub rule: Rule,
    /// What the pusher can do; never says who would be allowed.
    pub advice: String,
}

/// Something new that a rule refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentRefusal {
    /// Which rule refuses it.
    pub rule: Rule,
    /// What is refused, and what the pusher can do.
    pub advice: String,
}

/// The kinds of rules, as metrics and audit records name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A ref outside the accepted namespaces.
    Namespace,
    /// The same ref more than once.
    Duplicate,
    /// A name that differs from a protected one by case only.
    Lookalike,
    /// `flow`
    Flow,
    /// `protect`
    Protect,
    /// `tags`
    Tags,
    /// `max_blob`
    BlobSize,
    /// `forbidden_paths`
    Path,
    /// `author_email`
    AuthorEmail,
    /// `message`
    Message,
    /// `signed_by`
    Signature,
}

impl Rule {
    /// The name in metrics, audit records and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Duplicate => "duplicate",
            Self::Lookalike => "lookalike",
            Self::Flow => "flow",
            Self::Protect => "protect",
            Self::Tags => "tags",
            Self::BlobSize => "max_blob",
            Self::Path => "forbidden_paths",
            Self::AuthorEmail => "author_email",
            Self::Message => "message",
            Self::Signature => "signed_by",
        }
    }
}

impl fmt::Display for Refusal<'_> {
    /// The line the pusher sees.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: refused by rule `{}`: {}", self.name, self.rule.as_str(), self.advice)
    }
}

impl fmt::Display for ContentRefusal {
    /// The line the pusher sees.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by rule `{}`: {}", self.rule.as_str(), self.advice)
    }
}
