//! May this push change these refs? The verdict of the branch rules on every update of a push.
//!
//! [`ancestry_needed`] says which questions about history must be answered first, [`judge`] answers from the rules, the
//! pusher and those facts. Both are pure; asking git is the hook's job. Every update is judged by its full name, against the
//! refs as they were before the push, so the order of updates changes nothing, and one refusal refuses the whole push.

mod change;

use std::collections::{BTreeMap, BTreeSet};

pub use self::change::Change;

use crate::branch::{BranchName, RefRights, RepositoryRules};
use crate::glob::Glob;
use crate::identity::Identity;
use crate::ref_update::{ObjectId, RefName, RefUpdate};
use crate::rule::{Refusal, Rule};
use crate::subject::Subjects;

/// What is known about the repository before the push.
#[derive(Clone, Debug, Default)]
pub struct Repository {
    /// Refs that are only another name for a ref.
    pub symbolic: BTreeMap<RefName, RefName>,
    /// What the branches of the flow point to; a branch that does not exist is absent.
    pub tips: BTreeMap<BranchName, ObjectId>,
}

/// "The first commit is in the history of the second", or is it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ancestry {
    /// The commit that may be part of the other's history.
    pub ancestor: ObjectId,
    /// The commit whose history is asked about.
    pub descendant: ObjectId,
}

/// A push, and all that its verdict depends on except history.
#[derive(Clone, Copy, Debug)]
pub struct Push<'p> {
    /// Every update, in the order git gave them.
    pub updates: &'p [RefUpdate],
    /// Who pushes.
    pub pusher: &'p Identity,
    /// The rules of this repository.
    pub rules: RepositoryRules<'p>,
    /// The repository before the push.
    pub repository: &'p Repository,
}

/// The questions about history that [`judge`] will look up.
#[must_use]
pub fn ancestry_needed(push: &Push<'_>) -> BTreeSet<Ancestry> {
    let mut needed = BTreeSet::new();
    for update in push.updates.iter().filter(|update| !update.deletes()) {
        let targets = push.names(update);
        if !update.old.is_zero() && targets.iter().any(|name| name.branch().is_some()) {
            needed.insert(Ancestry::new(&update.old, &update.new));
        }
        let sources = targets.iter().filter_map(|name| push.flow_source(name));
        needed.extend(
            sources.filter_map(|source| Some(Ancestry::new(&update.new, push.repository.tips.get(source)?))),
        );
    }
    needed.retain(|question| question.ancestor != question.descendant);
    needed
}

/// What an update does to its ref, given the answers to [`ancestry_needed`].
#[must_use]
pub fn change(update: &RefUpdate, known: &BTreeSet<Ancestry>) -> Change {
    if update.deletes() {
        Change::Delete
    } else if update.creates() {
        Change::Create
    } else if is_ancestor(&update.old, &update.new, known) {
        Change::FastForward
    } else {
        Change::Force
    }
}

/// Every refusal of the push; none means the branch rules accept it. `known` holds the ancestries that are true.
#[must_use]
pub fn judge<'p>(push: &Push<'p>, known: &BTreeSet<Ancestry>) -> Vec<Refusal<'p>> {
    let mut seen = BTreeSet::new();
    let mut refusals = Vec::new();
    for update in push.updates {
        let names = push.names(update);
        let target = names.last().copied().unwrap_or(&update.name);
        let verdict = if seen.insert(target) {
            names.iter().try_for_each(|name| push.judge_name(update, name, known))
        } else {
            Err((Rule::Duplicate, "name each ref once in a push".to_owned()))
        };
        if let Err((rule, advice)) = verdict {
            refusals.push(Refusal { name: &update.name, rule, advice });
        }
    }
    refusals
}

/// Why one name refuses an update.
pub type Reason = (Rule, String);

impl<'p> Push<'p> {
    /// The flow branches whose tips the verdict will depend on.
    #[must_use]
    pub fn tips_needed(&self) -> BTreeSet<&'p BranchName> {
        let changed = self.updates.iter().filter(|update| !update.deletes());
        changed.flat_map(|update| self.names(update)).filter_map(|name| self.flow_source(name)).collect()
    }

    /// The ref of the update, and the ref it is another name for.
    fn names(&self, update: &'p RefUpdate) -> Vec<&'p RefName> {
        let target = self.repository.symbolic.get(&update.name);
        std::iter::once(&update.name).chain(target).collect()
    }

    fn judge_name(
        &self,
        update: &RefUpdate,
        name: &RefName,
        known: &BTreeSet<Ancestry>,
    ) -> Result<(), Reason> {
        match (name.branch(), name.tag()) {
            (Some(branch), _) => {
                self.judge_branch(branch, change(update, known))?;
                self.judge_flow(update, name, known)
            }
            (None, Some(tag)) => self.judge_tag(tag, update),
            (None, None) => self.judge_namespace(name),
        }
    }

    /// Whether the rules about who may do what let this change happen to a branch. `flow`, which is about revisions, is
    /// not asked here.
    ///
    /// # Errors
    /// The rule that refuses it, and what the pusher can do.
    pub fn judge_branch(&self, branch: &str, change: Change) -> Result<(), Reason> {
        self.judge_lookalike(branch)?;
        self.judge_protection(branch, change)
    }

    fn judge_namespace(&self, name: &RefName) -> Result<(), Reason> {
        let listed = self.rules.namespaces.into_iter().flat_map(|(_, namespaces)| namespaces);
        let accepted = listed.into_iter().any(|namespace| name.as_str().starts_with(namespace.as_str()));
        if accepted && !name.as_str().starts_with("refs/replace/") {
            return Ok(());
        }
        Err((Rule::Namespace, "push to refs/heads/ or refs/tags/".to_owned()))
    }

    /// On a file system that folds case `Master` is `master`; in a list of branches it passes for it.
    fn judge_lookalike(&self, branch: &str) -> Result<(), Reason> {
        let reserved = ["HEAD", "refs"];
        if reserved.contains(&branch) || branch.starts_with("refs/") {
            return Err((
                Rule::Lookalike,
                format!("a branch named {branch} would be taken for something else"),
            ));
        }
        let protected = self.rules.protect.into_iter().flat_map(|(_, rights)| rights.keys());
        let flow = self.rules.flow.into_iter().flat_map(|(_, flow)| flow);
        let mistakable = protected
            .filter(|pattern| !pattern.matches(branch) && pattern.matches_ignoring_case(branch))
            .map(Glob::as_str)
            .chain(
                flow.map(BranchName::as_str)
                    .filter(|step| *step != branch && step.eq_ignore_ascii_case(branch)),
            )
            .next();
        match mistakable {
            Some(rule) => {
                Err((Rule::Lookalike, format!("it differs from {rule} by case only; choose another name")))
            }
            None => Ok(()),
        }
    }

    fn judge_protection(&self, branch: &str, change: Change) -> Result<(), Reason> {
        let Some((_, rights)) = self.rules.protect else {
            return Ok(());
        };
        for (pattern, rights) in governing(rights, branch) {
            if !rights.allow_branch(self.pusher, change) {
                return Err((Rule::Protect, format!("{pattern} is protected: {}", advice(change))));
            }
        }
        Ok(())
    }

    fn judge_tag(&self, tag: &str, update: &RefUpdate) -> Result<(), Reason> {
        let Some((_, rights)) = self.rules.tags else {
            return Ok(());
        };
        // A tag is never moved forward: any change of it is a move.
        let change = match (update.creates(), update.deletes()) {
            (true, _) => Change::Create,
            (_, true) => Change::Delete,
            _ => Change::Force,
        };
        for (pattern, rights) in governing(rights, tag) {
            if !rights.allow_tag(self.pusher, change) {
                let verb = match change {
                    Change::Create => "you may not create it",
                    Change::Delete => "you may not delete it",
                    _ => "it stays where it is; make a new tag",
                };
                return Err((Rule::Tags, format!("tags {pattern} are protected: {verb}")));
            }
        }
        Ok(())
    }

    fn judge_flow(
        &self,
        update: &RefUpdate,
        name: &RefName,
        known: &BTreeSet<Ancestry>,
    ) -> Result<(), Reason> {
        let Some(source) = self.flow_source(name).filter(|_| !update.deletes()) else {
            return Ok(());
        };
        let tip = self.repository.tips.get(source);
        if tip.is_some_and(|tip| is_ancestor(&update.new, tip, known)) {
            return Ok(());
        }
        let source = source.as_str();
        Err((
            Rule::Flow,
            format!("a revision enters it only from {source}: push to {source} first, then here"),
        ))
    }

    fn flow_source(&self, name: &RefName) -> Option<&'p BranchName> {
        self.rules.flow_source(name.branch()?)
    }
}

/// The rights that hold for a name, all of which must allow a change: those written for exactly that name, else those of every pattern that matches.
#[must_use]
pub fn governing<'r>(rights: &'r BTreeMap<Glob, RefRights>, name: &str) -> Vec<(&'r Glob, &'r RefRights)> {
    let exact = rights.iter().find(|(pattern, _)| pattern.as_str() == name);
    match exact {
        Some(found) => vec![found],
        None => rights.iter().filter(|(pattern, _)| pattern.matches(name)).collect(),
    }
}

fn is_ancestor(ancestor: &ObjectId, descendant: &ObjectId, known: &BTreeSet<Ancestry>) -> bool {
    ancestor == descendant || known.contains(&Ancestry::new(ancestor, descendant))
}

fn advice(change: Change) -> &'static str {
    match change {
        Change::Create => "you may not create it",
        Change::FastForward => "push to another branch and ask for it to be merged",
        Change::Force => "its history is not rewritten; merge or revert instead",
        Change::Delete => "it is not deleted",
    }
}

impl RefRights {
    fn allow_branch(&self, pusher: &Identity, change: Change) -> bool {
        let may = |subjects: &Subjects| subjects.include(pusher, None);
        match change {
            Change::Create => may(self.create.as_ref().unwrap_or(&self.write)),
            Change::FastForward => may(&self.write) || may(&self.force),
            Change::Force => may(&self.force),
            Change::Delete => may(&self.delete),
        }
    }

    fn allow_tag(&self, pusher: &Identity, change: Change) -> bool {
        let subjects = match change {
            Change::Create => self.create.as_ref().unwrap_or(&self.write),
            Change::Delete => &self.delete,
            Change::FastForward | Change::Force => &self.force,
        };
        subjects.include(pusher, None)
    }
}

impl Ancestry {
    fn new(ancestor: &ObjectId, descendant: &ObjectId) -> Self {
        Self { ancestor: ancestor.clone(), descendant: descendant.clone() }
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
access: {}
branches:
  "/":
    flow: [dev, test, master]
    protect:
      master:       { write: [sydney, "@managers"] }
      "release/**": { write: ["@dev"], force: ["@admins"], delete: ["@admins"], create: ["@release"] }
    tags:
      "v*": { create: ["@release"] }
    namespaces: [refs/notes/]
  "open.git": { flow: off, protect: off, tags: off, namespaces: off }
"#;

    /// Commit `n` of one straight history: 1 is the root, greater is later.
    fn id(n: u8) -> ObjectId {
        ObjectId::parse(&format!("{n:040x}")).unwrap()
    }

    fn update(old: u8, new: u8, name: &str) -> RefUpdate {
        RefUpdate { old: id(old), new: id(new), name: RefName::parse(name).unwrap() }
    }

    /// dev is at 5, test at 3, master at 1; alias is another name for master.
    fn repository() -> Repository {
        let policy = Policy::parse("p", POLICY.as_bytes()).unwrap();
        let (_, flow) = policy.branch_rules(&RepoPath::parse("a.git").unwrap()).flow.unwrap();
        let name = |text: &str| RefName::parse(text).unwrap();
        Repository {
            symbolic: BTreeMap::from([(name("refs/heads/alias"), name("refs/heads/master"))]),
            tips: flow.iter().cloned().zip([id(5), id(3), id(1)]).collect(),
        }
    }

    fn verdict_in(
        repo: &str,
        repository: &Repository,
        pusher: &Identity,
        updates: &[RefUpdate],
    ) -> Vec<(String, Rule)> {
        let policy = Policy::parse("p", POLICY.as_bytes()).unwrap();
        let repo = RepoPath::parse(repo).unwrap();
        let push = Push { updates, pusher, rules: policy.branch_rules(&repo), repository };
        let known =
            ancestry_needed(&push).into_iter().filter(|asked| asked.ancestor <= asked.descendant).collect();
        judge(&push, &known).into_iter().map(|refusal| (refusal.name.to_string(), refusal.rule)).collect()
    }

    fn verdict(pusher: &Identity, updates: &[RefUpdate]) -> Vec<Rule> {
        verdict_in("a.git", &repository(), pusher, updates).into_iter().map(|(_, rule)| rule).collect()
    }

    #[test]
    fn a_revision_enters_a_flow_branch_only_from_the_one_before() {
        let joe = user("joe", &[]);
        assert_eq!(verdict(&joe, &[update(5, 6, "refs/heads/dev")]), []);
        assert_eq!(verdict(&joe, &[update(3, 5, "refs/heads/test")]), []);
        assert_eq!(verdict(&joe, &[update(3, 6, "refs/heads/test")]), [Rule::Flow]);
        let sydney = user("sydney", &[]);
        assert_eq!(verdict(&sydney, &[update(1, 3, "refs/heads/master")]), []);
        assert_eq!(verdict(&sydney, &[update(1, 4, "refs/heads/master")]), [Rule::Flow]);
    }

    #[test]
    fn a_push_cannot_carry_a_revision_through_the_whole_flow_at_once() {
        let sydney = user("sydney", &[]);
        let all = [
            update(5, 6, "refs/heads/dev"),
            update(3, 6, "refs/heads/test"),
            update(1, 6, "refs/heads/master"),
        ];
        assert_eq!(verdict(&sydney, &all), [Rule::Flow, Rule::Flow]);
    }

    #[test]
    fn a_flow_branch_is_created_under_the_same_rule_and_not_before_its_source_exists() {
        let sydney = user("sydney", &[]);
        let mut empty = repository();
        empty.tips.clear();
        let create = [update(0, 1, "refs/heads/master")];
        assert_eq!(
            verdict_in("a.git", &empty, &sydney, &create),
            [("refs/heads/master".to_owned(), Rule::Flow)]
        );
        assert_eq!(verdict_in("a.git", &empty, &sydney, &[update(0, 1, "refs/heads/dev")]), []);
        assert_eq!(verdict(&sydney, &[update(0, 2, "refs/heads/master")]), []);
    }

    #[test]
    fn a_protected_branch_takes_fast_forwards_from_those_named_and_nothing_else() {
        for (pusher, old, new, expected) in [
            (user("sydney", &[]), 1, 2, vec![]),
            (user("m", &["managers"]), 1, 2, vec![]),
            (user("joe", &["sydney"]), 1, 2, vec![Rule::Protect]),
            (user("joe", &[]), 1, 1, vec![Rule::Protect]),
            (user("sydney", &[]), 2, 1, vec![Rule::Protect]),
            (user("sydney", &[]), 1, 0, vec![Rule::Protect]),
            (Identity::Anonymous, 1, 2, vec![Rule::Protect]),
        ] {
            assert_eq!(
                verdict(&pusher, &[update(old, new, "refs/heads/master")]),
                expected,
                "{pusher:?} {old}..{new}"
            );
        }
    }

    #[test]
    fn create_force_and_delete_are_rights_of_their_own() {
        let release = "refs/heads/release/1.0";
        for (group, old, new, allowed) in [
            ("dev", 1, 2, true),
            ("dev", 0, 2, false),
            ("dev", 2, 1, false),
            ("release", 0, 2, true),
            ("release", 1, 2, false),
            ("admins", 2, 1, true),
            ("admins", 1, 2, true),
            ("admins", 1, 0, true),
            ("release", 1, 0, false),
        ] {
            let refused = !verdict(&user("u", &[group]), &[update(old, new, release)]).is_empty();
            assert_eq!(refused, !allowed, "{group} {old}..{new}");
        }
    }

    #[test]
    fn rules_look_at_the_whole_name() {
        let joe = user("joe", &[]);
        assert_eq!(verdict(&joe, &[update(0, 9, "refs/heads/feature/master")]), []);
        assert_eq!(verdict(&joe, &[update(0, 9, "refs/heads/releases/1")]), []);
        assert_eq!(verdict(&joe, &[update(0, 9, "refs/heads/release/a/b")]), [Rule::Protect]);
    }

    #[test]
    fn names_that_pass_for_a_protected_one_are_refused() {
        let root = user("root", &["admins", "release"]);
        for name in ["MASTER", "Dev", "RELEASE/1", "HEAD", "refs/heads/master"] {
            assert_eq!(
                verdict(&root, &[update(0, 1, &format!("refs/heads/{name}"))]),
                [Rule::Lookalike],
                "{name}"
            );
        }
    }

    #[test]
    fn a_symbolic_ref_is_judged_by_its_target_too() {
        let joe = user("joe", &[]);
        assert_eq!(verdict(&joe, &[update(1, 2, "refs/heads/alias")]), [Rule::Protect]);
        assert_eq!(verdict(&joe, &[update(1, 0, "refs/heads/alias")]), [Rule::Protect]);
        assert_eq!(verdict(&user("sydney", &[]), &[update(1, 4, "refs/heads/alias")]), [Rule::Flow]);
    }

    #[test]
    fn a_ref_named_twice_refuses_the_push_also_through_a_symbolic_one() {
        let admin = user("sydney", &["admins"]);
        let twice = [update(1, 0, "refs/heads/release/1"), update(0, 9, "refs/heads/release/1")];
        assert!(verdict(&admin, &twice).contains(&Rule::Duplicate));
        let aliased = [update(1, 2, "refs/heads/master"), update(1, 3, "refs/heads/alias")];
        assert_eq!(verdict(&admin, &aliased), [Rule::Duplicate]);
    }

    #[test]
    fn tags_that_match_a_rule_are_created_once_by_those_named() {
        for (groups, old, new, name, expected) in [
            (&["release"][..], 0, 1, "v1", vec![]),
            (&[], 0, 1, "v1", vec![Rule::Tags]),
            (&["release"], 1, 2, "v1", vec![Rule::Tags]),
            (&["release"], 1, 0, "v1", vec![Rule::Tags]),
            (&[], 0, 1, "nightly", vec![]),
            (&[], 1, 2, "nightly", vec![]),
        ] {
            let update = update(old, new, &format!("refs/tags/{name}"));
            assert_eq!(verdict(&user("u", groups), &[update]), expected, "{name} {old}..{new}");
        }
    }

    #[test]
    fn other_namespaces_are_refused_unless_listed() {
        let joe = user("joe", &[]);
        for name in
            ["refs/meta/config", "refs/for/main", "refs/replace/x", "refs/pull/1/head", "refs/notesx/a"]
        {
            assert_eq!(verdict(&joe, &[update(0, 1, name)]), [Rule::Namespace], "{name}");
        }
        assert_eq!(verdict(&joe, &[update(0, 1, "refs/notes/commits")]), []);
        let open = verdict_in("open.git", &repository(), &joe, &[update(0, 1, "refs/notes/commits")]);
        assert_eq!(open, [("refs/notes/commits".to_owned(), Rule::Namespace)]);
    }

    #[test]
    fn without_rules_a_writer_may_do_anything_to_branches_and_tags() {
        let updates =
            [update(5, 0, "refs/heads/dev"), update(0, 9, "refs/heads/master"), update(2, 1, "refs/tags/v1")];
        assert_eq!(verdict_in("open.git", &repository(), &user("joe", &[]), &updates), []);
    }

    #[test]
    fn a_refusal_tells_what_to_do_and_not_who_may() {
        let policy = Policy::parse("p", POLICY.as_bytes()).unwrap();
        let repo = RepoPath::parse("a.git").unwrap();
        let updates = [update(1, 2, "refs/heads/master")];
        let (joe, repository) = (user("joe", &[]), repository());
        let push = Push {
            updates: &updates,
            pusher: &joe,
            rules: policy.branch_rules(&repo),
            repository: &repository,
        };
        let text = judge(&push, &BTreeSet::new()).iter().map(ToString::to_string).collect::<String>();
        assert!(text.starts_with("refs/heads/master: refused by rule `protect`: "), "{text}");
        assert!(!text.contains("sydney") && !text.contains("managers"), "{text}");
    }

    proptest! {
        #[test]
        fn the_order_of_updates_changes_nothing(seed in prop::collection::vec((0u8..7, 0u8..7, 0usize..6), 1..8)) {
            let names = ["dev", "test", "master", "alias", "x", "release/1"];
            let mut updates: Vec<_> = seed
                .iter()
                .filter(|(old, new, _)| old != new)
                .map(|(old, new, name)| update(*old, *new, &format!("refs/heads/{}", names[*name])))
                .collect();
            let joe = user("sydney", &["dev"]);
            let accepted = verdict(&joe, &updates).is_empty();
            updates.reverse();
            prop_assert_eq!(verdict(&joe, &updates).is_empty(), accepted);
        }
    }
}
