//! Which refs: gitolite's ordered rules with ref patterns become `protect` and `tags`.
//!
//! gitolite takes the first rule that fits ref and user, and refuses what no rule fits. Here a rule for exactly that name
//! holds alone, and else every pattern that matches must allow. So for each pattern there is one list of who is left once
//! the rules are gone through in their order. A pattern that gives what the rest does not cannot be had, and is reported.

use std::collections::{BTreeMap, BTreeSet};

use policy::glob::Glob;
use policy::identity::{GroupName, UserName};
use policy::subject::Subject;

use super::Rule;
use super::lines::Perm;
use crate::cli::import::draft::{Branches, RefGrants};
use crate::cli::import::report::{Report, Weight};

/// Who is in which group.
type Groups = BTreeMap<GroupName, BTreeSet<UserName>>;

/// What a refex matches, below `refs/heads/` or `refs/tags/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pattern {
    Exact(String),
    /// Everything that starts like this; the empty one is everything.
    Prefix(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Branches,
    Tags,
}

/// One rule as far as one kind of refs is concerned.
struct Line<'r> {
    pattern: Pattern,
    rule: &'r Rule,
}

/// The branch rules of a level all of whose rules these are.
pub(super) fn branches(rules: &[&Rule], groups: &Groups, report: &mut Report) -> Branches {
    let is_push =
        |rule: &&&Rule| matches!(rule.perm, Perm::Deny | Perm::Write { .. }) && !rule.who.is_empty();
    let pushes: Vec<_> = rules.iter().filter(is_push).collect();
    let plain = Perm::Write { force: true, create: false, delete: false };
    if pushes.iter().all(|rule| rule.perm == plain && rule.refexes.is_empty()) {
        return Branches::default();
    }
    for rule in pushes.iter().filter(|rule| rule.who.contains(&Subject::PathUser)) {
        let message = "branch rules cannot name the CREATOR, who may not push here; take the branch rules out to let them";
        report.add(Weight::Narrower, &rule.place, message);
    }
    let mut rights = |kind| {
        let lines = pushes.iter().flat_map(|rule| lines(rule, kind, report)).collect::<Vec<_>>();
        lists(&lines, groups, report)
    };
    let (protect, tags) = (rights(Kind::Branches), rights(Kind::Tags));
    Branches { flow: None, protect: Some(Some(protect)), tags: Some(Some(tags)) }
}

/// A rule once for each of its refexes.
fn lines<'r>(rule: &'r Rule, kind: Kind, report: &mut Report) -> Vec<Line<'r>> {
    if rule.refexes.is_empty() {
        return vec![Line { pattern: Pattern::Prefix(String::new()), rule }];
    }
    let mut lines = Vec::new();
    for refex in &rule.refexes {
        match pattern(refex, rule.perm == Perm::Deny) {
            Some((kinds, pattern)) if kinds.is_none_or(|only| only == kind) => {
                lines.push(Line { pattern, rule })
            }
            Some(_) => (),
            // Both kinds come by here; one report is enough.
            None if kind == Kind::Tags => (),
            None => {
                let weight = if rule.perm == Perm::Deny { Weight::Wider } else { Weight::Narrower };
                report.add(
                    weight,
                    &rule.place,
                    format!("`{refex}` has no equal; this rule is not kept for it"),
                );
            }
        }
    }
    lines
}

/// What a refex matches, and the one kind of refs it is about; `None` when it cannot be put as a pattern.
fn pattern(refex: &str, denies: bool) -> Option<(Option<Kind>, Pattern)> {
    let refex = refex.strip_prefix('^').unwrap_or(refex);
    if ["refs/", "refs/.*"].contains(&refex) {
        return Some((None, Pattern::Prefix(String::new())));
    }
    let (kind, name) = match (refex.strip_prefix("refs/heads/"), refex.strip_prefix("refs/tags/")) {
        (Some(name), _) => (Kind::Branches, name),
        (_, Some(name)) => (Kind::Tags, name),
        (None, None)
            if refex.starts_with("refs/") || refex.starts_with("VREF/") || refex.starts_with("NAME/") =>
        {
            return None;
        }
        (None, None) => (Kind::Branches, refex),
    };
    let (name, exact) = match name.strip_suffix('$') {
        Some(name) => (name, !name.ends_with(".*")),
        None => (name, false),
    };
    let name = name.strip_suffix(".*").unwrap_or(name);
    // A dot stands for any byte. To grant only the dot is less, to refuse only the dot would be too little.
    if denies && name.replace("\\.", "").contains('.') {
        return None;
    }
    let literal = name.replace("\\.", ".").replace("\\-", "-");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.');
    let is_plain = literal.bytes().all(plain) && !literal.split('/').any(|part| part == "USER");
    let pattern = if exact { Pattern::Exact(literal) } else { Pattern::Prefix(literal) };
    (is_plain && Glob::parse(&pattern.glob()).is_ok()).then_some((Some(kind), pattern))
}

/// Who may do what, by pattern.
fn lists(lines: &[Line<'_>], groups: &Groups, report: &mut Report) -> BTreeMap<String, RefGrants> {
    let everything = Pattern::Prefix(String::new());
    let patterns: BTreeSet<_> =
        lines.iter().map(|line| line.pattern.clone()).chain([everything.clone()]).collect();
    let rest = list(&everything, lines, groups, report);
    let mut lists = BTreeMap::new();
    for pattern in patterns {
        let rights = list(&pattern, lines, groups, report);
        let gained: Vec<_> = rights.write.difference(&rest.write).map(ToString::to_string).collect();
        if matches!(pattern, Pattern::Prefix(_)) && !gained.is_empty() {
            let place = lines.iter().find(|line| line.pattern == pattern).map_or("", |line| &line.rule.place);
            let message = format!(
                "{} may push to {} and not to everything: a pattern gives nothing that `**` refuses; write whole names instead",
                gained.join(", "),
                pattern.glob()
            );
            report.add(Weight::Narrower, place, message);
        }
        lists.insert(pattern.glob(), rights);
    }
    lists
}

/// Goes through the rules in their order for the refs of one pattern.
fn list(pattern: &Pattern, lines: &[Line<'_>], groups: &Groups, report: &mut Report) -> RefGrants {
    let flagged = |flag: fn(Perm) -> bool| lines.iter().any(|line| flag(line.rule.perm));
    let creation_is_named = flagged(|perm| matches!(perm, Perm::Write { create: true, .. }));
    let deletion_is_named = flagged(|perm| matches!(perm, Perm::Write { delete: true, .. }));
    let mut rights = RefGrants { create: creation_is_named.then(BTreeSet::new), ..RefGrants::default() };
    let mut denied = BTreeSet::new();
    for line in lines.iter().filter(|line| line.pattern.covers(pattern)) {
        let Perm::Write { force, create, delete } = line.rule.perm else {
            denied.extend(line.rule.who.iter().cloned());
            continue;
        };
        let left = left_over(line.rule, &denied, groups, report);
        if force {
            rights.force.extend(left.iter().cloned());
        }
        if if deletion_is_named { delete } else { force } {
            rights.delete.extend(left.iter().cloned());
        }
        if let Some(creators) = rights.create.as_mut().filter(|_| create) {
            creators.extend(left.iter().cloned());
        }
        rights.write.extend(left);
    }
    rights
}

/// Whom a grant still reaches after the refusals before it.
fn left_over(
    rule: &Rule,
    denied: &BTreeSet<Subject>,
    groups: &Groups,
    report: &mut Report,
) -> BTreeSet<Subject> {
    if denied.is_empty() {
        return rule.who.iter().filter(|subject| **subject != Subject::PathUser).cloned().collect();
    }
    if denied.contains(&Subject::Authenticated) {
        return BTreeSet::new();
    }
    let members = |subject: &Subject| match subject {
        Subject::User(name) => Some(BTreeSet::from([name.clone()])),
        Subject::Group(group) => groups.get(group).cloned(),
        _ => None,
    };
    let refused: Option<Vec<_>> = denied.iter().map(members).collect();
    let mut left = BTreeSet::new();
    for subject in rule.who.iter().filter(|subject| !denied.contains(*subject)) {
        match (&refused, members(subject)) {
            (Some(refused), Some(granted))
                if granted.iter().all(|name| !refused.iter().any(|set| set.contains(name))) =>
            {
                left.insert(subject.clone());
            }
            (Some(refused), Some(granted)) => {
                let names = granted.into_iter().filter(|name| !refused.iter().any(|set| set.contains(name)));
                left.extend(names.map(Subject::User));
            }
            _ => {
                let message = format!(
                    "who of {subject} is refused before cannot be told here: nobody of them is granted this"
                );
                report.add(Weight::Narrower, &rule.place, message);
            }
        }
    }
    left
}

impl Pattern {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Prefix(prefix), Self::Prefix(name) | Self::Exact(name)) => {
                name.starts_with(prefix.as_str())
            }
            (Self::Exact(one), Self::Exact(two)) => one == two,
            (Self::Exact(_), Self::Prefix(_)) => false,
        }
    }

    fn glob(&self) -> String {
        match self {
            Self::Exact(name) => name.clone(),
            Self::Prefix(prefix) => format!("{prefix}**"),
        }
    }
}
