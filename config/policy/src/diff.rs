//! What another policy would change: who gains and who loses what, and where.
//!
//! Both policies are asked about the same repositories by the same callers. The repositories stand for the levels of both: a
//! level that is a repository for itself, a directory for a repository below it that neither policy names; in place of
//! `{user}` stands a name that nobody has, and, where more follows, each name that is written beside it. The callers stand
//! for the subjects of both: everybody, somebody with a login, each user named (in no group), each group (a user in nothing
//! else), whoever `{user}` stands for. Grants only ever add up, so a real caller gains and loses what their subjects do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::Policy;
use crate::access::Verdict;
use crate::branch::{LevelBranches, RepositoryRules};
use crate::git_request::Access;
use crate::identity::{Identity, User, UserName};
use crate::level::{LevelPath, LevelTree, USER_COMPONENT};
use crate::repo_path::RepoPath;
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

/// Before and after, by subject.
type Rights = BTreeMap<Subject, (Right, Right)>;

struct Both<'p> {
    old: &'p Policy,
    new: &'p Policy,
    levels: BTreeSet<LevelPath>,
    /// A caller without a name in either policy.
    stranger: String,
    /// What stands in place of `{user}`; neither policy has it.
    path_user: String,
    /// The name of a repository that neither policy has.
    repository: String,
}

impl<'p> Both<'p> {
    fn new(old: &'p Policy, new: &'p Policy) -> Self {
        let mut levels = BTreeSet::new();
        let mut names = BTreeSet::new();
        for policy in [old, new] {
            levels.extend(policy.access().levels().into_keys().cloned());
            levels.extend(policy.branches().levels().into_keys().cloned());
            let granted = policy
                .access()
                .levels()
                .into_values()
                .flat_map(|level| level.read.iter().chain(level.write.iter()));
            names.extend(granted.map(ToString::to_string));
        }
        names.extend(
            levels
                .iter()
                .flat_map(LevelPath::components)
                .map(|name| name.trim_end_matches(".git").to_owned()),
        );
        let mut unused = (0..).map(|n| format!("any{n}")).filter(|name| !names.contains(name));
        let mut unused = || unused.next().unwrap_or_default();
        let (stranger, path_user, repository) = (unused(), unused(), unused());
        let levels = with_siblings(levels);
        Self { old, new, levels, stranger, path_user, repository }
    }

    fn access_changes(&self) -> Vec<Change> {
        let changed = changed_levels(self.old.access(), self.new.access());
        let mut found: BTreeMap<&LevelPath, Rights> = BTreeMap::new();
        for level in &self.levels {
            let Some(repo) = self.repository(level).filter(|repo| is_below(&changed, repo)) else { continue };
            found.insert(level, self.compare_access(level, &repo));
        }
        let above = |level: &LevelPath| parents(level).find_map(|parent| found.get(&parent));
        let news = found.iter().flat_map(|(level, rights)| {
            let above = above(level);
            let is_new =
                move |subject: &Subject, pair| above.and_then(|above| above.get(subject)) != Some(pair);
            rights.iter().filter(move |(subject, pair)| is_new(subject, pair)).map(
                |(subject, (before, after))| {
                    let what = Changed::Access { subject: subject.clone(), before: *before, after: *after };
                    Change { level: (*level).clone(), what }
                },
            )
        });
        news.collect()
    }

    /// What a subject gains or loses, except where everybody does.
    fn compare_access(&self, level: &LevelPath, repo: &RepoPath) -> Rights {
        let mut subjects = BTreeSet::from([Subject::Anonymous, Subject::Authenticated]);
        for policy in [self.old, self.new] {
            let levels = policy.explain(&Identity::Anonymous, repo, Access::Read).levels;
            subjects.extend(levels.iter().flat_map(|level| &level.grants).map(|grant| grant.subject.clone()));
        }
        if !level.has_user() {
            subjects.remove(&Subject::PathUser);
        }
        let rights = |subject| {
            let caller = self.caller(&subject);
            let pair = (right(self.old, &caller, repo), right(self.new, &caller, repo));
            (subject, pair)
        };
        let all: Rights = subjects.into_iter().map(rights).collect();
        let wider = |subject: &Subject| match subject {
            Subject::Anonymous => None,
            Subject::Authenticated => all.get(&Subject::Anonymous),
            _ => all.get(&Subject::Authenticated),
        };
        let differs =
            |(subject, pair): &(&Subject, &(Right, Right))| pair.0 != pair.1 && wider(subject) != Some(pair);
        all.iter().filter(differs).map(|(subject, pair)| (subject.clone(), *pair)).collect()
    }

    fn branch_changes(&self) -> Vec<Change> {
        let changed = changed_levels(self.old.branches(), self.new.branches());
        let mut changes = Vec::new();
        for level in &self.levels {
            let Some(repo) = self.repository(level).filter(|repo| is_below(&changed, repo)) else { continue };
            let (old, new) = (self.old.branch_rules(&repo), self.new.branch_rules(&repo));
            let keys = differing_keys(&old, &new).into_iter().filter(|key| self.is_written(level, key));
            changes.extend(keys.map(|key| Change { level: level.clone(), what: Changed::Branches { key } }));
        }
        changes
    }

    /// Whether a level says something about a key itself, before or after.
    fn is_written(&self, level: &LevelPath, key: &str) -> bool {
        let policies = [self.old, self.new].map(|policy| policy.branches().levels());
        policies
            .iter()
            .filter_map(|levels| levels.get(level))
            .any(|branches| by_key(branches).contains_key(key))
    }

    /// A repository that the level, and nothing below it, is about.
    fn repository(&self, level: &LevelPath) -> Option<RepoPath> {
        let path = level.as_str().trim_start_matches('/').replace(USER_COMPONENT, &self.path_user);
        let path = if path.ends_with(".git") { path } else { format!("{path}{}.git", self.repository) };
        // A directory at the greatest depth has repositories of its own, so this does not fail.
        RepoPath::parse(&path).ok()
    }

    fn caller(&self, subject: &Subject) -> Identity {
        let (name, group) = match subject {
            Subject::Anonymous => return Identity::Anonymous,
            Subject::Authenticated => (self.stranger.as_str(), None),
            Subject::User(name) => (name.as_str(), None),
            Subject::Group(group) => (self.stranger.as_str(), Some(group.clone())),
            Subject::PathUser => (self.path_user.as_str(), None),
        };
        let groups = group.into_iter().collect();
        match UserName::parse(name) {
            Ok(name) => Identity::User(Arc::new(User { name, groups, info: BTreeMap::new() })),
            // All of them are names of users; whoever is not can do no more than anybody.
            Err(_) => Identity::Anonymous,
        }
    }
}

fn right(policy: &Policy, caller: &Identity, repo: &RepoPath) -> Right {
    let may = |access| matches!(policy.decide(caller, repo, access), Verdict::Allow(_));
    match (may(Access::Write), may(Access::Read)) {
        (true, _) => Right::Write,
        (false, true) => Right::Read,
        (false, false) => Right::None,
    }
}

/// Adds `home/root/x/` where there are `home/{user}/x/` and something at or below `home/root/`.
fn with_siblings(mut levels: BTreeSet<LevelPath>) -> BTreeSet<LevelPath> {
    let split = |level: &LevelPath| {
        let (before, after) = level.as_str().split_once("{user}/").filter(|(_, after)| !after.is_empty())?;
        Some((before.to_owned(), after.to_owned()))
    };
    let patterns: Vec<_> = levels.iter().filter_map(split).collect();
    for (before, after) in patterns {
        let beside = levels.iter().filter_map(|level| level.as_str().strip_prefix(&before)?.split_once('/'));
        let names: BTreeSet<_> =
            beside.map(|(name, _)| name.to_owned()).filter(|name| name != USER_COMPONENT).collect();
        levels.extend(
            names.iter().filter_map(|name| LevelPath::parse(&format!("{before}{name}/{after}")).ok()),
        );
    }
    levels
}

/// The levels at which something else is written.
fn changed_levels<T: PartialEq>(old: &LevelTree<T>, new: &LevelTree<T>) -> LevelTree<()> {
    let (mut before, after) = (old.levels(), new.levels());
    let mut changed: Vec<_> = after
        .into_iter()
        .filter(|(path, level)| before.remove(path) != Some(*level))
        .map(|(path, _)| path)
        .collect();
    changed.extend(before.into_keys());
    LevelTree::new(changed.into_iter().map(|path| (path.clone(), ())))
}

fn is_below(levels: &LevelTree<()>, repo: &RepoPath) -> bool {
    let mut found = false;
    levels.walk(repo, &mut |_| found = true);
    found
}

/// The levels above, nearest first.
fn parents(level: &LevelPath) -> impl Iterator<Item = LevelPath> {
    let mut rest = level.as_str().trim_end_matches('/').to_owned();
    let below_root = level.as_str() != "/";
    let mut above = Vec::new();
    while let Some(slash) = rest.rfind('/').filter(|_| below_root) {
        rest.truncate(slash);
        above.extend(LevelPath::parse(&format!("{rest}/")));
    }
    above.extend(below_root.then(|| LevelPath::parse("/")).into_iter().flatten());
    above.into_iter()
}

/// The rules of one level by their keys, those that are not there left out.
fn by_key(branches: &LevelBranches) -> BTreeMap<String, Value> {
    let rules = serde_json::to_value(branches).ok();
    let rules = rules.and_then(|rules| serde_json::from_value(rules).ok()).unwrap_or_default();
    let mut rules: BTreeMap<String, Value> = rules;
    rules.retain(|_, rule| !rule.is_null());
    rules
}

fn differing_keys(old: &RepositoryRules<'_>, new: &RepositoryRules<'_>) -> BTreeSet<String> {
    let (old, new) = (by_key(&old.to_level()), by_key(&new.to_level()));
    old.keys().chain(new.keys()).filter(|key| old.get(*key) != new.get(*key)).cloned().collect()
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
