//! The installed git, asked once at the start: its version and where its own programs are.

mod ask;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use self::ask::{AskError, Said};
use crate::alias::Alias;
use crate::child::Exit;

/// The oldest version whose behaviour Gitward was tried with; below it the log warns.
pub const FLOOR: Version = Version { major: 2, minor: 39 };

/// A version of git, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 2
    pub major: u32,
    /// 47
    pub minor: u32,
}

/// An installed git.
#[derive(Clone, Debug)]
pub struct Git {
    /// The `git` program.
    pub program: PathBuf,
    /// What it says of its version.
    pub banner: String,
    /// The version in numbers.
    pub version: Version,
    /// `git-http-backend`, next to git's other programs.
    pub http_backend: PathBuf,
    /// `PATH` for children.
    pub search_path: String,
    /// Whether that path has a `true`.
    pub has_true: bool,
}

/// git cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It is not an absolute path: children are started without a search.
    #[error("git: {} is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// It does not run.
    #[error("cannot run {}", path.display())]
    Run {
        /// The configured program.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It runs and says something else than git does.
    #[error("{} does not answer like git: {answer:?}", path.display())]
    NotGit {
        /// The configured program.
        path: PathBuf,
        /// What it said.
        answer: String,
    },
    /// This git comes without the program that speaks CGI.
    #[error("{} does not exist: is git's http-backend installed?", .0.display())]
    NoHttpBackend(PathBuf),
}

impl Git {
    /// Asks `program`.
    ///
    /// # Errors
    /// When it is not a git that can serve HTTP.
    pub fn probe(program: &Path) -> Result<Self, ProbeError> {
        if !program.is_absolute() {
            return Err(ProbeError::Relative(program.to_owned()));
        }
        let banner = ask(program, "version")?;
        let version = parse_version(&banner)
            .ok_or_else(|| ProbeError::NotGit { path: program.to_owned(), answer: banner.clone() })?;
        let http_backend = Path::new(&ask(program, "--exec-path")?).join("git-http-backend");
        if !http_backend.is_file() {
            return Err(ProbeError::NoHttpBackend(http_backend));
        }
        let search_path = search_path(program);
        let has_true = search_path.split(':').any(|directory| Path::new(directory).join("true").is_file());
        Ok(Self { program: program.to_owned(), banner, version, http_backend, search_path, has_true })
    }
}

impl Git {
    /// Whether a repository has a symbolic ref of this name, however it stores refs.
    ///
    /// # Errors
    /// When git gives no answer.
    pub fn has_symbolic(&self, repository: &Path, name: &str) -> Result<bool, AskError> {
        let said = self.ask(repository, &["symbolic-ref", "--quiet", name])?;
        Ok(said.exit == Exit::Code(0))
    }

    /// The branches of a repository or of a namespace in it, by their names below `refs/heads/`.
    ///
    /// # Errors
    /// When git does not run.
    pub fn branches(&self, repository: &Path, alias: Option<&Alias>) -> io::Result<BTreeSet<String>> {
        let heads = alias.map(|alias| alias.namespace.prefix()).unwrap_or_default() + "refs/heads/";
        let output = Command::new(&self.program)
            .args(["for-each-ref", "--format=%(refname)", &heads])
            .current_dir(repository)
            .env_clear()
            .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_DIR", ".")])
            .output()?;
        let names = String::from_utf8_lossy(&output.stdout);
        Ok(names.lines().filter_map(|name| name.strip_prefix(&heads)).map(str::to_owned).collect())
    }
}

fn ask(program: &Path, question: &str) -> Result<String, ProbeError> {
    let output = Command::new(program).arg(question).env_clear().output();
    let output = output.map_err(|source| ProbeError::Run { path: program.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `git version 2.47.3` and what distributions append.
fn parse_version(banner: &str) -> Option<Version> {
    let mut numbers = banner.strip_prefix("git version ")?.split(['.', ' ']);
    let mut next = || numbers.next()?.parse().ok();
    Some(Version { major: next()?, minor: next()? })
}

/// The directory of git itself, then the system's: `http-backend` starts `git` again by name.
fn search_path(program: &Path) -> String {
    let own = program.parent().unwrap_or_else(|| Path::new("/usr/bin")).display().to_string();
    let system = ["/usr/bin", "/bin"].into_iter().filter(|directory| *directory != own);
    [own.as_str()].into_iter().chain(system).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_whatever_a_distribution_appends() {
        let version = |major, minor| Some(Version { major, minor });
        assert_eq!(parse_version("git version 2.47.3"), version(2, 47));
        assert_eq!(parse_version("git version 2.39.5 (Apple Git-154)"), version(2, 39));
        assert_eq!(parse_version("git version 2.55.GIT"), version(2, 55));
        assert_eq!(parse_version("BusyBox v1.36"), None);
        assert!(parse_version("git version 2.9.1") < Some(FLOOR));
    }

    #[test]
    fn the_configured_git_comes_first_in_the_search_path() {
        assert_eq!(search_path(Path::new("/usr/bin/git")), "/usr/bin:/bin");
        assert_eq!(search_path(Path::new("/opt/git/bin/git")), "/opt/git/bin:/usr/bin:/bin");
    }

    #[test]
    fn a_program_that_is_not_git_is_named_in_the_error() {
        assert!(matches!(Git::probe(Path::new("git")), Err(ProbeError::Relative(_))));
        assert!(matches!(Git::probe(Path::new("/bin/echo")), Err(ProbeError::NotGit { .. })));
        assert!(matches!(Git::probe(Path::new("/nonexistent/git")), Err(ProbeError::Run { .. })));
    }
}
