//! Which directory a path leads to, also among those that had its name or its inode before: statx(2).

use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags, statx};
use rustix::io::Errno;

/// What stays the same of a directory while its content changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: (u32, u32),
    inode: u64,
    /// When it was made; where the file system does not know, when it last changed.
    born: (i64, u32),
    owner: u32,
}

impl Identity {
    /// The directory at `path`; a link is not followed, and what is no directory has no identity.
    ///
    /// # Errors
    /// When there is no directory, or it cannot be told.
    pub(super) fn of(path: &Path) -> Result<Self, Errno> {
        Self::from_statx(&look(path, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// The directory that `path` leads to.
    ///
    /// # Errors
    /// As for [`Identity::of`].
    pub(super) fn of_target(path: &Path) -> Result<Self, Errno> {
        Self::from_statx(&look(path, AtFlags::empty())?)
    }

    fn from_statx(found: &Statx) -> Result<Self, Errno> {
        if FileType::from_raw_mode(found.stx_mode.into()) != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        let born = match found.stx_mask & StatxFlags::BTIME.bits() {
            0 => found.stx_ctime,
            _ => found.stx_btime,
        };
        Ok(Self {
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            born: (born.tv_sec, born.tv_nsec),
            owner: found.stx_uid,
        })
    }

    /// For a key. Whose it is decides whether it is served, and nothing about an answer.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let Self { device, inode, born, owner: _ } = *self;
        let device = [device.0, device.1].map(u32::to_le_bytes).concat();
        [&device[..], &inode.to_le_bytes(), &born.0.to_le_bytes(), &born.1.to_le_bytes()].concat()
    }
}

fn look(path: &Path, flags: AtFlags) -> Result<Statx, Errno> {
    statx(CWD, path, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_is_itself_whatever_is_in_it_and_no_link_to_it_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        std::fs::create_dir(&path).unwrap();
        let first = Identity::of(&path).unwrap();
        std::fs::write(path.join("file"), "").unwrap();
        assert_eq!(Identity::of(&path), Ok(first));
        symlink(&path, root.path().join("link")).unwrap();
        assert_eq!(Identity::of(&root.path().join("link")), Err(Errno::NOTDIR));
        assert_eq!(Identity::of_target(&root.path().join("link")), Ok(first));
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(Identity::of(&path), Err(Errno::NOENT));
        std::fs::create_dir(&path).unwrap();
        assert_ne!(Identity::of(&path), Ok(first));
    }
}
