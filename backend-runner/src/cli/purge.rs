//! `backend-runner purge`: forgets kept packs, of some repositories or of all. A running daemon has forgotten them at once.
//!
//! For what must not be given away any more, for example after a secret was removed from a repository. The file is the answer,
//! so removing it needs no word with the daemon; an answer in the making is not kept then.

use std::fs;
use std::io::Write;

use clap::Args;
use policy::repo_path::RepoPath;

use super::{CommandError, ConfigFile};
use crate::cache::name::{self, Kind};
use crate::cache::standing::tag;
use crate::config::Config;

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
/// When the configuration or the directory cannot be read, or a file stays.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config.path)?;
    let mut out = std::io::stdout().lock();
    let Some(directory) = &config.cache.directory else {
        writeln!(out, "no packs are kept: cache.directory is not set")?;
        return Ok(());
    };
    let meant = arguments.repositories.iter();
    let store = |repository| config.repositories.join(config.aliases.store(repository).as_str());
    let tags: Vec<_> = meant.map(|repository| tag(store(repository).as_os_str())).collect();
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
        match fs::remove_file(file.path()) {
            Ok(()) => (files, bytes) = (files + 1, bytes + size),
            // The daemon was faster.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    writeln!(out, "removed: {files} files, {bytes} bytes")?;
    Ok(())
}
