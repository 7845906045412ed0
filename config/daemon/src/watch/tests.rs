//! Every way a file is saved, on a real file system with real notifications.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;

use super::*;

/// A notification is enough: no test waits for a poll it does not mean.
const NEVER: Duration = Duration::from_secs(3600);

const QUICK: Pace = Pace { quiet: Duration::from_millis(100), poll: NEVER, read: NEVER, blind: NEVER };

/// Far longer than any reload takes, on a busy machine too.
const SOON: Duration = Duration::from_secs(20);

/// Long enough for a reload that should not be.
const WHILE: Duration = Duration::from_millis(500);

struct Stage {
    watch: Watch,
    reloads: Receiver<String>,
    path: PathBuf,
    directory: tempfile::TempDir,
}

impl Stage {
    /// Watches `conf/file`, which says "one".
    fn start() -> Self {
        Self::start_with(QUICK, directories::inotify)
    }

    fn start_with(pace: Pace, notifier: directories::MakeNotifier) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("conf")).unwrap();
        let path = directory.path().join("conf/file");
        fs::write(&path, "one").unwrap();
        Self::watch(directory, path, pace, notifier)
    }

    fn watch(
        directory: tempfile::TempDir,
        path: PathBuf,
        pace: Pace,
        notifier: directories::MakeNotifier,
    ) -> Self {
        let mut files = Files::default();
        files.note(&path, 100);
        Self::watch_files(directory, path, files, pace, notifier)
    }

    fn watch_files(
        directory: tempfile::TempDir,
        path: PathBuf,
        files: Files,
        pace: Pace,
        notifier: directories::MakeNotifier,
    ) -> Self {
        let (sender, reloads) = mpsc::channel();
        let watched = path.clone();
        let reload = move |_: Cause| {
            let mut files = Files::default();
            let text = files.read(&watched, 100).map_or_else(
                |error| error.kind().to_string(),
                |bytes| String::from_utf8_lossy(&bytes).into_owned(),
            );
            let failed = text.contains("bad");
            let _ = sender.send(text);
            Reloaded { files, failed }
        };
        let watch = Watch::start_on(files, pace, reload, notifier).unwrap();
        Self { watch, reloads, path, directory }
    }

    /// The text the next reload read.
    fn next(&self) -> String {
        self.reloads.recv_timeout(SOON).unwrap()
    }

    fn nothing_happens(&self) {
        assert_eq!(self.reloads.recv_timeout(WHILE), Err(RecvTimeoutError::Timeout));
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn save_by_rename(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn a_save_by_rename_is_seen_every_time() {
    let stage = Stage::start();
    for text in ["two", "three", "four"] {
        save_by_rename(&stage.path, text);
        assert_eq!(stage.next(), text);
    }
    stage.nothing_happens();
}

#[test]
fn a_rewrite_in_two_halves_is_read_once_and_whole() {
    let stage = Stage::start_with(Pace { quiet: Duration::from_millis(400), ..QUICK }, directories::inotify);
    for _ in 0..3 {
        fs::write(&stage.path, "half").unwrap();
        thread::sleep(Duration::from_millis(200));
        fs::write(&stage.path, "half and half").unwrap();
        assert_eq!(stage.next(), "half and half");
        fs::write(&stage.path, "one").unwrap();
        assert_eq!(stage.next(), "one");
    }
}

#[test]
fn a_file_that_is_deleted_and_made_again_is_seen() {
    let stage = Stage::start();
    fs::remove_file(&stage.path).unwrap();
    assert_eq!(stage.next(), "entity not found");
    fs::write(&stage.path, "two").unwrap();
    assert_eq!(stage.next(), "two");
}

#[test]
fn a_file_that_is_away_for_a_moment_is_not_missed() {
    let stage = Stage::start();
    fs::rename(&stage.path, stage.at("aside")).unwrap();
    fs::rename(stage.at("aside"), &stage.path).unwrap();
    stage.nothing_happens();
}

#[test]
fn the_link_of_a_kubernetes_volume_may_be_swapped_any_number_of_times() {
    let directory = tempfile::tempdir().unwrap();
    swap(directory.path(), 0);
    let path = directory.path().join("file");
    symlink("..data/file", &path).unwrap();
    let stage = Stage::watch(directory, path, QUICK, directories::inotify);
    for number in 1..=5 {
        swap(stage.directory.path(), number);
        assert_eq!(stage.next(), number.to_string());
    }
}

/// What the kubelet does when a ConfigMap changes.
fn swap(volume: &Path, number: usize) {
    let at = |name: &str| volume.join(name);
    fs::create_dir(at(&format!("..{number}"))).unwrap();
    fs::write(at(&format!("..{number}/file")), number.to_string()).unwrap();
    symlink(format!("..{number}"), at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    if number > 0 {
        fs::remove_dir_all(at(&format!("..{}", number - 1))).unwrap();
    }
}

#[test]
fn a_replaced_directory_is_watched_again() {
    let stage = Stage::start();
    for text in ["two", "three"] {
        fs::create_dir(stage.at("next")).unwrap();
        fs::write(stage.at("next/file"), text).unwrap();
        fs::rename(stage.at("conf"), stage.at(&format!("before-{text}"))).unwrap();
        fs::rename(stage.at("next"), stage.at("conf")).unwrap();
        assert_eq!(stage.next(), text);
        let again = format!("{text} again");
        save_by_rename(&stage.path, &again);
        assert_eq!(stage.next(), again);
    }
}

#[test]
fn a_directory_that_is_removed_and_comes_back_later_is_watched_again() {
    let stage = Stage::start();
    fs::remove_dir_all(stage.at("conf")).unwrap();
    assert_eq!(stage.next(), "entity not found");
    fs::create_dir(stage.at("conf")).unwrap();
    fs::write(&stage.path, "two").unwrap();
    assert_eq!(stage.next(), "two");
}

#[test]
fn neither_reading_nor_touching_is_a_change() {
    let stage = Stage::start();
    for _ in 0..20 {
        fs::read(&stage.path).unwrap();
        save_by_rename(&stage.path, "one");
        fs::write(stage.at("conf/neighbour"), "x").unwrap();
    }
    fs::File::options().append(true).open(&stage.path).unwrap();
    stage.nothing_happens();
}

#[test]
fn without_notifications_files_are_polled() {
    fn none(_: directories::Notify) -> notify::Result<notify::RecommendedWatcher> {
        Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch))
    }
    let stage = Stage::start_with(Pace { blind: Duration::from_millis(50), ..QUICK }, none);
    for text in ["two", "three"] {
        save_by_rename(&stage.path, text);
        assert_eq!(stage.next(), text);
    }
}

#[test]
fn the_poll_finds_what_no_notification_told() {
    fn deaf(_: directories::Notify) -> notify::Result<notify::RecommendedWatcher> {
        notify::recommended_watcher(|_| {})
    }
    let stage = Stage::start_with(Pace { poll: Duration::from_millis(200), ..QUICK }, deaf);
    fs::write(&stage.path, "two").unwrap();
    assert_eq!(stage.next(), "two");
}

#[test]
fn a_change_that_leaves_the_stamp_alone_is_found_by_reading() {
    let poll = Duration::from_millis(200);
    let deceived = |read: Duration| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "one").unwrap();
        let files = Files::deceived(&path);
        Stage::watch_files(directory, path, files, Pace { poll, read, ..QUICK }, directories::inotify)
    };
    deceived(NEVER).nothing_happens();
    assert_eq!(deceived(poll).next(), "one");
}

#[test]
fn a_reload_that_failed_is_tried_again_though_no_file_has_changed() {
    let stage = Stage::start_with(Pace { poll: Duration::from_millis(200), ..QUICK }, directories::inotify);
    fs::write(&stage.path, "bad").unwrap();
    assert_eq!(stage.next(), "bad");
    assert_eq!(stage.next(), "bad");
    fs::write(&stage.path, "good").unwrap();
    while stage.next() != "good" {}
    stage.nothing_happens();
}

#[tokio::test]
async fn a_reload_that_is_asked_for_happens_though_nothing_has_changed() {
    let stage = Stage::start();
    stage.watch.reload().await;
    assert_eq!(stage.reloads.try_recv().as_deref(), Ok("one"));
    stage.nothing_happens();
}

#[test]
fn a_reload_that_panics_does_not_end_the_watch() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "one").unwrap();
    let mut files = Files::default();
    files.note(&path, 100);
    let (sender, reloads) = mpsc::channel();
    let watched = path.clone();
    let reload = move |_: Cause| {
        let mut files = Files::default();
        let bytes = files.read(&watched, 100).unwrap();
        assert_ne!(bytes, b"panic");
        sender.send(bytes).unwrap();
        Reloaded { files, failed: false }
    };
    let _watch = Watch::start(files, QUICK, reload).unwrap();
    fs::write(&path, "panic").unwrap();
    assert_eq!(reloads.recv_timeout(WHILE), Err(RecvTimeoutError::Timeout));
    fs::write(&path, "two").unwrap();
    assert_eq!(reloads.recv_timeout(SOON).unwrap(), b"two");
}
