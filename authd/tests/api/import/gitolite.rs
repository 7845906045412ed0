//! What becomes of gitolite's repositories and rules.

use super::{import, imported, right};
use crate::commands::Desk;

#[test]
fn gitolite_repositories_groups_and_rights_become_levels() {
    let text = "
@staff  = alice bob          # people
@all-dev = @staff carol
@infra  = ops/dns ops/mail

repo @all
    R = @staff daemon
repo app tools/x
    RW+ = alice
repo @infra
    RW+ = @all-dev
    R   = @all
repo users/CREATOR/.*
    C = @staff
    RW+ = CREATOR
    RW = WRITERS
repo docs/.*
    RW+ = carol
";
    let (desk, report) = imported("gitolite", text);
    for (user, group, repo, expected) in [
        ("bob", "staff", "any/thing.git", "read"),
        ("alice", "staff", "tools/x.git", "write"),
        ("bob", "staff", "app.git", "read"),
        ("carol", "all-dev", "ops/mail.git", "write"),
        ("zoe", "x", "ops/mail.git", "read"),
        ("", "", "ops/mail.git", "none"),
        ("zoe", "x", "users/zoe/a.git", "write"),
        ("zoe", "x", "users/bob/a.git", "none"),
        ("carol", "x", "docs/a/b.git", "write"),
    ] {
        assert_eq!(right(&desk, user, &[group], repo), expected, "{user} on {repo}");
    }
    let users = desk.read("new/users.yaml");
    assert!(
        users.contains("  alice: { groups: [all-dev, staff] }\n")
            && users.contains("  carol: { groups: [all-dev] }\n"),
        "{users}"
    );
    assert!(!desk.read("new/policy.yaml").contains("branches:"), "{}", desk.read("new/policy.yaml"));
    assert!(report.contains("conf:7: note: `daemon` is a program"), "{report}");
    assert!(report.contains("conf:16: narrower: `WRITERS`"), "{report}");
    assert_eq!(desk.run("check --config new/authd.yaml").code, 0);
}

#[test]
fn gitolites_ordered_rules_for_refs_become_protected_branches_and_tags() {
    let text = "
@devs = alice bob carol
@old = bob
repo app
    RW+ master$ = alice
    -   master  = @devs
    -   refs/tags/ = @old
    RW+CD = alice
    RWC   = @devs
";
    let (desk, _) = imported("gitolite", text);
    let policy = desk.read("new/policy.yaml");
    let branches = policy.split("branches:\n").nth(1).unwrap().split("\naccess:").next().unwrap();
    assert_eq!(
        branches,
        "  app.git:
    protect:
      \"**\": { write: [alice, \"@devs\"], create: [alice, \"@devs\"], force: [alice], delete: [alice] }
      master: { write: [alice], create: [], force: [alice] }
      \"master**\": { create: [] }
    tags:
      \"**\": { write: [alice, carol], create: [alice, carol], force: [alice], delete: [alice] }
",
        "{policy}"
    );
}

#[test]
fn what_gitolite_refuses_and_we_cannot_is_not_dropped_in_silence() {
    for (rules, line) in [
        ("    - VREF/COUNT/9 = @all\n    RW+ = joe\n", "conf:2: wider: `VREF/COUNT/9`"),
        ("    - v[0-9] = joe\n    RW+ = joe\n", "conf:2: wider: "),
        ("    option deny-rules = 1\n    - = joe\n    R = @all\n", "conf:2: wider: "),
        ("    RW+ = joe\nrepo lib/[a-z]+\n    - = joe\n", "conf:4: wider: "),
    ] {
        let (desk, done) = import("gitolite", &format!("repo app\n{rules}"));
        assert_eq!(done.code, 64, "{rules}: {done:?}");
        assert!(done.out.contains(line), "{line}: {}", done.out);
        assert!(!desk.path("new").exists());
    }
}

#[test]
fn gitolite_files_are_included_where_they_are_named_and_missing_ones_stop_the_import() {
    let desk = Desk::new(&[("conf", "include \"more/*.conf\"\nrepo b\n    R = ann\n")]);
    std::fs::create_dir(desk.path("more")).unwrap();
    desk.write("more/a.conf", "repo a\n    RW+ = joe\n    what is this\n");
    let done = desk.run("import gitolite conf --out new");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains("more/a.conf:3: narrower: `what is this` is not understood"), "{}", done.out);
    assert_eq!(right(&desk, "joe", &[], "a.git"), "write");
    assert_eq!(right(&desk, "ann", &[], "b.git"), "read");

    desk.write("conf", "include \"missing.conf\"\n");
    let done = desk.run("import gitolite conf --out new2");
    assert_eq!(done.code, 64);
    assert!(done.err.contains("missing.conf: cannot be read"), "{}", done.err);
}
