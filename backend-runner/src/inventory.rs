//! What lies below the project root: the repositories, and what in them should not be as it is.
//!
//! Only looks, never changes anything. Links are reported and not followed, as requests do not follow them.

mod settings;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use policy::repo_path::{MAX_DIRECTORIES, RepoPath};

/// From when on a lock is taken for one that nobody holds.
pub const STALE_LOCK: Duration = Duration::from_secs(600);

/// From when on a quarantine is taken for one that nobody works in.
pub const STALE_QUARANTINE: Duration = Duration::from_secs(24 * 3600);

/// Something below the project root whose name ends in `.git`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// A directory.
    Repository(PathBuf),
    /// A link, of whatever name, which no request follows.
    Link(PathBuf),
}

/// Everything below `root`, by name.
///
/// # Errors
/// When the root itself cannot be read.
pub fn list(root: &Path) -> io::Result<Vec<Found>> {
    fs::read_dir(root)?;
    let mut found = Vec::new();
    collect(root, 0, &mut found);
    found.sort();
    Ok(found)
}

/// The repositories below `root`, by name, without links.
///
/// # Errors
/// When the root itself cannot be read.
pub fn repositories(root: &Path) -> io::Result<Vec<PathBuf>> {
    let is_repository = |found| match found {
        Found::Repository(path) => Some(path),
        Found::Link(_) => None,
    };
    Ok(list(root)?.into_iter().filter_map(is_repository).collect())
}

fn collect(directory: &Path, depth: usize, found: &mut Vec<Found>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type());
        let Ok(kind) = kind else { continue };
        if kind.is_symlink() {
            found.push(Found::Link(path));
        } else if kind.is_dir() && path.extension().is_some_and(|extension| extension == "git") {
            found.push(Found::Repository(path));
        } else if kind.is_dir() && depth < MAX_DIRECTORIES {
            collect(&path, depth + 1, found);
        }
    }
}

/// Every repository below the project root that a request can name, in order. A directory that this user may not read has none:
/// nobody is served from there.
///
/// # Errors
/// When the root cannot be read, or the file system fails at a directory.
pub fn repo_paths(root: &Path) -> io::Result<Vec<RepoPath>> {
    let mut found = Vec::new();
    let mut directories = vec![(String::new(), 0)];
    while let Some((prefix, depth)) = directories.pop() {
        let entries = match fs::read_dir(root.join(&prefix)) {
            Err(error) if depth > 0 && is_nobodys(&error) => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            // Links are no directories here: nobody is served through one.
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let Some(name) = entry.file_name().into_string().ok().filter(|_| is_directory) else { continue };
            let path = format!("{prefix}{name}");
            match RepoPath::parse(&path) {
                Ok(repo) => found.push(repo),
                Err(_) if depth < MAX_DIRECTORIES => directories.push((path + "/", depth + 1)),
                Err(_) => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a directory that was seen is gone by now, or is not for this user.
fn is_nobodys(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

/// What is wrong with a repository, a line each.
#[must_use]
pub fn problems(git: &Path, root: &Path, repository: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let plain = |part: &str| fs::symlink_metadata(repository.join(part));
    if !plain("HEAD").is_ok_and(|found| found.is_file()) {
        problems.push("HEAD is missing or no plain file".to_owned());
    }
    for part in ["objects", "refs"] {
        if !plain(part).is_ok_and(|found| found.is_dir()) {
            problems.push(format!("{part} is missing or no directory"));
        }
    }
    if plain(".git").is_ok() {
        problems.push("has a .git inside: not a bare repository".to_owned());
    }
    if plain("refs/replace").is_ok() {
        problems.push("has replace refs: Gitward ignores them, other programs may not".to_owned());
    }
    problems.extend(wrong_owner(root, repository));
    problems.extend(settings::problems(git, repository));
    let listed = |what: &str, paths: Vec<PathBuf>| -> Vec<String> {
        let inside = |path: &PathBuf| path.strip_prefix(repository).unwrap_or(path).display().to_string();
        paths.iter().map(|path| format!("{what}: {}", inside(path))).collect()
    };
    problems.extend(listed("stale lock", locks(repository, STALE_LOCK)));
    problems.extend(listed("left over from a broken push", quarantines(repository, STALE_QUARANTINE)));
    problems
}

/// Requests refuse repositories of strangers, and git would execute their configuration.
fn wrong_owner(root: &Path, repository: &Path) -> Vec<String> {
    let (Ok(root), Ok(found)) = (fs::metadata(root), fs::metadata(repository)) else {
        return vec!["cannot be looked at".to_owned()];
    };
    let mut problems = Vec::new();
    let process = rustix::process::geteuid().as_raw();
    if ![process, root.uid()].contains(&found.uid()) {
        problems.push(format!("belongs to uid {}, the project root to uid {}", found.uid(), root.uid()));
    }
    for part in ["", "config", "hooks", "objects", "refs"] {
        if fs::metadata(repository.join(part)).is_ok_and(|found| found.mode() & 0o002 != 0) {
            let name = if part.is_empty() { "it" } else { part };
            problems.push(format!("{name} can be written by everybody"));
        }
    }
    problems
}

/// Files named `*.lock` that are older than `age`.
#[must_use]
pub fn locks(repository: &Path, age: Duration) -> Vec<PathBuf> {
    let mut locks = Vec::new();
    let top = fs::read_dir(repository).into_iter().flatten().flatten().map(|entry| entry.path());
    locks.extend(top.filter(|path| path.is_file()));
    files(&repository.join("refs"), &mut locks);
    locks.retain(|path| path.extension().is_some_and(|extension| extension == "lock"));
    locks.retain(|path| newest(path).is_none_or(|newest| is_older(newest, age)));
    locks.sort();
    locks
}

/// Quarantines of pushes in which nothing was touched for `age`.
#[must_use]
pub fn quarantines(repository: &Path, age: Duration) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository.join("objects")).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"tmp_objdir-incoming-"))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|path| newest(path).is_some_and(|newest| is_older(newest, age)))
        .collect();
    found.sort();
    found
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path(), found),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

/// When something at or below `path` was last changed.
fn newest(path: &Path) -> Option<SystemTime> {
    let found = fs::symlink_metadata(path).ok()?;
    let own = found.modified().ok()?;
    if !found.is_dir() {
        return Some(own);
    }
    let below = fs::read_dir(path).ok()?.flatten().filter_map(|entry| newest(&entry.path()));
    below.chain([own]).max()
}

fn is_older(time: SystemTime, age: Duration) -> bool {
    time.elapsed().is_ok_and(|elapsed| elapsed > age)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(path: &Path, hours: u64) {
        let time = SystemTime::now() - Duration::from_secs(hours * 3600);
        fs::File::open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn what_is_old_all_the_way_down_is_stale() {
        let root = tempfile::tempdir().unwrap();
        let repository = root.path().join("team/a.git");
        let quarantine = repository.join("objects/tmp_objdir-incoming-x/pack");
        fs::create_dir_all(&quarantine).unwrap();
        fs::create_dir_all(repository.join("refs/heads")).unwrap();
        let lock = repository.join("refs/heads/x.lock");
        fs::write(&lock, "").unwrap();
        std::os::unix::fs::symlink("/tmp", root.path().join("link.git")).unwrap();
        let found = list(root.path()).unwrap();
        assert_eq!(found, [Found::Repository(repository.clone()), Found::Link(root.path().join("link.git"))]);
        age(&repository.join("objects/tmp_objdir-incoming-x"), 48);
        assert!(quarantines(&repository, STALE_QUARANTINE).is_empty());
        assert!(locks(&repository, STALE_LOCK).is_empty());
        age(&quarantine, 48);
        age(&lock, 1);
        assert_eq!(quarantines(&repository, STALE_QUARANTINE).len(), 1);
        assert_eq!(locks(&repository, STALE_LOCK), [lock]);
    }
}
