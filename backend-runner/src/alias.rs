//! Aliases: other URLs of a repository, each with refs of its own in a git namespace of that store.
//!
//! To policy, hooks and records the alias is a repository like any other; only git is told which store it is, and in which
//! namespace. See gitnamespaces(7): a namespace keeps refs apart and is no barrier to reading, for objects are one store.

use std::collections::BTreeMap;
use std::path::Path;

use policy::repo_path::{self, RepoPath};
use serde::{Deserialize, Deserializer};

use crate::git::{AskError, Git};
use crate::repository::{self, LookupError};

/// What an alias stands for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// The repository that has the objects.
    pub repository: RepoPath,
    /// Where in it the alias has its refs.
    pub namespace: Namespace,
}

/// A git namespace: one plain name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Namespace(Box<str>);

/// All aliases, by the path they are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Aliases(BTreeMap<RepoPath, Alias>);

impl Aliases {
    /// What `repo` stands for, if it is an alias.
    #[must_use]
    pub fn of(&self, repo: &RepoPath) -> Option<&Alias> {
        self.0.get(repo)
    }

    /// The repository on disk that requests for `repo` are about.
    #[must_use]
    pub fn store<'a>(&'a self, repo: &'a RepoPath) -> &'a RepoPath {
        self.of(repo).map_or(repo, |alias| &alias.repository)
    }

    /// Every alias and what it stands for.
    pub fn iter(&self) -> impl Iterator<Item = (&RepoPath, &Alias)> {
        self.0.iter()
    }

    /// Whether an alias is at this level of a policy, or below it.
    #[must_use]
    pub fn any_at(&self, level: &str) -> bool {
        let is_at = |alias: &RepoPath| match level.ends_with('/') {
            true => alias.as_str().starts_with(level),
            false => alias.as_str() == level,
        };
        self.0.keys().any(is_at)
    }

    /// The first alias that stands for an alias. One step is all there is, so there are no circles.
    #[must_use]
    pub fn chained(&self) -> Option<&RepoPath> {
        self.0.iter().find(|(_, alias)| self.0.contains_key(&alias.repository)).map(|(name, _)| name)
    }

    /// What is wrong with them in the project root, a line each.
    #[must_use]
    pub fn problems(&self, git: &Git, root: &Path) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, Alias { repository, namespace }) in &self.0 {
            match repository::find(root, repository, true) {
                Ok(store) if !namespace.has_head(git, &store.path).unwrap_or(true) => {
                    problems.push(format!(
                        "alias {name}: clones find no branch to check out; `backend-runner create-repo {name}` names one"
                    ));
                }
                Ok(_) => {}
                Err(LookupError::Missing) => {
                    problems.push(format!("alias {name}: there is no repository {repository}"));
                }
                Err(error) => problems.push(format!("alias {name}: {repository}: {error}")),
            }
            if root.join(name.as_str()).symlink_metadata().is_ok() {
                problems.push(format!("alias {name}: hides what is there under this name"));
            }
        }
        problems
    }
}

impl Namespace {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match repo_path::is_name(text) {
            true => Ok(Self(text.into())),
            false => Err("a namespace is one plain name such as site"),
        }
    }

    /// The name, as git takes it in `GIT_NAMESPACE`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the store has a `HEAD` in it.
    ///
    /// # Errors
    /// When git has to be asked, and gives no answer.
    pub fn has_head(&self, git: &Git, store: &Path) -> Result<bool, AskError> {
        let head = format!("{}HEAD", self.prefix());
        match store.join("reftable").is_dir() {
            true => git.has_symbolic(store, &head),
            false => Ok(store.join(head).exists()),
        }
    }

    /// Where its refs are in the store, from `refs/` to the last slash.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("refs/namespaces/{}/", self.0)
    }
}

impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        policy::document::parsed(deserializer, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases(text: &str) -> Aliases {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_alias_is_at_its_own_level_and_below_every_directory_of_it() {
        let aliases = aliases(r#"{"pub/deep/site.git": {"repository": "store.git", "namespace": "site"}}"#);
        for (level, expected) in
            [("/", false), ("pub/", true), ("pub/deep/", true), ("pub/deep/site.git", true), ("pu", false)]
        {
            assert_eq!(aliases.any_at(level), expected, "{level}");
        }
        let (alias, other) =
            (RepoPath::parse("pub/deep/site.git").unwrap(), RepoPath::parse("a.git").unwrap());
        assert_eq!(aliases.store(&alias).as_str(), "store.git");
        assert_eq!(aliases.store(&other), &other);
    }

    #[test]
    fn an_alias_of_an_alias_is_noticed() {
        let one = r#""a.git": {"repository": "b.git", "namespace": "n"}"#;
        assert_eq!(aliases(&format!("{{{one}}}")).chained(), None);
        for other in ["a.git", "c.git"] {
            let text = format!(r#"{{{one}, "b.git": {{"repository": "{other}", "namespace": "n"}}}}"#);
            assert_eq!(aliases(&text).chained().map(RepoPath::as_str), Some("a.git"));
        }
    }

    #[test]
    fn a_namespace_is_one_plain_name() {
        for text in ["site", "a.b", "x_1"] {
            assert!(Namespace::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a/b", "..", "-x", "x.lock", "a b", "*", "\u{e9}"] {
            assert!(Namespace::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_cannot_work_on_this_disk_is_said() {
        let root = tempfile::tempdir().unwrap();
        for part in ["objects", "refs/namespaces/ready"] {
            std::fs::create_dir_all(root.path().join("store.git").join(part)).unwrap();
        }
        for head in ["HEAD", "refs/namespaces/ready/HEAD"] {
            std::fs::write(root.path().join("store.git").join(head), "ref: refs/heads/main\n").unwrap();
        }
        std::fs::create_dir(root.path().join("taken.git")).unwrap();
        let aliases = aliases(
            r#"{"lost.git":  {"repository": "no.git", "namespace": "n"},
                "new.git":   {"repository": "store.git", "namespace": "n"},
                "ready.git": {"repository": "store.git", "namespace": "ready"},
                "taken.git": {"repository": "store.git", "namespace": "ready"}}"#,
        );
        let problems = aliases.problems(&Git::probe(Path::new("/usr/bin/git")).unwrap(), root.path());
        for (found, expected) in problems.iter().zip([
            "lost.git: there is no repository no.git",
            "new.git: clones",
            "taken.git: hides",
        ]) {
            assert!(found.contains(expected), "{found}");
        }
        assert_eq!(problems.len(), 3, "{problems:?}");
    }
}
