//! `authd check --online`: what it proves, what it says, and what it never shows.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use harness::Authd;
use harness::slapd::{SERVICE_PASSWORD, Slapd, directory};

#[test]
fn each_step_is_proved_against_the_server_and_no_secret_is_shown() {
    let slapd = Slapd::start().unwrap();
    let (code, text) = Authd::check(&slapd.directory(), &["--online", "--user", "alice"]).unwrap();
    println!("{text}");
    assert_eq!(code, Some(0), "{text}");
    for words in [
        "connect to ldap://127.0.0.1",
        "bind as cn=gitward,ou=services,dc=example,dc=org: accepted",
        "look at users.base",
        "alice is \"uid=alice,ou=people,dc=example,dc=org\"",
        "email=\"alice@example.org\"",
        "2 groups: developers, staff",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains(SERVICE_PASSWORD));
    assert_eq!(slapd.lines(&["method=128", "uid="]).len(), 0, "nobody's password was tried");
}

#[test]
fn explain_looks_a_user_up_as_a_login_would() {
    let slapd = Slapd::start().unwrap();
    let ask = |user: &str| {
        let words = ["--user", user, "--repo", "developers/a.git"];
        Authd::run(&slapd.directory(), "explain", &words).unwrap()
    };
    let (code, text) = ask("alice");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("alice, known to directory `ldap`") && text.contains("@developers"), "{text}");
    let (code, text) = ask("nobody");
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("unknown"), "{text}");
    assert_eq!(slapd.lines(&["method=128", "uid="]).len(), 0, "nobody's password was tried");
}

#[test]
fn what_does_not_work_is_named_and_is_exit_code_64() {
    let slapd = Slapd::start().unwrap();
    let gone = directory(&[&slapd.url(), "ldap://127.0.0.1:1"]);
    let (code, text) = Authd::check(&gone, &["--online", "--user", "nobody"]).unwrap();
    assert_eq!(code, Some(64));
    assert!(text.contains("FAILED: directory ldap: connect to ldap://127.0.0.1:1: cannot connect"), "{text}");
    assert!(text.contains("FAILED: directory ldap: search for user \"nobody\""), "{text}");
    let wrong = slapd.directory().replace("cn=gitward,", "cn=somebody,");
    let (code, text) = Authd::check(&wrong, &["--online"]).unwrap();
    assert_eq!(code, Some(64));
    assert!(text.contains("the server refused the service account with code 49"), "{text}");
}

#[test]
fn a_certificate_that_does_not_fit_is_named() {
    let slapd = Slapd::start().unwrap();
    let (code, text) = Authd::check(&directory(&[&slapd.tls_url()]), &["--online"]).unwrap();
    assert_eq!(code, Some(64));
    assert!(text.contains("UnknownIssuer"), "{text}");
}

#[test]
fn a_password_file_that_everybody_can_read_stops_the_start() {
    let slapd = Slapd::start().unwrap();
    let file = slapd.path().join("exposed");
    fs::write(&file, SERVICE_PASSWORD).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = slapd.directory().replace("service-password\n", &format!("{}\n", file.display()));
    let (code, text) = Authd::check(&exposed, &[]).unwrap();
    assert_eq!(code, Some(64));
    assert!(text.contains("can be read by everybody") && !text.contains(SERVICE_PASSWORD), "{text}");
}
