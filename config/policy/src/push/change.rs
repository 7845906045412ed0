//! The kinds of changes a ref can see, each a right of its own.

/// What happens to one ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It comes into being.
    Create,
    /// It moves forward, or not at all.
    FastForward,
    /// It moves anywhere else.
    Force,
    /// It goes.
    Delete,
}

impl Change {
    /// The name in audit records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::FastForward => "fast-forward",
            Self::Force => "force",
            Self::Delete => "delete",
        }
    }
}
