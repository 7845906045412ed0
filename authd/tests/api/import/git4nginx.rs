//! What becomes of git4nginx's file.

use super::{import, imported, right};

pub(super) const GIT4NGINX: &str = "
repo_root: /var/lib/git
bin_path: /usr/lib/git-core/git-http-backend
authentication:
  plugin: lookup_groups
  plugin_config:
    users:
      joe: { groups: [developers], info: { name: Joe, level: 3 } }
      ann: { groups: [managers] }
authorisation:
  team:
    .read_groups: [developers]
    test.git:
      .write_users: [joe]
  null:
    .read_groups: [managers]
    top.git: { .write_groups: [managers] }
hooks:
  .branch_flow: { enable: true, flow: [dev, master] }
  team:
    .branch_flow: { enable: false }
    test.git:
      .branch_protect: { branches: { master: { .write_users: [ann] } } }
";

#[test]
fn a_git4nginx_file_becomes_a_whole_configuration_that_checks() {
    let (desk, report) = imported("git4nginx", GIT4NGINX);
    for (user, group, repo, expected) in [
        ("joe", "developers", "team/a.git", "read"),
        ("joe", "developers", "team/test.git", "write"),
        ("ann", "managers", "team/test.git", "none"),
        ("ann", "managers", "top.git", "write"),
        ("ann", "managers", "other.git", "read"),
        ("ann", "managers", "unlisted/other.git", "none"),
        ("", "", "top.git", "none"),
    ] {
        assert_eq!(right(&desk, user, &[group], repo), expected, "{user} on {repo}");
    }
    assert!(desk.read("new/backend-runner.yaml").contains("repositories: /var/lib/git\n"));
    assert!(
        desk.read("new/users.yaml")
            .contains("  joe: { groups: [developers], info: { level: \"3\", name: Joe } }\n")
    );
    assert!(report.contains("conf:3: note: not needed"), "{report}");
    let checked = desk.run("check --config new/authd.yaml");
    assert_eq!(checked.code, 0, "{checked:?}");
}

#[test]
fn branch_rules_of_git4nginx_keep_their_levels_and_its_refusal_of_tags() {
    let (desk, _) = imported("git4nginx", GIT4NGINX);
    let policy = desk.read("new/policy.yaml");
    let branches = policy.split("branches:\n").nth(1).unwrap().split("\naccess:").next().unwrap();
    assert_eq!(
        branches,
        "  \"/\":
    flow: [dev, master]
    tags:
      \"**\": {}
  team/:
    flow: off
    tags: off
  team/test.git:
    protect:
      master: { write: [ann] }
    tags:
      \"**\": {}
"
    );
}

#[test]
fn no_name_of_git4nginx_becomes_a_word_of_the_policy() {
    let text = "
authentication: { joe: { groups: ['@x'] } }
authorisation:
  team:
    .read_users: [anonymous, authenticated, '{user}', '@staff', joe]
    .write_groups: [yes, 7]
  '{user}':
    .read_users: [joe]
  'a b':
    .read_users: [joe]
";
    let (desk, report) = imported("git4nginx", text);
    let policy = desk.read("new/policy.yaml");
    assert!(policy.contains("access:\n  team/: { read: [joe] }\n"), "{policy}");
    for line in [
        "conf:5: narrower: `anonymous`",
        "conf:5: narrower: `{user}`",
        "conf:6: narrower: `yes`",
        "conf:7: narrower: ",
        "conf:9: narrower: ",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    assert_eq!(right(&desk, "", &[], "team/a.git"), "none");
}

#[test]
fn settings_git4nginx_fails_on_stop_the_import_where_they_are() {
    let base = "authentication: {}\nauthorisation: {}\n";
    for (text, message) in [
        ("authorisation: {}\n".to_owned(), "conf: git4nginx needs a map `authentication`"),
        (format!("{base}hooks:\n  .branch_flow: {{ enable: true }}\n"), "conf:4: there is no list `flow`"),
        (format!("{base}hooks:\n  .branch_protect: {{}}\n"), "conf:4: there is no map `branches`"),
        (format!("{base}hooks:\n  .branch_flow: {{ flow: [a/b] }}\n"), "conf:4: `a/b` can be no branch"),
        ("authentication: {}\nauthorisation:\n  team:\n".to_owned(), "conf:3: there are no settings here"),
        (
            "authentication: {}\nauthorisation: { a: { .read_users: } }\n".to_owned(),
            "conf:2: this is no list",
        ),
    ] {
        let (desk, done) = import("git4nginx", &text);
        assert_eq!(done.code, 64, "{done:?}");
        assert!(done.err.contains(message), "{message}: {}", done.err);
        assert!(!desk.path("new").exists());
    }
}
