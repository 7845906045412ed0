//! The rules about what a push brings, asked only when they are set: each costs one git process for the whole push.
//!
//! Sizes come from the quarantine, where a push's objects are before they are accepted, without walking anything. Paths come
//! from a comparison of each new commit with its parents, under a limit of memory and number: a few small trees can
//! hold more paths than there is memory.

use std::ops::ControlFlow;
use std::path::Path;

use policy::content::PathPattern;
use policy::push::Push;
use policy::rule::{ContentRefusal, Rule};

use super::commits::{self, NewCommits};
use super::git::{AskError, Git};

/// How many changed paths are looked at.
const PATHS: usize = 1_000_000;

/// How much memory the comparison may take, in bytes.
const MEMORY: u64 = 256 << 20;

/// How many offences of one rule are told.
pub(super) const TOLD: usize = 10;

/// What the rules about content refuse.
pub(super) fn judge(git: &Git<'_>, push: &Push<'_>) -> Result<Vec<ContentRefusal>, AskError> {
    let tips: Vec<_> = push.updates.iter().filter(|update| !update.deletes()).collect();
    let mut refusals = Vec::new();
    if tips.is_empty() {
        return Ok(refusals);
    }
    if let Some((_, limit)) = push.rules.max_blob {
        refusals.extend(large_blobs(git, limit.bytes())?);
    }
    let patterns = push.rules.forbidden_paths.map_or(&[][..], |(_, patterns)| patterns);
    if commits::are_judged(push) || !patterns.is_empty() {
        let NewCommits { ids, refusals: of_commits } = commits::judge(git, push)?;
        refusals.extend(of_commits);
        if !patterns.is_empty() {
            refusals.extend(bare_trees(git, push)?);
            refusals.extend(forbidden_paths(git, ids, patterns)?);
        }
    }
    Ok(refusals)
}

/// Blobs of the quarantine that are larger than `limit`.
fn large_blobs(git: &Git<'_>, limit: u64) -> Result<Vec<ContentRefusal>, AskError> {
    let Some(quarantine) = std::env::var_os("GIT_QUARANTINE_PATH") else { return Ok(Vec::new()) };
    let format = "--batch-check=%(objecttype) %(objectsize) %(objectname)";
    let mut command = git.command(&["cat-file", "--batch-all-objects", "--unordered", "--buffer", format]);
    command.env("GIT_OBJECT_DIRECTORY", quarantine).env_remove("GIT_ALTERNATE_OBJECT_DIRECTORIES");
    let mut large = Vec::new();
    git.records(command, Vec::new(), b'\n', |line| {
        let mut fields = line.split(|byte| *byte == b' ').map(|field| std::str::from_utf8(field).ok());
        let mut next = || fields.next().flatten().ok_or(AskError::Nonsense("cat-file"));
        let (kind, size, id) = (next()?, next()?, next()?);
        let size: u64 = size.parse().map_err(|_| AskError::Nonsense("cat-file"))?;
        if kind == "blob" && size > limit {
            large.push((id.to_owned(), size));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let new = absent(git, large)?;
    Ok(new.into_iter().take(TOLD).map(|(id, size)| large_blob(&id, size, limit)).collect())
}

/// Those that the repository did not have before: a thin pack is completed with objects it builds on.
fn absent(git: &Git<'_>, blobs: Vec<(String, u64)>) -> Result<Vec<(String, u64)>, AskError> {
    if blobs.is_empty() {
        return Ok(blobs);
    }
    let mut command = git.command(&["cat-file", "--batch-check=%(objecttype)"]);
    command.env_remove("GIT_OBJECT_DIRECTORY").env_remove("GIT_ALTERNATE_OBJECT_DIRECTORIES");
    command.env_remove("GIT_QUARANTINE_PATH");
    let input = blobs.iter().fold(String::new(), |input, (id, _)| input + id + "\n");
    let mut missing = Vec::new();
    git.records(command, input.into_bytes(), b'\n', |line| {
        missing.push(line.ends_with(b" missing"));
        Ok(ControlFlow::Continue(()))
    })?;
    if missing.len() != blobs.len() {
        return Err(AskError::Nonsense("cat-file"));
    }
    Ok(blobs.into_iter().zip(missing).filter_map(|(blob, missing)| missing.then_some(blob)).collect())
}

fn large_blob(id: &str, size: u64, limit: u64) -> ContentRefusal {
    let short = id.get(..12).unwrap_or(id);
    let advice = format!(
        "file {short} has {size} bytes, more than the {limit} allowed here; remove it from the commits (git rev-list \
         --objects HEAD | grep {short} shows its name)"
    );
    ContentRefusal { rule: Rule::BlobSize, advice }
}

/// Tags of trees: there is no commit to compare.
fn bare_trees(git: &Git<'_>, push: &Push<'_>) -> Result<Option<ContentRefusal>, AskError> {
    // git itself takes nothing but commits for branches.
    let others = push.updates.iter().filter(|update| !update.deletes() && update.name.branch().is_none());
    let input = others.fold(String::new(), |input, update| input + update.new.as_str() + "^{}\n");
    if input.is_empty() {
        return Ok(None);
    }
    let mut found = false;
    let command = git.command(&["cat-file", "--batch-check=%(objecttype)"]);
    git.records(command, input.into_bytes(), b'\n', |line| {
        found |= !matches!(line, b"commit" | b"blob");
        Ok(ControlFlow::Continue(()))
    })?;
    let advice = "a tag of a tree is not accepted where paths are judged; tag a commit".to_owned();
    Ok(found.then_some(ContentRefusal { rule: Rule::Path, advice }))
}

/// Paths that new commits add or change and that match a pattern. What a merge takes over from a parent is not new.
fn forbidden_paths(
    git: &Git<'_>,
    commits: Vec<u8>,
    patterns: &[PathPattern],
) -> Result<Vec<ContentRefusal>, AskError> {
    let words = [
        "diff-tree",
        "--stdin",
        "-r",
        "-c",
        "--root",
        "--no-commit-id",
        "--name-status",
        "--no-renames",
        "-z",
    ];
    let mut refusals = Vec::new();
    let (mut count, mut deleted) = (0_usize, None);
    git.records_within(MEMORY, git.command(&words), commits, 0, |field| {
        // Statuses and paths in turn; a status has one letter for each parent.
        let Some(is_deleted) = deleted.take() else {
            deleted = Some(field.iter().all(|letter| *letter == b'D'));
            return Ok(ControlFlow::Continue(()));
        };
        count += 1;
        if count > PATHS {
            return Err(AskError::TooMuch);
        }
        let path = String::from_utf8_lossy(field);
        if let Some(pattern) = patterns.iter().find(|pattern| !is_deleted && pattern.matches(&path)) {
            refusals.push(forbidden_path(&path, pattern));
        }
        Ok(if refusals.len() >= TOLD { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(refusals)
}

fn forbidden_path(path: &str, pattern: &PathPattern) -> ContentRefusal {
    let advice =
        format!("{} matches {}; remove it from the commits", Path::new(path).display(), pattern.as_str());
    ContentRefusal { rule: Rule::Path, advice }
}
