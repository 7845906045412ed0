//! Reads the configuration and everything it names, all or nothing. Starting, reloading and `check` do the same here.
//!
//! Nothing is created, changed or listened on.

use std::io;
use std::path::Path;

use daemon::files::Files;
use policy::Policy;
use policy::advice::{self, Advice};
use policy::document::{CONFIG_LIMIT, RULES_LIMIT};

use crate::config::{Config, LoadError};
use crate::git::{FLOOR, Git};
use crate::server::{StartError, check_directories};

/// Everything that was read.
#[derive(Debug)]
pub struct Loaded {
    /// `backend-runner.yaml`.
    pub config: Config,
    /// The policy.
    pub policy: Policy,
    /// The policy as it is written, for telling where something stands.
    pub policy_text: String,
    /// The installed git.
    pub git: Git,
}

/// Reads everything, beginning with the configuration file at `path`, and notes in `files` what was read, however it ends. All
/// of it was there at one time: files that are replaced together do not make a configuration that is half old.
///
/// # Errors
/// When something cannot be used; says what.
pub fn load(path: &Path, files: &mut Files) -> Result<Loaded, StartError> {
    for _ in 0..MAX_ATTEMPTS {
        *files = Files::default();
        let loaded = load_once(path, files);
        if files.untouched() {
            return loaded;
        }
    }
    let source = io::Error::other("files change faster than they can be read");
    Err(LoadError::Read { path: path.to_owned(), source }.into())
}

fn load_once(path: &Path, files: &mut Files) -> Result<Loaded, StartError> {
    let config = Config::parse(path, &read(files, path, CONFIG_LIMIT)?)?;
    let bytes = read(files, &config.policy_file, RULES_LIMIT)?;
    let policy = Policy::parse(&config.policy_file.display().to_string(), &bytes).map_err(LoadError::from)?;
    let git = Git::probe(&config.git)?;
    check_directories(&config)?;
    Ok(Loaded { config, policy, policy_text: String::from_utf8_lossy(&bytes).into_owned(), git })
}

fn read(files: &mut Files, path: &Path, limit: usize) -> Result<Vec<u8>, LoadError> {
    files.read(path, limit).map_err(|source| LoadError::Read { path: path.to_owned(), source })
}

/// How often files may change while they are read before that is an error of its own.
const MAX_ATTEMPTS: usize = 5;

/// What works but should be known to the administrator; `text` is the policy as it is written.
#[must_use]
pub fn warnings(config: &Config, git: &Git, policy: &Policy, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if git.version < FLOOR {
        let banner = &git.banner;
        found.push(format!(
            "{banner} is older than {}.{}, the oldest that was tried",
            FLOOR.major, FLOOR.minor
        ));
    }
    let name = config.policy_file.display().to_string();
    found.extend(advice::told(&missing(policy, config), &name, text));
    found.extend(config.aliases.problems(git, &config.repositories));
    found
}

/// Levels of the policy that are not there on the disk: a rule for a misspelt repository protects nothing.
fn missing(policy: &Policy, config: &Config) -> Vec<Advice> {
    let root = &config.repositories;
    let levels = advice::named(policy).levels.into_iter();
    let absent = levels
        .filter(|(level, _)| !root.join(level.as_str()).is_dir() && !config.aliases.any_at(level.as_str()));
    let told = absent.map(|(level, place)| {
        let what = if level.as_str().ends_with('/') { "directory" } else { "repository" };
        Advice { place, message: format!("there is no {what} `{level}` in {}", root.display()) }
    });
    told.collect()
}
