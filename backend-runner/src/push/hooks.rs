//! The hooks that git finds in one push: names for one program in its private directory, only for those that have something to do.
//!
//! Every hook is a process, and git starts none that is not there. `pre-receive` always is. `update` and `post-receive` are when
//! a site or the repository has such hooks; without post-receive, what git applied is known from its own report (see
//! [`super::status`]), and where that does not tell, the name is made while the push runs: git looks for a hook only when it needs it.
//!
//! git skips a hook that is missing. The names are hard links to a copy that nobody else has, in the directory that also holds the
//! proof: whoever could take them away could as well write the proof.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The hook that judges a push.
pub const PRE_RECEIVE: &str = "pre-receive";

/// The hook that says what git has applied.
pub const POST_RECEIVE: &str = "post-receive";

/// Makes the `wanted` names of the hook `program` in `directory`.
///
/// # Errors
/// When the file system refuses.
pub fn link(program: &Path, directory: &Path, wanted: &[&str]) -> io::Result<()> {
    wanted.iter().try_for_each(|hook| fs::hard_link(program, directory.join(hook)))
}

/// `post-receive` for a push in which it turns out that it is needed.
#[derive(Debug)]
pub struct Spare {
    directory: PathBuf,
}

impl Spare {
    /// For the private `directory` of a push, if its hooks are there.
    #[must_use]
    pub fn of(directory: PathBuf) -> Option<Self> {
        directory.join(PRE_RECEIVE).exists().then_some(Self { directory })
    }

    /// Puts it there for a push whose client does not ask git for a report; as long as that is not known, nothing happens.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn put_unless(&self, asks_report: Option<bool>) -> io::Result<()> {
        if asks_report == Some(false) { self.put() } else { Ok(()) }
    }

    /// Puts it there, if it is not.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn put(&self) -> io::Result<()> {
        match fs::hard_link(self.directory.join(PRE_RECEIVE), self.directory.join(POST_RECEIVE)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_comes_beside_the_hooks_of_a_push_and_nowhere_else() {
        let scratch = tempfile::tempdir().unwrap();
        let (program, hooks) = (scratch.path().join("program"), scratch.path().join("hooks"));
        fs::write(&program, "text").unwrap();
        assert!(Spare::of(hooks.clone()).is_none());
        fs::create_dir(&hooks).unwrap();
        link(&program, &hooks, &[PRE_RECEIVE]).unwrap();
        fs::remove_file(program).unwrap();
        let spare = Spare::of(hooks.clone()).unwrap();
        spare.put().unwrap();
        spare.put().unwrap();
        assert_eq!(fs::read_to_string(hooks.join(POST_RECEIVE)).unwrap(), "text");
        assert!(link(&hooks.join("absent"), scratch.path(), &[PRE_RECEIVE]).is_err());
    }
}
