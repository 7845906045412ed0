//! Rules about what a push brings: sizes and paths of files, authors, messages and signatures of commits.
//!
//! Every rule is off unless a level sets it. A rule looks at what is new to the repository, never at its history. Finding
//! that out is the hook's job; what is found is judged here.

use regex_lite::Regex;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

use crate::document;
use crate::glob::Glob;
use crate::identity::User;
use crate::ref_update::ObjectId;
use crate::rule::{ContentRefusal, Rule};

/// A pattern for paths within a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PathPattern(Glob);

/// A pattern for authors' e-mail addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailPattern {
    /// `{email}`: the address the directory has for the pusher.
    Pusher,
    /// `*@example.org`
    Like(Glob),
}

/// A regular expression that every commit message must match.
#[derive(Clone, Debug)]
pub struct MessagePattern(Regex);

/// A new commit, as far as rules are about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommit {
    /// Its id.
    pub id: ObjectId,
    /// Its author's address.
    pub author_email: String,
    /// Its whole message.
    pub message: String,
}

/// The rules about commits that hold for a repository.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommitRules<'p> {
    /// One of these must match the author.
    pub author_email: Option<&'p [EmailPattern]>,
    /// This must match the message.
    pub message: Option<&'p MessagePattern>,
}

impl CommitRules<'_> {
    /// Whether a commit need not be looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.author_email.is_none() && self.message.is_none()
    }

    /// The first rule that refuses the commit.
    #[must_use]
    pub fn judge(&self, commit: &NewCommit, pusher: Option<&User>) -> Option<ContentRefusal> {
        let short = &commit.id.as_str()[..12];
        let own = pusher.and_then(|user| user.info.get("email"));
        let by_whom = |patterns: &&[EmailPattern]| {
            patterns.iter().any(|pattern| pattern.matches(&commit.author_email, own))
        };
        if self.author_email.is_some_and(|patterns| !by_whom(&patterns)) {
            let advice =
                format!("commit {short}: its author's address is not accepted; set user.email and amend");
            return Some(ContentRefusal { rule: Rule::AuthorEmail, advice });
        }
        if self.message.is_some_and(|pattern| !pattern.0.is_match(&commit.message)) {
            let pattern = self.message.map_or("", MessagePattern::as_str);
            let advice = format!("commit {short}: its message does not match {pattern}; amend it");
            return Some(ContentRefusal { rule: Rule::Message, advice });
        }
        None
    }
}

impl PathPattern {
    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the whole path matches, the case of letters set aside: some file systems do so on checkout. As in `.gitignore`,
    /// `**/` also stands for no directory at all.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let matches =
            |pattern: &str| Glob::of_text(pattern).is_some_and(|pattern| pattern.matches_ignoring_case(path));
        let text = self.0.as_str();
        self.0.matches_ignoring_case(path)
            || text.strip_prefix("**/").is_some_and(matches)
            || (text.contains("/**/") && matches(&text.replace("/**/", "/")))
    }
}

impl EmailPattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "{email}" => Ok(Self::Pusher),
            _ if text.contains('@') => Glob::of_text(text).map(Self::Like).ok_or(EMAIL_FORM),
            _ => Err(EMAIL_FORM),
        }
    }

    fn matches(&self, address: &str, own: Option<&String>) -> bool {
        match self {
            Self::Pusher => own.is_some_and(|own| own.eq_ignore_ascii_case(address)),
            Self::Like(glob) => glob.matches_ignoring_case(address),
        }
    }
}

const EMAIL_FORM: &str = "an address is `{email}` for the pusher's own, or a pattern like *@example.org";

impl MessagePattern {
    /// The expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for MessagePattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for MessagePattern {}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, |text| {
            let relative = !text.starts_with('/') && !text.ends_with('/');
            Glob::of_text(text)
                .filter(|_| relative)
                .map(Self)
                .ok_or("a path is like secrets/** or **/*.exe, without / at its ends")
        })
    }
}

impl<'de> Deserialize<'de> for EmailPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

impl Serialize for EmailPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pusher => serializer.serialize_str("{email}"),
            Self::Like(glob) => glob.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for MessagePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, |text| Regex::new(text).map(Self))
    }
}

impl Serialize for MessagePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::tests::user;
    use std::collections::BTreeMap;

    fn commit(author_email: &str, message: &str) -> NewCommit {
        let id = ObjectId::parse("0123456789abcdef0123456789abcdef01234567").unwrap();
        NewCommit { id, author_email: author_email.to_owned(), message: message.to_owned() }
    }

    #[test]
    fn an_author_is_the_pusher_or_like_a_pattern() {
        let patterns: Vec<EmailPattern> = serde_yaml::from_str("['{email}', '*@bots.example.org']").unwrap();
        let rules = CommitRules { author_email: Some(&patterns), message: None };
        let joe = User {
            info: BTreeMap::from([("email".to_owned(), "joe@example.org".to_owned())]).into(),
            ..user("joe", &[]).user().unwrap().clone()
        };
        for (address, accepted) in [
            ("joe@example.org", true),
            ("Joe@Example.org", true),
            ("ci@bots.example.org", true),
            ("ann@example.org", false),
            ("x@bots.example.org.evil", false),
            ("", false),
        ] {
            assert_eq!(rules.judge(&commit(address, "m"), Some(&joe)).is_none(), accepted, "{address}");
        }
        let unknown = user("kim", &[]);
        assert!(rules.judge(&commit("joe@example.org", "m"), unknown.user()).is_some());
        assert!(rules.judge(&commit("", "m"), None).is_some());
    }

    #[test]
    fn a_message_matches_the_pattern_or_the_pusher_is_told_which() {
        let pattern: MessagePattern = serde_yaml::from_str("'^[A-Z]+-[0-9]+: '").unwrap();
        let rules = CommitRules { author_email: None, message: Some(&pattern) };
        assert_eq!(rules.judge(&commit("", "ABC-12: mend it"), None), None);
        let refusal = rules.judge(&commit("", "mend it"), None).unwrap();
        assert!(refusal.to_string().contains("^[A-Z]+-[0-9]+: "), "{refusal}");
    }

    #[test]
    fn a_path_pattern_sees_whole_paths_and_no_difference_of_case() {
        let pattern: PathPattern = serde_yaml::from_str("'**/*.exe'").unwrap();
        assert!(pattern.matches("a/b c.EXE"));
        assert!(pattern.matches("b.exe"));
        assert!(!pattern.matches("a/b.exe/c"));
        let pattern: PathPattern = serde_yaml::from_str("'a/**/key'").unwrap();
        assert!(pattern.matches("a/key") && pattern.matches("a/b/c/key") && !pattern.matches("b/a/key"));
    }

    #[test]
    fn what_can_match_nothing_is_refused_when_it_is_read() {
        assert!(serde_yaml::from_str::<MessagePattern>("'('").is_err());
        assert!(serde_yaml::from_str::<PathPattern>("'/abs'").is_err());
        assert!(serde_yaml::from_str::<PathPattern>("''").is_err());
        assert!(serde_yaml::from_str::<EmailPattern>("'joe'").is_err());
    }
}
