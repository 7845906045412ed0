//! Fills a hooks directory: one copy of the hook program, and links of the names git looks for.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::hook;

/// The name of the hook program.
const PROGRAM: &str = "gitward-hook";

/// The hooks cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The program is not where the daemon is.
    #[error("there is no {PROGRAM} beside {}", .0.display())]
    NoProgram(PathBuf),
    /// The name belongs to something else.
    #[error("{} is somebody else's: move it to hooks.external, or remove it", .0.display())]
    Foreign(PathBuf),
    /// The file system refused.
    #[error("cannot install {}", path.display())]
    System {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Installs the hooks in `directory`, or brings them up to date. Each appears whole or not at all, so a daemon may run.
///
/// # Errors
/// See [`InstallError`].
pub fn install(directory: &Path) -> Result<(), InstallError> {
    let program = program()?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::System { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    for hook in hook::names() {
        let path = directory.join(hook);
        let foreign = fs::symlink_metadata(&path)
            .is_ok_and(|_| fs::read_link(&path).ok().as_deref() != Some(Path::new(PROGRAM)));
        if foreign {
            return Err(InstallError::Foreign(path));
        }
    }
    let copy = directory.join(PROGRAM);
    let unfinished = directory.join(".gitward-hook.new");
    fs::copy(&program, &unfinished)
        .and_then(|_| fs::set_permissions(&unfinished, Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&unfinished, &copy))
        .map_err(failed(&copy))?;
    for hook in hook::names() {
        let path = directory.join(hook);
        match symlink(PROGRAM, &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// The hook program: beside the daemon, or one directory above where cargo puts what tests run.
fn program() -> Result<PathBuf, InstallError> {
    let own =
        std::env::current_exe().map_err(|source| InstallError::System { path: PROGRAM.into(), source })?;
    let found = own.ancestors().skip(1).take(2).map(|directory| directory.join(PROGRAM));
    found.into_iter().find(|program| program.is_file()).ok_or(InstallError::NoProgram(own))
}
