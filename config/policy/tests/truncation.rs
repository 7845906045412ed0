//! A policy that was cut off while it was saved: whatever is left of the sample, it never allows what the whole does not.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use policy::Policy;
use policy::access::Verdict;
use policy::git_request::Access;
use policy::identity::{GroupName, Identity, User, UserName};
use policy::repo_path::RepoPath;

const SAMPLE: &str = include_str!("../../policy.yaml");

const REPOSITORIES: [&str; 12] = [
    "a.git",
    "public/a.git",
    "public/deep/a.git",
    "team/a.git",
    "team/test.git",
    "team/test/a.git",
    "home/kim/a.git",
    "home/joe/deep/a.git",
    "home/kim.git",
    "old/a.git",
    "secret/a.git",
    "secret/deep/a.git",
];

/// One caller for each way the sample can name somebody.
fn callers() -> Vec<Identity> {
    let user = |name: &str, group: Option<&str>| {
        let group = group.map(|group| GroupName::parse(group).unwrap());
        Identity::User(Arc::new(User::new(UserName::parse(name).unwrap(), group)))
    };
    let named = ["joe", "james", "sydney", "kim", "stranger"].map(|name| user(name, None));
    let members = ["developers", "managers", "security"].map(|group| user("member", Some(group)));
    [Identity::Anonymous].into_iter().chain(named).chain(members).collect()
}

#[test]
fn no_beginning_of_the_sample_allows_what_the_whole_does_not() {
    assert!(cut_everywhere(SAMPLE) > 3, "some beginnings are policies of their own");
}

#[test]
fn the_same_holds_with_the_rules_that_are_shown_as_comments() {
    let text = SAMPLE
        .replace("  #\"", "  \"")
        .replace("  #  ", "    ")
        .replace("\"public/\":", "\"/\": { read: [\"@developers\"], write: [joe] }\n  \"public/\":");
    let whole = parse(&text).unwrap();
    let repo = RepoPath::parse("old/a.git").unwrap();
    assert!(matches!(whole.decide(&callers()[1], &repo, Access::Write), Verdict::Deny(_)), "old/ is frozen");
    assert!(cut_everywhere(&text) > 3);
}

#[test]
fn another_order_would_not_be_safe() {
    let open = "version: 1\naccess:\n  /: { write: [joe] }\n  old/: { frozen: true }\n";
    let half = parse(&open[..open.find("  old/").unwrap()]).unwrap();
    let repo = RepoPath::parse("old/a.git").unwrap();
    assert!(matches!(half.decide(&callers()[1], &repo, Access::Write), Verdict::Allow(_)));
}

/// How many beginnings were policies.
fn cut_everywhere(text: &str) -> usize {
    let whole = parse(text).unwrap();
    let beginnings = (0..text.len()).filter_map(|end| Some((end, parse(text.get(..end)?)?)));
    beginnings.inspect(|(end, part)| allows_no_more(part, &whole, *end)).count()
}

fn parse(text: &str) -> Option<Policy> {
    Policy::parse("policy.yaml", text.as_bytes()).ok()
}

fn allows_no_more(part: &Policy, whole: &Policy, end: usize) {
    for repo in REPOSITORIES.map(|repo| RepoPath::parse(repo).unwrap()) {
        for caller in callers() {
            for access in [Access::Read, Access::Write] {
                let allowed =
                    |policy: &Policy| matches!(policy.decide(&caller, &repo, access), Verdict::Allow(_));
                assert!(
                    !allowed(part) || allowed(whole),
                    "cut at byte {end}, {caller:?} may {access:?} {repo}"
                );
            }
        }
        let rules = |policy: &Policy| policy.branch_rules(&repo).to_level();
        assert_eq!(rules(part), rules(whole), "cut at byte {end}, {repo} has other branch rules");
    }
}
