//! What a policy says about branches and tags: the types, and which rules hold for a repository.
//!
//! Each key (`flow`, `protect`, `tags`, `namespaces`) is inherited on its own: the nearest level that names it wins, whole;
//! `off` switches it off. Judging a push by these rules is the hook's job.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use crate::content::{EmailPattern, MessagePattern, PathPattern};
use crate::document;
use crate::glob::Glob;
use crate::identity::GroupName;
use crate::level::{LevelPath, LevelTree, Visit};
use crate::repo_path::RepoPath;
use crate::setting::Setting;
use crate::subject::{self, Subjects};
use crate::units::ByteSize;

/// What one level says about branches; a key that is absent says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LevelBranches {
    /// Branches in order: a revision enters one only if it is in the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<Setting<Vec<BranchName>>>,
    /// Who may do what to branches that match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protect: Option<Setting<BTreeMap<Glob, RefRights>>>,
    /// Who may do what to tags that match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Setting<BTreeMap<Glob, RefRights>>>,
    /// Prefixes besides `refs/heads/` and `refs/tags/` that may be pushed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Setting<Vec<Namespace>>>,
    /// The largest file a push may bring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_blob: Option<Setting<ByteSize>>,
    /// Files a push may not bring or change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forbidden_paths: Option<Setting<Vec<PathPattern>>>,
    /// Whose commits a push may bring, by the author's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_email: Option<Setting<Vec<EmailPattern>>>,
    /// What every new commit's message must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Setting<MessagePattern>>,
    /// The `allowed_signers` file (see ssh-keygen(1)) that every new commit must be signed by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<Setting<PathBuf>>,
    /// Who may set all these rules aside for one push, with a reason, by `-o gitward.override=<reason>`.
    #[serde(rename = "override")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency: Option<Setting<Subjects>>,
}

/// Who may do what to the refs one pattern matches; whoever is not named may not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefRights {
    /// Fast-forward.
    pub write: Subjects,
    /// Create; where this is absent, those who may write may create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create: Option<Subjects>,
    /// Update without being a fast-forward.
    pub force: Subjects,
    /// Delete.
    pub delete: Subjects,
}

/// A branch by its name below `refs/heads/`, without wildcards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct BranchName(Box<str>);

/// A prefix of ref names, such as `refs/notes/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Namespace(Box<str>);

/// The branch rules of a whole policy.
#[derive(Clone, Debug)]
pub struct BranchRules {
    levels: LevelTree<LevelBranches>,
    groups: Box<[GroupName]>,
    is_empty: bool,
}

/// A rule that holds, with the level it comes from.
pub type Sourced<'p, T> = Option<(&'p LevelPath, &'p T)>;

/// The rules that hold for one repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepositoryRules<'p> {
    /// See [`LevelBranches::flow`].
    pub flow: Sourced<'p, Vec<BranchName>>,
    /// See [`LevelBranches::protect`].
    pub protect: Sourced<'p, BTreeMap<Glob, RefRights>>,
    /// See [`LevelBranches::tags`].
    pub tags: Sourced<'p, BTreeMap<Glob, RefRights>>,
    /// See [`LevelBranches::namespaces`].
    pub namespaces: Sourced<'p, Vec<Namespace>>,
    /// See [`LevelBranches::max_blob`].
    pub max_blob: Sourced<'p, ByteSize>,
    /// See [`LevelBranches::forbidden_paths`].
    pub forbidden_paths: Sourced<'p, Vec<PathPattern>>,
    /// See [`LevelBranches::author_email`].
    pub author_email: Sourced<'p, Vec<EmailPattern>>,
    /// See [`LevelBranches::message`].
    pub message: Sourced<'p, MessagePattern>,
    /// See [`LevelBranches::signed_by`].
    pub signed_by: Sourced<'p, PathBuf>,
    /// See [`LevelBranches::emergency`].
    pub emergency: Sourced<'p, Subjects>,
}

impl BranchRules {
    /// No rules.
    #[must_use]
    pub fn none() -> Self {
        Self::new(BTreeMap::new())
    }

    fn new(levels: BTreeMap<LevelPath, LevelBranches>) -> Self {
        let groups = subject::groups(levels.values().flat_map(LevelBranches::subjects));
        Self { is_empty: levels.is_empty(), levels: LevelTree::new(levels), groups }
    }

    /// Rules that hold for every repository: what a hook makes of [`RepositoryRules::to_level`].
    #[must_use]
    pub fn of_level(rules: LevelBranches) -> Self {
        Self::new(BTreeMap::from([(LevelPath::root(), rules)]))
    }

    /// The levels and what is written there.
    #[must_use]
    pub fn levels(&self) -> &LevelTree<LevelBranches> {
        &self.levels
    }

    /// Whether some rule names the group.
    #[must_use]
    pub fn names_group(&self, group: &GroupName) -> bool {
        self.groups.binary_search(group).is_ok()
    }

    /// Whether no level says anything about branches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The rules for one repository.
    #[must_use]
    pub fn for_repository(&self, repo: &RepoPath) -> RepositoryRules<'_> {
        let mut visits = Vec::new();
        self.levels.walk(repo, &mut |Visit { path, value, rank, .. }| visits.push((rank, path, value)));
        visits.sort_by_key(|(rank, ..)| *rank);
        RepositoryRules {
            flow: nearest(&visits, |level| level.flow.as_ref()),
            protect: nearest(&visits, |level| level.protect.as_ref()),
            tags: nearest(&visits, |level| level.tags.as_ref()),
            namespaces: nearest(&visits, |level| level.namespaces.as_ref()),
            max_blob: nearest(&visits, |level| level.max_blob.as_ref()),
            forbidden_paths: nearest(&visits, |level| level.forbidden_paths.as_ref()),
            author_email: nearest(&visits, |level| level.author_email.as_ref()),
            message: nearest(&visits, |level| level.message.as_ref()),
            signed_by: nearest(&visits, |level| level.signed_by.as_ref()),
            emergency: nearest(&visits, |level| level.emergency.as_ref()),
        }
    }
}

impl RepositoryRules<'_> {
    /// Whether the rules cover every branch, and this right on it is nobody's.
    pub fn all_branches_deny(&self, right: impl Fn(&RefRights) -> &Subjects) -> bool {
        self.protect.is_some_and(|(_, protect)| {
            protect.keys().any(|pattern| pattern.as_str() == "**")
                && protect.values().all(|rights| right(rights).iter().next().is_none())
        })
    }

    /// The same rules as those of one level: what a hook is handed.
    #[must_use]
    pub fn to_level(&self) -> LevelBranches {
        LevelBranches {
            flow: on(self.flow),
            protect: on(self.protect),
            tags: on(self.tags),
            namespaces: on(self.namespaces),
            max_blob: on(self.max_blob),
            forbidden_paths: on(self.forbidden_paths),
            author_email: on(self.author_email),
            message: on(self.message),
            signed_by: on(self.signed_by),
            emergency: on(self.emergency),
        }
    }
}

fn on<T: Clone>(rule: Sourced<'_, T>) -> Option<Setting<T>> {
    rule.map(|(_, value)| Setting::On(value.clone()))
}

impl<'p> RepositoryRules<'p> {
    /// The branch whose revisions alone may enter this one.
    #[must_use]
    pub fn flow_source(&self, branch: &str) -> Option<&'p BranchName> {
        let (_, flow) = self.flow?;
        let at = flow.iter().position(|step| step.as_str() == branch)?;
        flow.get(at.checked_sub(1)?)
    }
}

/// The setting of the last level that has one, unless that is `off`.
fn nearest<'p, T>(
    visits: &[(usize, &'p LevelPath, &'p LevelBranches)],
    key: impl Fn(&'p LevelBranches) -> Option<&'p Setting<T>>,
) -> Sourced<'p, T> {
    let (path, setting) = visits.iter().rev().find_map(|(_, path, level)| Some((*path, key(level)?)))?;
    match setting {
        Setting::Off => None,
        Setting::On(value) => Some((path, value)),
    }
}

impl LevelBranches {
    fn subjects(&self) -> impl Iterator<Item = &Subjects> {
        let rights = [&self.protect, &self.tags].into_iter().flatten().filter_map(Setting::value);
        let subjects = rights.flat_map(BTreeMap::values).flat_map(RefRights::subjects);
        subjects.chain(self.emergency.iter().filter_map(Setting::value))
    }
}

impl RefRights {
    fn subjects(&self) -> impl Iterator<Item = &Subjects> {
        [&self.write, &self.force, &self.delete].into_iter().chain(&self.create)
    }
}

impl BranchName {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match Glob::parse(text) {
            Ok(glob) if glob.is_literal() && !text.starts_with("refs/") => Ok(Self(text.into())),
            _ => Err("a branch here is a whole name such as master, without refs/heads/ and without *"),
        }
    }

    /// The name below `refs/heads/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Namespace {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let name = text.strip_prefix("refs/").and_then(|rest| rest.strip_suffix('/'));
        let plain = name.is_some_and(|name| Glob::parse(name).is_ok_and(|glob| glob.is_literal()));
        match text {
            "refs/replace/" => Err("replace refs rewrite history for everyone and are never accepted"),
            _ if text.starts_with("refs/namespaces/") => {
                Err("the refs of aliases are pushed to under the URLs of these aliases")
            }
            _ if plain => Ok(Self(text.into())),
            _ => Err("a namespace is a prefix such as refs/notes/"),
        }
    }

    /// The prefix, from `refs/` to the last slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for BranchRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::new)
    }
}

impl<'de> Deserialize<'de> for BranchName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::tests::user;

    const SAMPLE: &str = r#"
"/":
  flow: [dev, test, master]
  protect:
    master:       { write: [sydney, "@managers"] }
    "release/**": { write: ["@release"], force: ["@admins"], delete: ["@admins"], create: ["@release"] }
  tags:
    "v*": { create: ["@release"] }
  namespaces: [refs/notes/]
"team/test.git":
  flow: [dev, test, stage, master]
"free/": { flow: off, protect: off }
"strict/":
  max_blob: 10MiB
  forbidden_paths: ["**/*.exe"]
  author_email: ["{email}", "*@example.org"]
  message: "^[A-Z]+-[0-9]+: "
  signed_by: /etc/gitward/allowed_signers
  override: ["@admins"]
"#;

    fn names(rules: &RepositoryRules<'_>) -> Vec<String> {
        rules
            .flow
            .map(|(_, flow)| flow.iter().map(|name| name.as_str().to_owned()).collect())
            .unwrap_or_default()
    }

    #[test]
    fn the_nearest_level_that_names_a_key_wins_whole_and_off_switches_it_off() {
        let rules: BranchRules = serde_yaml::from_str(SAMPLE).unwrap();
        let at = |repo: &str| rules.for_repository(&RepoPath::parse(repo).unwrap());
        assert_eq!(names(&at("a.git")), ["dev", "test", "master"]);
        assert_eq!(names(&at("team/test.git")), ["dev", "test", "stage", "master"]);
        assert_eq!(at("team/test.git").protect.unwrap().0.as_str(), "/");
        assert!(at("free/a.git").flow.is_none() && at("free/a.git").protect.is_none());
        assert!(at("free/a.git").tags.is_some());
    }

    #[test]
    fn rights_on_refs_name_whom_they_are_for() {
        let rules: BranchRules = serde_yaml::from_str(SAMPLE).unwrap();
        let repo = RepoPath::parse("a.git").unwrap();
        let (_, protect) = rules.for_repository(&repo).protect.unwrap();
        let release = &protect[&Glob::parse("release/**").unwrap()];
        assert!(release.force.include(&user("root", &["admins"]), None));
        assert!(!release.force.include(&user("rel", &["release"]), None));
    }

    #[test]
    fn the_rules_of_a_repository_survive_the_way_to_a_hook() {
        let rules: BranchRules = serde_yaml::from_str(SAMPLE).unwrap();
        for repo in ["a.git", "free/a.git", "strict/a.git", "team/test.git"] {
            let repo = RepoPath::parse(repo).unwrap();
            let level = rules.for_repository(&repo).to_level();
            let json = serde_json::to_string(&level).unwrap();
            let read: LevelBranches = serde_json::from_str(&json).unwrap();
            assert_eq!(read, level);
            assert_eq!(BranchRules::of_level(read).for_repository(&repo).to_level(), level);
        }
    }

    #[test]
    fn a_right_that_is_nobodys_on_any_branch_is_known() {
        for (protect, force, delete) in [
            ("{ '**': { write: [joe] } }", true, true),
            ("{ '**': { write: [joe] }, x: { force: [joe] } }", false, true),
            ("{ '*': {} }", false, false),
        ] {
            let text = format!("\"/\": {{ protect: {protect} }}");
            let rules: BranchRules = serde_yaml::from_str(&text).unwrap();
            let rules = rules.for_repository(&RepoPath::parse("a.git").unwrap());
            assert_eq!(rules.all_branches_deny(|rights| &rights.force), force, "{protect}");
            assert_eq!(rules.all_branches_deny(|rights| &rights.delete), delete, "{protect}");
        }
    }

    #[test]
    fn a_single_value_can_be_switched_off_like_any_other() {
        let rules: BranchRules =
            serde_yaml::from_str("\"/\": { max_blob: 1MiB }\n\"big/\": { max_blob: off }\n").unwrap();
        let limit = |repo: &str| {
            rules.for_repository(&RepoPath::parse(repo).unwrap()).max_blob.map(|(_, size)| size.bytes())
        };
        assert_eq!(limit("a.git"), Some(1 << 20));
        assert_eq!(limit("big/a.git"), None);
    }

    #[test]
    fn what_no_branch_tag_or_namespace_can_be_is_refused() {
        for text in [
            "\"/\": { flow: [refs/heads/dev] }",
            "\"/\": { flow: [\"v*\"] }",
            "\"/\": { flow: on }",
            "\"/\": { flow: dev }",
            "\"/\": { protect: { \"a b\": {} } }",
            "\"/\": { protect: { a: { push: [joe] } } }",
            "\"/\": { namespaces: [refs/replace/] }",
            "\"/\": { namespaces: [refs/namespaces/] }",
            "\"/\": { namespaces: [refs/namespaces/site/] }",
            "\"/\": { namespaces: [heads] }",
            "\"/\": { branch: [] }",
            "\"/\": { max_blob: 10 }",
            "\"/\": { message: \"(\" }",
        ] {
            assert!(serde_yaml::from_str::<BranchRules>(text).is_err(), "{text}");
        }
    }
}
