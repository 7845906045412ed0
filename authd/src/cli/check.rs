//! `authd check`: reads everything a start would read, and changes nothing.

use std::io::{self, Write};

use super::{ConfigArgument, Failure};
use crate::advice::advice;
use crate::load::{self, Loaded};

/// Prints what is wrong, or what is there.
pub fn run(arguments: &ConfigArgument) -> Result<(), Failure> {
    match load::load(&arguments.config) {
        Ok(loaded) => print(&arguments.config.display().to_string(), &loaded).map_err(Failure::other),
        Err(problems) => {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Err(Failure::configuration(format!("the configuration cannot be used:\n{}", lines.join("\n"))))
        }
    }
}

fn print(name: &str, loaded: &Loaded) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let file = loaded.config.policy_file.display().to_string();
    let advice = advice(&loaded.policy, &loaded.directories, &file, &loaded.policy_text);
    for warning in loaded.warnings.iter().chain(&advice) {
        writeln!(out, "warning: {warning}")?;
    }
    writeln!(out, "ok: {name}")?;
    writeln!(out, "ok: {}", loaded.config.policy_file.display())?;
    for (directory, users) in loaded.directories.summary() {
        match users {
            Some(users) => writeln!(out, "ok: directory {directory}, {users} users")?,
            None => writeln!(out, "ok: directory {directory}")?,
        }
    }
    Ok(())
}
