//! What every answer about a repository depends on besides its refs: which repository it is, its configuration, which git.
//!
//! It is part of every key, so an answer given under another standing is simply not found. A repository whose configuration is
//! not all in one file, or makes answers differ from one time to the next, has no standing and is never answered from memory.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use policy::repo_path::RepoPath;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::digest::{Digest, Parts};
use super::identity::Identity;
use super::witness::Stamp;
use crate::cgi::environment::Variable;

/// The standing of a repository, as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing(Digest);

impl Standing {
    /// The present standing of `repository` for the program `git`. Reads files: for a thread that may wait.
    #[must_use]
    pub fn of(repository: &Path, git: &Path) -> Option<Self> {
        let config = configuration(repository)?;
        let parts = Parts::of("standing")
            .and(repository.as_os_str().as_bytes())
            .and(&Identity::of(repository).ok()?.bytes())
            .and(&Identity::of(&repository.join("objects")).ok()?.bytes())
            .and(&Stamp::of(&repository.join("config")).ok()??.bytes())
            .and(&config)
            .and(git.as_os_str().as_bytes())
            .and(&Stamp::of_target(git).ok()?.bytes());
        Some(Self(parts.digest()))
    }

    /// The key of an answer given under this standing, in an environment; without what is asked.
    #[must_use]
    pub fn key(&self, purpose: &str, environment: &[Variable]) -> Parts {
        let parts = Parts::of(purpose).and(&self.0);
        let told = environment.iter().filter(|(name, _)| !TELL_WHO.contains(&&**name));
        let parts = told.fold(parts, |parts, (name, value)| parts.and(name.as_bytes()).and(value.as_bytes()));
        let is_named = environment.iter().any(|(name, _)| name == "REMOTE_USER");
        parts.and(&[u8::from(is_named)])
    }
}

/// Variables that say who is asking, for reflogs and hooks. git's answers to readers do not depend on them. A variable that is
/// not listed is part of the key, so that one that comes to matter cannot be forgotten.
const TELL_WHO: [&str; 5] =
    ["REMOTE_USER", "REMOTE_ADDR", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "HTTP_CONTENT_ENCODING"];

/// The whole configuration, unless some of it is elsewhere or makes answers differ.
fn configuration(repository: &Path) -> Option<Vec<u8>> {
    // The rest of such a repository is in another directory: gitrepository-layout(5).
    if Stamp::of(&repository.join("commondir")) != Ok(None) {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(open(repository.join("config"), flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut config = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut config).ok()?;
    (config.len() as u64 <= LARGEST && !is_unsteady(&config)).then_some(config)
}

/// The largest configuration that is compared whole with every request.
const LARGEST: u64 = 64 << 10;

/// Whether the text includes other files, or switches something on that varies by itself: a session's id, a push
/// certificate's nonce, what other servers promise.
fn is_unsteady(config: &[u8]) -> bool {
    let config = config.to_ascii_lowercase();
    let mentions = |mark: &&str| config.windows(mark.len()).any(|window| window == mark.as_bytes());
    UNSTEADY.iter().any(mentions)
}

const UNSTEADY: [&str; 8] = [
    "[include",
    "worktreeconfig",
    "advertisesid",
    "certnonce",
    "promisor",
    "packfileuri",
    "bundleuri",
    "alternaterefs",
];

/// What a repository is called where only its name is known, as in a file's name. It is made of its path below the project root:
/// where that is can be written in many ways.
#[must_use]
pub fn tag(store: &RepoPath) -> String {
    let digest = Parts::of("tag").and(store.as_str().as_bytes()).digest();
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A missing file is no error here.
pub(super) fn is_missing(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR)
}

#[cfg(test)]
mod tests {
    use policy::decision::Decision;
    use policy::git_request::{GitRequest, Mount};
    use policy::identity::{GroupName, UserName};

    use super::*;
    use crate::cgi::environment::{self, RequestHeaders, RulesForGit, Settings};

    fn repository() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("a.git/objects")).unwrap();
        std::fs::write(directory.path().join("a.git/config"), "[core]\n\tbare = true\n").unwrap();
        directory
    }

    #[test]
    fn another_configuration_or_another_repository_is_another_standing() {
        let directory = repository();
        let path = directory.path().join("a.git");
        let standing = || Standing::of(&path, Path::new("/bin/sh"));
        let first = standing().unwrap();
        assert_eq!(standing(), Some(first));
        std::fs::write(path.join("config"), "[core]\n\tbare = yes_\n").unwrap();
        let second = standing().unwrap();
        assert_ne!(second, first);
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(standing(), None);
        std::fs::create_dir_all(path.join("objects")).unwrap();
        std::fs::write(path.join("config"), "[core]\n\tbare = yes_\n").unwrap();
        assert!(standing().is_some_and(|third| third != second));
    }

    /// What [`Shape`](super::super::ground::Shape) leaves out must not matter: keys are made once for each shape.
    #[test]
    fn who_asks_and_when_is_in_no_key_and_whether_somebody_is_is() {
        let directory = repository();
        let path = directory.path().join("a.git");
        let standing = Standing::of(&path, Path::new("/bin/sh")).unwrap();
        let request =
            GitRequest::parse(&Mount::default(), "GET", b"/git/a.git/info/refs?service=git-receive-pack")
                .unwrap();
        let settings = Settings {
            search_path: "/usr/bin",
            root: directory.path(),
            export_all: true,
            hooks: None,
            push_size: 1,
            negotiation: 1,
            allow_filter: None,
            hidden_refs: &[],
            alias: None,
            push_options: false,
            config: Path::new("/etc/runner.yaml"),
            rules: RulesForGit::default(),
            log_directory: None,
            no_alternates: false,
            shallow: false,
        };
        let key = |decision: &Decision| {
            let variables = environment::variables(decision, RequestHeaders::default(), &path, &settings);
            standing.key("test", &variables).digest()
        };
        let nobody = Decision::permitting(&request, "one".into(), 0);
        let joe = Decision {
            user: Some(UserName::parse("joe").unwrap()),
            groups: vec![GroupName::parse("staff").unwrap()],
            info: [("name".to_owned(), "Joe".to_owned()), ("email".to_owned(), "joe@example.org".to_owned())]
                .into(),
            client: "192.0.2.1".into(),
            generation: 7,
            ..Decision::permitting(&request, "two".into(), 1000)
        };
        let ann = Decision { user: Some(UserName::parse("ann").unwrap()), ..nobody.clone() };
        assert_eq!(key(&joe), key(&ann));
        assert_ne!(key(&joe), key(&nobody));
    }

    #[test]
    fn a_configuration_that_is_elsewhere_or_varies_has_no_standing() {
        for config in [
            "[Include]\n\tpath = x\n",
            "[includeIf \"gitdir:/\"]\n\tpath = x\n",
            "[transfer]\n\tadvertiseSID = true\n",
            "[extensions]\n\tworktreeConfig = true\n",
            "[receive]\n\tcertNonceSeed = x\n",
        ] {
            let directory = repository();
            std::fs::write(directory.path().join("a.git/config"), config).unwrap();
            assert_eq!(Standing::of(&directory.path().join("a.git"), Path::new("/bin/sh")), None, "{config}");
        }
        let directory = repository();
        std::fs::write(directory.path().join("a.git/commondir"), "..").unwrap();
        assert_eq!(Standing::of(&directory.path().join("a.git"), Path::new("/bin/sh")), None);
    }
}
