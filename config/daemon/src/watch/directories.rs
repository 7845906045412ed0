//! Which directories tell of a change of a file, and the system's notifications for them.
//!
//! A file is never watched itself: a save by rename, or a Kubernetes volume that swaps a symbolic link, leaves the watch on
//! the file that nobody names any more. Watched is each directory in which the name of the file, or of a link on the way to
//! it, is looked up.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::files::Files;

/// Called when something has changed; says whether something was removed. `dyn` because notifier and thread each hold one.
pub(super) type Notify = Arc<dyn Fn(bool) + Send + Sync>;

/// Makes the system's notifier; tests make one that cannot be had.
pub(super) type MakeNotifier = fn(Notify) -> notify::Result<RecommendedWatcher>;

/// The watched directories.
pub(super) struct Directories {
    make: MakeNotifier,
    notify: Notify,
    notifier: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, Option<DirectoryId>>,
    /// A watched directory may have been removed, and its watch with it.
    removed: Arc<AtomicBool>,
    /// Why there are no notifications, or not all.
    trouble: Option<String>,
}

/// Tells a directory from the next of the same name.
type DirectoryId = (u64, u64, Option<SystemTime>);

/// The system's notifier.
pub(super) fn inotify(notify: Notify) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event| {
        if matters(&event) {
            notify(event.is_ok_and(|event| matches!(event.kind, EventKind::Remove(_))));
        }
    })
}

/// Reading makes notifications too: without this, each reload would cause the next. An error may hide a change.
fn matters(event: &notify::Result<Event>) -> bool {
    let Ok(event) = event else { return true };
    let reading =
        matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
    !reading || event.need_rescan()
}

impl Directories {
    pub(super) fn new(make: MakeNotifier, changed: impl Fn() + Send + Sync + 'static) -> Self {
        let removed = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&removed);
        let notify = Arc::new(move |removed| {
            noted.fetch_or(removed, Ordering::AcqRel);
            changed();
        });
        Self { make, notify, notifier: None, watched: BTreeMap::new(), removed, trouble: None }
    }

    /// Whether every change will be notified.
    pub(super) fn all_watched(&self) -> bool {
        self.trouble.is_none()
    }

    /// Watches what `files` depend on now. Called again after each change: what a path leads through may be another
    /// directory by then, of another name or of the same.
    pub(super) fn watch(&mut self, files: &Files) {
        let outcome = self.try_watch(files).map_err(|error| error.to_string()).err();
        match (&self.trouble, &outcome) {
            (None, Some(error)) => tracing::warn!(
                error = error.as_str(),
                "the system does not notify of changed files: they are polled (see inotify(7) for its limits)"
            ),
            (Some(_), None) => tracing::info!("the system notifies of changed files again"),
            _ => {}
        }
        self.trouble = outcome;
    }

    fn try_watch(&mut self, files: &Files) -> notify::Result<()> {
        let notifier = match &mut self.notifier {
            Some(notifier) => notifier,
            none => none.insert((self.make)(Arc::clone(&self.notify))?),
        };
        for _ in 0..MAX_ATTEMPTS {
            let wanted = identified(files);
            let suspect = self.removed.swap(false, Ordering::AcqRel);
            self.watched.retain(|directory, id| {
                let keep = wanted.get(directory) == Some(id) && !suspect;
                if !keep {
                    // It may be gone, and its watch with it.
                    let _ = notifier.unwatch(directory);
                }
                keep
            });
            for (directory, id) in &wanted {
                if let Entry::Vacant(new) = self.watched.entry(directory.clone()) {
                    notifier.watch(directory, RecursiveMode::NonRecursive)?;
                    new.insert(*id);
                }
            }
            // What was moved between looking and watching has notified nobody.
            if identified(files) == wanted {
                return Ok(());
            }
        }
        Err(notify::Error::generic("the directories are moved about"))
    }
}

/// The directories to watch now.
fn identified(files: &Files) -> BTreeMap<PathBuf, Option<DirectoryId>> {
    let directories = files.paths().flat_map(directories_of);
    directories.map(|directory| (directory.clone(), identify(&directory))).collect()
}

impl fmt::Debug for Directories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directories").field("watched", &self.watched).finish_non_exhaustive()
    }
}

fn identify(directory: &Path) -> Option<DirectoryId> {
    let metadata = fs::metadata(directory).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.created().ok()))
}

/// The directories in which a component of `path` is looked up that can lead elsewhere tomorrow: those with a symbolic link
/// on the way, the last one, and where something is missing the one it is missing in.
fn directories_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut here = PathBuf::from("/");
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut left = components(&path);
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        match fs::read_link(&next) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                found.insert(here.clone());
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                components(&target).into_iter().rev().for_each(|name| left.push_front(name));
            }
            _ if left.is_empty() || !next.exists() => {
                found.insert(here);
                break;
            }
            _ => here = next,
        }
    }
    found
}

fn components(path: &Path) -> VecDeque<OsString> {
    let kept = |component| matches!(component, Component::Normal(_) | Component::ParentDir);
    path.components()
        .filter(|component| kept(*component))
        .map(|component| component.as_os_str().to_owned())
        .collect()
}

/// How often in a row directories may be moved while they are being watched.
const MAX_ATTEMPTS: usize = 10;

/// As many as the kernel follows.
const MAX_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use notify::event::{CreateKind, Flag};

    use super::*;

    #[test]
    fn our_own_reading_is_no_change_and_a_lost_notification_is_one() {
        let event = |kind| Ok(Event::new(kind));
        assert!(!matters(&event(EventKind::Access(AccessKind::Open(AccessMode::Any)))));
        assert!(!matters(&event(EventKind::Access(AccessKind::Close(AccessMode::Read)))));
        assert!(matters(&event(EventKind::Access(AccessKind::Close(AccessMode::Write)))));
        assert!(matters(&event(EventKind::Create(CreateKind::Any))));
        assert!(matters(&Ok(Event::new(EventKind::Access(AccessKind::Any)).set_flag(Flag::Rescan))));
        assert!(matters(&Err(notify::Error::generic("queue"))));
    }

    #[test]
    fn every_directory_with_a_link_on_the_way_is_watched() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("etc/..v1")).unwrap();
        fs::write(root.join("etc/..v1/policy.yaml"), "").unwrap();
        symlink("..v1", root.join("etc/..data")).unwrap();
        symlink("..data/policy.yaml", root.join("etc/policy.yaml")).unwrap();
        symlink("etc", root.join("conf")).unwrap();
        let found = directories_of(&root.join("conf/policy.yaml"));
        assert_eq!(found, BTreeSet::from([root.clone(), root.join("etc"), root.join("etc/..v1")]));
    }

    #[test]
    fn what_is_missing_is_waited_for_where_it_will_appear() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        assert_eq!(directories_of(&root.join("a/b/c")), BTreeSet::from([root.clone()]));
        fs::create_dir(root.join("a")).unwrap();
        assert_eq!(directories_of(&root.join("a/b/c")), BTreeSet::from([root.join("a")]));
        assert_eq!(directories_of(&root.join("a/b")), BTreeSet::from([root.join("a")]));
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(directories_of(&root.join("loop/x")), BTreeSet::from([root]));
    }
}
