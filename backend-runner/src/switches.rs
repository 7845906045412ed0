//! A repository's own switches, `http.uploadpack`, `http.receivepack`, `http.getanyfile` and `receive.hideRefs`: they may
//! narrow what the policy allows, never widen it.
//!
//! See git-http-backend(1). Nearly no repository has them, so a look into its configuration file usually settles the
//! question; only a file that could say something is read by git itself, with everything git knows of includes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use policy::git_request::{Access, Service};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::child::Exit;
use crate::git::{AskError, Git};
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
    /// git gives no answer.
    #[error("git cannot read the repository's configuration")]
    Ask(#[from] AskError),
}

/// What a repository's configuration could say, from a look at its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mentioned {
    /// One of the switches: [`allow`] has to be asked.
    pub switches: bool,
    /// Refs to hide: [`hidden`] has to be asked.
    pub hiding: bool,
}

/// Looks at the text of the repository's configuration.
///
/// # Errors
/// When it cannot be read.
pub fn mentioned(repository: &Repository) -> Result<Mentioned, SwitchError> {
    let config = read(&repository.path.join("config")).map_err(SwitchError::Read)?;
    // git's section names are case-insensitive and follow the bracket at once.
    let config = config.to_ascii_lowercase();
    let mentions = |mark: &str| config.windows(mark.len()).any(|window| window == mark.as_bytes());
    // More of it may be elsewhere.
    let goes_on = mentions("[include") || mentions("worktreeconfig");
    Ok(Mentioned { switches: goes_on || mentions("[http"), hiding: goes_on || mentions("hiderefs") })
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
    let said = git.ask(&repository.path, &["config", "--type=bool", "--get", switch])?;
    match (said.exit, said.stdout.trim_ascii()) {
        (Exit::Code(0), b"true") => Ok(true),
        (Exit::Code(0), b"false") => Ok(false),
        // Not set.
        (Exit::Code(1), b"") => Ok(true),
        _ => Err(SwitchError::Git(said.complaints)),
    }
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

/// Whether the repository hides refs from who reads it. Runs git, as [`allow`] does.
///
/// # Errors
/// When that cannot be told.
pub fn hides_from_readers(git: &Git, repository: &Repository) -> Result<bool, SwitchError> {
    Ok(!listed(git, repository, r"^(transfer|uploadpack)\.hiderefs$")?.is_empty())
}

/// The settings of a repository whose names match, as git spells them, in order. Runs git, as [`allow`] does.
///
/// # Errors
/// When that cannot be told.
pub fn listed(git: &Git, repository: &Repository, names: &str) -> Result<Vec<(String, String)>, SwitchError> {
    let said = git.ask(&repository.path, &["config", "-z", "--get-regexp", names])?;
    match said.exit {
        Exit::Code(0) => {
            let text = String::from_utf8(said.stdout).map_err(|error| SwitchError::Git(error.to_string()))?;
            let entries = text.split_terminator('\0').filter_map(|entry| entry.split_once('\n'));
            Ok(entries.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
        }
        Exit::Code(1) if said.stdout.is_empty() => Ok(Vec::new()),
        _ => Err(SwitchError::Git(said.complaints)),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

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
                mentioned(&repository).unwrap().switches,
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
            assert_eq!(mentioned(&repository).unwrap().hiding, config.contains("hideRefs"), "{config}");
            assert_eq!(hidden(&git, &repository).unwrap(), patterns, "{config}");
        }
    }

    #[test]
    fn a_repository_hides_refs_from_readers_or_from_pushes_only() {
        let git = Git::probe(Path::new("/usr/bin/git")).unwrap();
        for (config, hides) in [
            ("", false),
            ("[receive]\n\thideRefs = refs/x\n", false),
            ("[transfer]\n\thideRefs = refs/x\n", true),
            ("[uploadPack]\n\tHideRefs = refs/x\n", true),
        ] {
            let (_directory, repository) = repository(config);
            assert_eq!(hides_from_readers(&git, &repository).unwrap(), hides, "{config}");
        }
    }

    #[test]
    fn an_included_file_that_never_ends_keeps_neither_the_thread_nor_a_process() {
        let git = Git::probe(Path::new("/usr/bin/git")).unwrap();
        let (directory, repository) = repository("[include]\n\tpath = fifo\n");
        let fifo = repository.path.join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let started = Instant::now();
        let asked = {
            let (git, repository) = (git.clone(), repository.clone());
            runtime.spawn_blocking(move || allow(&git, &repository, Service::UploadPack))
        };
        assert!(matches!(runtime.block_on(asked).unwrap(), Err(SwitchError::Ask(AskError::Slow))));
        assert!(started.elapsed() < SOON);
        let mark = repository.path.display().to_string();
        let runs = || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            let lines =
                processes.map(|process| std::fs::read(process.path().join("cmdline")).unwrap_or_default());
            lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(&mark))
        };
        while runs() && started.elapsed() < SOON {
            std::thread::yield_now();
        }
        assert!(!runs());
        // The same without a runtime, as from the command line.
        assert!(matches!(
            allow(&git, &repository, Service::UploadPack),
            Err(SwitchError::Ask(AskError::Slow))
        ));
        drop(directory);
    }

    #[test]
    fn a_configuration_without_measure_is_not_read_to_the_end() {
        let git = Git::probe(Path::new("/usr/bin/git")).unwrap();
        let (_directory, repository) = repository("[include]\n\tpath = large\n");
        let large = "[transfer]\n\thideRefs = refs/x\n".repeat(60_000);
        std::fs::write(repository.path.join("large"), large).unwrap();
        assert!(matches!(hidden(&git, &repository), Err(SwitchError::Ask(AskError::Long))));
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
