//! What `authd import` makes of other access controls' files, and what it says about the rest.

use policy::Policy;
use policy::access::Verdict;
use policy::git_request::Access;
use policy::identity::{GroupName, Identity, User, UserName};
use policy::repo_path::RepoPath;
use std::sync::Arc;

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

const GIT4NGINX: &str = "
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

const APACHE: &str = r#"
SetEnv GIT_PROJECT_ROOT /var/www/git
SetEnv GIT_HTTP_EXPORT_ALL
ScriptAlias /src/ /usr/libexec/git-core/git-http-backend/
<VirtualHost *:443>
  <Location "/src/">
    AuthType Basic
    AuthName "Sources"
    AuthUserFile /etc/apache2/htpasswd
    AuthGroupFile /etc/apache2/groups
    Require valid-user
  </Location>
  <LocationMatch "^/src/.*/git-receive-pack$">
    Require group committers
    Require user root
  </LocationMatch>
  <Location /src/private>
    <RequireAll>
      Require valid-user
      Require ldap-group cn=security,ou=groups,dc=example,dc=org
    </RequireAll>
  </Location>
  <Location /src/open>
    <LimitExcept GET HEAD>
      Require group committers
    </LimitExcept>
  </Location>
  <Location /src/open/read.git>
    Require all granted
  </Location>
  <Location /src/office>
    Require ip 10.0.0.0/8
    Require user \
      joe
  </Location>
  <Location /server-status>
    Require local
  </Location>
</VirtualHost>
"#;

#[test]
fn apache_sections_become_levels_that_replace_what_is_above() {
    let (desk, report) = imported("apache", APACHE);
    for (user, group, repo, expected) in [
        ("joe", "x", "a.git", "read"),
        ("joe", "committers", "a.git", "write"),
        ("root", "x", "deep/er/a.git", "write"),
        ("", "", "a.git", "none"),
        ("root", "committers", "private/a.git", "none"),
        ("joe", "security", "private/a.git", "write"),
        ("", "", "open/a.git", "none"),
        ("joe", "committers", "open/a.git", "write"),
        ("", "", "open/read.git", "read"),
        ("joe", "committers", "open/read.git", "read"),
        ("joe", "committers", "office/a.git", "write"),
        ("ann", "committers", "office/a.git", "none"),
    ] {
        assert_eq!(
            right(&desk, user, &[group], repo),
            expected,
            "{user} on {repo}\n{}",
            desk.read("new/policy.yaml")
        );
    }
    assert!(report.contains("conf:32: narrower: `Require ip 10.0.0.0/8` has no equal"), "{report}");
    let authd = desk.read("new/authd.yaml");
    assert!(authd.contains("mount: /src/\nrealm: Sources\n"), "{authd}");
    assert!(
        authd.contains("{ type: htpasswd, file: /etc/apache2/htpasswd, groups_file: /etc/apache2/groups }"),
        "{authd}"
    );
    let runner = desk.read("new/backend-runner.yaml");
    assert!(
        runner.contains("repositories: /var/www/git\n") && runner.contains("export_all: true\n"),
        "{runner}"
    );
}

#[test]
fn an_ldap_url_of_apache_becomes_a_directory_without_its_password() {
    let text = "<Location /git/>\n  AuthLDAPURL \"ldap://a.example.org b.example.org:390/ou=people,dc=example,dc=org?sAMAccountName?sub?(objectClass=person)\" STARTTLS\n\
                AuthLDAPBindDN cn=git,dc=example,dc=org\n  AuthLDAPBindPassword hunter2\n\
                Require ldap-group cn=dev,ou=groups,dc=example,dc=org\n</Location>\n";
    let (desk, report) = imported("apache", text);
    let authd = desk.read("new/authd.yaml");
    for line in [
        "  - type: ldap\n    urls: [\"ldap://a.example.org\", \"ldap://b.example.org:390\"]\n",
        "    bind_dn: \"cn=git,dc=example,dc=org\"\n    bind_password_file: /run/secrets/ldap\n",
        "filter: \"(&(objectClass=person)(sAMAccountName={user}))\", name: sAMAccountName }",
        "    groups: { base: \"ou=groups,dc=example,dc=org\",",
        "    tls: { start_tls: true }\n",
    ] {
        assert!(authd.contains(line), "{line}\n{authd}");
    }
    let checked = desk.run("check --config new/authd.yaml");
    assert!(checked.err.contains("/run/secrets/ldap") || checked.code == 0, "{checked:?}");
    assert!(!checked.err.contains("unknown key"), "{checked:?}");
    assert!(!authd.contains("hunter2") && !report.contains("hunter2"));
    assert!(desk.read("new/policy.yaml").contains("\"/\": { write: [\"@dev\"] }"));
}

#[test]
fn an_apache_section_that_could_refuse_something_is_not_dropped_in_silence() {
    for (section, line) in [
        ("<LocationMatch \"^/git/(a|b)/\">\nRequire user root\n</LocationMatch>", "conf:4: wider: "),
        ("<Location /git/*/x>\nRequire user root\n</Location>", "conf:4: wider: "),
        ("<Location /git/b>\nRequire user root\nDeny from 10.0.0.1\n</Location>", "conf:6: wider: `Deny`"),
        ("<Location /git/b>\nRequire user root\nAuthMerging And\n</Location>", "conf:6: wider: "),
        (
            "<LocationMatch \"^/git/.*/git-receive-pack$\">\nRequire user root\n</LocationMatch>\n<LocationMatch \"^/git/.*/git-upload-pack$\">\nRequire user joe\n</LocationMatch>",
            "push but not fetch",
        ),
    ] {
        let (desk, done) =
            import("apache", &format!("<Location /git/>\nRequire valid-user\n</Location>\n{section}\n"));
        assert_eq!(done.code, 64, "{section}: {done:?}");
        assert!(done.out.contains(line), "{line}: {}", done.out);
        assert!(!desk.path("new").exists());
    }
}

#[test]
fn conditions_apache_has_and_we_have_not_grant_nothing() {
    for condition in [
        "Require expr true",
        "Require env x",
        "<RequireAll>\nRequire valid-user\nRequire ip 10.0.0.0/8\n</RequireAll>",
        "<RequireAll>\nRequire valid-user\nRequire not user joe\n</RequireAll>",
        "<RequireNone>\nRequire user joe\n</RequireNone>",
        "Require all denied",
    ] {
        let (desk, _) = imported("apache", &format!("<Location /git/>\n{condition}\n</Location>\n"));
        assert_eq!(right(&desk, "ann", &[], "a.git"), "none", "{condition}");
    }
}

#[test]
fn a_broken_apache_file_is_refused_with_its_line() {
    for (text, message) in [
        ("<Location /git>\n", "conf:1: this section is not closed"),
        ("</Location>\n", "conf:1: this closes a section that is not open"),
        ("<Location /git>\n</Limit>\n", "conf:2: "),
    ] {
        let (_, done) = import("apache", text);
        assert_eq!(done.code, 64);
        assert!(done.err.contains(message), "{}", done.err);
    }
}

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
