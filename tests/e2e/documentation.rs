//! The documentation's tables: those that a test generates stand in it word for word, and every test that
//! one names exists.

use std::fs;

const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Asserts that the documentation holds `table`.
pub(crate) fn has(table: &str) {
    file_has(ARCHITECTURE, table);
}

/// Asserts that a file of the documentation holds `table`.
pub(crate) fn file_has(file: &str, table: &str) {
    assert!(read(file).contains(table), "{file} needs this table:\n\n{table}");
}

#[test]
fn every_test_that_the_documentation_names_exists() {
    let text = read(ARCHITECTURE);
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let named: Vec<_> =
        quoted.filter_map(|words| words.split_once("::")).filter(|(_, test)| is_sentence(test)).collect();
    for (module, test) in &named {
        let source = read(&format!("tests/e2e/{module}.rs"));
        assert!(source.contains(&format!("#[test]\nfn {test}(")), "there is no test {module}::{test}");
    }
    assert!(named.len() > 20, "{named:?}");
}

/// Tests have names that no other function has.
fn is_sentence(name: &str) -> bool {
    name.split('_').count() > 3 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn read(file: &str) -> String {
    let path = harness::settings::checkout().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
