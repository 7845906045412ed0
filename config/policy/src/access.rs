//! Who may read and write which repository.
//!
//! Grants add up from `/` down to the repository, nobody has any by default, and write implies read. `inherit: false`
//! takes away what comes from above, `frozen: true` takes writing away from everybody below. Nothing here does I/O or logs:
//! a decision is a function of the rules, the caller, the repository and the access.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::explain::Explanation;
use crate::git_request::Access;
use crate::identity::{GroupName, Identity};
use crate::level::{LevelPath, LevelTree, Visit};
use crate::repo_path::RepoPath;
use crate::subject::{self, Subjects};

/// What one level grants and takes away.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LevelAccess {
    /// Who may read here and below.
    pub read: Subjects,
    /// Who may read and write here and below.
    pub write: Subjects,
    /// Nobody writes here or below, whatever is granted.
    pub frozen: bool,
    /// Whether grants from above hold here.
    pub inherit: bool,
}

/// The rules of access of a whole policy.
#[derive(Clone, Debug)]
pub struct AccessRules {
    levels: LevelTree<LevelAccess>,
    groups: Box<[GroupName]>,
}

/// The answer to "may this caller do this".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'r> {
    /// Yes, and why.
    Allow(Permit<'r>),
    /// No, and why.
    Deny(Denial<'r>),
}

/// The evidence that something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit<'r> {
    /// The nearest level that grants it.
    pub level: &'r LevelPath,
}

/// Why something is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial<'r> {
    /// No level grants it.
    NoGrant,
    /// It would be granted, but this level is frozen.
    Frozen(&'r LevelPath),
}

impl AccessRules {
    fn new(levels: BTreeMap<LevelPath, LevelAccess>) -> Self {
        let groups = subject::groups(levels.values().flat_map(|level| [&level.read, &level.write]));
        Self { levels: LevelTree::new(levels), groups }
    }

    /// The levels and what is written there.
    #[must_use]
    pub fn levels(&self) -> &LevelTree<LevelAccess> {
        &self.levels
    }

    /// Whether some rule names the group.
    #[must_use]
    pub fn names_group(&self, group: &GroupName) -> bool {
        self.groups.binary_search(group).is_ok()
    }

    /// Decides one request.
    #[must_use]
    pub fn decide(&self, identity: &Identity, repo: &RepoPath, access: Access) -> Verdict<'_> {
        let mut tally = Tally::default();
        self.levels.walk(repo, &mut |visit| {
            tally.take(&visit, visit.value.grants(identity, access, visit.bound));
        });
        tally.verdict(access)
    }

    /// Decides one request and says what every level above the repository has to do with it.
    #[must_use]
    pub fn explain<'p>(&'p self, identity: &Identity, repo: &'p RepoPath, access: Access) -> Explanation<'p> {
        let mut tally = Tally::default();
        let mut visits = Vec::new();
        self.levels.walk(repo, &mut |visit| {
            tally.take(&visit, visit.value.grants(identity, access, visit.bound));
            visits.push(visit);
        });
        Explanation::new(identity, access, tally.verdict(access), visits)
    }
}

/// What the levels above one repository add up to, in whatever order they are visited.
#[derive(Default)]
struct Tally<'r> {
    /// The nearest level that grants, with its rank.
    grant: Option<(usize, &'r LevelPath)>,
    /// Levels of a smaller rank do not count.
    cut_off: usize,
    frozen: Option<&'r LevelPath>,
}

impl<'r> Tally<'r> {
    fn take(&mut self, visit: &Visit<'r, '_, LevelAccess>, grants: bool) {
        let Visit { path, value, rank, .. } = *visit;
        if grants && self.grant.is_none_or(|(nearest, _)| rank > nearest) {
            self.grant = Some((rank, path));
        }
        if !value.inherit {
            self.cut_off = self.cut_off.max(rank);
        }
        if value.frozen {
            self.frozen = Some(path);
        }
    }

    fn verdict(&self, access: Access) -> Verdict<'r> {
        match (self.grant, self.frozen) {
            (Some((rank, _)), _) if rank < self.cut_off => Verdict::Deny(Denial::NoGrant),
            (None, _) => Verdict::Deny(Denial::NoGrant),
            (Some(_), Some(level)) if access == Access::Write => Verdict::Deny(Denial::Frozen(level)),
            (Some((_, level)), _) => Verdict::Allow(Permit { level }),
        }
    }
}

impl LevelAccess {
    pub(crate) fn grants(&self, identity: &Identity, access: Access, bound: Option<&str>) -> bool {
        match access {
            Access::Read => self.read.include(identity, bound) || self.write.include(identity, bound),
            Access::Write => self.write.include(identity, bound),
        }
    }
}

impl Default for LevelAccess {
    fn default() -> Self {
        Self { read: Subjects::default(), write: Subjects::default(), frozen: false, inherit: true }
    }
}

impl<'de> Deserialize<'de> for AccessRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RulesVisitor)
    }
}

struct RulesVisitor;

impl<'de> Visitor<'de> for RulesVisitor {
    type Value = AccessRules;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<AccessRules, A::Error> {
        let mut levels = BTreeMap::new();
        while let Some(path) = entries.next_key::<LevelPath>()? {
            let level = entries.next_value_seed(AtLevel(&path))?;
            levels.insert(path, level);
        }
        Ok(AccessRules::new(levels))
    }
}

/// What is written at a level, which decides what `{user}` stands for. Raised in here, an error has the level's place.
struct AtLevel<'p>(&'p LevelPath);

impl<'de> DeserializeSeed<'de> for AtLevel<'_> {
    type Value = LevelAccess;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<LevelAccess, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AtLevel<'_> {
    type Value = LevelAccess;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<LevelAccess, A::Error> {
        let level = LevelAccess::deserialize(MapAccessDeserializer::new(entries))?;
        if !self.0.has_user() && (level.read.has_path_user() || level.write.has_path_user()) {
            return Err(de::Error::custom(
                "`{user}` stands for nothing here: the level has no {user} in its path",
            ));
        }
        Ok(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::tests::user;

    /// The access section of the design, with each mechanism once.
    const SAMPLE: &str = r#"
"/":             { read: ["@staff"] }
"team/":         { read: ["@developers"], write: [joe] }
"team/test.git": { write: [james, "@developers"] }
"public/":       { read: [anonymous] }
"known/":        { read: [authenticated] }
"home/{user}/":  { write: ["{user}"] }
"home/root/":    { inherit: false, read: [joe] }
"old/":          { frozen: true, write: [joe] }
"old/new/":      { inherit: false, write: [joe] }
"secret/":       { inherit: false, read: ["@security"] }
"secret/team/":  { write: [joe] }
"#;

    fn rules() -> AccessRules {
        serde_yaml::from_str(SAMPLE).unwrap()
    }

    fn allowed(identity: &Identity, repo: &str) -> &'static str {
        let repo = RepoPath::parse(repo).unwrap();
        let rules = rules();
        let may = |access| matches!(rules.decide(identity, &repo, access), Verdict::Allow(_));
        match (may(Access::Read), may(Access::Write)) {
            (true, true) => "write",
            (true, false) => "read",
            (false, false) => "none",
            (false, true) => unreachable!("write implies read"),
        }
    }

    #[test]
    fn grants_add_up_from_the_root_down() {
        let joe = user("joe", &[]);
        let ann = user("ann", &["developers"]);
        let eve = user("eve", &["staff"]);
        let kim = user("kim", &[]);
        for (identity, repo, expected) in [
            (&joe, "team/a.git", "write"),
            (&joe, "team/test.git", "write"),
            (&joe, "other.git", "none"),
            (&ann, "team/a.git", "read"),
            (&ann, "team/test.git", "write"),
            (&ann, "team/sub/test.git", "read"),
            (&eve, "anything/at/all.git", "read"),
            (&eve, "team/test.git", "read"),
            (&kim, "team/test.git", "none"),
            (&Identity::Anonymous, "team/test.git", "none"),
        ] {
            assert_eq!(allowed(identity, repo), expected, "{:?} on {repo}", identity.name());
        }
    }

    #[test]
    fn anonymous_means_everyone_and_authenticated_everyone_known() {
        let kim = user("kim", &[]);
        assert_eq!(allowed(&Identity::Anonymous, "public/a.git"), "read");
        assert_eq!(allowed(&kim, "public/a.git"), "read");
        assert_eq!(allowed(&Identity::Anonymous, "known/a.git"), "none");
        assert_eq!(allowed(&kim, "known/a.git"), "read");
    }

    #[test]
    fn everyone_has_their_own_corner_and_nobody_elses() {
        let kim = user("kim", &[]);
        assert_eq!(allowed(&kim, "home/kim/a.git"), "write");
        assert_eq!(allowed(&kim, "home/kim/deep/a.git"), "write");
        assert_eq!(allowed(&kim, "home/joe/a.git"), "none");
        assert_eq!(allowed(&kim, "home/kim.git"), "none");
    }

    #[test]
    fn inherit_false_cuts_off_what_comes_from_above_and_keeps_what_comes_from_below() {
        assert_eq!(allowed(&user("eve", &["staff"]), "secret/a.git"), "none");
        assert_eq!(allowed(&user("sec", &["security"]), "secret/a.git"), "read");
        assert_eq!(allowed(&user("joe", &[]), "secret/team/a.git"), "write");
        assert_eq!(allowed(&user("joe", &[]), "secret/a.git"), "none");
    }

    #[test]
    fn a_plain_level_can_cut_off_the_pattern_beside_it() {
        assert_eq!(allowed(&user("root", &[]), "home/root/a.git"), "none");
        assert_eq!(allowed(&user("joe", &[]), "home/root/a.git"), "read");
    }

    #[test]
    fn nobody_writes_below_a_frozen_level_whatever_is_granted() {
        let joe = user("joe", &[]);
        assert_eq!(allowed(&joe, "old/a.git"), "read");
        assert_eq!(allowed(&joe, "old/new/a.git"), "read");
        let repo = RepoPath::parse("old/a.git").unwrap();
        let rules = rules();
        assert!(
            matches!(rules.decide(&joe, &repo, Access::Write), Verdict::Deny(Denial::Frozen(level)) if level.as_str() == "old/")
        );
        let kim = user("kim", &[]);
        assert_eq!(rules.decide(&kim, &repo, Access::Write), Verdict::Deny(Denial::NoGrant));
    }

    #[test]
    fn the_permit_names_the_nearest_level_that_grants() {
        let repo = RepoPath::parse("team/test.git").unwrap();
        let rules = rules();
        let both = user("both", &["staff", "developers"]);
        let Verdict::Allow(permit) = rules.decide(&both, &repo, Access::Read) else { panic!("denied") };
        assert_eq!(permit.level.as_str(), "team/test.git");
    }

    #[test]
    fn the_path_user_needs_a_user_in_the_path() {
        let error = serde_yaml::from_str::<AccessRules>("\"home/\": { read: [\"{user}\"] }").unwrap_err();
        assert!(error.to_string().contains("stands for nothing here"), "{error}");
    }

    #[test]
    fn an_empty_policy_grants_nothing() {
        let rules: AccessRules = serde_yaml::from_str("{}").unwrap();
        let repo = RepoPath::parse("a.git").unwrap();
        assert_eq!(
            rules.decide(&user("joe", &["staff"]), &repo, Access::Read),
            Verdict::Deny(Denial::NoGrant)
        );
    }
}
