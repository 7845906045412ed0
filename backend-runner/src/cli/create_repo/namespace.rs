//! What an alias needs in its store: a `HEAD` of its own, for clones to know which branch to check out.

use policy::ref_update::RefName;
use policy::repo_path::RepoPath;

use super::{CreateError, ownership, run_git};
use crate::alias::Alias;
use crate::config::Config;
use crate::git::Git;
use crate::repository;

/// Names `branch` as the one that clones of the alias `name` check out; it need not exist yet.
pub(super) fn create(
    config: &Config,
    name: &RepoPath,
    alias: &Alias,
    branch: &str,
) -> Result<(), CreateError> {
    let Alias { repository, namespace } = alias;
    let store = repository::find(&config.repositories, repository, true).map_err(|source| {
        CreateError::NoStore { name: name.clone(), repository: repository.clone(), source }
    })?;
    let prefix = namespace.prefix();
    let (head, branch) = (format!("{prefix}HEAD"), format!("refs/heads/{branch}"));
    let git = Git::probe(&config.git).map_err(|error| CreateError::Git(error.to_string()))?;
    if namespace.has_head(&git, &store.path).map_err(|error| CreateError::Git(error.to_string()))? {
        return Err(CreateError::Exists(name.clone()));
    }
    if RefName::parse(&branch).is_none() {
        return Err(CreateError::Git(format!("{branch} is not a valid name of a branch")));
    }
    let safe = format!("safe.directory={}", store.path.display());
    let target = format!("{prefix}{branch}");
    let words = ["-c", &safe, "symbolic-ref", &head, &target].map(AsRef::as_ref);
    let place = ["--git-dir".as_ref(), store.path.as_os_str()];
    run_git(&config.git, place.into_iter().chain(words))?;
    // Where the new ref is, as the store keeps refs.
    let places = ["refs/namespaces", "reftable"].map(|place| store.path.join(place));
    places.into_iter().filter(|place| place.exists()).try_for_each(|place| {
        ownership::like(&store.path, &place).map_err(|source| CreateError::System { path: place, source })
    })
}
