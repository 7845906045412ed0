//! A repository's own switches, `http.uploadpack`, `http.receivepack`, `http.getanyfile` and `receive.hideRefs`: they may
//! narrow what the policy allows, never widen it.
//!
//! See git-http-backend(1). Nearly no repository has them, so a look into its configuration file usually settles the
//! question; only a file that could say something is read by git itself, with everything git knows of includes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Output};

use policy::git_request::{Access, Service};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::git::Git;
use crate::repository::Repository;

/// The switches could not be read, so nothing is allowed.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The configuration file cannot be read.
    #[error("cannot read the repository's configuration")]
    Read(#[source] io::Error),
    /// git cannot make sense of it.
    #[error("git cannot read the repository's configuration: {0}")]
    Git(String),
}

/// Whether [`allow`] has to be asked at all.
///
/// # Errors
/// When the repository's configuration cannot be read.
pub fn may_be_set(repository: &Repository) -> Result<bool, SwitchError> {
    let config = read(&repository.path.join("config")).map_err(SwitchError::Read)?;
    Ok(could_switch(&config))
}

/// A plain file of sensible size, and never one that keeps its reader waiting. To git, none is as good as an empty one.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(io::Error::other("not a file of at most 1 MiB"));
    }
    let mut config = Vec::new();
    file.take(LARGEST).read_to_end(&mut config)?;
    Ok(config)
}

/// The largest configuration a repository may have, in bytes.
const LARGEST: u64 = 1 << 20;

/// Whether the repository lets itself be accessed over HTTP. Runs git: not for a thread that must not wait.
///
/// # Errors
/// When that cannot be told.
pub fn allow(git: &Git, repository: &Repository, service: Service) -> Result<bool, SwitchError> {
    let switch = match (service, service.access()) {
        (Service::Dumb, _) => "http.getanyfile",
        (_, Access::Read) => "http.uploadpack",
        (_, Access::Write) => "http.receivepack",
    };
    let output = ask(git, &repository.path, &["--type=bool", "--get", switch]).map_err(SwitchError::Read)?;
    match (output.status.code(), output.stdout.trim_ascii()) {
        (Some(0), b"true") => Ok(true),
        (Some(0), b"false") => Ok(false),
        // Not set.
        (Some(1), b"") => Ok(true),
        _ => Err(SwitchError::Git(String::from_utf8_lossy(output.stderr.trim_ascii()).into_owned())),
    }
}

/// Whether [`hidden`] has to be asked at all.
///
/// # Errors
/// When the repository's configuration cannot be read.
pub fn may_hide(repository: &Repository) -> Result<bool, SwitchError> {
    let config = read(&repository.path.join("config")).map_err(SwitchError::Read)?;
    Ok(mentions(&config, &["hiderefs", "[include", "worktreeconfig"]))
}

/// The refs that the repository hides from pushes. They have to be said again after what this daemon says about refs: of
/// several patterns git lets the last one win. Runs git, as [`allow`] does.
///
/// # Errors
/// When that cannot be told.
pub fn hidden(git: &Git, repository: &Repository) -> Result<Vec<String>, SwitchError> {
    let found = listed(git, repository, r"^(transfer|receive)\.hiderefs$")?;
    Ok(found.into_iter().map(|(_, pattern)| pattern).collect())
}

/// The settings of a repository whose names match, as git spells them, in order. Runs git, as [`allow`] does.
///
/// # Errors
/// When that cannot be told.
pub fn listed(git: &Git, repository: &Repository, names: &str) -> Result<Vec<(String, String)>, SwitchError> {
    let output = ask(git, &repository.path, &["-z", "--get-regexp", names]).map_err(SwitchError::Read)?;
    match output.status.code() {
        Some(0) => {
            let text =
                String::from_utf8(output.stdout).map_err(|error| SwitchError::Git(error.to_string()))?;
            let entries = text.split_terminator('\0').filter_map(|entry| entry.split_once('\n'));
            Ok(entries.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
        }
        Some(1) if output.stdout.is_empty() => Ok(Vec::new()),
        _ => Err(SwitchError::Git(String::from_utf8_lossy(output.stderr.trim_ascii()).into_owned())),
    }
}

/// Whether the text has a section that could hold a switch, or says where more configuration is. git's section names are
/// case-insensitive and follow the bracket at once.
fn could_switch(config: &[u8]) -> bool {
    mentions(config, &["[http", "[include", "worktreeconfig"])
}

fn mentions(config: &[u8], marks: &[&str]) -> bool {
    let config = config.to_ascii_lowercase();
    marks.iter().any(|mark| config.windows(mark.len()).any(|window| window == mark.as_bytes()))
}

fn ask(git: &Git, repository: &Path, question: &[&str]) -> io::Result<Output> {
    Command::new(&git.program)
        .arg("--git-dir")
        .arg(repository)
        .arg("config")
        .args(question)
        .env_clear()
        .envs([
            ("PATH", &*git.search_path),
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ])
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", repository)
        .current_dir("/")
        .output()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(config: &str) -> (tempfile::TempDir, Repository) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.git");
        let made = Command::new("/usr/bin/git").args(["init", "-q", "--bare"]).arg(&path).status().unwrap();
        assert!(made.success());
        let mut text = std::fs::read_to_string(path.join("config")).unwrap();
        text.push_str(config);
        std::fs::write(path.join("config"), text).unwrap();
        std::fs::write(path.join("more"), "[http]\n\treceivepack = off\n").unwrap();
        (directory, Repository { path })
    }

    #[test]
    fn a_switch_narrows_its_own_service_only() {
        let git = Git::probe(Path::new("/usr/bin/git")).unwrap();
        for (config, read, write, dumb) in [
            ("", true, true, true),
            ("[core]\n\tcompression = 1\n", true, true, true),
            ("[http]\n\tpostBuffer = 1\n", true, true, true),
            ("[http]\n\treceivepack = true\n\tuploadpack\n", true, true, true),
            ("[HTTP]\n\tReceivePack = 0\n", true, false, true),
            ("[http] uploadpack = no\n", false, true, true),
            ("[http] getanyfile = no\n", true, true, false),
            ("[http]\n\treceivepack = false\n[http]\n\treceivepack = true\n", true, true, true),
            ("[include]\n\tpath = more\n", true, false, true),
        ] {
            let (_directory, repository) = repository(config);
            assert_eq!(
                may_be_set(&repository).unwrap(),
                config.to_ascii_lowercase().contains("[http") || config.contains("[inc")
            );
            let asked = [Service::UploadPack, Service::ReceivePack, Service::Dumb];
            let said = asked.map(|service| allow(&git, &repository, service).unwrap());
            assert_eq!(said, [read, write, dumb], "{config}");
        }
    }

    #[test]
    fn the_patterns_for_hidden_refs_are_found_in_order() {
        let git = Git::probe(Path::new("/usr/bin/git")).unwrap();
        for (config, patterns) in [
            ("", &[][..]),
            ("[transfer]\n\tfsckObjects = true\n", &[]),
            (
                "[transfer]\n\thideRefs = refs/tags\n[Receive]\n\tHideRefs = !refs/tags/v\n",
                &["refs/tags", "!refs/tags/v"],
            ),
            ("[uploadpack]\n\thideRefs = refs/heads\n", &[]),
        ] {
            let (_directory, repository) = repository(config);
            assert_eq!(may_hide(&repository).unwrap(), config.contains("hideRefs"), "{config}");
            assert_eq!(hidden(&git, &repository).unwrap(), patterns, "{config}");
        }
    }

    #[test]
    fn a_switch_that_is_neither_on_nor_off_allows_nothing() {
        let git = Git::probe(Path::new("/usr/bin/git")).unwrap();
        for config in ["[http]\n\treceivepack = maybe\n", "[http\n"] {
            let (_directory, repository) = repository(config);
            assert!(allow(&git, &repository, Service::ReceivePack).is_err(), "{config}");
        }
    }
}
