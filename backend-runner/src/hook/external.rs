//! Hooks of the site and of the repository: executables that see what git's own hook would see.
//!
//! First those of `<hooks.external>/<hook>.d`, by name, then the repository's own `hooks/<hook>`; see githooks(5). Names that
//! end in `~` and files that are not executable are left out. Each gets the whole input again, runs in a process group of its own
//! and is ended with it when it is done or late. What it prints goes to the pusher, line by line and escaped. The first that
//! refuses, is late or cannot be run decides.

mod running;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Not;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use policy::rule::Rule;

use self::running::{Ended, Running};
use super::{Context, Refused};
use crate::push::layout::{LOG, REPLAY};
use crate::push::order::Short;

/// What git started the hook with.
pub(super) struct Stage<'a> {
    pub(super) arguments: &'a [String],
    pub(super) input: Option<&'a [u8]>,
    /// When all must be done; otherwise each has its own time.
    pub(super) deadline: Option<Instant>,
}

/// Runs them all, or until one refuses.
pub(super) fn run(context: &Context, short: &Short, stage: &Stage<'_>) -> Result<(), Refused> {
    let scripts = scripts(short.external.as_deref(), Path::new(""), context.name);
    let scripts = scripts.map_err(|error| context.fail(&format!("cannot list hooks: {error}")))?;
    if scripts.is_empty() {
        return Ok(());
    }
    provide_log(&context.directory)
        .map_err(|error| context.fail(&format!("cannot provide a log: {error}")))?;
    let replay = context.directory.join(REPLAY);
    if let Some(input) = stage.input {
        std::fs::write(&replay, input).map_err(|error| context.fail(&format!("cannot replay: {error}")))?;
    }
    for script in scripts {
        let input = if stage.input.is_some() { File::open(&replay) } else { File::open("/dev/null") };
        let input = input.map_err(|error| context.fail(&format!("cannot replay: {error}")))?;
        let deadline = stage.deadline.unwrap_or_else(|| Instant::now() + short.timeout());
        let ended = Running::start(&script, stage.arguments, input).and_then(|hook| hook.wait(deadline));
        judge(context, &script, ended)?;
    }
    Ok(())
}

/// Makes the directory that scripts log to.
fn provide_log(directory: &Path) -> io::Result<()> {
    match std::fs::create_dir(directory.join(LOG)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn judge(context: &Context, script: &Path, ended: io::Result<Ended>) -> Result<(), Refused> {
    let name = script.file_name().unwrap_or_default().to_string_lossy();
    let text = match ended {
        Ok(Ended::Accepted) => return Ok(()),
        Ok(Ended::Refused) => format!("the hook {name} refuses"),
        Ok(Ended::Late) => format!("the hook {name} took too long and was ended"),
        Err(error) => return Err(context.fail(&format!("cannot run the hook {}: {error}", script.display()))),
    };
    Err(context.refuse(Rule::External, &text))
}

/// Whether there is one for a hook, or no telling.
pub(super) fn any(external: Option<&Path>, repository: &Path, hook: &str) -> bool {
    scripts(external, repository, hook).is_ok_and(|scripts| scripts.is_empty()).not()
}

/// The executables for a hook, in the order they run in.
fn scripts(external: Option<&Path>, repository: &Path, hook: &str) -> io::Result<Vec<PathBuf>> {
    let mut scripts = Vec::new();
    if let Some(directory) = external {
        match std::fs::read_dir(directory.join(format!("{hook}.d"))) {
            Ok(entries) => {
                for entry in entries {
                    scripts.push(entry?.path());
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    scripts.retain(|path| !path.as_os_str().as_encoded_bytes().ends_with(b"~"));
    scripts.sort();
    scripts.push(repository.join("hooks").join(hook));
    let mut executable = Vec::with_capacity(scripts.len());
    for path in scripts {
        if is_executable(&path)? {
            executable.push(std::path::absolute(path)?);
        }
    }
    Ok(executable)
}

fn is_executable(path: &Path) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(found.is_file() && found.permissions().mode() & 0o111 != 0),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_run_by_name_without_backups_directories_and_plain_files() {
        let site = tempfile::tempdir().unwrap();
        let hooks = site.path().join("pre-receive.d");
        std::fs::create_dir_all(hooks.join("30-directory")).unwrap();
        for (name, mode) in [("20-b", 0o755), ("10-a", 0o700), ("10-a~", 0o755), ("40-plain", 0o644)] {
            std::fs::write(hooks.join(name), "").unwrap();
            std::fs::set_permissions(hooks.join(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        let names = |hook| -> Vec<String> {
            let scripts = scripts(Some(site.path()), site.path(), hook).unwrap();
            scripts.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names("pre-receive"), ["10-a", "20-b"]);
        assert!(names("update").is_empty());
    }
}
