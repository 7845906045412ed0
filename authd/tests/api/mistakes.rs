//! What is said about typical mistakes, in full: `mistakes/*.txt` hold each mistake and, below the dashes, its error.
//!
//! With `BLESS=1` the texts are written anew, to be read before they are committed.

use std::fs;
use std::path::Path;

use crate::commands::Desk;

/// Runs `check` on every mistake of one file, and compares.
fn compare(file: &str) {
    let texts =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/mistakes").join(file.replace(".yaml", ".txt"));
    let expected = fs::read_to_string(&texts).unwrap();
    let mistakes: Vec<_> = expected.split("=== ").filter(|one| !one.is_empty()).collect();
    let mut actual = String::new();
    for mistake in &mistakes {
        let (title, rest) = mistake.split_once('\n').unwrap();
        let text = &rest[..rest.rfind("---\n").unwrap()];
        actual += &format!("=== {title}\n{text}---\n{}", said(file, title, text));
    }
    if std::env::var_os("BLESS").is_some() {
        return fs::write(&texts, &actual).unwrap();
    }
    similar(&expected, &actual);
}

/// Shows the first difference only: the whole of both would help nobody.
fn similar(expected: &str, actual: &str) {
    for (expected, actual) in expected.lines().zip(actual.lines()) {
        assert_eq!(expected, actual, "run with BLESS=1 to accept");
    }
    assert_eq!(expected.lines().count(), actual.lines().count(), "run with BLESS=1 to accept");
}

fn said(file: &str, title: &str, text: &str) -> String {
    let desk = Desk::with_policy("version: 1\naccess: {}\n");
    desk.write(file, text);
    let done = desk.run("check --config authd.yaml");
    assert_eq!((done.code, done.out.as_str()), (64, ""), "{title}");
    let said = done.err.strip_prefix("authd: the configuration cannot be used:\n");
    said.unwrap_or_else(|| panic!("{title}: {}", done.err)).to_owned()
}

#[test]
fn mistakes_in_a_policy_are_explained() {
    compare("policy.yaml");
}

#[test]
fn mistakes_in_a_users_file_are_explained_without_what_may_be_secret() {
    compare("users.yaml");
}

#[test]
fn mistakes_in_authds_own_file_are_explained() {
    compare("authd.yaml");
}
