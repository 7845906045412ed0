//! Which repositories there are, with a line about each: read from the disk now and then, the same for everybody.
//!
//! Nobody is shown the catalogue; [`super::list`] asks the policy about each entry. A new repository appears when the
//! catalogue is read again, after [`FRESH`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use policy::repo_path::RepoPath;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::inventory;
use crate::repository;
use crate::text;

/// One repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub repo: RepoPath,
    /// What its file `description` says; empty when nobody has written there.
    pub description: String,
}

/// What was found, and when.
#[derive(Debug, Default)]
pub struct Catalogue {
    last: Arc<Mutex<Option<Reading>>>,
}

type Reading = (Instant, Arc<[Entry]>);

/// How long what was found is shown.
pub const FRESH: Duration = Duration::from_secs(10);

impl Catalogue {
    /// Every repository below `root` that can be served, in order. Whoever comes while it is read waits for that, and so one
    /// thread at most stands before storage that does not answer, however many have given up waiting.
    ///
    /// # Errors
    /// When the disk cannot be read; that is not remembered.
    pub async fn entries(
        &self,
        root: PathBuf,
        export_all: bool,
        runtime: &Handle,
    ) -> io::Result<Arc<[Entry]>> {
        let mut last = Arc::clone(&self.last).lock_owned().await;
        if let Some((_, entries)) = last.as_ref().filter(|(read, _)| read.elapsed() < FRESH) {
            return Ok(Arc::clone(entries));
        }
        let read = runtime.spawn_blocking(move || {
            let entries: Arc<[Entry]> = read(&root, export_all)?.into();
            *last = Some((Instant::now(), Arc::clone(&entries)));
            Ok(entries)
        });
        read.await.unwrap_or_else(|_| Err(io::Error::other("it was not read to the end")))
    }
}

fn read(root: &Path, export_all: bool) -> io::Result<Vec<Entry>> {
    let served = |repo: &RepoPath| repository::find(root, repo, export_all).ok();
    let repositories = inventory::repo_paths(root)?.into_iter();
    let served = repositories.filter_map(|repo| Some((served(&repo)?, repo)));
    Ok(served.map(|(found, repo)| Entry { description: description(&found.path), repo }).collect())
}

/// The first line, if it is not the one git writes.
fn description(repository: &Path) -> String {
    let text = super::view::read(&repository.join("description")).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default().trim();
    let line: String =
        if line.starts_with("Unnamed repository;") { "" } else { line }.chars().take(200).collect();
    text::escape(&line)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_disk_that_cannot_be_read_is_no_empty_list_and_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let (root, away) = (directory.path().join("root"), directory.path().join("away"));
        for part in ["team/a.git/objects", "team/a.git/refs"] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        fs::write(root.join("team/a.git/HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::rename(&root, &away).unwrap();
        let (catalogue, runtime) = (Catalogue::default(), Handle::current());
        assert!(catalogue.entries(root.clone(), true, &runtime).await.is_err());
        fs::rename(&away, &root).unwrap();
        let entries = catalogue.entries(root.clone(), true, &runtime).await.unwrap();
        assert_eq!(entries.iter().map(|entry| entry.repo.as_str()).collect::<Vec<_>>(), ["team/a.git"]);
        fs::rename(&root, &away).unwrap();
        assert_eq!(catalogue.entries(root, true, &runtime).await.unwrap().len(), 1, "fresh enough");
    }

    #[tokio::test]
    async fn a_reading_goes_on_when_nobody_waits_any_more_and_is_the_only_one() {
        let (catalogue, runtime) = (Catalogue::default(), Handle::current());
        let stuck = Arc::clone(&catalogue.last).lock_owned().await;
        let waits = catalogue.entries("/nowhere".into(), true, &runtime);
        assert!(tokio::time::timeout(Duration::from_millis(20), waits).await.is_err());
        drop(stuck);
        assert!(catalogue.entries("/nowhere".into(), true, &runtime).await.is_err());
    }
}
