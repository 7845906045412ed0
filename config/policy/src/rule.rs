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
    /// A line that is no ref update anybody could honestly ask for.
    Malformed,
    /// `override`, used by somebody it is not for or without a reason, or used as it is meant to be.
    Override,
    /// A setting of the repository that would lead git past the rules.
    Repository,
    /// A hook of the site or of the repository.
    External,
    /// No proof that the rules were asked.
    Proof,
    /// The rules could not be asked: something failed or took too long.
    Failure,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Namespace,
        Self::Duplicate,
        Self::Lookalike,
        Self::Flow,
        Self::Protect,
        Self::Tags,
        Self::BlobSize,
        Self::Path,
        Self::AuthorEmail,
        Self::Message,
        Self::Signature,
        Self::Malformed,
        Self::Override,
        Self::Repository,
        Self::External,
        Self::Proof,
        Self::Failure,
    ];

    /// The rule of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == name)
    }

    /// Whether `override` may set it aside: what guards the rules themselves stays in force.
    #[must_use]
    pub fn yields_to_override(self) -> bool {
        matches!(
            self,
            Self::Flow
                | Self::Protect
                | Self::Tags
                | Self::BlobSize
                | Self::Path
                | Self::AuthorEmail
                | Self::Message
                | Self::Signature
        )
    }

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
            Self::Malformed => "malformed",
            Self::Override => "override",
            Self::Repository => "repository",
            Self::External => "external",
            Self::Proof => "proof",
            Self::Failure => "failure",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_found_by_its_name() {
        for rule in Rule::ALL {
            assert_eq!(Rule::named(rule.as_str()), Some(rule));
        }
        assert_eq!(Rule::named("protected"), None);
    }
}
