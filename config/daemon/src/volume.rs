//! File systems whose times and inode numbers can be believed: statfs(2).
//!
//! A network file system shows another machine's changes late, and an overlay gives files new identities. What depends on
//! files there has to read them.

use std::fs::File;
use std::path::Path;

use rustix::fs::{StatFs, fstatfs, statfs};

/// Whether `path` lies on a file system of this machine that is known to tell of every change.
#[must_use]
pub fn is_local(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| is_known(&found))
}

/// The same of the file system an open file lies on.
#[must_use]
pub fn holds_local(file: &File) -> bool {
    fstatfs(file).is_ok_and(|found| is_known(&found))
}

fn is_known(found: &StatFs) -> bool {
    LOCAL.iter().any(|(_, magic)| i128::from(found.f_type) == i128::from(*magic))
}

/// From Linux' `magic.h`.
const LOCAL: [(&str, u32); 9] = [
    ("ext2, ext3, ext4", 0xEF53),
    ("xfs", 0x5846_5342),
    ("btrfs", 0x9123_683E),
    ("tmpfs", 0x0102_1994),
    ("zfs", 0x2FC1_2FC1),
    ("f2fs", 0xF2F5_2010),
    ("bcachefs", 0xCA45_1A4E),
    ("jfs", 0x3153_464A),
    ("ramfs", 0x8584_58F6),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_is_not_known_is_not_believed() {
        assert!(!is_local(Path::new("/proc/self")));
        assert!(!is_local(Path::new("/nonexistent")));
        assert!(!holds_local(&File::open("/proc/self/stat").unwrap()));
    }
}
