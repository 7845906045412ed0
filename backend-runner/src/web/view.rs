//! What gitweb sees of the disk: a directory made for one page, in which one repository is the only project.
//!
//! Objects and refs are the repository's, by links. Its configuration is not: that may name programs (textconv, filters,
//! signature checkers, remotes to fetch from) and gitweb's own settings. What decides how objects and refs are read is copied
//! from it, and texts that gitweb shows. So nothing a repository says is executed, and no path leads to another one.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use policy::repo_path::RepoPath;
use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

use crate::git::Git;
use crate::repository::Repository;
use crate::switches::{self, SwitchError};

/// One page's view. Dropping it removes it.
#[derive(Debug)]
pub struct View {
    directory: TempDir,
}

/// The view could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The file system refuses.
    #[error("cannot make a private directory")]
    Directory(#[from] io::Error),
    /// The repository's configuration cannot be read.
    #[error(transparent)]
    Configuration(#[from] SwitchError),
}

impl View {
    /// Makes one below `scratch`. Runs git: not for a thread that must not wait.
    ///
    /// # Errors
    /// See [`ViewError`].
    pub fn create(
        scratch: &Path,
        git: &Git,
        repo: &RepoPath,
        repository: &Repository,
    ) -> Result<Self, ViewError> {
        let settings = switches::listed(git, repository, SETTINGS)?;
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(scratch)?;
        let view = Self { directory };
        let project = view.root().join(repo.as_str());
        fs::create_dir_all(&project)?;
        for part in LINKED {
            symlink(repository.path.join(part), project.join(part))?;
        }
        for part in COPIED {
            if let Some(text) = read(&repository.path.join(part))? {
                fs::write(project.join(part), text)?;
            }
        }
        let urls = read(&repository.path.join("cloneurl"))?.unwrap_or_default();
        fs::write(project.join("cloneurl"), plain_urls(&String::from_utf8_lossy(&urls)))?;
        fs::write(project.join("config"), configuration(&settings))?;
        fs::write(view.configuration(), include_str!("gitweb.conf"))?;
        Ok(view)
    }

    /// Where gitweb looks for projects.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("projects")
    }

    /// gitweb's own configuration.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.directory.path().join("gitweb.conf")
    }
}

/// Removes the views below `scratch` that a daemon that was killed has left: this user's, and unused for `age`. One that another
/// daemon still uses is younger.
pub fn sweep(scratch: &Path, age: Duration) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(scratch).into_iter().flatten().flatten() {
        let is_view = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        // Not through links.
        let Ok(found) = entry.metadata() else { continue };
        let is_old = found.modified().is_ok_and(|time| time.elapsed().is_ok_and(|passed| passed > age));
        if is_view && is_old && found.is_dir() && found.uid() == own {
            // What stays is tried again at the next start.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// How the directories of views begin.
const PREFIX: &str = "gitward-web-";

/// What objects and refs are kept in, in every format git has. A link to what is not there is as good as none.
const LINKED: [&str; 5] = ["objects", "refs", "packed-refs", "reftable", "shallow"];

/// Small files. git takes no HEAD that is a link, and gitweb shows the other.
const COPIED: [&str; 2] = ["HEAD", "description"];

/// The settings that are copied, as git matches names.
const SETTINGS: &str = r"^(core\.repositoryformatversion|extensions\.(objectformat|refstorage|compatobjectformat)|gitweb\.(owner|description))$";

/// The beginning of a plain file. One that is not there, or no file, has none.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else { return Ok(None) };
    let mut text = Vec::new();
    if file.metadata()?.is_file() {
        file.take(LONGEST).read_to_end(&mut text)?;
    }
    Ok(Some(text))
}

/// How much of a small file is copied, in bytes.
const LONGEST: u64 = 16 * 1024;

/// The lines that are URLs and need no escape in HTML: gitweb writes them as they are.
fn plain_urls(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$()*+,;=%".contains(&byte);
    let lines = text.lines().filter(|line| line.contains("://") && line.bytes().all(is_plain));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A configuration file with these settings.
fn configuration(settings: &[(String, String)]) -> String {
    let mut text = "[core]\n\tbare = true\n".to_owned();
    for (key, value) in settings {
        let Some((section, name)) = key.split_once('.') else { continue };
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        text.push_str(&format!("[{section}]\n\t{name} = \"{quoted}\"\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn old_views_are_swept_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let age = Duration::from_secs(3600);
        let make = |name: &str, passed: Duration| {
            let path = scratch.path().join(name);
            fs::create_dir_all(path.join("projects")).unwrap();
            symlink(scratch.path().join("kept"), path.join("projects/objects")).unwrap();
            File::open(&path).unwrap().set_modified(std::time::SystemTime::now() - passed).unwrap();
        };
        make("gitward-web-old", 2 * age);
        make("gitward-web-young", age / 2);
        make("gitward-push-old", 2 * age);
        make("kept", 2 * age);
        symlink(scratch.path().join("kept"), scratch.path().join("gitward-web-link")).unwrap();
        sweep(scratch.path(), age);
        let left = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["gitward-push-old", "gitward-web-link", "gitward-web-young", "kept"]);
        assert!(scratch.path().join("kept/projects").exists());
    }

    #[test]
    fn a_view_has_the_objects_and_refs_of_one_repository_and_not_its_settings() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.git");
        let git = Git::probe(Path::new("/usr/bin/git")).unwrap();
        let run = |arguments: &[&str], at: &Path| {
            let output = Command::new("/usr/bin/git").args(arguments).current_dir(at).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let format = ["init", "-q", "--bare", "--object-format=sha256", "a.git"];
        run(&format, directory.path());
        for (key, value) in
            [("gitweb.owner", "a \"b\" \\ c"), ("diff.x.textconv", "touch /tmp/x"), ("gitweb.blame", "1")]
        {
            run(&["config", key, value], &path);
        }
        let tree = run(&["hash-object", "-t", "tree", "-w", "/dev/null"], &path);
        symlink("/etc/passwd", path.join("cloneurl")).unwrap();
        let repository = Repository { path };
        let repo = RepoPath::parse("team/a.git").unwrap();
        let view = View::create(directory.path(), &git, &repo, &repository).unwrap();
        let project = view.root().join("team/a.git");
        let listed = run(&["--git-dir=.", "config", "--list"], &project);
        assert!(listed.contains("gitweb.owner=a \"b\" \\ c\n"), "{listed}");
        assert!(!listed.contains("textconv") && !listed.contains("blame"), "{listed}");
        assert_eq!(run(&["--git-dir=.", "cat-file", "-t", tree.trim()], &project), "tree\n");
        assert_eq!(fs::read(project.join("cloneurl")).unwrap(), b"", "a link is not followed");
        assert_eq!(plain_urls("https://a/b.git\n\"><b>://\njavascript:x\n"), "https://a/b.git\n");
        let root = view.root();
        drop(view);
        assert!(!root.exists());
    }
}
