//! What is different between two policies, in words for the log of a reload.
//!
//! One line for each level that changed: who gained or lost what, and which rules are others now. It is about what is
//! written; whom a group stands for is the directories' business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::access::LevelAccess;
use crate::branch::LevelBranches;
use crate::level::LevelPath;
use crate::policy::Policy;
use crate::subject::Subjects;

/// The differences, level by level, in the order of paths; a level's branch rules follow its access.
#[must_use]
pub fn changes(old: &Policy, new: &Policy) -> Vec<String> {
    let mut lines = BTreeMap::new();
    let (before, after) = (old.access().levels(), new.access().levels());
    let nothing = LevelAccess::default();
    for path in union(&before, &after) {
        let of =
            |levels: &BTreeMap<&LevelPath, &'_ LevelAccess>| levels.get(path).map(|level| (*level).clone());
        let line = access(
            &of(&before).unwrap_or_else(|| nothing.clone()),
            &of(&after).unwrap_or_else(|| nothing.clone()),
        );
        lines.insert((path.clone(), false), line);
    }
    let (before, after) = (old.branches().levels(), new.branches().levels());
    let nothing = LevelBranches::default();
    for path in union(&before, &after) {
        let keys = branches(
            before.get(path).copied().unwrap_or(&nothing),
            after.get(path).copied().unwrap_or(&nothing),
        );
        let line = (!keys.is_empty()).then(|| format!("branch rules changed ({})", keys.join(", ")));
        lines.insert((path.clone(), true), line.unwrap_or_default());
    }
    let told = lines.into_iter().filter(|(_, line)| !line.is_empty());
    told.map(|((path, _), line)| format!("{path}: {line}")).collect()
}

/// As many of the lines as a log line has room for, and how many more there are.
#[must_use]
pub fn summary(lines: &[String]) -> String {
    let mut text = String::new();
    for (told, line) in lines.iter().enumerate() {
        if text.len() + line.len() > MAX_SUMMARY {
            let _ = write!(text, "{}and {} more", if told == 0 { "" } else { "; " }, lines.len() - told);
            break;
        }
        let _ = write!(text, "{}{line}", if told == 0 { "" } else { "; " });
    }
    text
}

/// `+zoe −ann`: whom the new list has that the old one has not, and the other way round.
#[must_use]
pub fn difference<T: Ord + std::fmt::Display>(old: &BTreeSet<T>, new: &BTreeSet<T>) -> String {
    let added = new.difference(old).map(|one| format!("+{one}"));
    let removed = old.difference(new).map(|one| format!("−{one}"));
    let all: Vec<_> = added.chain(removed).collect();
    let told = all.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(" ");
    match all.len().saturating_sub(MAX_NAMES) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// A log line is for reading: `diff` shows everything.
const MAX_SUMMARY: usize = 2000;

const MAX_NAMES: usize = 20;

fn union<'l, T>(
    before: &BTreeMap<&'l LevelPath, &T>,
    after: &BTreeMap<&'l LevelPath, &T>,
) -> BTreeSet<&'l LevelPath> {
    before.keys().chain(after.keys()).copied().collect()
}

/// Empty when nothing changed.
fn access(old: &LevelAccess, new: &LevelAccess) -> String {
    let mut parts = Vec::new();
    for (word, old, new) in [("read", &old.read, &new.read), ("write", &old.write, &new.write)] {
        let names = difference(&set(old), &set(new));
        if !names.is_empty() {
            parts.push(format!("{word} {names}"));
        }
    }
    match (old.frozen, new.frozen) {
        (false, true) => parts.push("frozen".to_owned()),
        (true, false) => parts.push("not frozen any more".to_owned()),
        _ => {}
    }
    match (old.inherit, new.inherit) {
        (true, false) => parts.push("cut off from above".to_owned()),
        (false, true) => parts.push("not cut off from above any more".to_owned()),
        _ => {}
    }
    parts.join(", ")
}

fn set(subjects: &Subjects) -> BTreeSet<String> {
    subjects.iter().map(ToString::to_string).collect()
}

/// The keys whose rules differ.
fn branches(old: &LevelBranches, new: &LevelBranches) -> Vec<&'static str> {
    let keys = [
        ("flow", old.flow != new.flow),
        ("protect", old.protect != new.protect),
        ("tags", old.tags != new.tags),
        ("namespaces", old.namespaces != new.namespaces),
        ("max_blob", old.max_blob != new.max_blob),
        ("forbidden_paths", old.forbidden_paths != new.forbidden_paths),
        ("author_email", old.author_email != new.author_email),
        ("message", old.message != new.message),
        ("signed_by", old.signed_by != new.signed_by),
        ("override", old.emergency != new.emergency),
    ];
    keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::parse("policy.yaml", format!("version: 1\n{text}").as_bytes()).unwrap()
    }

    fn compare(old: &str, new: &str) -> Vec<String> {
        changes(&policy(old), &policy(new))
    }

    #[test]
    fn the_same_rules_in_other_words_are_no_change() {
        let old = "access:\n  a/: { read: [joe, ann] }\n  b/: {}\n";
        let new = "access: { a/: { write: [], read: [ann, joe, joe] } } # tidied\n";
        assert!(compare(old, new).is_empty());
    }

    #[test]
    fn who_gained_and_lost_what_is_told_for_each_level() {
        let old = "access:\n  team/: { write: [ann], read: ['@all'] }\n  gone/: { read: [eve] }\n";
        let new = "access:\n  team/: { write: [joe], read: ['@all'] }\n  new/: { read: [authenticated] }\n";
        assert_eq!(
            compare(old, new),
            ["gone/: read −eve", "new/: read +authenticated", "team/: write +joe −ann"]
        );
    }

    #[test]
    fn freezing_and_cutting_off_are_told() {
        let plain = "access:\n  a/: { read: [joe] }\n";
        let cut = "access:\n  a/: { read: [joe], frozen: true, inherit: false }\n";
        assert_eq!(compare(plain, cut), ["a/: frozen, cut off from above"]);
        assert_eq!(compare(cut, plain), ["a/: not frozen any more, not cut off from above any more"]);
    }

    #[test]
    fn changed_branch_rules_are_told_by_their_keys() {
        let old = "access: {}\nbranches:\n  a/: { flow: [dev, master], tags: off }\n";
        let new = "access: {}\nbranches:\n  a/: { flow: [master, dev], tags: off, max_blob: 1MiB }\n";
        assert_eq!(compare(old, new), ["a/: branch rules changed (flow, max_blob)"]);
        assert_eq!(compare(old, "access: {}\n"), ["a/: branch rules changed (flow, tags)"]);
    }

    #[test]
    fn a_summary_is_short_however_much_has_changed() {
        let levels: String = (0..1000).map(|n| format!("  group{n}/: {{ read: [joe] }}\n")).collect();
        let names: Vec<String> = (0..1000).map(|n| format!("user{n}")).collect();
        let many = compare(
            "access: {}\n",
            &format!("access:\n{levels}  all/: {{ read: [{}] }}\n", names.join(", ")),
        );
        assert_eq!(many.len(), 1001);
        assert!(many[0].ends_with("and 980 more"), "{}", many[0]);
        let text = summary(&many);
        assert!(text.len() < 2100 && text.ends_with(" more"), "{text}");
        assert_eq!(summary(&[]), "");
        assert_eq!(summary(&["a".into(), "b".into()]), "a; b");
    }
}
