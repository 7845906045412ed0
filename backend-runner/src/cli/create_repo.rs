//! `backend-runner create-repo`: a new bare repository, complete before it is visible.
//!
//! The name is a `RepoPath`, so that the repository can be asked for; missing project groups are created on the way, and no
//! link is followed. git makes the repository under a name nobody can ask for; the last step renames it, which fails when
//! the name is taken.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use policy::repo_path::{InvalidRepoPath, RepoPath};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with, statat};
use rustix::io::Errno;

use super::{CommandError, ConfigFile};
use crate::config::Config;

/// What `create-repo` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// The repository below the project root, for example team/test.git
    name: String,
    /// The branch that HEAD names
    #[arg(long, value_name = "B", default_value = "main")]
    default_branch: String,
}

/// The repository cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// No client could ask for it.
    #[error("{name}")]
    BadName {
        /// What was given.
        name: String,
        /// The rule it breaks.
        #[source]
        source: InvalidRepoPath,
    },
    /// There is something of that name.
    #[error("{0} exists already")]
    Exists(RepoPath),
    /// A project group's name belongs to something that is not a directory.
    #[error("{0} is not a directory")]
    NotADirectory(PathBuf),
    /// The file system refused.
    #[error("cannot create {}", path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// git refused.
    #[error("git init failed: {0}")]
    Git(String),
}

impl CreateError {
    /// Whether another name would help.
    #[must_use]
    pub fn is_name(&self) -> bool {
        matches!(self, Self::BadName { .. } | Self::Exists(_) | Self::NotADirectory(_))
    }
}

/// Creates the repository.
///
/// # Errors
/// See [`CreateError`].
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let name = &arguments.name;
    let repo = RepoPath::parse(name).map_err(|source| CreateError::BadName { name: name.clone(), source })?;
    let config = Config::load(&arguments.config.path)?;
    Ok(create(&config.git, &config.repositories, &repo, &arguments.default_branch)?)
}

/// Creates `repo` below `root` with `git`.
///
/// # Errors
/// See [`CreateError`].
pub fn create(git: &Path, root: &Path, repo: &RepoPath, branch: &str) -> Result<(), CreateError> {
    let (group, name) = repo.as_str().rsplit_once('/').unwrap_or(("", repo.as_str()));
    let group_path = root.join(group);
    let directory = open_group(root, group)?;
    if statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        return Err(CreateError::Exists(repo.clone()));
    }
    // A name that starts with a dot is outside the grammar.
    let unfinished = format!(".{name}.new-{}", std::process::id());
    let path = group_path.join(&unfinished);
    let made = init(git, &path, branch).and_then(|()| {
        renameat_with(&directory, &unfinished, &directory, name, RenameFlags::NOREPLACE).map_err(|error| {
            match error {
                Errno::EXIST => CreateError::Exists(repo.clone()),
                error => CreateError::System { path: root.join(repo.as_str()), source: error.into() },
            }
        })
    });
    if made.is_err() {
        let _ = std::fs::remove_dir_all(&path);
    }
    made
}

/// Opens the project group, creating what is missing of it.
fn open_group(root: &Path, group: &str) -> Result<OwnedFd, CreateError> {
    const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
    let failed = |path: &Path, error: Errno| match error {
        Errno::NOTDIR | Errno::LOOP => CreateError::NotADirectory(path.to_owned()),
        error => CreateError::System { path: path.to_owned(), source: error.into() },
    };
    let mut path = root.to_owned();
    let mut directory = openat(CWD, root, DIRECTORY, Mode::empty()).map_err(|error| failed(root, error))?;
    for component in group.split('/').filter(|component| !component.is_empty()) {
        path.push(component);
        match mkdirat(&directory, component, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(&path, error)),
        }
        directory = openat(&directory, component, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|error| failed(&path, error))?;
    }
    Ok(directory)
}

/// An empty repository without sample hooks. What protects it comes with every request, so that it cannot be missing here;
/// the settings below also hold for whoever pushes without Gitward.
fn init(git: &Path, path: &Path, branch: &str) -> Result<(), CreateError> {
    let branch = format!("--initial-branch={branch}");
    let target = path.as_os_str();
    run_git(
        git,
        ["init", "--quiet", "--bare", "--template=", &branch].map(AsRef::as_ref).into_iter().chain([target]),
    )?;
    for (key, value) in SETTINGS {
        let config = ["config", "--file"].map(AsRef::as_ref).into_iter();
        let file = path.join("config");
        run_git(git, config.chain([file.as_os_str(), key.as_ref(), value.as_ref()]))?;
    }
    Ok(())
}

const SETTINGS: [(&str, &str); 3] =
    [("receive.fsckObjects", "true"), ("receive.autogc", "false"), ("core.logAllRefUpdates", "true")];

fn run_git<'a>(git: &Path, arguments: impl Iterator<Item = &'a std::ffi::OsStr>) -> Result<(), CreateError> {
    let output = Command::new(git)
        .args(arguments)
        .env_clear()
        .envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("LC_ALL", "C"),
            ("HOME", "/nonexistent"),
        ])
        .current_dir("/")
        .output()
        .map_err(|source| CreateError::System { path: git.to_owned(), source })?;
    match output.status.success() {
        true => Ok(()),
        false => Err(CreateError::Git(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIT: &str = "/usr/bin/git";

    fn make(root: &Path, name: &str) -> Result<(), CreateError> {
        create(Path::new(GIT), root, &RepoPath::parse(name).unwrap(), "trunk")
    }

    #[test]
    fn a_new_repository_is_found_and_names_its_default_branch() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), "team/deep/new.git").unwrap();
        let found =
            crate::repository::find(root.path(), &RepoPath::parse("team/deep/new.git").unwrap(), true)
                .unwrap();
        assert_eq!(std::fs::read_to_string(found.path.join("HEAD")).unwrap(), "ref: refs/heads/trunk\n");
        assert!(!found.path.join("hooks").exists());
        let left: Vec<_> = std::fs::read_dir(found.path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn a_taken_name_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), "a.git").unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("/tmp", root.path().join("link")).unwrap();
        assert!(matches!(make(root.path(), "a.git"), Err(CreateError::Exists(_))));
        for name in ["file/b.git", "link/b.git"] {
            assert!(matches!(make(root.path(), name), Err(CreateError::NotADirectory(_))), "{name}");
        }
    }

    #[test]
    fn a_branch_name_that_git_refuses_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let repo = RepoPath::parse("a.git").unwrap();
        let error = create(Path::new(GIT), root.path(), &repo, "bad..name").unwrap_err();
        assert!(matches!(error, CreateError::Git(_)));
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
