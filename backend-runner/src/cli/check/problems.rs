//! What `check` says is wrong: hooks that would judge nothing, and repositories that are not as they should be.

use std::io;

use crate::config::Config;
use crate::inventory::{self, Found};
use crate::managed_hooks::ManagedHooks;

/// All problems, a line each.
///
/// # Errors
/// When the project root cannot be read.
pub(super) fn find(config: &Config) -> io::Result<Vec<String>> {
    let mut problems = hooks(config);
    for found in inventory::list(&config.repositories)? {
        match found {
            Found::Link(path) => {
                problems.push(format!("{}: a link, which no request follows", path.display()))
            }
            Found::Repository(path) => {
                let found = inventory::problems(&config.git, &config.repositories, &path);
                problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", path.display())));
            }
        }
    }
    Ok(problems)
}

/// Whether the hooks would judge pushes. An empty directory is filled when the daemon starts.
fn hooks(config: &Config) -> Vec<String> {
    let hooks = ManagedHooks::look(&config.hooks);
    match hooks.prove() {
        Ok(()) => Vec::new(),
        Err(_) if hooks.is_empty() => Vec::new(),
        Err(error) => {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            vec![format!("{error}{cause}; no push would be taken")]
        }
    }
}
