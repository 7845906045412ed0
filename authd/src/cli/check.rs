//! `authd check`: reads everything a start would read, and changes nothing.
//!
//! With `--online` it also takes every step towards an answer of the LDAP directories, once, and says what
//! it found. It sends no password but the service account's and shows none.

use std::io::{self, Write};

use clap::Args;
use tokio::runtime::Builder;

use super::{ConfigArgument, Failure};
use crate::advice::advice;
use crate::identity::Directories;
use crate::load::{self, Loaded};

/// What `check` can be told.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Ask the LDAP servers as well
    #[arg(long)]
    online: bool,
    /// A user to look up there
    #[arg(long, value_name = "NAME", requires = "online")]
    user: Option<String>,
}

/// Prints what is wrong, or what is there.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = &arguments.config.config;
    let loaded = load::load(path).map_err(Failure::problems)?;
    print(&path.display().to_string(), &loaded).map_err(Failure::other)?;
    match arguments.online {
        true => online(&loaded.directories, arguments.user.as_deref()),
        false => Ok(()),
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

fn online(directories: &Directories, user: Option<&str>) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::other)?;
    let mut failed = 0;
    for ldap in directories.ldap() {
        for step in runtime.block_on(ldap.report(user)) {
            let (word, outcome) = match &step.outcome {
                Ok(found) => ("ok", found),
                Err(problem) => ("FAILED", problem),
            };
            failed += usize::from(step.outcome.is_err());
            let line = format!("{word}: directory {}: {}: {outcome}", ldap.name(), step.what);
            writeln!(io::stdout(), "{line}").map_err(Failure::other)?;
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::configuration(format!("{failed} steps failed"))),
    }
}
