//! The documentation's tables: those that a test generates stand in it word for word, and every test that
//! one names exists.

use std::fs;

/// Asserts that a file of the checkout holds `table`.
pub(crate) fn has(file: &str, table: &str) {
    let text = fs::read_to_string(harness::settings::checkout().join(file)).unwrap();
    assert!(text.contains(table), "{file} needs this table:\n\n{table}");
}
