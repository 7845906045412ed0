//! An explanation for programs. Keys are only ever added.

use policy::access::Verdict;
use policy::explain::LevelReason;
use policy::identity::UserName;
use serde_json::{Value, json};

use super::branch::BranchReason;
use super::caller::{Caller, Source};
use super::{Answer, Outcome};
use crate::cli::origin::Written;

pub(super) fn answer(answer: &Answer<'_>) -> Value {
    let outcome = answer.outcome();
    let level = match answer.explanation.verdict {
        Verdict::Allow(permit) => Some(permit.level.as_str()),
        Verdict::Deny(_) => None,
    };
    json!({
        "verdict": if outcome == Outcome::Granted { "allowed" } else { "denied" },
        "reason": outcome.as_str(),
        "granted_at": level,
        "frozen_at": answer.explanation.frozen_by().map(|level| level.as_str()),
        "repository": answer.repo,
        "access": answer.access,
        "service": answer.service,
        "caller": caller(answer.caller),
        "levels": answer.explanation.levels.iter().map(|one| self::level(one, &answer.written)).collect::<Vec<_>>(),
        "branch": answer.branch.as_ref().map(|branch| self::branch(branch, &answer.written)),
    })
}

fn caller(caller: &Caller) -> Value {
    let (source, directory, place) = match &caller.source {
        Source::Nobody => ("anonymous", None, None),
        Source::Given => ("command-line", None, None),
        Source::Directory { name, place } => ("directory", Some(name), place.as_ref()),
        Source::Unknown => ("unknown", None, None),
    };
    let groups = caller.groups.iter().map(|(group, place)| json!({ "name": group, "at": place }));
    json!({
        "user": caller.identity.name().map(UserName::as_str),
        "source": source,
        "directory": directory,
        "at": place,
        "groups": groups.collect::<Vec<_>>(),
    })
}

fn level(level: &LevelReason<'_>, written: &Written) -> Value {
    let path = level.path.as_str();
    let grants = level.grants.iter().map(|grant| {
        let subject = grant.subject.to_string();
        json!({
            "access": grant.access,
            "effect": grant.effect.as_str(),
            "at": written.place(&["access", path, grant.access.as_str(), &subject]),
            "subject": subject,
        })
    });
    json!({
        "level": path,
        "at": written.place(&["access", path]),
        "user_stands_for": level.bound,
        "inherit": !level.cuts_off,
        "frozen": level.freezes,
        "cut_off": level.is_cut_off,
        "grants": grants.collect::<Vec<_>>(),
    })
}

fn branch(branch: &BranchReason<'_>, written: &Written) -> Value {
    let at = |level: &str, key: &str| written.place(&["branches", level, key]);
    let flow = branch.rules.flow.map(|(level, flow)| {
        json!({
            "level": level.as_str(),
            "at": at(level.as_str(), "flow"),
            "branches": flow.iter().map(|step| step.as_str()).collect::<Vec<_>>(),
            "enters_from": branch.rules.flow_source(branch.name).map(|source| source.as_str()),
        })
    });
    let protect = branch.rules.protect.map(|(level, _)| {
        let patterns = branch.governing.iter().map(|(pattern, rights)| {
            let rights = BranchReason::rights(rights).into_iter().map(|(word, who)| (word.to_owned(), json!(who)));
            let rights: serde_json::Map<_, _> = rights.collect();
            let place = written.place(&["branches", level.as_str(), "protect", pattern.as_str()]);
            json!({ "pattern": pattern.as_str(), "at": place, "rights": rights })
        });
        json!({ "level": level.as_str(), "at": at(level.as_str(), "protect"), "patterns": patterns.collect::<Vec<_>>() })
    });
    let changes = branch.changes.iter().map(|(word, verdict)| {
        let refusal = verdict.as_ref().err();
        ((*word).to_owned(), json!({ "allowed": refusal.is_none(), "refused_by": refusal }))
    });
    json!({
        "name": branch.name,
        "flow": flow,
        "protect": protect,
        "changes": changes.collect::<serde_json::Map<_, _>>(),
    })
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::UnknownUser => "unknown-user",
            Self::NoGrant => "no-grant",
            Self::Frozen => "frozen",
            Self::BranchRules => "branch-rules",
        }
    }
}
