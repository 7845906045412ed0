//! `authd diff`: what may be done under one policy and not under the other. A gate for continuous integration.
//!
//! What is compared, and that it is enough, is said in [`policy::diff`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use policy::Policy;
use policy::diff::{self, Change, Changed};
use serde_json::{Value, json};

use super::{DIFFER, Failure, print, print_json};

/// What `diff` can be told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The policy as it was
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The policy as it shall be
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the differences; exit 0 when there are none, 4 when there are some.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let changes = diff::changes(&read(&arguments.old)?, &read(&arguments.new)?);
    match arguments.json {
        true => print_json(&json!({
            "same": changes.is_empty(),
            "changes": changes.iter().map(as_json).collect::<Vec<_>>(),
            "summary": diff::summary(&changes),
        }))?,
        false => print(&text(&changes))?,
    }
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFER) })
}

fn read(path: &Path) -> Result<Policy, Failure> {
    let name = path.display().to_string();
    let bytes =
        fs::read(path).map_err(|error| Failure::configuration(format!("{name}: cannot be read: {error}")))?;
    Policy::parse(&name, &bytes).map_err(|error| Failure::configuration(error.to_string()))
}

fn text(changes: &[Change]) -> String {
    let mut text = String::new();
    for level in changes.chunk_by(|a, b| a.level == b.level) {
        text += &format!("{}\n", level[0].level);
        for change in level {
            text += &match &change.what {
                Changed::Access { subject, before, after } => {
                    format!("  {:<20} {:<5} -> {}\n", subject.to_string(), before.as_str(), after.as_str())
                }
                Changed::Branches { key } => format!("  branches: {key:<10} other rules\n"),
            };
        }
    }
    if text.is_empty() { "the same permissions\n".to_owned() } else { text }
}

fn as_json(change: &Change) -> Value {
    let level = change.level.as_str();
    match &change.what {
        Changed::Access { subject, before, after } => json!({
            "level": level, "subject": subject.to_string(), "before": before.as_str(), "after": after.as_str(),
        }),
        Changed::Branches { key } => json!({ "level": level, "branches": key }),
    }
}
