//! The hooks that git finds in one push: links below its private directory, only for those that have something to do.
//!
//! Every hook is a process, and git starts none that is not there. `pre-receive` always is. `post-receive` is when a
//! site or the repository has one; without it, what git applied is known from its own report (see [`super::status`]), and where that
//! does not tell, the link is put there while the push runs: git looks for the hook only when it needs it.

use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The hook that says what git has applied.
pub const POST_RECEIVE: &str = "post-receive";

/// Puts links to the hooks of these names, which are in `program`, into `directory`.
///
/// # Errors
/// When the file system refuses.
pub fn link(directory: &Path, program: &Path, hooks: &[&str]) -> io::Result<()> {
    hooks.iter().try_for_each(|hook| symlink(program.join(hook), directory.join(hook)))
}

/// A hook that is put in place when it turns out that it is needed.
#[derive(Debug)]
pub struct Spare {
    target: PathBuf,
    link: PathBuf,
}

impl Spare {
    /// `post-receive` of `program`, for a push's `directory` of hooks.
    #[must_use]
    pub fn of(program: &Path, directory: &Path) -> Self {
        Self { target: program.join(POST_RECEIVE), link: directory.join(POST_RECEIVE) }
    }

    /// `post-receive` beside the hook `running`, if that is a link in a push's `directory` of hooks.
    #[must_use]
    pub fn beside(running: &Path, directory: &Path) -> Option<Self> {
        let target = std::fs::read_link(running).ok().filter(|_| running.parent() == Some(directory))?;
        Some(Self { target: target.with_file_name(POST_RECEIVE), link: directory.join(POST_RECEIVE) })
    }

    /// Puts it there, if it is not.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn put(&self) -> io::Result<()> {
        match symlink(&self.target, &self.link) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }
}
