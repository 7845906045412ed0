//! Which repositories there are, with a line about each: read from the disk now and then, the same for everybody.
//!
//! Nobody is shown the catalogue; [`super::list`] asks the policy about each entry. A new repository appears when the
//! catalogue is read again, after [`FRESH`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use policy::repo_path::RepoPath;
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
    last: Mutex<Option<(Instant, Arc<[Entry]>)>>,
}

/// How long what was found is shown.
pub const FRESH: Duration = Duration::from_secs(10);

impl Catalogue {
    /// Every repository below `root` that can be served, in order. Whoever comes while it is read waits for that.
    pub async fn entries(&self, root: &Path, export_all: bool) -> Arc<[Entry]> {
        let mut last = self.last.lock().await;
        if let Some((_, entries)) = last.as_ref().filter(|(read, _)| read.elapsed() < FRESH) {
            return Arc::clone(entries);
        }
        let root = root.to_owned();
        let found = tokio::task::spawn_blocking(move || read(&root, export_all)).await;
        let entries: Arc<[Entry]> = found.unwrap_or_default().into();
        *last = Some((Instant::now(), Arc::clone(&entries)));
        entries
    }
}

fn read(root: &Path, export_all: bool) -> Vec<Entry> {
    let served = |repo: &RepoPath| repository::find(root, repo, export_all).ok();
    let repositories = inventory::repo_paths(root).into_iter();
    let served = repositories.filter_map(|repo| Some((served(&repo)?, repo)));
    served.map(|(found, repo)| Entry { description: description(&found.path), repo }).collect()
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
