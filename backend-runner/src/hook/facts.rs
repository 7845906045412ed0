//! What the rules need to know of the repository as it was before the push: symbolic refs, and the tips of the flow.
//!
//! Symbolic refs are read from their files, for one whose target does not exist yet is shown by no git command and still
//! written through: see gitrepository-layout(5). Where refs are in a reftable, git has to be asked for each new name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use policy::branch::BranchName;
use policy::push::Push;
use policy::ref_update::{ObjectId, RefName, RefUpdate};

use super::git::{AskError, Git};

/// The repository's refs cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum FactError {
    /// A ref cannot be read.
    #[error("cannot read the ref {name}")]
    Read {
        /// Its name.
        name: RefName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It points to nothing that rules can be about.
    #[error("{0} is a symbolic ref that leads nowhere")]
    Astray(RefName),
    /// git has to be asked, and cannot.
    #[error(transparent)]
    Git(#[from] AskError),
}

/// How long a chain of symbolic refs git follows.
const CHAIN: usize = 5;

/// Those of the updated refs that are only another name for a ref.
pub(super) fn symbolic(
    git: &Git<'_>,
    updates: &[RefUpdate],
) -> Result<BTreeMap<RefName, RefName>, FactError> {
    if Path::new("reftable").exists() {
        return symbolic_in_reftable(git, updates);
    }
    let root = namespace();
    let mut symbolic = BTreeMap::new();
    for RefUpdate { name, .. } in updates {
        if let Some(target) = follow(Path::new(""), &root, name)? {
            symbolic.insert(name.clone(), target);
        }
    }
    Ok(symbolic)
}

/// Where the refs of this request are: a git namespace is a repository within one, see gitnamespaces(7).
pub(super) fn namespace() -> PathBuf {
    let namespace = std::env::var("GIT_NAMESPACE").unwrap_or_default();
    let parts = namespace.split('/').filter(|part| !part.is_empty());
    parts.fold(PathBuf::new(), |root, part| root.join("refs/namespaces").join(part))
}

/// The end of the chain that starts at `name`, if it is a symbolic ref of the `repository`; refs are below `root` there.
fn follow(repository: &Path, root: &Path, name: &RefName) -> Result<Option<RefName>, FactError> {
    let mut end: Option<RefName> = None;
    for _ in 0..=CHAIN {
        let at = end.as_ref().unwrap_or(name);
        let target = read(&repository.join(root).join(at.as_str()))
            .map_err(|source| FactError::Read { name: at.clone(), source })?;
        let Some(target) = target else { return Ok(end) };
        let target = Path::new(&target).strip_prefix(root).ok().and_then(Path::to_str);
        end = Some(target.and_then(RefName::parse).ok_or_else(|| FactError::Astray(name.clone()))?);
    }
    Err(FactError::Astray(name.clone()))
}

/// What a ref's file says it stands for, if that is a ref.
fn read(path: &Path) -> io::Result<Option<String>> {
    // In the old form a symbolic ref is a symbolic link.
    if let Ok(target) = std::fs::read_link(path)
        && let Some(target) = target.to_str()
        && target.starts_with("refs/")
    {
        return Ok(Some(target.to_owned()));
    }
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(4096).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    let Some(target) = bytes.strip_prefix(b"ref:") else { return Ok(None) };
    Ok(Some(String::from_utf8_lossy(target.trim_ascii()).into_owned()))
}

/// No loose ref of that name: there is nothing, or other refs are below or above it.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
}

fn symbolic_in_reftable(
    git: &Git<'_>,
    updates: &[RefUpdate],
) -> Result<BTreeMap<RefName, RefName>, FactError> {
    let root = namespace();
    let mut symbolic = BTreeMap::new();
    for RefUpdate { name, .. } in updates {
        let mut target = None;
        let full = root.join(name.as_str()).display().to_string();
        let command = git.command(&["symbolic-ref", "--quiet", &full]);
        let asked = git.records(command, Vec::new(), b'\n', |line| {
            target = Some(String::from_utf8_lossy(line).into_owned());
            Ok(ControlFlow::Break(()))
        });
        match (target, asked) {
            (Some(target), Ok(())) => {
                let target = Path::new(&target).strip_prefix(&root).ok().and_then(Path::to_str);
                let target = target.and_then(RefName::parse);
                let target = target.ok_or_else(|| FactError::Astray(name.clone()))?;
                symbolic.insert(name.clone(), target);
            }
            // Not symbolic: git says so by its exit code, and nothing else.
            (None, Err(AskError::Failed { complaint, .. })) if complaint.is_empty() => {}
            (_, Err(error)) => return Err(error.into()),
            (None, Ok(())) => return Err(AskError::Nonsense("symbolic-ref").into()),
        }
    }
    Ok(symbolic)
}

/// Where the branches are that the flow asks about.
pub(super) fn tips(git: &Git<'_>, push: &Push<'_>) -> Result<BTreeMap<BranchName, ObjectId>, AskError> {
    let wanted = push.tips_needed();
    let mut tips = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(tips);
    }
    let prefix = namespace().display().to_string();
    let prefix = if prefix.is_empty() { prefix } else { format!("{prefix}/") };
    let full = |branch: &BranchName| format!("{prefix}refs/heads/{}", branch.as_str());
    let names: Vec<_> = wanted.iter().map(|branch| full(branch)).collect();
    let mut command = git.command(&["for-each-ref", "--format=%(objectname) %(refname)", "--"]);
    command.args(&names);
    git.records(command, Vec::new(), b'\n', |line| {
        let line = std::str::from_utf8(line).map_err(|_| AskError::Nonsense("for-each-ref"))?;
        let (id, name) = line.split_once(' ').ok_or(AskError::Nonsense("for-each-ref"))?;
        // A pattern also matches what is below it.
        if let Some(branch) = wanted.iter().find(|branch| full(branch) == name) {
            let id = ObjectId::parse(id).ok_or(AskError::Nonsense("for-each-ref"))?;
            tips.insert((*branch).clone(), id);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(tips)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RefName {
        RefName::parse(text).unwrap()
    }

    #[test]
    fn a_symbolic_ref_is_followed_to_its_end_even_when_nothing_is_there() {
        let root = tempfile::tempdir().unwrap();
        let heads = root.path().join("refs/heads");
        std::fs::create_dir_all(heads.join("dir")).unwrap();
        std::fs::write(heads.join("plain"), "0123456789abcdef0123456789abcdef01234567\n").unwrap();
        std::fs::write(heads.join("alias"), "ref: refs/heads/middle\n").unwrap();
        std::fs::write(heads.join("middle"), "ref:\trefs/heads/unborn\n").unwrap();
        std::os::unix::fs::symlink("refs/heads/plain", heads.join("link")).unwrap();
        for (from, to) in [
            ("plain", None),
            ("dir", None),
            ("absent", None),
            ("plain/below", None),
            ("alias", Some("refs/heads/unborn")),
            ("link", Some("refs/heads/plain")),
        ] {
            let end = follow(root.path(), Path::new(""), &name(&format!("refs/heads/{from}"))).unwrap();
            assert_eq!(end, to.map(name), "{from}");
        }
    }

    #[test]
    fn a_chain_without_an_end_or_to_something_else_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let heads = root.path().join("refs/heads");
        std::fs::create_dir_all(&heads).unwrap();
        std::fs::write(heads.join("a"), "ref: refs/heads/b\n").unwrap();
        std::fs::write(heads.join("b"), "ref: refs/heads/a\n").unwrap();
        std::fs::write(heads.join("c"), "ref: ../../x\n").unwrap();
        for from in ["a", "b", "c"] {
            assert!(follow(root.path(), Path::new(""), &name(&format!("refs/heads/{from}"))).is_err());
        }
    }
}
