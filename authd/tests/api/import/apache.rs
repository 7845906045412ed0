//! What becomes of Apache's sections.

use super::{import, imported, right};

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
