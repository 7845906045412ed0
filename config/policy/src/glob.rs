//! `Glob`: patterns over names that have components, as branches have.
//!
//! `*` stands for any text within a component, `**` for any text at all. There is nothing else: no `?`, no classes, no
//! escapes, for git allows none of those bytes in a ref name. Matching is anchored at both ends and takes time in
//! proportion to pattern times name, whatever either holds.

use std::fmt;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use crate::document;

/// A pattern that whole names match or do not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Glob(Box<str>);

/// The text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pattern is part of a ref name, such as master, release/** or v* : no space, no ? [ ] \\ ^ ~ : nor .. in it"
)]
pub struct InvalidGlob;

impl Glob {
    /// Accepts a pattern of which some ref name could match.
    ///
    /// # Errors
    /// When git would refuse every name that matches.
    pub fn parse(text: &str) -> Result<Self, InvalidGlob> {
        let allowed =
            |c: char| !c.is_control() && !matches!(c, ' ' | '?' | '[' | ']' | '\\' | '^' | '~' | ':');
        let component = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.ends_with(".lock");
        if text.chars().all(allowed) && text.split('/').all(component) && !text.contains("..") {
            return Ok(Self(text.into()));
        }
        Err(InvalidGlob)
    }

    /// A pattern for text that is not a ref name: anything that can be written on a line.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.chars().any(char::is_control)).then(|| Self(text.into()))
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern has no wildcard, and so names one thing.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether all of `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        matches(self.0.as_bytes(), name.as_bytes())
    }

    /// Whether all of `name` matches once the case of ASCII letters is set aside.
    #[must_use]
    pub fn matches_ignoring_case(&self, name: &str) -> bool {
        matches(&self.0.as_bytes().to_ascii_lowercase(), &name.as_bytes().to_ascii_lowercase())
    }
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // Most patterns differ from most names before their first wildcard.
    let plain = pattern.iter().take_while(|&&byte| byte != b'*').count();
    let (plain, pattern) = pattern.split_at(plain);
    let Some(name) = name.strip_prefix(plain) else { return false };
    let mut at = vec![false; name.len() + 1];
    at[0] = true;
    for token in tokens(pattern) {
        step(token, name, &mut at);
    }
    at[name.len()]
}

enum Token {
    Byte(u8),
    WithinComponent,
    Anything,
}

fn tokens(pattern: &[u8]) -> impl Iterator<Item = Token> {
    let mut rest = pattern;
    std::iter::from_fn(move || {
        let (token, length) = match rest {
            [] => return None,
            [b'*', b'*', ..] => (Token::Anything, 2),
            [b'*', ..] => (Token::WithinComponent, 1),
            [byte, ..] => (Token::Byte(*byte), 1),
        };
        rest = &rest[length..];
        Some(token)
    })
}

/// Moves the set of places in `name` that the pattern can have reached past one token.
fn step(token: Token, name: &[u8], at: &mut [bool]) {
    match token {
        Token::Byte(byte) => {
            for place in (0..name.len()).rev() {
                at[place + 1] = at[place] && name[place] == byte;
            }
            at[0] = false;
        }
        Token::WithinComponent | Token::Anything => {
            let crosses = matches!(token, Token::Anything);
            for place in 0..name.len() {
                at[place + 1] |= at[place] && (crosses || name[place] != b'/');
            }
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_star_stays_within_a_component_and_two_cross() {
        for (pattern, name, expected) in [
            ("master", "master", true),
            ("master", "x/master", false),
            ("master", "masters", false),
            ("v*", "v1.0", true),
            ("v*", "v1/0", false),
            ("v*", "v", true),
            ("release/**", "release/1.0", true),
            ("release/**", "release/a/b", true),
            ("release/**", "release", false),
            ("*/fix", "joe/fix", true),
            ("*/fix", "a/b/fix", false),
            ("**/fix", "a/b/fix", true),
            ("**", "anything/at/all", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXc", false),
        ] {
            assert_eq!(Glob::parse(pattern).unwrap().matches(name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn what_no_ref_name_can_match_is_refused() {
        for text in
            ["", "a b", "a?", "[a]", "a\\b", "a..b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a:b", "a\n"]
        {
            assert_eq!(Glob::parse(text), Err(InvalidGlob), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_full_of_stars_does_not_take_exponential_time() {
        let pattern = Glob::parse(&"a*".repeat(60)).unwrap();
        assert!(!pattern.matches(&format!("{}b/", "a".repeat(4000))));
    }

    /// What a pattern means, letter by letter.
    fn means(pattern: &[u8], name: &[u8]) -> bool {
        let from = |rest: &[u8], last: usize| (0..=last).any(|start| means(rest, &name[start..]));
        match pattern {
            [] => name.is_empty(),
            [b'*', b'*', rest @ ..] => from(rest, name.len()),
            [b'*', rest @ ..] => from(rest, name.iter().position(|&byte| byte == b'/').unwrap_or(name.len())),
            [byte, rest @ ..] => name.first() == Some(byte) && means(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_it_means(pattern in "[ab/*]{1,6}", name in "[ab/]{0,8}") {
            if let Ok(glob) = Glob::parse(&pattern) {
                prop_assert_eq!(glob.matches(&name), means(pattern.as_bytes(), name.as_bytes()));
            }
        }

        #[test]
        fn a_literal_matches_itself_and_two_stars_match_everything(name in "[a-z]{1,5}(/[a-z]{1,5}){0,3}") {
            prop_assert!(Glob::parse(&name).unwrap().matches(&name));
            prop_assert!(Glob::parse("**").unwrap().matches(&name));
            prop_assert_eq!(Glob::parse("*").unwrap().matches(&name), !name.contains('/'));
        }
    }
}
