//! One ref update as receive-pack tells its hooks: `<old id> <new id> <full ref name>`.
//!
//! pre-receive sees lines before git has checked them, so everything is checked here: ids are hex of one of git's two
//! lengths, names follow git-check-ref-format(1) and are printable ASCII, for a name that looks like another one or moves the
//! cursor of a terminal has no honest use. A line that is not all of that is an error, and an error refuses the push.

use std::fmt;

/// The id of an object, 40 (SHA-1) or 64 (SHA-256) lower-case hex digits; all zeros stand for "none".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(Box<str>);

/// A full ref name, such as `refs/heads/main`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(Box<str>);

/// What a push asks for one ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// What the ref points to now.
    pub old: ObjectId,
    /// What it shall point to.
    pub new: ObjectId,
    /// Which ref.
    pub name: RefName,
}

/// The line is no ref update that anybody could honestly ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRefUpdate {
    /// Not three fields of which two are ids of the same length.
    #[error("malformed ref update")]
    Malformed,
    /// The third field is no acceptable ref name.
    #[error(
        "this ref name is not accepted: names are printable ASCII, follow git check-ref-format, and no part starts with -"
    )]
    BadName,
}

impl ObjectId {
    /// Accepts 40 or 64 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (hex && matches!(text.len(), 40 | 64)).then(|| Self(text.into()))
    }

    /// Whether it stands for "none".
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'0')
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RefName {
    /// Accepts a full ref name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let component = |name: &str| {
            !name.is_empty()
                && !name.starts_with(['.', '-'])
                && !name.ends_with('.')
                && !name.ends_with(".lock")
        };
        let byte = |byte: u8| {
            byte.is_ascii_graphic() && !matches!(byte, b'~' | b'^' | b':' | b'?' | b'*' | b'[' | b'\\')
        };
        let plain = text.bytes().all(byte) && !text.contains("..") && !text.contains("@{");
        let below_refs = text.strip_prefix("refs/").is_some_and(|rest| rest.contains('/'));
        (plain && below_refs && text.split('/').all(component)).then(|| Self(text.into()))
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name below `refs/heads/`.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.0.strip_prefix("refs/heads/")
    }

    /// The name below `refs/tags/`.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.0.strip_prefix("refs/tags/")
    }
}

impl RefUpdate {
    /// Reads one line, without its line end.
    ///
    /// # Errors
    /// When it is not an update of an acceptable ref.
    pub fn parse(line: &[u8]) -> Result<Self, InvalidRefUpdate> {
        let line = std::str::from_utf8(line).map_err(|_| InvalidRefUpdate::Malformed)?;
        let mut fields = line.splitn(3, ' ');
        let mut id = || fields.next().and_then(ObjectId::parse).ok_or(InvalidRefUpdate::Malformed);
        let (old, new) = (id()?, id()?);
        if old.as_str().len() != new.as_str().len() {
            return Err(InvalidRefUpdate::Malformed);
        }
        let name = fields.next().ok_or(InvalidRefUpdate::Malformed)?;
        let name = RefName::parse(name).ok_or(InvalidRefUpdate::BadName)?;
        Ok(Self { old, new, name })
    }

    /// Whether the ref is to come into being.
    #[must_use]
    pub fn creates(&self) -> bool {
        self.old.is_zero() && !self.new.is_zero()
    }

    /// Whether the ref is to go.
    #[must_use]
    pub fn deletes(&self) -> bool {
        self.new.is_zero()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";
    const ZERO: &str = "0000000000000000000000000000000000000000";

    #[test]
    fn creations_updates_and_deletions_are_told_apart_in_both_hash_lengths() {
        for pad in ["", "000000000000000000000000"] {
            let update = |old: &str, new: &str| {
                RefUpdate::parse(format!("{old}{pad} {new}{pad} refs/heads/a").as_bytes()).unwrap()
            };
            assert!(update(ZERO, ID).creates() && !update(ZERO, ID).deletes());
            assert!(update(ID, ZERO).deletes() && !update(ID, ZERO).creates());
            assert!(!update(ID, ID).creates() && !update(ID, ID).deletes());
        }
    }

    #[test]
    fn names_that_could_fool_a_person_a_shell_or_a_parser_are_refused() {
        for name in [
            "HEAD",
            "foo",
            "refs/x",
            "refs/heads/",
            "refs/heads/../../x",
            "refs/heads/a b",
            "refs/heads/a\x1b[31m",
            "refs/heads/-x",
            "refs/heads/x/-y",
            "refs/heads/.x",
            "refs/heads/x.lock",
            "refs/heads/x.",
            "refs/heads//x",
            "refs/heads/a@{1}",
            "refs/heads/a~1",
            "refs/heads/a^",
            "refs/heads/a:b",
            "refs/heads/\u{202e}niam",
            "refs/heads/ma\u{ef}n",
            "refs/heads/a\\b",
            "refs/heads/a*",
            "/refs/heads/a",
            "refs/heads/a\t",
        ] {
            assert_eq!(RefName::parse(name), None, "{name:?}");
        }
        for name in
            ["refs/heads/main", "refs/heads/release/1.0", "refs/tags/v1", "refs/meta/config", "refs/heads/@"]
        {
            assert!(RefName::parse(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_line_that_is_not_two_ids_of_one_length_and_a_name_is_refused() {
        for line in [
            String::new(),
            format!("{ID} {ID}"),
            format!("{ID} {ID} "),
            format!("{ID}  {ID} refs/heads/a"),
            format!("{} {ID} refs/heads/a", &ID[1..]),
            format!("{ID} {} refs/heads/a", ID.to_uppercase()),
            format!("{ID} {ID}000000000000000000000000 refs/heads/a"),
            format!("{ID} {ID} refs/heads/a\n{ID} {ID} refs/heads/b"),
            format!("{ID} {ID} refs/heads/a\0"),
        ] {
            assert!(RefUpdate::parse(line.as_bytes()).is_err(), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = RefUpdate::parse(&line);
        }
    }
}
