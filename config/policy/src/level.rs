//! Levels: the places in the tree of repositories where a policy writes something down.
//!
//! A level is `/`, a directory such as `team/`, or a repository such as `team/test.git`. One component may be `{user}`,
//! which stands for any name and binds it, so that rules can speak of "the user this corner belongs to". A lookup visits
//! the levels above one repository only, so it costs the same in a policy of ten levels and of a hundred thousand.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use crate::document;
use crate::repo_path::{self, RepoPath};

/// The component that stands for any user's name.
pub const USER_COMPONENT: &str = "{user}";

/// The same for a repository's own name.
const USER_REPOSITORY: &str = "{user}.git";

/// Where something is written: `/`, `team/`, `team/test.git`, `home/{user}/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct LevelPath(Box<str>);

/// The text is not a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLevel {
    /// It starts with a slash and is not the root itself.
    #[error("a level has no leading slash: write `team/`, or `/` for the root")]
    LeadingSlash,
    /// A name, and nothing that says of what.
    #[error("a directory ends in a slash, as `team/` does, and a repository in .git, as `team.git` does")]
    NoEnding,
    /// Neither a directory nor a repository.
    #[error("a level is `/`, a directory like `team/` or a repository like `team/test.git`, of plain names")]
    BadName,
    /// Two `{user}` in one path.
    #[error("`{{user}}` may stand for one component only")]
    TwoUsers,
    /// Deeper than repositories can be.
    #[error("a repository is at most {} directories deep", repo_path::MAX_DIRECTORIES)]
    TooDeep,
}

impl LevelPath {
    /// Accepts a level exactly as policies write it.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidLevel> {
        if text == "/" {
            return Ok(Self(text.into()));
        }
        if text.starts_with('/') {
            return Err(InvalidLevel::LeadingSlash);
        }
        let path = text.strip_suffix('/').or_else(|| text.strip_suffix(repo_path::SUFFIX));
        if path.is_none() && text.split('/').all(repo_path::is_name) {
            return Err(InvalidLevel::NoEnding);
        }
        let components = || path.into_iter().flat_map(|path| path.split('/'));
        if components().count() > repo_path::MAX_DIRECTORIES + usize::from(!text.ends_with('/')) {
            return Err(InvalidLevel::TooDeep);
        }
        if components().filter(|name| *name == USER_COMPONENT).count() > 1 {
            return Err(InvalidLevel::TwoUsers);
        }
        let is_component = |name: &str| name == USER_COMPONENT || repo_path::is_name(name);
        if path.is_some() && components().all(is_component) {
            return Ok(Self(text.into()));
        }
        Err(InvalidLevel::BadName)
    }

    /// `/`
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// The level as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether one of the components is `{user}`.
    #[must_use]
    pub fn has_user(&self) -> bool {
        self.0.contains(USER_COMPONENT)
    }

    /// The names on the way from the root.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }
}

impl fmt::Display for LevelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for LevelPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

/// What is written at each level.
#[derive(Clone, Debug)]
pub struct LevelTree<T> {
    root: Node<T>,
}

/// A level that lies above a repository, or is the repository.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'t, 'r, T> {
    /// The level.
    pub path: &'t LevelPath,
    /// What is written there.
    pub value: &'t T,
    /// How near the repository: a greater rank is nearer, and at equal depth a plain name is nearer than `{user}`.
    pub rank: usize,
    /// The name that `{user}` stands for here.
    pub bound: Option<&'r str>,
}

#[derive(Clone, Debug)]
struct Node<T> {
    entry: Option<Box<(LevelPath, T)>>,
    children: HashMap<Box<str>, Self>,
}

impl<T> LevelTree<T> {
    /// The tree of these levels.
    pub fn new(levels: impl IntoIterator<Item = (LevelPath, T)>) -> Self {
        let mut root = Node::empty();
        for (path, value) in levels {
            let mut node = &mut root;
            for component in path.components() {
                node = node.children.entry(component.into()).or_insert_with(Node::empty);
            }
            node.entry = Some(Box::new((path, value)));
        }
        Self { root }
    }

    /// Calls `visit` for every level above `repo`, and for its own. Not in the order of ranks.
    pub fn walk<'t, 'r>(&'t self, repo: &'r RepoPath, visit: &mut dyn FnMut(Visit<'t, 'r, T>)) {
        self.root.walk(repo.as_str(), 0, None, visit);
    }

    /// Every level with what is written there, in the order of paths.
    #[must_use]
    pub fn levels(&self) -> BTreeMap<&LevelPath, &T> {
        let mut levels = BTreeMap::new();
        let mut nodes = vec![&self.root];
        while let Some(node) = nodes.pop() {
            levels.extend(node.entry.as_deref().map(|(path, value)| (path, value)));
            nodes.extend(node.children.values());
        }
        levels
    }

    /// The levels that lie above every repository `level` stands for, from the root down, without itself: those of plain
    /// names, and `{user}` where the level has it or any name.
    #[must_use]
    pub fn above(&self, level: &LevelPath) -> Vec<(&LevelPath, &T)> {
        let mut above = Vec::new();
        let mut nodes = vec![&self.root];
        for component in level.components() {
            above.extend(nodes.iter().filter_map(|node| node.entry.as_deref()));
            let pattern =
                if component.ends_with(repo_path::SUFFIX) { USER_REPOSITORY } else { USER_COMPONENT };
            let names = [pattern, component];
            let names = if component == pattern { &names[1..] } else { &names[..] };
            nodes = nodes
                .iter()
                .flat_map(|node| names.iter().filter_map(|name| node.children.get(*name)))
                .collect();
        }
        above.extend(nodes.iter().filter_map(|node| node.entry.as_deref()));
        above.into_iter().map(|(path, value)| (path, value)).filter(|(path, _)| *path != level).collect()
    }
}

impl<T> Node<T> {
    fn empty() -> Self {
        Self { entry: None, children: HashMap::new() }
    }

    fn walk<'t, 'r>(
        &'t self,
        rest: &'r str,
        depth: usize,
        bound: Option<&'r str>,
        visit: &mut dyn FnMut(Visit<'t, 'r, T>),
    ) {
        if let Some((path, value)) = self.entry.as_deref() {
            visit(Visit { path, value, rank: depth * 2 + usize::from(bound.is_none()), bound });
        }
        if rest.is_empty() || self.children.is_empty() {
            return;
        }
        let (component, below) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(child) = self.children.get(component) {
            child.walk(below, depth + 1, bound, visit);
        }
        // Names cannot hold a brace, so the key of the pattern is never the name of a directory.
        let (pattern, name) = match component.strip_suffix(repo_path::SUFFIX) {
            Some(stem) => (USER_REPOSITORY, stem),
            None => (USER_COMPONENT, component),
        };
        if let Some(child) = self.children.get(pattern) {
            child.walk(below, depth + 1, Some(name), visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visited(levels: &[&str], repo: &str) -> Vec<(String, Option<String>)> {
        let tree = LevelTree::new(levels.iter().map(|level| (LevelPath::parse(level).unwrap(), ())));
        let repo = RepoPath::parse(repo).unwrap();
        let mut visits = Vec::new();
        tree.walk(&repo, &mut |visit| {
            visits.push((visit.rank, visit.path.to_string(), visit.bound.map(str::to_owned)))
        });
        visits.sort();
        visits.into_iter().map(|(_, path, bound)| (path, bound)).collect()
    }

    #[test]
    fn levels_are_visited_from_the_root_down_and_neighbours_are_not() {
        let levels = ["/", "team/", "team/app.git", "teams/", "team/app/", "other/", "team/b.git"];
        let names: Vec<_> = visited(&levels, "team/app.git").into_iter().map(|(path, _)| path).collect();
        assert_eq!(names, ["/", "team/", "team/app.git"]);
        let names: Vec<_> = visited(&levels, "team/app/x.git").into_iter().map(|(path, _)| path).collect();
        assert_eq!(names, ["/", "team/", "team/app/"]);
    }

    #[test]
    fn a_user_component_binds_any_name_and_ranks_below_a_plain_one() {
        let levels = ["home/{user}/", "home/joe/", "home/{user}.git", "home/{user}/x.git"];
        assert_eq!(
            visited(&levels, "home/joe/x.git"),
            [
                ("home/{user}/".to_owned(), Some("joe".to_owned())),
                ("home/joe/".to_owned(), None),
                ("home/{user}/x.git".to_owned(), Some("joe".to_owned())),
            ]
        );
        assert_eq!(
            visited(&levels, "home/ann.git"),
            [("home/{user}.git".to_owned(), Some("ann".to_owned()))]
        );
    }

    #[test]
    fn a_level_is_the_root_a_directory_or_a_repository() {
        for text in
            ["/", "team/", "a/b/c.git", "home/{user}/", "home/{user}.git", "{user}/x.git", "1/2/3/4/5/6/7/8/"]
        {
            assert!(LevelPath::parse(text).is_ok(), "{text}");
        }
        for (text, expected) in [
            ("/team/", InvalidLevel::LeadingSlash),
            ("team", InvalidLevel::NoEnding),
            ("", InvalidLevel::BadName),
            ("a//b/", InvalidLevel::BadName),
            ("../", InvalidLevel::BadName),
            ("x.git/", InvalidLevel::BadName),
            ("{users}/", InvalidLevel::BadName),
            ("x{user}/", InvalidLevel::BadName),
            ("{user}/{user}.git", InvalidLevel::TwoUsers),
            ("1/2/3/4/5/6/7/8/9/", InvalidLevel::TooDeep),
        ] {
            assert_eq!(LevelPath::parse(text), Err(expected), "{text}");
        }
    }
}
