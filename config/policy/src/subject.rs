//! Subjects: whom a rule is about.
//!
//! A rule lists subjects; [`Subjects`] holds them sorted, so that asking whether a caller is meant costs a few comparisons
//! however long the list is.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use crate::document;
use crate::identity::{self, GroupName, Identity, UserName};
use crate::level::USER_COMPONENT;

/// One subject as a policy writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// `anonymous`: everyone, with credentials or without.
    Anonymous,
    /// `authenticated`: everyone a directory vouches for.
    Authenticated,
    /// `{user}`: the user whose name stands in the path in place of `{user}`.
    PathUser,
    /// `joe`
    User(UserName),
    /// `"@developers"`
    Group(GroupName),
}

/// Whom one rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects(Box<[Subject]>);

impl Subject {
    /// Reads a subject as policies write it.
    ///
    /// # Errors
    /// When it names neither a user nor a group, nor is a word of the policy.
    pub fn parse(text: &str) -> Result<Self, identity::InvalidName> {
        match (text, text.strip_prefix('@')) {
            (identity::ANONYMOUS, _) => Ok(Self::Anonymous),
            (identity::AUTHENTICATED, _) => Ok(Self::Authenticated),
            (USER_COMPONENT, _) => Ok(Self::PathUser),
            (_, Some(group)) => GroupName::parse(group).map(Self::Group),
            (user, None) => match near_word(user) {
                Some(word) => Err(identity::InvalidName::NearWord(word)),
                None => UserName::parse(user).map(Self::User),
            },
        }
    }
}

impl Subject {
    /// Whether the caller is meant; `path_user` is the name that `{user}` stands for.
    #[must_use]
    pub fn means(&self, identity: &Identity, path_user: Option<&str>) -> bool {
        let user = identity.user();
        match self {
            Self::Anonymous => true,
            Self::Authenticated => user.is_some(),
            Self::PathUser => user.is_some_and(|user| path_user == Some(user.name.as_str())),
            Self::User(name) => user.is_some_and(|user| user.name == *name),
            Self::Group(group) => user.is_some_and(|user| user.groups.contains(group)),
        }
    }
}

impl Subjects {
    /// Sorts the subjects for lookup.
    pub fn new(subjects: impl IntoIterator<Item = Subject>) -> Self {
        let mut subjects: Vec<_> = subjects.into_iter().collect();
        subjects.sort();
        subjects.dedup();
        Self(subjects.into())
    }

    /// Whether the caller is one of the subjects; `path_user` is the name that `{user}` stands for.
    #[must_use]
    pub fn include(&self, identity: &Identity, path_user: Option<&str>) -> bool {
        if self.has(&Subject::Anonymous) {
            return true;
        }
        let Some(user) = identity.user() else {
            return false;
        };
        self.has(&Subject::Authenticated)
            || self.names_user(&user.name)
            || (path_user == Some(user.name.as_str()) && self.has(&Subject::PathUser))
            || user.groups.iter().any(|group| self.names_group(group))
    }

    /// Whether the group is listed.
    #[must_use]
    pub fn names_group(&self, group: &GroupName) -> bool {
        self.search(|subject| match subject {
            Subject::Group(listed) => listed.cmp(group),
            _ => std::cmp::Ordering::Less,
        })
    }

    /// Whether `{user}` is listed.
    #[must_use]
    pub fn has_path_user(&self) -> bool {
        self.has(&Subject::PathUser)
    }

    /// The subjects, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Subject> {
        self.0.iter()
    }

    fn names_user(&self, name: &UserName) -> bool {
        self.search(|subject| match subject {
            Subject::User(listed) => listed.cmp(name),
            Subject::Group(_) => std::cmp::Ordering::Greater,
            _ => std::cmp::Ordering::Less,
        })
    }

    fn has(&self, subject: &Subject) -> bool {
        self.0.binary_search(subject).is_ok()
    }

    fn search(&self, order: impl FnMut(&Subject) -> std::cmp::Ordering) -> bool {
        self.0.binary_search_by(order).is_ok()
    }
}

/// The word of the policy that a name is a slip away from.
fn near_word(name: &str) -> Option<&'static str> {
    let folded = name.to_ascii_lowercase();
    let words = [identity::ANONYMOUS, identity::AUTHENTICATED];
    words.into_iter().find(|word| folded.len() > 4 && strsim::osa_distance(&folded, word) <= MAX_SLIP)
}

/// Two letters left out, doubled or mistaken; two letters more and it is a name.
const MAX_SLIP: usize = 2;

/// Every group these rules name, sorted.
pub(crate) fn groups<'s>(rules: impl IntoIterator<Item = &'s Subjects>) -> Box<[GroupName]> {
    let named = rules.into_iter().flat_map(Subjects::iter).filter_map(|subject| match subject {
        Subject::Group(group) => Some(group.clone()),
        _ => None,
    });
    BTreeSet::from_iter(named).into_iter().collect()
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str(identity::ANONYMOUS),
            Self::Authenticated => f.write_str(identity::AUTHENTICATED),
            Self::PathUser => f.write_str(USER_COMPONENT),
            Self::User(user) => write!(f, "{user}"),
            Self::Group(group) => write!(f, "@{group}"),
        }
    }
}

impl Serialize for Subjects {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(ToString::to_string))
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

impl<'de> Deserialize<'de> for Subjects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::identity::User;
    use std::sync::Arc;

    /// A user in these groups.
    pub(crate) fn user(name: &str, groups: &[&str]) -> Identity {
        let groups = groups.iter().map(|group| GroupName::parse(group).unwrap());
        Identity::User(Arc::new(User::new(UserName::parse(name).unwrap(), groups)))
    }

    fn subjects(texts: &[&str]) -> Subjects {
        Subjects::new(texts.iter().map(|text| Subject::parse(text).unwrap()))
    }

    #[test]
    fn each_kind_of_subject_includes_whom_it_names_and_nobody_else() {
        let joe = user("joe", &["dev", "Domain Users"]);
        for (texts, anonymous, expected) in [
            (&["anonymous"][..], true, true),
            (&["authenticated"], false, true),
            (&["joe"], false, true),
            (&["jo", "joey"], false, false),
            (&["@dev"], false, true),
            (&["@Domain Users"], false, true),
            (&["@joe", "dev"], false, false),
            (&["zoe", "ann", "@ops", "joe", "@aaa"], false, true),
            (&["zoe", "@zzz", "@dev"], false, true),
            (&[], false, false),
        ] {
            assert_eq!(subjects(texts).include(&joe, None), expected, "{texts:?}");
            assert_eq!(subjects(texts).include(&Identity::Anonymous, None), anonymous, "{texts:?}");
        }
    }

    #[test]
    fn the_user_of_the_path_is_that_user_only() {
        let own = subjects(&["{user}"]);
        let joe = user("joe", &["ann"]);
        assert!(own.include(&joe, Some("joe")));
        assert!(!own.include(&joe, Some("ann")));
        assert!(!own.include(&joe, None));
        assert!(!own.include(&Identity::Anonymous, Some("anonymous")));
    }

    #[test]
    fn an_empty_name_is_no_subject() {
        for text in ["", "@", "*", "a b", "@a\n"] {
            assert!(Subject::parse(text).is_err(), "{text:?}");
        }
    }
}
