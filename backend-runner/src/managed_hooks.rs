//! The managed hooks: the directory that git is told is `core.hooksPath`, and the proof that what is in it judges pushes.
//!
//! git skips a hook that is missing or not executable and takes the push, so nothing is taken on trust: at the start, and
//! whenever a file in the directory has changed, the hooks are really run on a made-up push (see `probe`); before every push their
//! files are looked at. While they do not work, no push is taken. They are this package's `gitward-hook` under the names
//! git looks for.

mod install;
mod probe;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

pub use self::install::{InstallError, install};
use crate::config::Hooks;
use crate::hook;

/// Where packages put the hooks.
pub const INSTALLED: &str = "/usr/lib/gitward/hooks";

/// The hooks of all repositories.
#[derive(Debug)]
pub struct ManagedHooks {
    directory: PathBuf,
    scratch: PathBuf,
    /// What the files looked like when they last stood the test.
    proven: Mutex<Option<Marks>>,
    /// Removed with the daemon, when the directory is its own.
    own: Option<TempDir>,
}

/// The hooks do not do what they are for.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    /// A file cannot be looked at.
    #[error("cannot look at the hook {}", path.display())]
    Look {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A hook that could change refs past the rules.
    #[error("{} goes past the rules and must not be there", .0.display())]
    Unwanted(PathBuf),
    /// It runs, or not, and does not judge.
    #[error("the hook {hook} in {} fails its test: {what}", directory.display())]
    Unfit {
        /// Its name.
        hook: &'static str,
        /// Where.
        directory: PathBuf,
        /// What went wrong.
        what: String,
    },
    /// The test itself cannot be made.
    #[error("cannot test the hooks")]
    Test(#[source] io::Error),
}

impl ManagedHooks {
    /// The hooks of the configuration. An empty directory is filled; without one, and without a package's, the daemon makes one
    /// of its own. What is wrong shows when they are checked.
    #[must_use]
    pub fn open(config: &Hooks) -> Self {
        let mut hooks = Self::look(config);
        if config.directory.is_none() && hooks.is_empty() {
            (hooks.directory, hooks.own) = own_directory(&config.scratch);
        }
        if hooks.is_empty() && (hooks.own.is_some() || config.directory.is_some()) {
            match install(&hooks.directory) {
                Ok(()) => tracing::info!(directory = %hooks.directory.display(), "managed hooks installed"),
                Err(error) => tracing::error!(error = chain(&error), "managed hooks cannot be installed"),
            }
        }
        hooks
    }

    /// The same without changing anything.
    #[must_use]
    pub fn look(config: &Hooks) -> Self {
        let directory = config.directory.clone().unwrap_or_else(|| INSTALLED.into());
        Self { directory, scratch: config.scratch.clone(), proven: Mutex::new(None), own: None }
    }

    /// Whether nobody has put anything there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match std::fs::read_dir(&self.directory) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Where git looks for hooks.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether the hooks are the ones that stood the test; quick enough for every push.
    ///
    /// # Errors
    /// When a file is not there, or one is there that must not be.
    pub fn are_proven(&self) -> Result<bool, HooksError> {
        let marks = self.marks()?;
        Ok(self.proven.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&marks))
    }

    /// Puts the hooks to the test. Waits for processes: not for a thread that must not.
    ///
    /// # Errors
    /// See [`HooksError`].
    pub fn prove(&self) -> Result<(), HooksError> {
        let marks = self.marks()?;
        probe::run(&self.directory, &self.scratch)?;
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner) = Some(marks);
        Ok(())
    }

    fn marks(&self) -> Result<Marks, HooksError> {
        let unwanted = self.directory.join("proc-receive");
        if std::fs::symlink_metadata(&unwanted).is_ok() {
            return Err(HooksError::Unwanted(unwanted));
        }
        let mut marks = Vec::new();
        for hook in hook::names() {
            let path = self.directory.join(hook);
            let found = std::fs::metadata(&path).map_err(|source| HooksError::Look { path, source })?;
            let changed = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
            marks.push((found.dev(), found.ino(), found.mode(), found.size(), changed));
        }
        Ok(marks)
    }
}

/// What changes when a file changes, for each hook.
type Marks = Vec<(u64, u64, u32, u64, [i64; 4])>;

fn own_directory(scratch: &Path) -> (PathBuf, Option<TempDir>) {
    match tempfile::Builder::new().prefix("gitward-hooks-").tempdir_in(scratch) {
        Ok(own) => (own.path().to_owned(), Some(own)),
        // No push will be taken, and the log will say why.
        Err(_) => (INSTALLED.into(), None),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
