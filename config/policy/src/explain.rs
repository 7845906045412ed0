//! Why a verdict is what it is: every level above a repository, and what each grant there has to do with the caller.
//!
//! The verdict comes from the same tally that decides requests; what is added here is only words about it, and a property
//! test holds the two together. Where a rule is written in the file is not known here.

use crate::access::{LevelAccess, Verdict};
use crate::git_request::Access;
use crate::identity::Identity;
use crate::level::{LevelPath, Visit};
use crate::subject::{Subject, Subjects};

/// A verdict and its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation<'r> {
    /// What was decided.
    pub verdict: Verdict<'r>,
    /// The levels that lie above the repository, from the root down.
    pub levels: Vec<LevelReason<'r>>,
}

/// One level's part in a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelReason<'r> {
    /// The level.
    pub path: &'r LevelPath,
    /// The name that `{user}` stands for here.
    pub bound: Option<&'r str>,
    /// It cuts off what comes from above.
    pub cuts_off: bool,
    /// A nearer level cuts it off.
    pub is_cut_off: bool,
    /// It freezes everything below.
    pub freezes: bool,
    /// Everything that is granted here, reading first.
    pub grants: Vec<Grant<'r>>,
}

/// One entry of a `read` or `write` list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant<'r> {
    /// The list it is in.
    pub access: Access,
    /// Whom it is for.
    pub subject: &'r Subject,
    /// What it does for the access that is asked about.
    pub effect: Effect,
}

/// What one grant does for one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It gives the access, unless a level is frozen.
    Counts,
    /// It is for somebody else.
    OtherCaller,
    /// It is for the caller, but reading is not enough.
    OnlyRead,
    /// It would give the access, but a nearer level has `inherit: false`.
    CutOff,
}

/// Somebody who is given an access to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grantee<'r> {
    /// Who.
    pub subject: &'r Subject,
    /// Where it is written.
    pub level: &'r LevelPath,
    /// The list it is written in.
    pub access: Access,
    /// The name that `{user}` stands for there.
    pub bound: Option<&'r str>,
}

impl Effect {
    /// `counts`, `other-caller`, `only-read` or `cut-off`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::OtherCaller => "other-caller",
            Self::OnlyRead => "only-read",
            Self::CutOff => "cut-off",
        }
    }
}

impl<'r> Explanation<'r> {
    pub(crate) fn new(
        identity: &Identity,
        access: Access,
        verdict: Verdict<'r>,
        mut visits: Vec<Visit<'r, 'r, LevelAccess>>,
    ) -> Self {
        visits.sort_by_key(|visit| visit.rank);
        let cuts = visits.iter().filter(|visit| !visit.value.inherit);
        let nearest_cut = cuts.map(|visit| visit.rank).max().unwrap_or(0);
        let reason = |visit| LevelReason::new(visit, visit.rank < nearest_cut, identity, access);
        let levels = visits.iter().map(reason).collect();
        Self { verdict, levels }
    }

    /// The grants that count, nearest level last.
    pub fn counting(&self) -> impl Iterator<Item = (&LevelReason<'r>, &Grant<'r>)> {
        self.levels.iter().flat_map(|level| {
            let counts = level.grants.iter().filter(|grant| grant.effect == Effect::Counts);
            counts.map(move |grant| (level, grant))
        })
    }

    /// The nearest level that is frozen.
    #[must_use]
    pub fn frozen_by(&self) -> Option<&'r LevelPath> {
        self.levels.iter().rev().find(|level| level.freezes).map(|level| level.path)
    }

    /// Everybody who is given `access` here, whoever asks; nobody where writing is frozen.
    #[must_use]
    pub fn grantees(&self, access: Access) -> Vec<Grantee<'r>> {
        if access == Access::Write && self.frozen_by().is_some() {
            return Vec::new();
        }
        let levels = self.levels.iter().filter(|level| !level.is_cut_off);
        let grants = levels.flat_map(|level| level.grants.iter().map(move |grant| (level, grant)));
        grants
            .filter(|(_, grant)| grant.access == Access::Write || access == Access::Read)
            .map(|(level, grant)| Grantee {
                subject: grant.subject,
                level: level.path,
                access: grant.access,
                bound: level.bound,
            })
            .collect()
    }
}

impl<'r> LevelReason<'r> {
    fn new(
        visit: &Visit<'r, 'r, LevelAccess>,
        is_cut_off: bool,
        identity: &Identity,
        access: Access,
    ) -> Self {
        let Visit { path, value, bound, .. } = *visit;
        let effect = |list: Access, subject: &Subject| match subject.means(identity, bound) {
            false => Effect::OtherCaller,
            true if list == Access::Read && access == Access::Write => Effect::OnlyRead,
            true if is_cut_off => Effect::CutOff,
            true => Effect::Counts,
        };
        let grants = |list: Access, subjects: &'r Subjects| {
            let grant = move |subject| Grant { access: list, subject, effect: effect(list, subject) };
            subjects.iter().map(grant)
        };
        Self {
            path,
            bound,
            cuts_off: !value.inherit,
            is_cut_off,
            freezes: value.frozen,
            grants: grants(Access::Read, &value.read).chain(grants(Access::Write, &value.write)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;
    use crate::repo_path::RepoPath;
    use crate::subject::tests::user;
    use proptest::prelude::*;

    const POLICY: &str = r#"
version: 1
access:
  "/": { read: ["@staff"], write: [joe] }
  "team/": { inherit: false, read: [ann], write: ["@dev"] }
  "team/{user}/": { write: ["{user}"] }
  "old/": { frozen: true }
"#;

    fn effects(who: &Identity, repo: &str, access: Access) -> Vec<(String, String, Effect)> {
        let policy = Policy::parse("p", POLICY.as_bytes()).unwrap();
        let repo = RepoPath::parse(repo).unwrap();
        let explanation = policy.explain(who, &repo, access);
        let row = |level: &LevelReason<'_>, grant: &Grant<'_>| {
            (level.path.to_string(), grant.subject.to_string(), grant.effect)
        };
        let rows = explanation.levels.iter().flat_map(|level| level.grants.iter().map(|g| row(level, g)));
        rows.collect()
    }

    #[test]
    fn every_grant_says_what_it_does_for_the_caller() {
        let joe = user("joe", &["dev"]);
        let at = |level: &str, subject: &str, effect| (level.to_owned(), subject.to_owned(), effect);
        assert_eq!(
            effects(&joe, "team/joe/a.git", Access::Write),
            [
                at("/", "@staff", Effect::OtherCaller),
                at("/", "joe", Effect::CutOff),
                at("team/", "ann", Effect::OtherCaller),
                at("team/", "@dev", Effect::Counts),
                at("team/{user}/", "{user}", Effect::Counts),
            ]
        );
        let ann = user("ann", &[]);
        assert!(effects(&ann, "team/a.git", Access::Write).contains(&at("team/", "ann", Effect::OnlyRead)));
    }

    #[test]
    fn nobody_is_a_grantee_of_writing_below_a_frozen_level() {
        let policy = Policy::parse("p", POLICY.as_bytes()).unwrap();
        let repo = RepoPath::parse("old/a.git").unwrap();
        let explanation = policy.explain(&Identity::Anonymous, &repo, Access::Write);
        assert_eq!(explanation.grantees(Access::Write), []);
        assert_eq!(explanation.grantees(Access::Read).len(), 2);
        assert_eq!(explanation.frozen_by().map(LevelPath::as_str), Some("old/"));
    }

    fn policies() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec![
            "/",
            "a/",
            "a/b/",
            "{user}/",
            "{user}/b/",
            "a/{user}/",
            "a/x.git",
            "a/{user}.git",
        ]);
        let subject =
            prop::sample::select(vec!["joe", "ann", "b", "'@g'", "'@h'", "anonymous", "authenticated"]);
        let subjects = prop::collection::vec(subject, 0..3).prop_map(|list| format!("[{}]", list.join(", ")));
        let body = (subjects.clone(), subjects, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
            |(read, write, inherit, frozen)| {
                format!("{{ read: {read}, write: {write}, inherit: {inherit}, frozen: {frozen} }}")
            },
        );
        prop::collection::btree_map(level, body, 0..6).prop_map(|levels| {
            let lines: String = levels.iter().map(|(path, body)| format!("  \"{path}\": {body}\n")).collect();
            format!("version: 1\naccess: {}\n{lines}", if levels.is_empty() { "{}" } else { "" })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn an_explanation_never_disagrees_with_the_decision(
            text in policies(),
            repo in prop::sample::select(vec!["x.git", "a/x.git", "a/b.git", "a/b/x.git", "joe/x.git", "a/joe/x.git"]),
            name in prop::sample::select(vec!["", "joe", "ann", "b", "x"]),
            groups in prop::sample::subsequence(vec!["g", "h"], 0..=2),
            access in prop::sample::select(vec![Access::Read, Access::Write]),
        ) {
            let policy = Policy::parse("p", text.as_bytes()).unwrap();
            let repo = RepoPath::parse(repo).unwrap();
            let who = if name.is_empty() { Identity::Anonymous } else { user(name, &groups) };
            let explanation = policy.explain(&who, &repo, access);
            prop_assert_eq!(explanation.verdict, policy.decide(&who, &repo, access));

            // The words about the levels say the same as the verdict.
            let counts = explanation.counting().next().is_some();
            let frozen = access == Access::Write && explanation.frozen_by().is_some();
            prop_assert_eq!(counts && !frozen, matches!(explanation.verdict, Verdict::Allow(_)));
            let named = explanation.grantees(access).iter().any(|one| one.subject.means(&who, one.bound));
            prop_assert_eq!(named, matches!(explanation.verdict, Verdict::Allow(_)));
            if let Verdict::Allow(permit) = explanation.verdict {
                prop_assert!(explanation.counting().any(|(level, _)| level.path == permit.level));
            }
        }
    }
}
