//! Why an LDAP server gave no answer that counts. None of it ever means that a password is wrong.

use std::io;

use ldap3::LdapError;

/// Why an operation has no result that counts.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// No connection.
    #[error("cannot connect")]
    Connect(#[source] ConnectError),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] LdapError),
    /// No answer in time.
    #[error("no answer in time")]
    Late,
    /// The server said no.
    #[error("the server refused the {operation} with code {code}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// RFC 4511, appendix A.
        code: u32,
    },
    /// The service account was not accepted.
    #[error("the server refused the service account with code {code}")]
    ServiceAccount {
        /// RFC 4511, appendix A.
        code: u32,
    },
    /// A part of the answer is missing.
    #[error("the answer is incomplete: {0}")]
    Incomplete(&'static str),
    /// The answer is no LDAP.
    #[error("the answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// Too much is under way.
    #[error("too many requests are waiting for the directory")]
    Busy,
    /// The directory is known not to answer.
    #[error("the directory is not answering")]
    Out,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The system says no.
    #[error("{0}")]
    Socket(#[from] io::Error),
    /// The server does: TLS, `StartTLS`.
    #[error("{0}")]
    Ldap(#[from] LdapError),
}

// === impl AskError ===

impl AskError {
    /// Whether another server, or a new connection, may do better.
    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Broken(_) | Self::Late)
    }
}

impl From<LdapError> for AskError {
    fn from(error: LdapError) -> Self {
        match error {
            LdapError::FilterParsing => Self::Nonsense("a filter that cannot be sent"),
            error => Self::Broken(error),
        }
    }
}
