//! The managed hooks: the directory that git is told is `core.hooksPath`, and the proof that what is in it judges pushes.
//!
//! git skips a hook that is missing or not executable and takes the push, so nothing is taken on trust: at the start, and
//! whenever a file in the directory has changed, the hooks are really run on a made-up push (see `probe`); before every push their
//! files are looked at. While they do not work, no push is taken. They are this package's `gitward-hook` under the names
//! git looks for. Pushes get a copy of that program which cannot go missing (see `push::program`), where such a copy stands the test.

mod install;
mod probe;

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Access, access};
use tempfile::TempDir;

pub use self::install::{InstallError, install};
use crate::push::directory::Hooks as HooksOfPush;
use crate::push::hooks::PRE_RECEIVE;
use crate::push::program::PrivateCopy;
use crate::{config, hook};

/// Where packages put the hooks.
pub const INSTALLED: &str = "/usr/lib/gitward/hooks";

/// The hooks of all repositories.
#[derive(Debug)]
pub struct ManagedHooks {
    directory: PathBuf,
    scratch: PathBuf,
    /// What last stood the test.
    proven: Mutex<Option<Proven>>,
    /// Removed with the daemon, when the directory is its own.
    own: Option<TempDir>,
}

/// Hooks that stood the test.
#[derive(Debug)]
struct Proven {
    /// What the files looked like.
    marks: Marks,
    /// What pushes get instead of them.
    copy: Option<Arc<PrivateCopy>>,
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
    /// git would skip it.
    #[error("the hook {} is no executable file", .0.display())]
    NotExecutable(PathBuf),
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
    pub fn open(config: &config::Hooks) -> Self {
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
    pub fn look(config: &config::Hooks) -> Self {
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
        let proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        let is_whole = |copy: &Option<Arc<PrivateCopy>>| copy.as_ref().is_none_or(|copy| copy.is_whole());
        Ok(proven.as_ref().is_some_and(|proven| proven.marks == marks && is_whole(&proven.copy)))
    }

    /// What git shall find in a push: of a copy, what `is_wanted`. Without one all there is, for `update` is the second lock on the
    /// door then.
    #[must_use]
    pub fn for_push(&self, is_wanted: impl Fn(&str) -> bool) -> HooksOfPush {
        let copy = {
            let proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
            proven.as_ref().and_then(|proven| proven.copy.clone())
        };
        let Some(program) = copy else { return HooksOfPush::Elsewhere(self.directory.clone()) };
        let wanted = hook::names().into_iter().filter(|hook| *hook == PRE_RECEIVE || is_wanted(hook));
        HooksOfPush::Own { program, wanted: wanted.collect() }
    }

    /// Puts the hooks to the test. Waits for processes: not for a thread that must not.
    ///
    /// # Errors
    /// See [`HooksError`].
    pub fn prove(&self) -> Result<(), HooksError> {
        let marks = self.marks()?;
        let copy = match self.proven_copy(&marks) {
            Ok(copy) => Some(copy),
            Err(error) => {
                probe::run(&HooksOfPush::Elsewhere(self.directory.clone()), &self.scratch)?;
                tracing::warn!(
                    error = chain(&error),
                    "pushes run the managed hooks where they are, which costs a process more for each ref"
                );
                None
            }
        };
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner) = Some(Proven { marks, copy });
        Ok(())
    }

    /// A copy of the program that all hooks are, after it stood the test.
    fn proven_copy(&self, marks: &Marks) -> Result<Arc<PrivateCopy>, HooksError> {
        let files: BTreeSet<_> = marks.iter().map(|(device, number, ..)| (device, number)).collect();
        if files.len() > 1 {
            return Err(HooksError::Test(io::Error::other("they are several programs")));
        }
        let copy =
            PrivateCopy::of(&self.directory.join(PRE_RECEIVE), &self.scratch).map_err(HooksError::Test)?;
        let copy = Arc::new(copy);
        let own = HooksOfPush::Own { program: Arc::clone(&copy), wanted: hook::names().into() };
        probe::run(&own, &self.scratch)?;
        Ok(copy)
    }

    fn marks(&self) -> Result<Marks, HooksError> {
        let unwanted = self.directory.join("proc-receive");
        if std::fs::symlink_metadata(&unwanted).is_ok() {
            return Err(HooksError::Unwanted(unwanted));
        }
        let mut marks = Vec::new();
        for hook in hook::names() {
            let path = self.directory.join(hook);
            let found = match std::fs::metadata(&path) {
                Ok(found) if found.is_file() && access(&path, Access::EXEC_OK).is_ok() => found,
                Ok(_) => return Err(HooksError::NotExecutable(path)),
                Err(source) => return Err(HooksError::Look { path, source }),
            };
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
