//! A new directory belongs to whom the project root belongs to, and is as open as that: administrators create repositories as root,
//! and the daemon must be able to work in them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

/// Makes `path`, and everything below it, like `root`.
pub(super) fn like(root: &Path, path: &Path) -> io::Result<()> {
    let root = fs::metadata(root)?;
    fs::set_permissions(path, Permissions::from_mode(root.mode() & 0o2777))?;
    // Nobody else may give files away, or needs to.
    if rustix::process::geteuid().is_root() && (root.uid(), root.gid()) != (0, 0) {
        give(path, root.uid(), root.gid())?;
    }
    Ok(())
}

fn give(path: &Path, owner: u32, group: u32) -> io::Result<()> {
    lchown(path, Some(owner), Some(group))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner, group)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_creates_belongs_to_the_owner_of_the_project_root() {
        let root = tempfile::tempdir().unwrap();
        let new = root.path().join("new/deep");
        fs::create_dir_all(&new).unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o750)).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            lchown(root.path(), Some(4711), Some(4712)).unwrap();
        }
        like(root.path(), &root.path().join("new")).unwrap();
        let found = fs::metadata(root.path().join("new")).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o750);
        if is_root {
            let deep = fs::metadata(new).unwrap();
            assert_eq!((deep.uid(), deep.gid()), (4711, 4712));
        }
    }
}
