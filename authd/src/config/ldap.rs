//! What a directory of type `ldap` is told: servers, service account, how users and groups are found.
//!
//! [`raw`] is what is written, [`preset`] what is not, [`template`] the filters. Nothing here
//! connects, and no secret is in here: the password of the service account is named by its file.

pub mod preset;
pub mod raw;
pub mod template;
pub mod url;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use raw::{Nested, Referrals, WhoAmI};
pub use template::Template;
pub use url::{Scheme, Url};

/// One LDAP directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdapConfig {
    /// The servers, in the order they are tried.
    pub urls: Vec<Url>,
    /// The service account; without one, searches are anonymous, or by the client certificate.
    pub service: Option<ServiceAccount>,
    /// How a user is found.
    pub users: UsersConfig,
    /// How the user's groups are found; without, nobody is in any.
    pub groups: Option<GroupsConfig>,
    /// How connections are protected.
    pub tls: TlsConfig,
    /// The longest time any answer may take, everything included.
    pub timeout: Duration,
    /// Whether the server is asked whom a bind has made of us.
    pub whoami: WhoAmI,
    /// What a search may leave to other servers.
    pub referrals: Referrals,
    /// How many operations may be under way at once.
    pub connections: usize,
    /// Passwords that look like this are tokens of something else and are not sent; `*` stands for anything.
    pub never_send: Vec<String>,
}

/// Who searches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its DN.
    pub dn: String,
    /// Where its password is.
    pub password_file: PathBuf,
}

/// `users:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsersConfig {
    /// Below which entry.
    pub base: String,
    /// By which filter; `{user}` is the presented name.
    pub filter: Template,
    /// The attribute that holds the one name of a user.
    pub name: String,
    /// What hooks are told: name in `info` to attribute.
    pub info: BTreeMap<String, String>,
    /// Whether `ALICE` is `alice`; names are lower case then.
    pub case_insensitive: bool,
}

/// `groups:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupsConfig {
    /// Below which entry. Groups elsewhere do not count, whatever their name.
    pub base: String,
    /// By which filter; `{dn}` is the user's (or a group's) DN, `{user}` the user's name.
    pub filter: Template,
    /// The attribute that holds a group's name.
    pub name: String,
    /// How groups in groups are found.
    pub nested: Nested,
    /// The attribute by which an entry is found by its DN.
    pub dn_attribute: String,
    /// How long groups are remembered; unless given, as long as logins.
    pub ttl: Option<Duration>,
}

/// `tls:`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Whom to trust; unless given, the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// `ldap://` begins in the clear and goes on with TLS.
    pub start_tls: bool,
    /// What this side shows, with its key.
    pub client: Option<ClientCertificate>,
}

/// A certificate of this side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, PEM.
    pub certificate_file: PathBuf,
    /// The key, PEM.
    pub key_file: PathBuf,
}

impl LdapConfig {
    /// Places relative files by `beside`.
    pub(super) fn beside(mut self, beside: impl Fn(PathBuf) -> PathBuf) -> Self {
        self.service = self
            .service
            .map(|service| ServiceAccount { password_file: beside(service.password_file), ..service });
        self.tls.ca_file = self.tls.ca_file.map(&beside);
        self.tls.client = self.tls.client.map(|client| ClientCertificate {
            certificate_file: beside(client.certificate_file),
            key_file: beside(client.key_file),
        });
        self
    }

    /// Whether a password must not be sent, because it is a token of something else.
    pub fn withholds(&self, password: &str) -> bool {
        looks_like_jwt(password) || self.never_send.iter().any(|pattern| wildcard(pattern, password))
    }
}

/// Three parts of base64url, the first of which begins like a JSON object.
fn looks_like_jwt(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() > 40 && text.starts_with("eyJ") && text.split('.').count() == 3 && text.split('.').all(part)
}

/// `*` stands for any text.
fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    let mut ends = (0..=text.len()).filter(|&end| text.is_char_boundary(end));
    ends.any(|end| wildcard(rest, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, matches) in [
            ("ghp_*", "ghp_abc", true),
            ("ghp_*", "xghp_abc", false),
            ("*-token", "my-token", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("*", "ä", true),
        ] {
            assert_eq!(wildcard(pattern, text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn a_jwt_is_recognized_and_a_password_with_dots_is_not() {
        assert!(looks_like_jwt("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqb2UifQ.c2lnbmF0dXJl"));
        assert!(!looks_like_jwt("eyJ.a.b"));
        assert!(!looks_like_jwt("correct.horse.battery staple, and some more of it"));
    }
}
