//! `backend-runner check`: everything `serve` depends on, without serving, and whether the rules fit the repositories.

use std::io::Write;
use std::path::Path;

use daemon::files::Files;
use policy::advice::{self, Advice};
use policy::repo_path::{MAX_DIRECTORIES, RepoPath};

use super::CommandError;
use crate::load::{self, Loaded};
use crate::repository;

/// Prints what is found; the first problem ends the check.
///
/// # Errors
/// That problem.
pub fn run(config: &Path) -> Result<(), CommandError> {
    let path = std::path::absolute(config)?;
    let loaded = load::load(&path, &mut Files::default())?;
    let Loaded { config, policy, policy_text, git } = &loaded;

    let mut out = std::io::stdout().lock();
    writeln!(out, "configuration: {}", config.file.display())?;
    writeln!(out, "policy:        {}", config.policy_file.display())?;
    writeln!(out, "git:           {} ({})", git.banner, git.http_backend.display())?;
    writeln!(out, "repositories:  {}", config.repositories.display())?;
    let name = config.policy_file.display().to_string();
    let mut warnings = load::warnings(config, git, policy, policy_text);
    warnings.extend(advice::told(&missing_branches(&loaded), &name, policy_text));
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

/// Branches of a flow that a repository does not have: nothing can enter the branch after such a one. A repository without any
/// branch is new.
fn missing_branches(loaded: &Loaded) -> Vec<Advice> {
    let Loaded { config, policy, git, .. } = loaded;
    let mut found = Vec::new();
    for repo in repositories(&config.repositories) {
        let Some((level, flow)) = policy.branch_rules(&repo).flow else { continue };
        let Ok(repository) = repository::find(&config.repositories, &repo, true) else { continue };
        let branches = git.branches(&repository.path).unwrap_or_default();
        let absent = flow.iter().filter(|branch| !branches.is_empty() && !branches.contains(branch.as_str()));
        found.extend(absent.map(|branch| Advice {
            place: ["branches", level.as_str(), "flow", branch.as_str()].map(str::to_owned).to_vec(),
            message: format!("`{repo}` has no branch `{}` of this flow", branch.as_str()),
        }));
    }
    found
}

/// Every repository below the project root that a request can name, in order.
fn repositories(root: &Path) -> Vec<RepoPath> {
    let mut found = Vec::new();
    let mut directories = vec![(String::new(), 0)];
    while let Some((prefix, depth)) = directories.pop() {
        let Ok(entries) = std::fs::read_dir(root.join(&prefix)) else { continue };
        // Links are no directories here: nobody is served through one.
        let real = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        for name in real.filter_map(|entry| entry.file_name().into_string().ok()) {
            let path = format!("{prefix}{name}");
            match RepoPath::parse(&path) {
                Ok(repo) => found.push(repo),
                Err(_) if depth < MAX_DIRECTORIES => directories.push((path + "/", depth + 1)),
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}
