//! Repositories that were looked at in full lately, each with the marks by which it is known to be the same still.
//!
//! To find a repository, to read its switches and to tell its standing takes many calls, on a thread that may wait for storage.
//! All of that follows from what a few directories and files are, and nearly always they are what they were for the last
//! request; then a glance at each of them settles it, on the thread that answers. Only file systems of this machine get
//! that: they answer, and they tell of every change (see [`volume`]). A file that was touched just now is no ground (see [`Stamp`]).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use daemon::volume;
use moka::sync::Cache;
use policy::git_request::Service;
use policy::repo_path::RepoPath;
use rustix::fs::FileType;

use super::digest::Parts;
use super::identity::Identity;
use super::standing::Standing;
use super::witness::Stamp;
use crate::repository::{EXPORT_MARK, Repository};

/// The repositories that are known, by the name that was decided about. All belong to one configuration of the daemon.
#[derive(Debug)]
pub struct Grounds(Cache<RepoPath, Arc<Ground>>);

/// More repositories than that are seldom asked about at a time; each takes about 2 KiB.
const MOST: u64 = 4096;

impl Default for Grounds {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

/// What is known of one repository, and holds while its marks do.
#[derive(Debug)]
pub struct Ground {
    /// The repository. It has none of the switches that narrow what is allowed.
    pub repository: Repository,
    /// What answers depend on besides refs.
    pub standing: Standing,
    /// Whether nothing but plain objects make up a pack: neither a shallow history nor grafts.
    pub whole: bool,
    marks: Marks,
    /// Keys of answers as far as they are the same for many questions.
    keys: Mutex<HashMap<Shape, Parts>>,
}

/// What the environment of a git depends on, as far as answers do: the repository's name and the configuration are the ground's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// What the key is for.
    pub purpose: &'static str,
    /// What is asked of git.
    pub service: Service,
    /// The version of the protocol.
    pub protocol: Option<&'static str>,
    /// Whether the caller has a name.
    pub named: bool,
}

/// Marks of a repository, taken before it is looked at: a change after that is a change of them.
#[derive(Debug)]
pub struct Marks(Vec<(PathBuf, Mark)>);

/// What there was at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Nothing,
    /// A directory, whatever is in it.
    Directory(Identity),
    /// A plain file, whatever is in it.
    File,
    /// A plain file, as it was.
    Content(Stamp),
    /// The project root, where a link that leads there is the administrator's own.
    Root(Identity),
    /// The git program, likewise.
    Program(Stamp),
}

impl Grounds {
    /// The ground of `repo`, if it holds.
    #[must_use]
    pub fn recall(&self, repo: &RepoPath) -> Option<Arc<Ground>> {
        let ground = self.0.get(repo)?;
        if ground.marks.hold() {
            return Some(ground);
        }
        self.0.invalidate(repo);
        None
    }

    /// Remembers what was found under `marks`.
    pub fn remember(
        &self,
        repo: &RepoPath,
        repository: Repository,
        standing: Standing,
        marks: Marks,
    ) -> Arc<Ground> {
        let whole = [SHALLOW, GRAFTS].iter().all(|name| marks.lacks(&repository.path.join(name)));
        let ground = Arc::new(Ground { repository, standing, whole, marks, keys: Mutex::default() });
        self.0.insert(repo.clone(), Arc::clone(&ground));
        ground
    }
}

impl Ground {
    /// The key of answers of this shape, without what is asked; `begin` makes it the first time.
    pub fn key(&self, shape: Shape, begin: impl FnOnce() -> Parts) -> Parts {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.entry(shape).or_insert_with(begin).clone()
    }
}

const SHALLOW: &str = "shallow";
const GRAFTS: &str = "info/grafts";

impl Marks {
    /// Marks the repository `store` below `root` and the program `git`; `None` when nothing lasting can be known of them now.
    /// Reads the file system: for a thread that may wait.
    #[must_use]
    pub fn take(root: &Path, store: &RepoPath, git: &Path) -> Option<Self> {
        let repository = root.join(store.as_str());
        // Each that is looked at may be a mount of its own.
        let mut places = repository.ancestors().take(store.components().count() + 1);
        if !places.all(volume::is_local) {
            return None;
        }
        let mut marks = vec![(root.to_owned(), Mark::Root(Identity::of_target(root).ok()?))];
        let mut path = root.to_owned();
        for component in store.components() {
            path.push(component);
            marks.push((path.clone(), Mark::directory(&path)?));
        }
        marks.push((repository.join("objects"), Mark::directory(&repository.join("objects"))?));
        marks.push((repository.join("refs"), Mark::directory(&repository.join("refs"))?));
        for (name, mark) in [
            ("HEAD", Mark::file as fn(&Path) -> Option<Mark>),
            ("config", Mark::content),
            (SHALLOW, Mark::content),
            (GRAFTS, Mark::content),
            (".git", Mark::nothing),
            ("commondir", Mark::nothing),
            (EXPORT_MARK, Mark::content),
        ] {
            let path = repository.join(name);
            let mark = mark(&path)?;
            marks.push((path, mark));
        }
        let stamp = Stamp::of_target(git).ok().filter(|stamp| stamp.is_settled(SystemTime::now()))?;
        marks.push((git.to_owned(), Mark::Program(stamp)));
        Some(Self(marks))
    }

    fn hold(&self) -> bool {
        self.0.iter().all(|(path, mark)| mark.holds(path))
    }

    /// Whether nothing was at `path`.
    fn lacks(&self, path: &Path) -> bool {
        self.0.iter().any(|(marked, mark)| marked == path && *mark == Mark::Nothing)
    }
}

impl Mark {
    fn directory(path: &Path) -> Option<Self> {
        Identity::of(path).ok().map(Self::Directory)
    }

    fn file(path: &Path) -> Option<Self> {
        let found = Stamp::of(path).ok()??;
        (found.kind() == FileType::RegularFile).then_some(Self::File)
    }

    /// A file or nothing; `None` for anything else, and for what was touched just now.
    fn content(path: &Path) -> Option<Self> {
        let Some(found) = Stamp::of(path).ok()? else { return Some(Self::Nothing) };
        let lasts = found.kind() == FileType::RegularFile && found.is_settled(SystemTime::now());
        lasts.then_some(Self::Content(found))
    }

    fn nothing(path: &Path) -> Option<Self> {
        Stamp::of(path).ok()?.is_none().then_some(Self::Nothing)
    }

    fn holds(&self, path: &Path) -> bool {
        match self {
            Self::Nothing => Stamp::of(path) == Ok(None),
            Self::Directory(identity) => Identity::of(path) == Ok(*identity),
            Self::File => Self::file(path).is_some(),
            Self::Content(stamp) => Stamp::of(path) == Ok(Some(*stamp)),
            Self::Root(identity) => Identity::of_target(path) == Ok(*identity),
            Self::Program(stamp) => Stamp::of_target(path) == Ok(*stamp),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;
    use crate::repository;

    const GIT: &str = "/bin/sh";

    /// A repository that was just made.
    fn root() -> (tempfile::TempDir, RepoPath) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("team/app.git");
        fs::create_dir_all(path.join("objects")).unwrap();
        fs::create_dir_all(path.join("refs")).unwrap();
        fs::create_dir_all(path.join("info")).unwrap();
        fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(path.join("config"), "[core]\n\tbare = true\n").unwrap();
        (root, RepoPath::parse("team/app.git").unwrap())
    }

    /// Waits until what was just made is old enough to be a mark: a file's ctime cannot be set.
    fn settled(root: &Path, repo: &RepoPath) -> Grounds {
        let until = SystemTime::now() + Duration::from_secs(20);
        let marks = loop {
            assert!(SystemTime::now() < until);
            match Marks::take(root, repo, Path::new(GIT)) {
                Some(marks) => break marks,
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        let repository = repository::find(root, repo, true).unwrap();
        let standing = Standing::of(&repository.path, Path::new(GIT)).unwrap();
        let grounds = Grounds::default();
        grounds.remember(repo, repository, standing, marks);
        grounds
    }

    #[test]
    fn a_file_that_was_written_just_now_is_no_ground() {
        let (root, repo) = root();
        assert!(Marks::take(root.path(), &repo, Path::new(GIT)).is_none());
    }

    #[test]
    fn a_ground_holds_until_something_it_follows_from_has_changed() {
        type Change = fn(&Path);
        let changes: [(&str, bool, Change); 15] = [
            ("nothing", true, |_| {}),
            ("a new object", true, |path| fs::create_dir(path.join("objects/ab")).unwrap()),
            ("a new ref", true, |path| fs::write(path.join("refs/new"), "x").unwrap()),
            ("another HEAD", true, |path| fs::write(path.join("HEAD"), "ref: refs/heads/new\n").unwrap()),
            ("a repository beside it", true, |path| fs::create_dir(path.with_file_name("b.git")).unwrap()),
            ("the configuration", false, |path| {
                fs::write(path.join("config"), "[core]\n\tbare = yes_\n").unwrap()
            }),
            ("a grafted history", false, |path| fs::write(path.join(GRAFTS), "").unwrap()),
            ("a shallow history", false, |path| fs::write(path.join(SHALLOW), "").unwrap()),
            ("a working copy", false, |path| fs::create_dir(path.join(".git")).unwrap()),
            ("a common directory", false, |path| fs::write(path.join("commondir"), "..").unwrap()),
            ("the mark of exported ones", false, |path| fs::write(path.join(EXPORT_MARK), "").unwrap()),
            ("no HEAD", false, |path| fs::remove_file(path.join("HEAD")).unwrap()),
            ("objects elsewhere", false, |path| {
                fs::rename(path.join("objects"), path.join("elsewhere")).unwrap();
                symlink("elsewhere", path.join("objects")).unwrap();
            }),
            ("another repository of that name", false, |path| {
                fs::rename(path, path.with_file_name("old.git")).unwrap();
                fs::create_dir_all(path.join("objects")).unwrap();
            }),
            ("a link in its path", false, |path| {
                let team = path.parent().unwrap();
                fs::rename(team, team.with_file_name("moved")).unwrap();
                symlink("moved", team).unwrap();
            }),
        ];
        // One wait for all of them.
        let roots: Vec<_> = changes.iter().map(|_| root()).collect();
        let grounds: Vec<_> = roots.iter().map(|(root, repo)| settled(root.path(), repo)).collect();
        for (((what, holds, change), (root, repo)), grounds) in changes.into_iter().zip(&roots).zip(&grounds)
        {
            assert!(grounds.recall(repo).is_some(), "{what}");
            change(&root.path().join(repo.as_str()));
            assert_eq!(grounds.recall(repo).is_some(), holds, "{what}");
        }
    }

    #[test]
    fn a_ground_of_a_plain_history_is_whole() {
        let (root, repo) = root();
        let grounds = settled(root.path(), &repo);
        assert!(grounds.recall(&repo).unwrap().whole);
        fs::write(root.path().join("team/app.git/shallow"), "").unwrap();
        let grounds = settled(root.path(), &repo);
        assert!(!grounds.recall(&repo).unwrap().whole);
    }

    #[test]
    fn a_key_is_begun_once_for_each_shape() {
        let (root, repo) = root();
        let ground = settled(root.path(), &repo).recall(&repo).unwrap();
        let shape = Shape { purpose: "x", service: Service::UploadPack, protocol: None, named: true };
        let first = ground.key(shape, || Parts::of("first")).digest();
        assert_eq!(ground.key(shape, || unreachable!()).digest(), first);
        let other = Shape { named: false, ..shape };
        assert_ne!(ground.key(other, || Parts::of("second")).digest(), first);
    }
}
