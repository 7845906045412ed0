//! Where something is written: `policy.yaml:12`.

use std::fs;
use std::path::Path;

use policy::document;

/// The text of a file that has been read into something else already, to find places in.
pub(super) struct Written {
    name: String,
    text: String,
}

impl Written {
    /// Reads a file once more. When it is gone by now there are no places to show, which spoils no answer.
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        Self { name: path.display().to_string(), text }
    }

    /// Takes a text that has been read.
    pub(super) fn new(name: String, text: String) -> Self {
        Self { name, text }
    }

    /// The file's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The place a path through a YAML document leads to, see [`document::locate`].
    pub(super) fn place(&self, path: &[&str]) -> Option<String> {
        document::locate(&self.text, path).map(|at| format!("{}:{}", self.name, at.line))
    }

    /// The first line that is meant.
    pub(super) fn line(&self, is_meant: impl Fn(&str) -> bool) -> Option<String> {
        let index = self.text.lines().position(is_meant)?;
        Some(format!("{}:{}", self.name, index + 1))
    }
}
