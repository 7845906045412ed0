//! What the branch rules say about one branch and one caller.

use policy::Policy;
use policy::branch::{RefRights, RepositoryRules};
use policy::glob::Glob;
use policy::identity::Identity;
use policy::push::{self, Change, Push, Repository};
use policy::repo_path::RepoPath;

/// The rules for a branch, and what they let the caller do.
pub(super) struct BranchReason<'a> {
    pub(super) name: &'a str,
    pub(super) rules: RepositoryRules<'a>,
    /// Every `protect` pattern that holds for the branch; all of them must allow a change.
    pub(super) governing: Vec<(&'a Glob, &'a RefRights)>,
    /// Each change, and the advice of the rule that refuses it.
    pub(super) changes: [(&'static str, Result<(), String>); 4],
}

impl<'a> BranchReason<'a> {
    pub(super) fn new(policy: &'a Policy, repo: &RepoPath, caller: &Identity, name: &'a str) -> Self {
        let rules = policy.branch_rules(repo);
        let before = Repository::default();
        let push = Push { updates: &[], pusher: caller, rules, repository: &before };
        let judge = |word, change| {
            let verdict = push.judge_branch(name, change);
            (word, verdict.map_err(|(rule, advice)| format!("{}: {advice}", rule.as_str())))
        };
        Self {
            name,
            rules,
            governing: rules.protect.map(|(_, rights)| push::governing(rights, name)).unwrap_or_default(),
            changes: [
                judge("create", Change::Create),
                judge("fast-forward", Change::FastForward),
                judge("force", Change::Force),
                judge("delete", Change::Delete),
            ],
        }
    }

    /// Whether an ordinary push to the branch passes; `flow` depends on what is pushed and is left out.
    pub(super) fn takes_pushes(&self) -> bool {
        self.changes[1].1.is_ok()
    }

    /// Who is named for what by one pattern.
    pub(super) fn rights(rights: &RefRights) -> [(&'static str, Vec<String>); 4] {
        let list = |subjects: &policy::subject::Subjects| subjects.iter().map(ToString::to_string).collect();
        [
            ("write", list(&rights.write)),
            ("create", list(rights.create.as_ref().unwrap_or(&rights.write))),
            ("force", list(&rights.force)),
            ("delete", list(&rights.delete)),
        ]
    }
}
