//! What a look at a repository's directories tells: how much lies about loosely, and which indexes there are.
//!
//! Only names and times are read, and never more than a bound of them. What cannot be read counts as being in order: the task
//! that would mend it could not read it either.

use std::fs::{self, DirEntry};
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

/// The state of a repository, as far as care is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// Refs that are files of their own.
    pub loose_refs: usize,
    /// Objects that are files of their own.
    pub loose_objects: usize,
    /// Packs that came after the last index of all packs, or all packs when there is none.
    pub new_packs: usize,
    /// Whether there is an index of what commits reach.
    pub has_bitmap: bool,
    /// Whether objects are borrowed from another repository.
    pub borrows: bool,
    /// Whether there is a file with parents and dates of commits, written after the last index of all packs.
    pub has_graph: bool,
}

/// As many files are counted and no more; well above what [`super::plan`] asks about.
const BOUND: usize = 10_000;

impl Condition {
    /// Looks at the repository in this directory.
    pub(super) fn of(repository: &Path) -> Self {
        let objects = repository.join("objects");
        let in_packs: Vec<_> = entries(&objects.join("pack")).collect();
        let packs = in_packs.iter().filter(|entry| name_ends(entry, ".pack"));
        let indexed = written(&objects.join("pack/multi-pack-index"));
        let info = objects.join("info");
        Self {
            loose_refs: count_refs(&repository.join("refs"), BOUND),
            loose_objects: entries(&objects)
                .filter(is_fan_out)
                .map(|entry| entries(&entry.path()).count())
                .sum(),
            new_packs: packs.filter(|pack| modified(pack) > indexed).count(),
            has_bitmap: in_packs.iter().any(|entry| name_ends(entry, ".bitmap")),
            borrows: info.join("alternates").exists(),
            has_graph: newest_graph(&info).is_some_and(|graph| Some(graph) >= indexed),
        }
    }
}

/// When one of the two kinds of commit graphs was last written.
fn newest_graph(info: &Path) -> Option<SystemTime> {
    let [single, chain] = ["commit-graph", "commit-graphs/commit-graph-chain"];
    [single, chain].iter().filter_map(|file| written(&info.join(file))).max()
}

fn written(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

/// `objects/00` to `objects/ff`.
fn is_fan_out(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    name.len() == 2 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit)
}

fn name_ends(entry: &DirEntry, end: &str) -> bool {
    entry.file_name().as_encoded_bytes().ends_with(end.as_bytes())
}

fn modified(entry: &DirEntry) -> Option<SystemTime> {
    entry.metadata().ok()?.modified().ok()
}

fn entries(directory: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    fs::read_dir(directory).into_iter().flatten().flatten().take(BOUND)
}

/// Refs at any depth that could be packed, up to `bound`: a symbolic one stays a file.
fn count_refs(directory: &Path, bound: usize) -> usize {
    let mut count = 0;
    for entry in entries(directory) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => count += count_refs(&entry.path(), bound - count),
            Ok(kind) if kind.is_file() && !is_symbolic(&entry.path()) => count += 1,
            _ => {}
        }
        if count >= bound {
            return bound;
        }
    }
    count
}

fn is_symbolic(file: &Path) -> bool {
    let mut start = [0; 4];
    fs::File::open(file).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"ref:"
}
