//! The sample files a user copies: each is used here, as it is.

use std::collections::BTreeSet;
use std::process::Command;

use harness::people::{Person, READER};
use harness::pkt::advertisement;
use harness::{Builder, Stack, settings};

#[test]
fn the_sample_configuration_starts_as_it_is() {
    let stack = Builder::default().start().unwrap();
    stack.repositories().seeded("team/test.git", 2, &[]).unwrap();
    stack.repositories().seeded("public/site.git", 2, &[]).unwrap();
    stack.git().ok(&["clone", "--quiet", &stack.url("public/site.git"), "site"]).unwrap();
    let james = stack.git().sending("james", "james-demo");
    james.ok(&["clone", "--quiet", &stack.url("team/test.git"), "test"]).unwrap();
    let work = james.within(&stack.path().join("home/test"));
    work.ok(&["push", "--quiet", "origin", "HEAD:refs/heads/dev"]).unwrap();
    let guest =
        stack.git().sending("guest", "guest-demo").run(&["ls-remote", &stack.url("team/test.git")]).unwrap();
    assert!(!guest.status.success());
}

#[test]
fn the_sample_password_file_works_as_a_directory() {
    let users = "- { type: users, file: users.yaml }";
    let both = format!("{users}\n  - {{ type: htpasswd, file: htpasswd, groups_file: groups }}");
    let stack = Builder::default().edit("authd.yaml", users, &both).start().unwrap();
    stack.repositories().seeded("team/test.git", 2, &[]).unwrap();
    for (user, permitted) in [("alice", true), ("bob", true), ("guest", false)] {
        let git = stack.git().sending(user, &format!("{user}-demo"));
        let output = git.run(&["ls-remote", &stack.url("team/test.git")]).unwrap();
        assert_eq!(output.status.success(), permitted, "{user}: {}", harness::git::text(&output.stderr));
    }
}

#[test]
fn every_file_in_config_and_nginx_is_used_here() {
    let known = |folder: &str, names: &[&str]| {
        let found = settings::samples(folder).unwrap();
        let found: BTreeSet<&str> =
            found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(found, names.iter().copied().collect(), "{folder}/ and the tests of its files differ");
    };
    known(
        "config",
        &["authd.yaml", "backend-runner.yaml", "groups", "htpasswd", "policy.yaml", "users.yaml"],
    );
    known(
        "nginx",
        &[
            "Containerfile",
            "gitward-git.conf",
            "gitward-http.conf",
            "gitward-redirect.conf",
            "gitward-server.conf",
            "gitward-web.conf",
            "nginx.conf",
            "tls.conf",
        ],
    );
}

#[test]
fn the_tls_example_serves_git() {
    let pem = self_signed();
    let stack = Stack::builder()
        .file("etc/git.example.org.pem", &pem)
        .edit_nginx("nginx.conf", "#include tls.conf;", "include tls.conf;")
        .edit_nginx("tls.conf", "listen 443 ssl;", "listen unix:@DIR@/run/tls.sock ssl;")
        .edit_nginx("tls.conf", "listen [::]:443 ssl;", "")
        .edit_nginx("tls.conf", "git.example.org.key", "git.example.org.pem")
        .edit_nginx("tls.conf", "/etc/nginx/tls/", "@DIR@/etc/")
        .start()
        .unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let target = advertisement("team/app.git", "git-upload-pack");
    assert_eq!(over_tls(&stack, &target, None), "401");
    assert_eq!(over_tls(&stack, &target, Some(READER)), "200");
    assert_eq!(over_tls(&stack, "/", None), "404");
}

/// Status of a GET over TLS with the stack's own certificate as the trusted one.
fn over_tls(stack: &Stack, target: &str, person: Option<Person>) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    command.arg("--unix-socket").arg(stack.path().join("run/tls.sock"));
    command.arg("--cacert").arg(stack.path().join("etc/git.example.org.pem"));
    if let Some(person) = person {
        command.arg("--user").arg(format!("{}:{}", person.name, person.password));
    }
    let output = command.arg(format!("https://git.example.org{target}")).output().unwrap();
    harness::git::text(&output.stdout)
}

/// A certificate for `git.example.org` and its key, in one file.
fn self_signed() -> String {
    let subject = ["-subj", "/CN=git.example.org", "-addext", "subjectAltName=DNS:git.example.org"];
    let kind =
        ["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"];
    let output =
        Command::new("openssl").args(kind).args(subject).args(["-keyout", "-", "-out", "-"]).output();
    harness::git::text(&output.unwrap().stdout)
}
