//! Where a `RepoPath` is on disk, if it is a repository there and nothing else.
//!
//! git's own lookup guesses (`X/.git`, `X`, `X.git/.git`, `X.git`) and follows links and gitfiles, so one repository can be
//! reached under names that no policy knows. Here every component is opened in turn and must be a real directory, and the
//! last one must be a bare repository that git cannot take for something else.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use policy::repo_path::RepoPath;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

/// The file that marks a repository as exported: see git-http-backend(1).
pub const EXPORT_MARK: &str = "git-daemon-export-ok";

/// A repository that git may be run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its absolute path.
    pub path: PathBuf,
}

/// Why there is no repository to run git in.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// There is nothing of that name, or nothing that may be shown.
    #[error("no such repository")]
    Missing,
    /// There is something, and it is no plain repository: a link, a file, a working copy.
    #[error("not a plain bare repository: {0}")]
    NotPlain(&'static str),
    /// It is there but not marked as exported.
    #[error("the repository has no {EXPORT_MARK}")]
    NotExported,
    /// It belongs to somebody whose configuration this process should not execute.
    #[error(
        "the repository belongs to uid {owner}: it should be owned like the project root or by uid {process}"
    )]
    ForeignOwner {
        /// The repository's owner.
        owner: u32,
        /// Who this process is.
        process: u32,
    },
    /// The file system did not answer.
    #[error("cannot look into the repository")]
    Unreadable(#[source] io::Error),
}

/// Finds the repository `repo` below `root`.
///
/// # Errors
/// See [`LookupError`]. All but the last two mean the same to a client.
pub fn find(root: &Path, repo: &RepoPath, export_all: bool) -> Result<Repository, LookupError> {
    let mut directory = openat(CWD, root, DIRECTORY, Mode::empty()).map_err(unreadable)?;
    let root_owner = fstat(&directory).map_err(unreadable)?.st_uid;
    for component in repo.components() {
        directory = openat(&directory, component, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
            .map_err(of_component)?;
    }
    let owner = fstat(&directory).map_err(unreadable)?.st_uid;
    let process = rustix::process::geteuid().as_raw();
    if ![process, root_owner].contains(&owner) {
        return Err(LookupError::ForeignOwner { owner, process });
    }
    for (entry, kind, problem) in PARTS {
        if stat(&directory, entry)?.map(|found| FileType::from_raw_mode(found.st_mode)) != Some(kind) {
            return Err(LookupError::NotPlain(problem));
        }
    }
    if stat(&directory, ".git")?.is_some() {
        return Err(LookupError::NotPlain("has a .git inside"));
    }
    if !export_all && stat(&directory, EXPORT_MARK)?.is_none() {
        return Err(LookupError::NotExported);
    }
    Ok(Repository { path: root.join(repo.as_str()) })
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What makes a directory a repository.
const PARTS: [(&str, FileType, &str); 3] = [
    ("HEAD", FileType::RegularFile, "HEAD is no plain file"),
    ("objects", FileType::Directory, "objects is no directory"),
    ("refs", FileType::Directory, "refs is no directory"),
];

fn stat(directory: &OwnedFd, entry: &str) -> Result<Option<Stat>, LookupError> {
    match statat(directory, entry, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

/// With `O_DIRECTORY`, a link that is not to be followed is "not a directory", like any file.
fn of_component(error: Errno) -> LookupError {
    match error {
        Errno::NOENT => LookupError::Missing,
        Errno::NOTDIR | Errno::LOOP => LookupError::NotPlain("a component is a link or a file"),
        error => unreadable(error),
    }
}

fn unreadable(error: Errno) -> LookupError {
    LookupError::Unreadable(error.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn bare(path: &Path) {
        fs::create_dir_all(path.join("objects")).unwrap();
        fs::create_dir_all(path.join("refs")).unwrap();
        fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    fn lookup(root: &Path, repo: &str) -> Result<Repository, LookupError> {
        find(root, &RepoPath::parse(repo).unwrap(), true)
    }

    #[test]
    fn a_bare_repository_is_found_at_exactly_its_own_path() {
        let root = tempfile::tempdir().unwrap();
        bare(&root.path().join("team/app.git"));
        assert_eq!(lookup(root.path(), "team/app.git").unwrap().path, root.path().join("team/app.git"));
        assert!(matches!(lookup(root.path(), "app.git"), Err(LookupError::Missing)));
        assert!(matches!(lookup(root.path(), "team/app/app.git"), Err(LookupError::Missing)));
    }

    #[test]
    fn what_git_would_guess_is_not_a_repository() {
        let root = tempfile::tempdir().unwrap();
        bare(&root.path().join("only.git.git"));
        bare(&root.path().join("work.git/.git"));
        bare(&root.path().join("both.git"));
        bare(&root.path().join("both.git/.git"));
        fs::write(root.path().join("file.git"), "gitdir: both.git\n").unwrap();
        fs::create_dir(root.path().join("empty.git")).unwrap();
        assert!(matches!(lookup(root.path(), "only.git"), Err(LookupError::Missing)));
        for repo in ["work.git", "both.git", "file.git", "empty.git"] {
            assert!(matches!(lookup(root.path(), repo), Err(LookupError::NotPlain(_))), "{repo}");
        }
    }

    #[test]
    fn no_link_is_followed_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        bare(&root.path().join("real/app.git"));
        symlink(root.path().join("real/app.git"), root.path().join("link.git")).unwrap();
        symlink(root.path().join("real"), root.path().join("group")).unwrap();
        bare(&root.path().join("objects.git"));
        fs::remove_dir(root.path().join("objects.git/objects")).unwrap();
        symlink(root.path().join("real/app.git/objects"), root.path().join("objects.git/objects")).unwrap();
        bare(&root.path().join("head.git"));
        fs::remove_file(root.path().join("head.git/HEAD")).unwrap();
        symlink(root.path().join("real/app.git/HEAD"), root.path().join("head.git/HEAD")).unwrap();
        for repo in ["link.git", "group/app.git", "objects.git", "head.git"] {
            assert!(matches!(lookup(root.path(), repo), Err(LookupError::NotPlain(_))), "{repo}");
        }
    }

    #[test]
    fn a_repository_that_is_not_marked_is_only_found_when_all_are_exported() {
        let root = tempfile::tempdir().unwrap();
        bare(&root.path().join("a.git"));
        let repo = RepoPath::parse("a.git").unwrap();
        assert!(matches!(find(root.path(), &repo, false), Err(LookupError::NotExported)));
        fs::write(root.path().join("a.git").join(EXPORT_MARK), "").unwrap();
        assert!(find(root.path(), &repo, false).is_ok());
    }

    #[test]
    fn a_repository_of_a_stranger_is_not_served() {
        let root = tempfile::tempdir().unwrap();
        bare(&root.path().join("a.git"));
        if std::os::unix::fs::chown(root.path().join("a.git"), Some(4711), None).is_err() {
            return; // Only root can give files away.
        }
        assert!(matches!(lookup(root.path(), "a.git"), Err(LookupError::ForeignOwner { owner: 4711, .. })));
    }
}
