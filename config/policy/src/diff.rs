//! What another policy would change: who gains and who loses what, and where.
//!
//! Both policies are asked about the same repositories by the same callers. The repositories stand for the levels of both: a
//! level that is a repository for itself, a directory for a repository below it that neither policy names; in place of
//! `{user}` stands a name that nobody has, and, where more follows, each name that is written beside it. The callers stand
//! for the subjects of both: everybody, somebody with a login, each user named (in no group), each group (a user in nothing
//! else), whoever `{user}` stands for. Grants only ever add up, so a real caller gains and loses what their subjects do.

mod both;

use std::collections::BTreeMap;
use std::fmt;

use both::Both;

use crate::Policy;
use crate::level::LevelPath;
use crate::subject::Subject;

/// How much a subject may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Nothing.
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// One change, at one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where. What is the same at the level above is not repeated.
    pub level: LevelPath,
    /// What.
    pub what: Changed,
}

/// What can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// What a subject may do.
    Access {
        /// Who.
        subject: Subject,
        /// What it was.
        before: Right,
        /// What it is.
        after: Right,
    },
    /// The branch rules that hold there.
    Branches {
        /// `flow`, `protect` or another key of theirs.
        key: String,
    },
}

/// Everything that differs in effect, sorted by level.
#[must_use]
pub fn changes(old: &Policy, new: &Policy) -> Vec<Change> {
    let both = Both::new(old, new);
    let mut changes = both.access_changes();
    changes.extend(both.branch_changes());
    changes.sort_by(|a, b| a.level.cmp(&b.level));
    changes
}

/// One line for each level: `team/: write +joe -ann`.
#[must_use]
pub fn summary(changes: &[Change]) -> Vec<String> {
    let levels = changes.chunk_by(|a, b| a.level == b.level);
    levels
        .map(|level| {
            let mut words: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for change in level {
                change.what.signs(|key, sign| words.entry(key).or_default().extend(sign));
            }
            let words =
                words.into_iter().map(|(key, signs)| [&[key.to_owned()], &signs[..]].concat().join(" "));
            format!("{}: {}", level[0].level, words.collect::<Vec<_>>().join(", "))
        })
        .collect()
}

impl Changed {
    /// Calls `sign` with a key and, for access, `+joe` or `-joe`.
    fn signs<'c>(&'c self, mut sign: impl FnMut(&'c str, Option<String>)) {
        match self {
            Self::Branches { key } => sign(key, Some("changed".to_owned())),
            Self::Access { subject, before, after } => {
                let mut side = |key, was: bool, is: bool| match (was, is) {
                    (false, true) => sign(key, Some(format!("+{subject}"))),
                    (true, false) => sign(key, Some(format!("-{subject}"))),
                    _ => (),
                };
                let write = |right: &Right| *right == Right::Write;
                side("write", write(before), write(after));
                // Whoever gains writing gains reading with it: one word says both.
                if !write(after) {
                    side("read", *before != Right::None, *after != Right::None);
                }
            }
        }
    }
}

impl Right {
    /// `none`, `read` or `write`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Changed::Access { subject, before, after } => {
                write!(f, "{}: {subject}: {} -> {}", self.level, before.as_str(), after.as_str())
            }
            Changed::Branches { key } => write!(f, "{}: {key}: other rules", self.level),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(levels: &str) -> Policy {
        Policy::parse("p", format!("version: 1\n{levels}").as_bytes()).unwrap()
    }

    fn lines(old: &str, new: &str) -> Vec<String> {
        summary(&changes(&policy(old), &policy(new)))
    }

    #[test]
    fn a_line_says_who_gains_and_who_loses_what_at_a_level() {
        let old = "access:\n  team/: { read: [bob], write: [ann] }\n";
        let new = "access:\n  team/: { write: [joe, bob] }\n";
        assert_eq!(lines(old, new), ["team/: read -ann, write -ann +bob +joe"]);
        assert_eq!(lines(old, old), [""; 0]);
    }

    #[test]
    fn what_is_the_same_above_is_not_repeated_below() {
        let old = "access:\n  team/: { read: [bob] }\n  team/a/: { write: [bob] }\n";
        let new =
            "access:\n  /: { read: ['@staff'] }\n  team/: { read: [bob] }\n  team/a/: { write: [bob] }\n";
        assert_eq!(lines(old, new), ["/: read +@staff"]);
    }

    #[test]
    fn another_spelling_of_the_same_rights_is_no_change() {
        let old = "access:\n  team/: { read: [bob], write: [bob] }\n";
        let new = "access:\n  team/: { write: [bob] }\n  team/x.git: { read: [bob] }\n";
        assert_eq!(lines(old, new), [""; 0]);
    }

    #[test]
    fn freezing_and_cutting_off_show_what_they_take_away() {
        let old = "access:\n  /: { read: [authenticated] }\n  old/: { write: ['@dev'] }\n  secret/: {}\n";
        let new = "access:\n  /: { read: [authenticated] }\n  old/: { write: ['@dev'], frozen: true }\n  secret/: { inherit: false }\n";
        assert_eq!(lines(old, new), ["old/: write -@dev", "secret/: read -authenticated"]);
    }

    #[test]
    fn corners_of_users_are_compared_too() {
        let old = "access:\n  home/{user}/: { write: ['{user}'] }\n";
        let new = "access:\n  home/{user}/: { read: [anonymous], write: ['{user}'] }\n  home/root/: { inherit: false }\n";
        assert_eq!(lines(old, new), ["home/{user}/: read +anonymous"]);
        let cut = "access:\n  home/{user}/: { write: ['{user}'] }\n  home/{user}/x/: { read: [bob] }\n  home/root/: { inherit: false }\n";
        assert!(lines(old, cut).contains(&"home/root/x/: read +bob".to_owned()), "{:?}", lines(old, cut));
    }

    #[test]
    fn the_names_that_stand_in_for_others_are_nobodys_corner() {
        let old = "access:\n  /: {}\n  '{user}.git': { write: ['{user}'] }\n";
        let new = "access:\n  /: { read: ['@dev'] }\n  '{user}.git': {}\n";
        assert_eq!(lines(old, new), ["/: read +@dev", "{user}.git: read -{user}, write -{user}"]);
    }

    #[test]
    fn branch_rules_are_compared_where_they_are_written() {
        let old = "access: {}\nbranches:\n  /: { flow: [dev, master] }\n  team/: { protect: { master: { write: [ann] } } }\n";
        let new = "access: {}\nbranches:\n  /: { flow: [dev, test, master] }\n  team/: { protect: { master: { write: [joe] } } }\n";
        assert_eq!(lines(old, new), ["/: flow changed", "team/: protect changed"]);
    }

    #[test]
    fn one_change_among_many_levels_is_found() {
        let levels = |last: &str| {
            let many: String =
                (0..20_000).map(|n| format!("  team{n}/: {{ read: ['@g{}'] }}\n", n % 50)).collect();
            format!("access:\n{many}  last/: {{ read: [{last}] }}\n")
        };
        assert_eq!(lines(&levels("ann"), &levels("joe")), ["last/: read -ann +joe"]);
    }
}
