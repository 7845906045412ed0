//! An explanation for people: the verdict first, then a small tree of everything it rests on.

use policy::access::{Denial, Verdict};
use policy::explain::{Effect, Grant, LevelReason};
use policy::git_request::{Access, Service};

use super::branch::BranchReason;
use super::caller::Source;
use super::{Answer, Outcome};

/// How many grants for other people are shown of one level.
const SHOWN_OTHERS: usize = 6;

pub(super) fn answer(answer: &Answer<'_>) -> String {
    let mut text = headline(answer) + &caller(answer) + "access\n";
    let levels = answer.explanation.levels.iter().map(|one| level(answer, one));
    text += &tree(levels.collect(), "no level of the policy lies above this repository");
    if let Some(one) = &answer.branch {
        text += &format!("branch {}\n", one.name);
        text += &tree(branch(answer, one), "no rules");
    }
    text
}

/// A line, and the lines below it.
struct Leaf {
    line: String,
    below: Vec<String>,
}

impl Leaf {
    fn new(line: impl Into<String>) -> Self {
        Self { line: line.into(), below: Vec::new() }
    }
}

fn tree(leaves: Vec<Leaf>, nothing: &str) -> String {
    if leaves.is_empty() {
        return format!("└─ {nothing}\n");
    }
    let last = leaves.len() - 1;
    let mut text = String::new();
    for (index, leaf) in leaves.iter().enumerate() {
        let (corner, trunk) = if index == last { ("└─", "  ") } else { ("├─", "│ ") };
        text += &format!("{corner} {}\n", leaf.line);
        for line in &leaf.below {
            text += format!("{trunk}    {line}").trim_end();
            text += "\n";
        }
    }
    text
}

fn headline(answer: &Answer<'_>) -> String {
    let (name, access, repo) = (answer.caller.name(), answer.access, answer.repo);
    let why = match (answer.outcome(), answer.explanation.verdict) {
        (Outcome::Granted, Verdict::Allow(permit)) => format!("granted at {}", permit.level),
        (Outcome::UnknownUser, _) => "no directory knows this user: a login is answered 401".to_owned(),
        (Outcome::Frozen, Verdict::Deny(Denial::Frozen(level))) => {
            format!("{level} is frozen: nobody writes there or below")
        }
        (Outcome::BranchRules, _) => {
            "the repository may be written, but the branch rules refuse this branch".to_owned()
        }
        _ => "nothing that is written for this repository grants it".to_owned(),
    };
    let verdict = if answer.outcome() == Outcome::Granted { "ALLOWED " } else { "DENIED  " };
    let service = match answer.service {
        Some(Service::Dumb) => "\n         a file of the dumb protocol: served only where backend-runner.yaml has `dumb_http: true`".to_owned(),
        Some(service) => format!("\n         the request is {service}"),
        None => String::new(),
    };
    format!("{verdict} {name}: {access} {repo}\n         {why}{service}\n")
}

fn caller(answer: &Answer<'_>) -> String {
    let who = match &answer.caller.source {
        Source::Nobody => "anonymous: no credentials are sent".to_owned(),
        Source::Given => format!("{}, with the groups of the command line", answer.caller.name()),
        Source::Directory { name, place } => {
            format!("{}, known to directory `{name}`{}", answer.caller.name(), bracketed(place.as_deref()))
        }
        Source::Unknown => {
            format!("{}, unknown; --group GROUP shows what a user in that group may do", answer.caller.name())
        }
    };
    let groups = answer
        .caller
        .groups
        .iter()
        .map(|(group, place)| Leaf::new(format!("in @{group}{}", bracketed(place.as_deref()))));
    let groups: Vec<_> = groups.collect();
    let tree = if groups.is_empty() { String::new() } else { tree(groups, "") };
    format!("caller   {who}\n{tree}")
}

fn level(answer: &Answer<'_>, level: &LevelReason<'_>) -> Leaf {
    let path = level.path.as_str();
    let place = answer.written.place(&["access", path]);
    let bound = level.bound.map(|name| format!(", {{user}} is {name}")).unwrap_or_default();
    let mut leaf = Leaf::new(format!("{path}{bound}{}", bracketed(place.as_deref())));
    if level.is_cut_off {
        leaf.below.push("cut off: a nearer level has `inherit: false`".to_owned());
    }
    if level.cuts_off {
        leaf.below.push("inherit: false, nothing from above counts".to_owned());
    }
    if level.freezes {
        leaf.below.push("frozen: nobody writes here or below".to_owned());
    }
    let is_other = |grant: &&Grant<'_>| grant.effect == Effect::OtherCaller;
    let others = level.grants.iter().filter(is_other).count();
    let shown = level.grants.iter().filter(|grant| !is_other(grant) || others <= SHOWN_OTHERS);
    leaf.below.extend(shown.map(|one| grant(answer, path, one)));
    if others > SHOWN_OTHERS {
        leaf.below.push(format!("  {others} entries for somebody else"));
    }
    if leaf.below.is_empty() {
        leaf.below.push("  grants nothing".to_owned());
    }
    leaf
}

fn grant(answer: &Answer<'_>, level: &str, grant: &Grant<'_>) -> String {
    let subject = grant.subject.to_string();
    let place = answer.written.place(&["access", level, grant.access.as_str(), &subject]).unwrap_or_default();
    let frozen = answer.access == Access::Write && answer.explanation.frozen_by().is_some();
    let (mark, words) = match grant.effect {
        Effect::Counts if frozen => (' ', "frozen"),
        Effect::Counts => ('✓', "counts"),
        Effect::OtherCaller => (' ', "somebody else"),
        Effect::OnlyRead => (' ', "reading only"),
        Effect::CutOff => ('✗', "cut off"),
    };
    format!("{mark} {:<5} {subject:<16} {words:<16} {place}", grant.access.as_str())
}

fn branch(answer: &Answer<'_>, branch: &BranchReason<'_>) -> Vec<Leaf> {
    let place =
        |level: &str, key: &str| bracketed(answer.written.place(&["branches", level, key]).as_deref());
    let mut leaves = Vec::new();
    if let Some((level, flow)) = branch.rules.flow {
        let steps: Vec<_> = flow.iter().map(|step| step.as_str()).collect();
        let mut leaf =
            Leaf::new(format!("flow at {level}{}: {}", place(level.as_str(), "flow"), steps.join(" → ")));
        leaf.below.push(match branch.rules.flow_source(branch.name) {
            Some(source) => {
                format!("a revision enters {} only when it is in {} already", branch.name, source.as_str())
            }
            None => format!("does not hold {} back", branch.name),
        });
        leaves.push(leaf);
    }
    if let Some((level, _)) = branch.rules.protect {
        let mut leaf = Leaf::new(format!("protect at {level}{}", place(level.as_str(), "protect")));
        for (pattern, rights) in &branch.governing {
            let place = answer.written.place(&["branches", level.as_str(), "protect", pattern.as_str()]);
            leaf.below.push(format!("{pattern}{}", bracketed(place.as_deref())));
            let who = |who: Vec<String>| if who.is_empty() { "nobody".to_owned() } else { who.join(", ") };
            let rights = BranchReason::rights(rights).into_iter();
            leaf.below.extend(rights.map(|(word, named)| format!("  {word:<7} {}", who(named))));
        }
        if branch.governing.is_empty() {
            leaf.below
                .push(format!("no pattern matches {}: whoever may write may do anything to it", branch.name));
        }
        leaves.push(leaf);
    }
    let mut may = Leaf::new(format!("what {} may do to it, given write access", answer.caller.name()));
    may.below.extend(branch.changes.iter().map(|(word, verdict)| match verdict {
        Ok(()) => format!("✓ {word}"),
        Err(refusal) => format!("✗ {word:<13} {refusal}"),
    }));
    leaves.push(may);
    leaves
}

fn bracketed(place: Option<&str>) -> String {
    place.map(|place| format!(" ({place})")).unwrap_or_default()
}
