//! The program with a directory of files of its own: what a command prints, and its exit code.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A directory to run commands in.
pub(crate) struct Desk(TempDir);

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Desk {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            desk.write(name, text);
        }
        desk
    }

    /// A whole configuration around this policy.
    pub(crate) fn with_policy(policy: &str) -> Self {
        Self::new(&[("policy.yaml", policy), ("users.yaml", USERS), ("authd.yaml", AUTHD)])
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs `authd`; the words are its arguments.
    pub(crate) fn run(&self, words: &str) -> Done {
        self.run_args(&words.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn run_args(&self, arguments: &[&str]) -> Done {
        let output = Command::new(env!("CARGO_BIN_EXE_authd"))
            .args(arguments)
            .current_dir(self.0.path())
            .env("GITWARD_CONFIG", "authd.yaml")
            .output()
            .unwrap();
        Done {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command that prints JSON.
    pub(crate) fn json(&self, words: &str) -> serde_json::Value {
        let done = self.run(words);
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}"))
    }
}

const AUTHD: &str = "version: 1\ndirectories:\n  - { type: users, file: users.yaml }\n";

const USERS: &str = "version: 1
users:
  joe: { groups: [developers] }
  ann:
    groups:
      - developers
      - managers
  kim: {}
";
