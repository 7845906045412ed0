//! `Policy`: the whole of `policy.yaml`, read once and then only asked.

use serde::Deserialize;

use crate::access::{AccessRules, LevelAccess, Verdict};
use crate::branch::{BranchRules, LevelBranches, RepositoryRules};
use crate::document::{self, DocumentError, Version};
use crate::explain::Explanation;
use crate::git_request::Access;
use crate::identity::{GroupName, Identity};
use crate::level::LevelTree;
use crate::repo_path::RepoPath;

/// One policy: who may do what to which repository, and what may happen to its branches.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    #[serde(rename = "version")]
    _version: Version,
    access: AccessRules,
    #[serde(default = "BranchRules::none")]
    branches: BranchRules,
}

impl Policy {
    /// Reads `policy.yaml`; `name` appears in errors.
    ///
    /// # Errors
    /// When the document is not a policy; says where, and what to do.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, DocumentError> {
        document::parse(name, bytes, document::RULES_LIMIT)
    }

    /// May `identity` have `access` to `repo`?
    #[must_use]
    pub fn decide(&self, identity: &Identity, repo: &RepoPath, access: Access) -> Verdict<'_> {
        self.access.decide(identity, repo, access)
    }

    /// The verdict of [`Self::decide`] with its reasons.
    #[must_use]
    pub fn explain<'p>(&'p self, identity: &Identity, repo: &'p RepoPath, access: Access) -> Explanation<'p> {
        self.access.explain(identity, repo, access)
    }

    /// Whether callers without a name may read anything anywhere.
    #[must_use]
    pub fn shows_something_to_anybody(&self) -> bool {
        let anybody = |level: &&LevelAccess| level.grants(&Identity::Anonymous, Access::Read, None);
        self.access().levels().into_values().any(|level| anybody(&level))
    }

    /// Whether a rule of access names the group; a group none names cannot change a decision.
    #[must_use]
    pub fn names_group(&self, group: &GroupName) -> bool {
        self.access.names_group(group) || self.branches.names_group(group)
    }

    /// What each level grants and takes away.
    #[must_use]
    pub fn access(&self) -> &LevelTree<LevelAccess> {
        self.access.levels()
    }

    /// What each level says about branches.
    #[must_use]
    pub fn branches(&self) -> &LevelTree<LevelBranches> {
        self.branches.levels()
    }

    /// The rules for the branches of `repo`.
    #[must_use]
    pub fn branch_rules(&self, repo: &RepoPath) -> RepositoryRules<'_> {
        self.branches.for_repository(repo)
    }

    /// Whether any level has branch rules.
    #[must_use]
    pub fn has_branch_rules(&self) -> bool {
        !self.branches.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::tests::user;

    #[test]
    fn a_policy_has_access_rules_even_when_they_grant_nothing() {
        assert!(Policy::parse("policy.yaml", b"version: 1\n").is_err());
        let policy = Policy::parse("policy.yaml", b"version: 1\naccess: {}\n").unwrap();
        let repo = RepoPath::parse("a.git").unwrap();
        assert!(matches!(policy.decide(&user("joe", &[]), &repo, Access::Read), Verdict::Deny(_)));
        assert!(!policy.has_branch_rules());
    }

    #[test]
    fn a_policy_knows_whether_it_shows_something_to_anybody() {
        for (access, expected) in [
            ("{}", false),
            ("{ /: { read: [authenticated] } }", false),
            ("{ /: { read: [joe] }, public/: { read: [anonymous] } }", true),
            ("{ wiki.git: { write: [anonymous] } }", true),
        ] {
            let policy = Policy::parse("p", format!("version: 1\naccess: {access}\n").as_bytes()).unwrap();
            assert_eq!(policy.shows_something_to_anybody(), expected, "{access}");
        }
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        for (text, place, message) in [
            ("version: 1\naccess:\n  \"/\": { reed: [joe] }\n", (3, 10), "unknown key `reed`"),
            ("version: 1\naccess:\n  /team/: { read: [joe] }\n", (3, 3), "no leading slash"),
            ("version: 1\naccess:\n  team/: { read: [\"a b\"] }\n", (3, 19), "user name"),
            ("version: 1\naccess:\n  team/: { read: [\"\"] }\n", (3, 19), "user name"),
            ("version: 1\naccess:\n  team/: { read: null }\n", (3, 18), "no value"),
            ("version: 1\naccess:\n  team/:\n", (3, 9), "no value"),
            (
                "version: 1\naccess:\n  team/: {}\nbranches:\n  \"/\": { flow: [\"*\"] }\n",
                (5, 17),
                "whole name",
            ),
        ] {
            let error = Policy::parse("policy.yaml", text.as_bytes()).unwrap_err();
            let position = error.position.expect("has a position");
            assert_eq!((position.line, position.column), place, "{error}");
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn groups_named_anywhere_in_the_policy_are_known() {
        let text = "version: 1\naccess:\n  /: { read: ['@a'] }\nbranches:\n  /: { tags: { v*: { create: ['@b'] } } }\n";
        let policy = Policy::parse("policy.yaml", text.as_bytes()).unwrap();
        for (group, expected) in [("a", true), ("b", true), ("c", false)] {
            assert_eq!(policy.names_group(&GroupName::parse(group).unwrap()), expected);
        }
    }
}
