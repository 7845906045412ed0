//! `backend-runner purge`: forgets kept packs, of some repositories or of all. A running daemon has forgotten them at once.
//!
//! For what must not be given away any more, for example after a secret was removed from a repository. The file is the answer,
//! so removing it needs no word with the daemon; an answer in the making is not kept then.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use clap::Args;
use policy::repo_path::RepoPath;

use super::{CommandError, ConfigFile};
use crate::cache::name::{self, Kind};
use crate::cache::standing::tag;
use crate::config::Config;
use crate::repository::{self, LookupError};

/// What `purge` takes.
#[derive(Debug, Args)]
#[group(id = "whose", required = true, multiple = false, args = ["all", "repositories"])]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Forget the packs of all repositories
    #[arg(long)]
    all: bool,
    /// The repositories below the project root, also such that are not there any more
    #[arg(value_name = "REPO")]
    repositories: Vec<RepoPath>,
}

/// Forgets and says how much.
///
/// # Errors
/// When the configuration or the directory cannot be read, a file stays, or there is no such repository and nothing kept of it.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config.path)?;
    let mut out = std::io::stdout().lock();
    let Some(directory) = &config.cache.directory else {
        writeln!(out, "no packs are kept: cache.directory is not set")?;
        return Ok(());
    };
    let store = |repository| config.aliases.store(repository);
    // Those that nothing is known of yet are misspelt.
    let (mut tags, mut unknown) = (Vec::new(), BTreeMap::new());
    for repository in &arguments.repositories {
        let found = repository::find(&config.repositories, store(repository), true);
        if let Err(source @ (LookupError::Missing | LookupError::NotPlain(_))) = found {
            unknown.insert(tag(store(repository)), (repository, source));
        }
        tags.push(tag(store(repository)));
    }
    let (mut files, mut bytes) = (0_u64, 0_u64);
    for file in fs::read_dir(directory)? {
        let file = file?;
        let (tag, size) = match file.file_name().to_str().and_then(name::parse) {
            Some(Kind::Answer(name)) => (name.tag, name.size),
            Some(Kind::Part(tag)) => (tag, 0),
            None => continue,
        };
        if !arguments.all && !tags.contains(&tag) {
            continue;
        }
        unknown.remove(&tag);
        match fs::remove_file(file.path()) {
            Ok(()) => (files, bytes) = (files + 1, bytes + size),
            // The daemon was faster.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    writeln!(out, "removed: {files} files, {bytes} bytes")?;
    match unknown.into_values().next() {
        Some((repository, source)) => {
            Err(CommandError::Repository { name: repository.to_string(), source: source.into() })
        }
        None => Ok(()),
    }
}
