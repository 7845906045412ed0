//! `RepoPath`: the only way to hold the name of a repository.
//!
//! A value of this type is `name/name/…/name.git`, relative to the project root, and made of bytes that mean the same to
//! nginx, git, the file system and a shell. There is no decoding and no normalising: what is not already in that form is
//! refused, so two spellings of one repository cannot exist.

use std::fmt;
use std::str::FromStr;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use crate::document;

/// A repository below the project root: up to [`MAX_DIRECTORIES`] directories and a name that ends in `.git`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RepoPath(Box<str>);

/// How many directories may stand before the repository's own name.
pub const MAX_DIRECTORIES: usize = 8;

/// The ending every repository has, in the URL and on disk.
pub const SUFFIX: &str = ".git";

/// The longest name of one directory, or of a repository without its suffix.
const MAX_NAME: usize = 64;

/// The text is not a repository path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRepoPath {
    /// The last component lacks `.git`.
    #[error("a repository's name ends in .git")]
    NoSuffix,
    /// A component has a byte, a length or an ending that no name may have.
    #[error(
        "a name has 1 to 64 of A-Z a-z 0-9 _ . - , starts with a letter, digit or _, \
         does not end in . nor in .git or .lock, and has no .."
    )]
    BadName,
    /// More than [`MAX_DIRECTORIES`] directories.
    #[error("a repository is at most {MAX_DIRECTORIES} directories deep")]
    TooDeep,
}

impl RepoPath {
    /// Accepts exactly the grammar `{ name "/" } name ".git"`.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidRepoPath> {
        let stem = text.strip_suffix(SUFFIX).ok_or(InvalidRepoPath::NoSuffix)?;
        if stem.split('/').count() > MAX_DIRECTORIES + 1 {
            return Err(InvalidRepoPath::TooDeep);
        }
        if !stem.split('/').all(is_name) {
            return Err(InvalidRepoPath::BadName);
        }
        Ok(Self(text.into()))
    }

    /// The path as it is written in URLs and policies, for example `team/test.git`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directories from the project root down, then the repository's own name with its suffix.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

/// Whether `name` may be a directory, or a repository without its suffix:
/// `[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_-])?`, no `..`, no `.git` or `.lock` ending in any case.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    bytes.len() <= MAX_NAME
        && bytes.iter().all(|&byte| is_name_byte(byte))
        && is_word(first)
        && last != b'.'
        && !name.contains("..")
        && !ends_in(bytes, b".git")
        && !ends_in(bytes, b".lock")
}

/// Whether a name may contain this byte.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    is_word(byte) || byte == b'.' || byte == b'-'
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Case is folded: a file system that does so would otherwise see git's own files.
fn ends_in(name: &[u8], ending: &[u8]) -> bool {
    name.len() >= ending.len() && name[name.len() - ending.len()..].eq_ignore_ascii_case(ending)
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepoPath {
    type Err = InvalidRepoPath;

    fn from_str(text: &str) -> Result<Self, InvalidRepoPath> {
        Self::parse(text)
    }
}

impl<'de> Deserialize<'de> for RepoPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_repository_may_stand_at_the_top_or_up_to_eight_directories_deep() {
        for text in ["a.git", "team/test.git", "a/b/c/d/e/f/g/h/i.git", "A_1/b-2/c.3.git", "x/-.git"] {
            let expected = !text.starts_with("x/-");
            assert_eq!(RepoPath::parse(text).is_ok(), expected, "{text}");
        }
        assert_eq!(RepoPath::parse("1/2/3/4/5/6/7/8/9/a.git"), Err(InvalidRepoPath::TooDeep));
    }

    #[test]
    fn a_name_is_one_to_sixty_four_bytes_long() {
        assert!(RepoPath::parse(&format!("{}.git", "a".repeat(64))).is_ok());
        assert_eq!(RepoPath::parse(&format!("{}.git", "a".repeat(65))), Err(InvalidRepoPath::BadName));
        assert_eq!(RepoPath::parse(".git"), Err(InvalidRepoPath::BadName));
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for text in [
            "test",
            "/a.git",
            "a.git/",
            "a//b.git",
            "./a.git",
            "../a.git",
            "a/../b.git",
            "a..b.git",
            ".hidden.git",
            "-x.git",
            "a.git.git",
            "a.GIT.git",
            "a.lock.git",
            "a.git/b.git",
            "a.Lock/b.git",
            "a..git",
            "a b.git",
            "a%2e.git",
            "a\\b.git",
            "a;b.git",
            "a#.git",
            "a?.git",
            "a\n.git",
            "\u{e9}.git",
            "a\0.git",
            "~a.git",
            "a.Git",
        ] {
            assert!(RepoPath::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_path_is_refused_where_it_is_read_from_a_document() {
        assert!(serde_json::from_str::<RepoPath>("\"team/test.git\"").is_ok());
        assert!(serde_json::from_str::<RepoPath>("\"../test.git\"").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_accepted_is_plain(text in "\\PC{0,80}") {
            if let Ok(repo) = RepoPath::parse(&text) {
                prop_assert_eq!(repo.as_str(), text.as_str());
                prop_assert!(!text.contains("..") && !text.contains("//") && !text.starts_with('/'));
                prop_assert!(text.bytes().all(|byte| is_name_byte(byte) || byte == b'/'));
            }
        }
    }
}
