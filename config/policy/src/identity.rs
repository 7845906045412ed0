//! Who asks: user and group names, and the identity a directory vouches for.
//!
//! One string names a user in access rules, caches, limits, hooks and logs. It is printable, has no space and no separator,
//! so it can stand in a log line, an environment variable or a path without quoting.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use crate::document;

/// `[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}`, except the words the policy gives a meaning of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserName(Box<str>);

/// 1 to 256 bytes of UTF-8 without control characters; directories name groups freely, spaces included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct GroupName(Box<str>);

/// A user as a directory describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The one name of this user.
    pub name: UserName,
    /// Every group the user is in; whoever is in the same shares them.
    pub groups: Arc<BTreeSet<GroupName>>,
    /// What else the directory says, for hooks: full name, e-mail address.
    pub info: Arc<BTreeMap<String, String>>,
}

/// The caller of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody has vouched for the caller.
    Anonymous,
    /// A directory has.
    User(Arc<User>),
}

/// What a policy calls a caller without credentials.
pub const ANONYMOUS: &str = "anonymous";

/// What a policy calls any caller with right credentials.
pub const AUTHENTICATED: &str = "authenticated";

const MAX_USER: usize = 128;
const MAX_GROUP: usize = 256;

/// The text cannot name a user or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not a user name.
    #[error("a user name has 1 to 128 of A-Z a-z 0-9 _ . @ - and starts with a letter, digit or _")]
    User,
    /// A word the policy uses for something else.
    #[error("`anonymous` and `authenticated` are words of the policy, not user names")]
    Reserved,
    /// Almost such a word: a rule for nobody, where one for many was meant.
    #[error("this is almost `{0}`, which has a meaning here; no user may be named so in a policy")]
    NearWord(&'static str),
    /// Not a group name.
    #[error("a group name has 1 to 256 bytes and no control characters")]
    Group,
}

impl UserName {
    /// Accepts a user name exactly as it will be used everywhere.
    ///
    /// # Errors
    /// When the text has another form, or is a word with a meaning of its own in policies.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let inner = |byte: u8| word(byte) || matches!(byte, b'.' | b'@' | b'-');
        let fits = text.len() <= MAX_USER && text.bytes().all(inner) && text.bytes().next().is_some_and(word);
        match text {
            _ if !fits => Err(InvalidName::User),
            ANONYMOUS | AUTHENTICATED => Err(InvalidName::Reserved),
            _ => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GroupName {
    /// Accepts a group name as a directory gives it.
    ///
    /// # Errors
    /// When it is empty, too long, or has control characters.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() || text.len() > MAX_GROUP || text.chars().any(char::is_control) {
            return Err(InvalidName::Group);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl User {
    /// A user of whom nothing but groups is known.
    #[must_use]
    pub fn new(name: UserName, groups: impl IntoIterator<Item = GroupName>) -> Self {
        Self { name, groups: Arc::new(groups.into_iter().collect()), info: Arc::default() }
    }
}

impl Identity {
    /// The user, unless the caller is anonymous.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user),
        }
    }

    /// The user's name, unless the caller is anonymous.
    #[must_use]
    pub fn name(&self) -> Option<&UserName> {
        self.user().map(|user| &user.name)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

impl<'de> Deserialize<'de> for GroupName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_needs_no_quoting_anywhere() {
        for name in ["joe", "j.doe@example.org", "_svc-1", "7", &"a".repeat(128)] {
            assert!(UserName::parse(name).is_ok(), "{name}");
        }
        for name in [
            "",
            " joe",
            "joe ",
            ".joe",
            "-x",
            "@joe",
            "a b",
            "a\nb",
            "a:b",
            "<>",
            "jo\u{e9}",
            &"a".repeat(129),
        ] {
            assert_eq!(UserName::parse(name), Err(InvalidName::User), "{name:?}");
        }
    }

    #[test]
    fn nobody_can_be_called_anonymous_or_authenticated() {
        for name in [ANONYMOUS, AUTHENTICATED] {
            assert_eq!(UserName::parse(name), Err(InvalidName::Reserved));
        }
    }

    #[test]
    fn group_names_may_have_spaces_but_no_control_characters() {
        assert!(GroupName::parse("Domain Users").is_ok());
        for name in ["", "a\nb", "a\u{7f}", &"g".repeat(257)] {
            assert!(GroupName::parse(name).is_err(), "{name:?}");
        }
    }
}
