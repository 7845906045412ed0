//! Bare repositories with known content, made by git itself below one project root.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::git::Git;

/// A project root.
#[derive(Debug)]
pub struct Repositories {
    root: PathBuf,
    git: Git,
}

/// One bare repository.
#[derive(Clone, Debug)]
pub struct Repository {
    path: PathBuf,
    git: Git,
}

impl Repositories {
    /// A project root at `root`, which must exist.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), git: Git::new(root) }
    }

    /// The project root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// An empty bare repository whose HEAD is `main`.
    pub fn empty(&self, name: &str) -> Result<Repository> {
        self.init(name, "sha1")
    }

    /// An empty bare repository of the given object format.
    pub fn init(&self, name: &str, format: &str) -> Result<Repository> {
        let path = self.root.join(name);
        let format = format!("--object-format={format}");
        self.git.ok(&["init", "--quiet", "--bare", "--initial-branch=main", &format, &path_text(&path)?])?;
        Ok(Repository { git: self.git.within(&path), path })
    }

    /// A bare repository with `commits` commits on `main` and the branches `extra` at the same commit.
    pub fn seeded(&self, name: &str, commits: usize, extra: &[String]) -> Result<Repository> {
        let repository = self.empty(name)?;
        repository.import(&history(commits, extra))?;
        Ok(repository)
    }

    /// A repository that exists already.
    pub fn open(&self, name: &str) -> Repository {
        let path = self.root.join(name);
        Repository { git: self.git.within(&path), path }
    }
}

impl Repository {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// git with this repository as its working directory.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Feeds a stream in the format of git-fast-import(1).
    pub fn import(&self, stream: &str) -> Result<()> {
        self.git.fed(&["fast-import", "--quiet", "--force"], stream.as_bytes()).map(drop)
    }

    /// The object id a ref holds, read from the ref files without starting git.
    pub fn resolve(&self, name: &str) -> Option<String> {
        if let Ok(text) = fs::read_to_string(self.path.join(name)) {
            return Some(text.trim().to_owned());
        }
        let packed = fs::read_to_string(self.path.join("packed-refs")).ok()?;
        let line = packed.lines().find(|line| line.split(' ').nth(1) == Some(name))?;
        line.split(' ').next().map(str::to_owned)
    }

    /// Every ref with its object id, sorted, as git itself lists them.
    pub fn refs(&self) -> Result<String> {
        self.git.ok(&["for-each-ref", "--format=%(objectname) %(refname)"])
    }
}

/// A fast-import stream: `commits` commits of one file on `main`, and `branches` at the last of them.
pub fn history(commits: usize, branches: &[String]) -> String {
    let mut stream = String::from("feature done\n");
    for number in 0..commits {
        let content = format!("line {number}\n");
        let message = format!("change {number}\n");
        let _ = write!(
            stream,
            "commit refs/heads/main\ncommitter Test <test@example.org> {} +0000\ndata {}\n{message}",
            1_700_000_000 + number,
            message.len(),
        );
        let _ = write!(stream, "M 100644 inline file-{number}.txt\ndata {}\n{content}\n", content.len());
    }
    for branch in branches {
        let _ = write!(stream, "reset {branch}\nfrom refs/heads/main\n\n");
    }
    stream + "done\n"
}

/// Commits `files` files of `size` incompressible bytes each on `main`, and gives the commit's id.
///
/// One pack without deltas or compression: git then only copies and hashes.
pub fn fill(repository: &Repository, files: usize, size: u64) -> Result<String> {
    for (key, value) in [("core.compression", "0"), ("pack.window", "0"), ("core.bigFileThreshold", "1m")] {
        repository.git.ok(&["config", key, value])?;
    }
    let content = repository.path.join("content");
    fs::create_dir(&content)?;
    for number in 0..files {
        let mut random = File::open("/dev/urandom")?.take(size);
        std::io::copy(&mut random, &mut File::create(content.join(format!("{number}.bin")))?)?;
    }
    let tree = repository.git.with("core.bare", "false");
    let place = ["--git-dir=.", "--work-tree=content"];
    tree.ok(&[&place[..], &["add", "--all"]].concat())?;
    tree.ok(&[&place[..], &["commit", "--quiet", "-m", "content"]].concat())?;
    fs::remove_dir_all(content)?;
    fs::remove_file(repository.path.join("index"))?;
    repository.resolve("refs/heads/main").context("no commit was made")
}

/// A path as text for a command line.
pub fn path_text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}
