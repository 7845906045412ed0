//! `backend-runner create-repo`: a new bare repository, complete before it is visible.
//!
//! The name is a `RepoPath`, so that the repository can be asked for; missing project groups are created on the way, and no
//! link is followed. An alias gets its branch named in the store, and nothing else. git makes the repository under a name nobody can ask for; the last step renames it, which fails when
//! the name is taken.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use policy::Policy;
use policy::branch::RefRights;
use policy::repo_path::{InvalidRepoPath, RepoPath};
use policy::subject::Subjects;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with, statat};
use rustix::io::Errno;

mod namespace;
mod ownership;

use super::{CommandError, ConfigFile};
use crate::config::{Config, LoadError};
use crate::repository::LookupError;
use crate::text::escape;

/// What `create-repo` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// The repository below the project root, for example team/test.git
    name: String,
    #[command(flatten)]
    options: Options,
}

/// What a new repository may be like.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The branch that HEAD names
    #[arg(long, value_name = "B", default_value = "main")]
    default_branch: String,
    /// How objects are named: sha1 or sha256
    #[arg(long, value_name = "FORMAT", default_value = "sha1")]
    object_format: String,
    /// One line for gitweb and others
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A directory to copy into the repository, see git-init(1)
    #[arg(long, value_name = "DIR")]
    template: Option<PathBuf>,
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
    /// There is something whose name differs only in the case of letters.
    #[error("{name} exists already, and differs from {wanted} only in the case of letters")]
    Alike {
        /// What is there.
        name: String,
        /// What was asked for.
        wanted: String,
    },
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
    /// The name is an alias of a repository that is not there.
    #[error("{name} is an alias of {repository}")]
    NoStore {
        /// The alias.
        name: RepoPath,
        /// What it stands for.
        repository: RepoPath,
        /// Why that cannot be used.
        #[source]
        source: LookupError,
    },
    /// git refused.
    #[error("git init failed: {0}")]
    Git(String),
}

impl CreateError {
    /// Whether another name would help.
    #[must_use]
    pub fn is_name(&self) -> bool {
        matches!(self, Self::BadName { .. } | Self::Exists(_) | Self::Alike { .. } | Self::NotADirectory(_))
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
    if let Some(alias) = config.aliases.of(&repo) {
        return Ok(namespace::create(&config, &repo, alias, &arguments.options.default_branch)?);
    }
    let settings = settings(&config, &repo)?;
    Ok(create(&config.git, &config.repositories, &repo, &arguments.options, &settings)?)
}

/// Settings of a new repository. What protects it comes with every request, so that it cannot be missing here; these also hold
/// for whoever pushes without Gitward.
fn settings(config: &Config, repo: &RepoPath) -> Result<Vec<(&'static str, &'static str)>, CommandError> {
    let mut settings =
        vec![("receive.fsckObjects", "true"), ("receive.autogc", "false"), ("core.logAllRefUpdates", "true")];
    let file = &config.policy_file;
    let bytes = std::fs::read(file).map_err(|source| LoadError::Read { path: file.clone(), source })?;
    let policy = Policy::parse(&file.display().to_string(), &bytes).map_err(LoadError::from)?;
    let rules = policy.branch_rules(repo);
    let nobody = |right: fn(&RefRights) -> &Subjects| rules.all_branches_deny(right);
    if nobody(|rights| &rights.force) {
        settings.push(("receive.denyNonFastForwards", "true"));
    }
    if nobody(|rights| &rights.delete) {
        settings.push(("receive.denyDeletes", "true"));
    }
    Ok(settings)
}

/// Creates `repo` below `root` with `git`.
///
/// # Errors
/// See [`CreateError`].
pub fn create(
    git: &Path,
    root: &Path,
    repo: &RepoPath,
    options: &Options,
    settings: &[(&str, &str)],
) -> Result<(), CreateError> {
    let (group, name) = repo.as_str().rsplit_once('/').unwrap_or(("", repo.as_str()));
    let group_path = root.join(group);
    let directory = open_group(root, group)?;
    if statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        return Err(CreateError::Exists(repo.clone()));
    }
    refuse_alike(&group_path, name)?;
    // A name that starts with a dot is outside the grammar.
    let unfinished = format!(".{name}.new-{}", std::process::id());
    let path = group_path.join(&unfinished);
    let failed = |source| CreateError::System { path: root.join(repo.as_str()), source };
    let made = init(git, &path, options, settings)
        .and_then(|()| ownership::like(root, &path).map_err(failed))
        .and_then(|()| {
            renameat_with(&directory, &unfinished, &directory, name, RenameFlags::NOREPLACE).map_err(
                |error| match error {
                    Errno::EXIST => CreateError::Exists(repo.clone()),
                    error => failed(error.into()),
                },
            )
        });
    if made.is_err() {
        let _ = std::fs::remove_dir_all(&path);
    }
    made
}

/// On a file system that folds case the two would be one, and people take them for one anywhere.
fn refuse_alike(directory: &Path, name: &str) -> Result<(), CreateError> {
    let failed = |source| CreateError::System { path: directory.to_owned(), source };
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let found = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if found != name && found.eq_ignore_ascii_case(name) {
            return Err(CreateError::Alike { name: found, wanted: name.to_owned() });
        }
    }
    Ok(())
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
        refuse_alike(&path, component)?;
        path.push(component);
        match mkdirat(&directory, component, Mode::from_raw_mode(0o777)) {
            Ok(()) => ownership::like(root, &path)
                .map_err(|source| CreateError::System { path: path.clone(), source })?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(&path, error)),
        }
        directory = openat(&directory, component, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|error| failed(&path, error))?;
    }
    Ok(directory)
}

/// An empty repository without sample hooks.
fn init(git: &Path, path: &Path, options: &Options, settings: &[(&str, &str)]) -> Result<(), CreateError> {
    let branch = format!("--initial-branch={}", options.default_branch);
    let format = format!("--object-format={}", options.object_format);
    let template = options.template.as_deref().unwrap_or_else(|| Path::new(""));
    let template = std::path::absolute(template).unwrap_or_default();
    let template = format!("--template={}", template.display());
    let words = ["init", "--quiet", "--bare", &template, &branch, &format];
    run_git(git, words.map(AsRef::as_ref).into_iter().chain([path.as_os_str()]))?;
    let file = path.join("config");
    for (key, value) in settings {
        let words = ["config", "--file"].map(AsRef::as_ref).into_iter();
        run_git(git, words.chain([file.as_os_str(), key.as_ref(), value.as_ref()]))?;
    }
    if let Some(text) = &options.description {
        let file = path.join("description");
        let text = format!("{}\n", escape(text));
        std::fs::write(&file, text).map_err(|source| CreateError::System { path: file, source })?;
    }
    Ok(())
}

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

    fn options(branch: &str, format: &str) -> Options {
        let (default_branch, object_format) = (branch.to_owned(), format.to_owned());
        Options { default_branch, object_format, description: Some("a\nb".to_owned()), template: None }
    }

    fn make(root: &Path, name: &str) -> Result<(), CreateError> {
        create(Path::new(GIT), root, &RepoPath::parse(name).unwrap(), &options("trunk", "sha256"), &[])
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
        assert!(std::fs::read_to_string(found.path.join("config")).unwrap().contains("sha256"));
        assert_eq!(std::fs::read_to_string(found.path.join("description")).unwrap(), "a\\nb\n");
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
        let error =
            create(Path::new(GIT), root.path(), &repo, &options("bad..name", "sha1"), &[]).unwrap_err();
        assert!(matches!(error, CreateError::Git(_)));
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_that_differ_only_in_case_are_refused_at_every_level() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), "team/app.git").unwrap();
        for name in ["team/App.git", "Team/other.git", "TEAM/app.git"] {
            let error = make(root.path(), name).unwrap_err();
            assert!(matches!(error, CreateError::Alike { .. }) && error.is_name(), "{name}: {error}");
        }
    }
}
