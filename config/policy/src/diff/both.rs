//! Two policies, asked about the same repositories by the same callers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::{Change, Changed, Right};
use crate::Policy;
use crate::access::Verdict;
use crate::branch::{LevelBranches, RepositoryRules};
use crate::git_request::Access;
use crate::identity::{Identity, User, UserName};
use crate::level::{LevelPath, LevelTree, USER_COMPONENT};
use crate::repo_path::RepoPath;
use crate::subject::Subject;

/// Before and after, by subject.
type Rights = BTreeMap<Subject, (Right, Right)>;

pub(super) struct Both<'p> {
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
    pub(super) fn new(old: &'p Policy, new: &'p Policy) -> Self {
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

    pub(super) fn access_changes(&self) -> Vec<Change> {
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

    pub(super) fn branch_changes(&self) -> Vec<Change> {
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
        match UserName::parse(name) {
            Ok(name) => Identity::User(Arc::new(User::new(name, group))),
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
