//! `backend-runner check`: everything `serve` depends on, without serving; whether the rules fit the repositories, and what is wrong
//! with hooks and repositories.

mod problems;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use daemon::files::Files;
use policy::advice::{self, Advice};

use super::CommandError;
use crate::inventory;
use crate::load::{self, Loaded};
use crate::repository;

/// Prints what is found. What keeps the daemon from starting ends the check.
///
/// # Errors
/// That problem, or the number of the others.
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
    warnings.extend(config.cache.directory.as_deref().and_then(closed_to_nginx));
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    let problems = problems::find(config)?;
    for problem in &problems {
        writeln!(out, "problem: {problem}")?;
    }
    if problems.is_empty() { Ok(()) } else { Err(CommandError::Problems(problems.len())) }
}

/// Branches of a flow that a repository does not have: nothing can enter the branch after such a one. A repository without any
/// branch is new.
fn missing_branches(loaded: &Loaded) -> Vec<Advice> {
    let Loaded { config, policy, git, .. } = loaded;
    let mut found = Vec::new();
    let aliases = config.aliases.iter().map(|(name, _)| name.clone());
    // What cannot be read is among the problems already.
    let repositories = inventory::repo_paths(&config.repositories).unwrap_or_default();
    for repo in repositories.into_iter().chain(aliases) {
        let Some((level, flow)) = policy.branch_rules(&repo).flow else { continue };
        let store = config.aliases.store(&repo);
        let Ok(repository) = repository::find(&config.repositories, store, true) else { continue };
        let branches = git.branches(&repository.path, config.aliases.of(&repo)).unwrap_or_default();
        let absent = flow.iter().filter(|branch| !branches.is_empty() && !branches.contains(branch.as_str()));
        found.extend(absent.map(|branch| Advice {
            place: ["branches", level.as_str(), "flow", branch.as_str()].map(str::to_owned).to_vec(),
            message: format!("`{repo}` has no branch `{}` of this flow", branch.as_str()),
        }));
    }
    found
}

/// nginx sends kept packs itself, as another user: a member of the daemon's group, or anybody. A directory that only its owner may
/// enter makes every clone of what was kept a 503.
fn closed_to_nginx(directory: &Path) -> Option<String> {
    let is_closed = |path: &&Path| {
        fs::metadata(path).is_ok_and(|found| found.permissions().mode() & ENTERED_BY_OTHERS == 0)
    };
    let closed = directory.ancestors().filter(is_closed).last()?;
    Some(format!(
        "nginx may not read the packs in {}: {} is closed to its group and to others. Open it to nginx, or leave X-Gitward-Accel out of \
         gitward-git.conf",
        directory.display(),
        closed.display()
    ))
}

/// Search permission for the group or for others.
const ENTERED_BY_OTHERS: u32 = 0o011;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn rules_for_branches_and_repositories_that_do_not_exist_are_pointed_at() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["srv/team/app.git", "srv/team/new.git"] {
            git(&["init", "--quiet", "--bare", &at(name).display().to_string()]);
        }
        let app = at("srv/team/app.git").display().to_string();
        let tree = git(&["-C", &app, "hash-object", "-t", "tree", "-w", "/dev/null"]);
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-C", &app];
        let commit = git(&[&identity[..], &["commit-tree", "-m", "x", &tree]].concat());
        git(&["-C", &app, "update-ref", "refs/heads/dev", &commit]);
        let policy = "version: 1\naccess:\n  team/: { read: [joe] }\n  taem/: { read: [joe] }\n  team/no.git: { write: [joe] }\n\
             branches:\n  /: { flow: [dev, master] }\n";
        fs::write(at("policy.yaml"), policy).unwrap();
        fs::write(at("backend-runner.yaml"), "version: 1\nrepositories: srv\n").unwrap();
        let loaded = load::load(&at("backend-runner.yaml"), &mut Files::default()).unwrap();
        let told = |found: &[Advice]| advice::told(found, "p", &loaded.policy_text);
        assert_eq!(
            told(&missing_branches(&loaded)),
            ["p:7:20: `team/app.git` has no branch `master` of this flow"]
        );
        let Loaded { config, policy, policy_text, git } = &loaded;
        let warnings = load::warnings(config, git, policy, policy_text).join("\n");
        for part in [":4:3: there is no directory `taem/`", ":5:3: there is no repository `team/no.git`"] {
            assert!(warnings.contains(part), "{warnings}");
        }
        assert!(!warnings.contains("`team/`"), "{warnings}");
    }

    #[test]
    fn a_directory_that_nginx_cannot_enter_is_pointed_at() {
        let directory = tempfile::tempdir().unwrap();
        let (outer, inner) = (directory.path(), directory.path().join("kept"));
        fs::create_dir(&inner).unwrap();
        let close = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for (modes, closed) in
            [((0o750, 0o750), None), ((0o750, 0o700), Some(&*inner)), ((0o700, 0o750), Some(outer))]
        {
            close(outer, modes.0);
            close(&inner, modes.1);
            let warning = closed_to_nginx(&inner);
            let expected = closed.map(|closed| format!(": {} is closed", closed.display()));
            assert_eq!(warning.is_some(), expected.is_some(), "{warning:?}");
            assert!(expected.is_none_or(|expected| warning.unwrap().contains(&expected)));
        }
    }

    fn git(arguments: &[&str]) -> String {
        let output = Command::new("git").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}
