//! What `authd import` makes of other access controls' files, and what it says about the rest; what is alike for all of them.

mod apache;
mod git4nginx;
mod gitolite;

use policy::Policy;
use policy::access::Verdict;
use policy::git_request::Access;
use policy::identity::{GroupName, Identity, User, UserName};
use policy::repo_path::RepoPath;
use std::sync::Arc;

use self::git4nginx::GIT4NGINX;
use crate::commands::{Desk, Done};

fn import(format: &str, text: &str) -> (Desk, Done) {
    let desk = Desk::new(&[("conf", text)]);
    let done = desk.run(&format!("import {format} conf --out new"));
    (desk, done)
}

/// Imports something that leaves nothing out in the permissive direction.
fn imported(format: &str, text: &str) -> (Desk, String) {
    let (desk, done) = import(format, text);
    assert_eq!(done.code, 0, "{done:?}");
    let report = desk.read("new/import-report.txt");
    assert!(done.out.starts_with(&report), "{done:?}");
    (desk, report)
}

fn right(desk: &Desk, user: &str, groups: &[&str], repo: &str) -> &'static str {
    let policy = Policy::parse("policy.yaml", desk.read("new/policy.yaml").as_bytes()).unwrap();
    let caller = match user {
        "" => Identity::Anonymous,
        _ => {
            let groups = groups.iter().map(|group| GroupName::parse(group).unwrap());
            Identity::User(Arc::new(User::new(UserName::parse(user).unwrap(), groups)))
        }
    };
    let repo = RepoPath::parse(repo).unwrap();
    let may = |access| matches!(policy.decide(&caller, &repo, access), Verdict::Allow(_));
    match (may(Access::Write), may(Access::Read)) {
        (true, _) => "write",
        (_, true) => "read",
        _ => "none",
    }
}

#[test]
fn what_would_allow_more_is_written_on_request_only() {
    let text = "authentication: {}\nauthorisation: {}\nhooks:\n  .my_own_check: { enable: true }\n";
    let (desk, done) = import("git4nginx", text);
    assert_eq!(done.code, 64, "{done:?}");
    assert!(done.out.contains("conf:4: wider: a hook of your own"), "{done:?}");
    assert!(done.err.contains("--accept-wider") && !desk.path("new").exists(), "{done:?}");
    let json = desk.json("import git4nginx conf --out new --accept-wider --json");
    assert_eq!(json["remarks"][0]["weight"], "wider");
    assert!(desk.path("new/policy.yaml").exists());
}

#[test]
fn files_that_are_there_are_left_alone() {
    let (desk, _) = imported("git4nginx", GIT4NGINX);
    desk.write("new/authd.yaml", "mine");
    let again = desk.run("import git4nginx conf --out new");
    assert_eq!(again.code, 64);
    assert!(again.err.contains("is there already, nothing is written"), "{}", again.err);
    assert_eq!(desk.read("new/authd.yaml"), "mine");
}
