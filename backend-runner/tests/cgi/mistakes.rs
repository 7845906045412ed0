//! What is said about typical mistakes, in full: `mistakes/*.txt` hold each mistake and, below the dashes, its error.
//!
//! With `BLESS=1` the texts are written anew, to be read before they are committed.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs `check` on every mistake of one file, and compares.
fn compare(file: &str) {
    let texts =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cgi/mistakes").join(file.replace(".yaml", ".txt"));
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
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(file), text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_backend-runner"))
        .args(["check", "--config", file])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64), "{title}");
    let said = String::from_utf8(output.stderr).unwrap();
    let place = format!("{}/", directory.path().display());
    said.strip_prefix("backend-runner: ").unwrap().replace(&place, "")
}

#[test]
fn mistakes_in_the_runners_own_file_are_explained() {
    compare("backend-runner.yaml");
}
