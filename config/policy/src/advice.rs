//! What a policy says in vain, or perhaps did not mean to say. Nothing here is an error, and everything is certain: a rule is
//! called useless only when no request can be decided by it.

use std::collections::{BTreeMap, BTreeSet};

use crate::access::LevelAccess;
use crate::branch::LevelBranches;
use crate::document;
use crate::identity::{GroupName, UserName};
use crate::level::{LevelPath, LevelTree};
use crate::policy::Policy;
use crate::setting::Setting;
use crate::subject::{Subject, Subjects};

/// One piece of advice, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The way to it in the document, as [`document::locate`] takes it.
    pub place: Vec<String>,
    /// What to know.
    pub message: String,
}

/// Who and what a policy names, each with the first place it is named at.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Users.
    pub users: BTreeMap<UserName, Vec<String>>,
    /// Groups.
    pub groups: BTreeMap<GroupName, Vec<String>>,
    /// Levels without `{user}`, `/` excepted.
    pub levels: BTreeMap<LevelPath, Vec<String>>,
}

impl Advice {
    /// `file:line:column: message`, with as much of the place as is found in the document's text.
    #[must_use]
    pub fn located(&self, name: &str, text: &str) -> String {
        let place: Vec<&str> = self.place.iter().map(String::as_str).collect();
        match document::locate(text, &place) {
            Some(at) => format!("{name}:{}:{}: {}", at.line, at.column, self.message),
            None => format!("{name}: {}", self.message),
        }
    }
}

/// What can be said of a policy by itself.
#[must_use]
pub fn advice(policy: &Policy) -> Vec<Advice> {
    let tree = policy.access();
    let levels = tree.levels();
    levels.into_iter().flat_map(|(path, level)| of_level(tree, path, level)).collect()
}

/// Whom and what the policy names.
#[must_use]
pub fn named(policy: &Policy) -> Named {
    let mut named = Named::default();
    for (path, level) in policy.access().levels() {
        let place = |key: &str| vec!["access".to_owned(), path.to_string(), key.to_owned()];
        named.level(path, &["access".to_owned(), path.to_string()]);
        named.subjects(&level.read, &place("read"));
        named.subjects(&level.write, &place("write"));
    }
    for (path, level) in policy.branches().levels() {
        let place = vec!["branches".to_owned(), path.to_string()];
        named.level(path, &place);
        named.rights(level, &place);
    }
    named
}

fn of_level(tree: &LevelTree<LevelAccess>, path: &LevelPath, level: &LevelAccess) -> Vec<Advice> {
    let above = tree.above(path);
    let mut found = Vec::new();
    let mut say = |key: &str, item: &str, message: String| {
        let place = ["access", path.as_str(), key, item].into_iter().filter(|part| !part.is_empty());
        found.push(Advice { place: place.map(str::to_owned).collect(), message });
    };
    if *level == LevelAccess::default() {
        say("", "", format!("`{path}` says nothing"));
    }
    if level.write.iter().any(|subject| *subject == Subject::Anonymous) {
        say("write", "anonymous", format!("anybody may write to `{path}`, without a password"));
    }
    let own = (path, level);
    let frozen = above.iter().chain([&own]).find(|(_, level)| level.frozen);
    if let Some((frozen, _)) = frozen
        && level.write.iter().next().is_some()
    {
        say("write", "", format!("`{frozen}` is frozen: those who may write to `{path}` may only read it"));
    }
    let inherited = if level.inherit { not_cut_off(&above) } else { &[] };
    for subject in level.read.iter() {
        if level.write.iter().any(|other| covers(other, subject)) {
            say("read", &subject.to_string(), format!("`{subject}` may read `{path}` already by `write`"));
        } else if let Some((from, _)) = inherited
            .iter()
            .find(|(_, from)| from.read.iter().chain(from.write.iter()).any(|other| covers(other, subject)))
        {
            say("read", &subject.to_string(), format!("`{subject}` may read `{path}` already by `{from}`"));
        }
    }
    for subject in level.write.iter() {
        if let Some((from, _)) =
            inherited.iter().find(|(_, from)| from.write.iter().any(|other| covers(other, subject)))
        {
            say(
                "write",
                &subject.to_string(),
                format!("`{subject}` may write to `{path}` already by `{from}`"),
            );
        }
    }
    found
}

/// The levels above from the nearest that cuts off, downwards. A pattern beside it is left out too: which of the two is
/// nearer is not worth the risk of calling a rule useless that is not.
fn not_cut_off<'a, 't>(
    above: &'a [(&'t LevelPath, &'t LevelAccess)],
) -> &'a [(&'t LevelPath, &'t LevelAccess)] {
    match above.iter().rposition(|(_, level)| !level.inherit) {
        Some(cut) if above.iter().all(|(path, _)| !path.has_user()) => &above[cut..],
        Some(_) => &[],
        None => above,
    }
}

/// Whoever is meant by `one` is meant by `other` as well, wherever it is written above.
fn covers(other: &Subject, one: &Subject) -> bool {
    match (other, one) {
        (Subject::Anonymous, _) => true,
        (Subject::Authenticated, Subject::Anonymous) => false,
        (Subject::Authenticated, _) => true,
        // `{user}` above and here stand for the same component: there is only one in a path.
        (other, one) => other == one,
    }
}

impl Named {
    fn level(&mut self, path: &LevelPath, place: &[String]) {
        if !path.has_user() && path.as_str() != "/" {
            self.levels.entry(path.clone()).or_insert_with(|| place.to_vec());
        }
    }

    fn subjects(&mut self, subjects: &Subjects, place: &[String]) {
        for subject in subjects.iter() {
            let here = || place.iter().cloned().chain([subject.to_string()]).collect();
            match subject {
                Subject::User(user) => drop(self.users.entry(user.clone()).or_insert_with(here)),
                Subject::Group(group) => drop(self.groups.entry(group.clone()).or_insert_with(here)),
                Subject::Anonymous | Subject::Authenticated | Subject::PathUser => {}
            }
        }
    }

    fn rights(&mut self, level: &LevelBranches, place: &[String]) {
        let below = |parts: &[&str]| -> Vec<String> {
            place.iter().cloned().chain(parts.iter().map(|part| (*part).to_owned())).collect()
        };
        for (key, setting) in [("protect", &level.protect), ("tags", &level.tags)] {
            for (pattern, rights) in setting.as_ref().and_then(Setting::value).into_iter().flatten() {
                let pattern = pattern.to_string();
                let lists = [("write", Some(&rights.write)), ("create", rights.create.as_ref())];
                let lists = lists
                    .into_iter()
                    .chain([("force", Some(&rights.force)), ("delete", Some(&rights.delete))]);
                for (right, subjects) in lists {
                    subjects
                        .into_iter()
                        .for_each(|list| self.subjects(list, &below(&[key, &pattern, right])));
                }
            }
        }
        let emergency = level.emergency.as_ref().and_then(Setting::value);
        emergency.into_iter().for_each(|list| self.subjects(list, &below(&["override"])));
    }
}

/// The first so many, each with its place, and how many more there are: looking up a place costs a walk of the document.
#[must_use]
pub fn told(advice: &[Advice], name: &str, text: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut lines: Vec<_> = advice
        .iter()
        .take(MAX_TOLD)
        .map(|one| one.located(name, text))
        .filter(|line| seen.insert(line.clone()))
        .collect();
    if let Some(more) = advice.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        lines.push(format!("{name}: and {more} more"));
    }
    lines
}

const MAX_TOLD: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(access: &str) -> Vec<String> {
        let text = format!("version: 1\naccess:\n{access}");
        let policy = Policy::parse("p", text.as_bytes()).unwrap();
        told(&advice(&policy), "p", &text)
    }

    #[test]
    fn a_policy_without_waste_gets_no_advice() {
        let text = include_str!("../../policy.yaml");
        let policy = Policy::parse("policy.yaml", text.as_bytes()).unwrap();
        assert_eq!(advice(&policy), []);
    }

    #[test]
    fn a_write_below_a_frozen_level_only_reads() {
        let access = "  old/: { frozen: true }\n  old/a.git: { inherit: false, write: [joe] }\n  new/: { write: [joe] }\n";
        assert_eq!(
            lines(access),
            ["p:4:32: `old/` is frozen: those who may write to `old/a.git` may only read it"]
        );
        assert_eq!(lines("  a/: { frozen: true, write: [joe] }\n").len(), 1);
        let pattern = "  home/{user}/: { frozen: true }\n  home/root/: { write: [joe] }\n";
        assert_eq!(lines(pattern).len(), 1);
        let beside = "  home/root/: { frozen: true }\n  home/{user}/: { write: ['{user}'] }\n";
        assert!(lines(beside).is_empty(), "others can write to theirs");
    }

    #[test]
    fn a_grant_that_is_given_above_is_named_with_where_it_comes_from() {
        let access = "  /: { read: ['@staff'] }\n  team/: { write: [joe], read: ['@staff', joe] }\n  team/a.git: { write: [joe, ann] }\n";
        assert_eq!(
            lines(access),
            [
                "p:4:43: `joe` may read `team/` already by `write`",
                "p:4:33: `@staff` may read `team/` already by `/`",
                "p:5:25: `joe` may write to `team/a.git` already by `team/`",
            ]
        );
    }

    #[test]
    fn a_grant_that_is_cut_off_above_is_needed() {
        let access = "  /: { read: [joe] }\n  secret/: { inherit: false, read: [joe] }\n  secret/a/: { read: [joe, ann] }\n";
        assert_eq!(lines(access), ["p:5:23: `joe` may read `secret/a/` already by `secret/`"]);
        let pattern =
            "  /: { read: [joe] }\n  home/{user}/: { inherit: false }\n  home/root/: { read: [joe] }\n";
        assert!(lines(pattern).is_empty());
    }

    #[test]
    fn everybody_includes_everyone_and_known_users_every_known_user() {
        let of = |above: &str, below: &str| {
            lines(&format!("  /: {{ read: [{above}] }}\n  a/: {{ read: [{below}] }}\n")).len()
        };
        assert_eq!(of("anonymous", "joe"), 1);
        assert_eq!(of("anonymous", "authenticated"), 1);
        assert_eq!(of("authenticated", "'@staff'"), 1);
        assert_eq!(of("authenticated", "anonymous"), 0);
        assert_eq!(of("joe", "ann"), 0);
        assert_eq!(of("'@joe'", "joe"), 0);
    }

    #[test]
    fn anonymous_writing_and_empty_levels_are_pointed_at() {
        assert_eq!(
            lines("  a/: { write: [anonymous] }\n  b/: {}\n"),
            ["p:3:17: anybody may write to `a/`, without a password", "p:4:3: `b/` says nothing"]
        );
    }

    #[test]
    fn everything_named_anywhere_is_found_with_its_place() {
        let text = "version: 1\naccess:\n  a/: { read: ['@g', joe] }\n  home/{user}/: { write: ['{user}'] }\n\
             branches:\n  b.git: { protect: { 'release/**': { write: [ann], delete: ['@g', '@h'] } }, override: [eve] }\n";
        let named = named(&Policy::parse("p", text.as_bytes()).unwrap());
        let place = |place: &[String]| {
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            document::locate(text, &place).map(|at| (at.line, at.column))
        };
        let users: Vec<_> = named.users.iter().map(|(name, at)| (name.as_str(), place(at))).collect();
        assert_eq!(users, [("ann", Some((6, 47))), ("eve", Some((6, 90))), ("joe", Some((3, 22)))]);
        let groups: Vec<_> = named.groups.iter().map(|(name, at)| (name.as_str(), place(at))).collect();
        assert_eq!(groups, [("g", Some((3, 16))), ("h", Some((6, 68)))]);
        let levels: Vec<_> = named.levels.iter().map(|(name, at)| (name.as_str(), place(at))).collect();
        assert_eq!(levels, [("a/", Some((3, 3))), ("b.git", Some((6, 3)))]);
    }

    #[test]
    fn a_thousand_pieces_of_advice_are_cut_short() {
        let access: String = (0..1000).map(|n| format!("  g{n}/: {{}}\n")).collect();
        let lines = lines(&access);
        assert_eq!((lines.len(), lines[20].as_str()), (21, "p: and 980 more"));
    }
}
