//! The repositories: `small.git`, `large.git` and `push.git`, the same in every run.
//!
//! The large one has 70,000 objects, a few of them big and no longer in the newest commit, so that a full clone is large and a
//! shallow one is what continuous integration fetches. It is made once and kept beside the benchmark's own program.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use harness::git::Git;
use harness::repositories::{Repositories, path_text};

/// Branches of the large repository, each at a commit of its own: a clone of each is another answer.
pub(crate) const BRANCHES: usize = 40;

/// Makes the templates in `directory`.
pub(crate) fn prepare(directory: &Path, own: Option<&Path>, quick: bool) -> Result<()> {
    fs::create_dir_all(directory)?;
    let repositories = Repositories::new(directory);
    let branches: Vec<String> = (0..5).map(|number| format!("refs/heads/topic-{number}")).collect();
    for (name, commits) in [("small.git", 3), ("push.git", 200)] {
        let repository = repositories.seeded(name, commits, &branches)?;
        repository.git().ok(&["repack", "-adq"])?;
        repository.git().ok(&["pack-refs", "--all"])?;
    }
    let large = directory.join("large.git");
    match own {
        Some(path) => clone(directory, path, &large),
        None => generated(directory, &large, if quick { Size::QUICK } else { Size::FULL }),
    }
}

/// How large a repository is, in words.
pub(crate) fn size(repository: &Path) -> Result<String> {
    let text = Git::new(repository).with("safe.directory", "*").ok(&["count-objects", "-v"])?;
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0").trim().to_owned();
    let mib = field("size-pack:").parse::<u64>()? / 1024;
    Ok(format!("{} objects in {mib} MiB", field("in-pack:")))
}

/// A copy of somebody's repository with everything its server would have.
fn clone(directory: &Path, from: &Path, to: &Path) -> Result<()> {
    let git = Git::new(directory).with("safe.directory", "*");
    git.ok(&["clone", "--quiet", "--mirror", "--no-hardlinks", &path_text(from)?, &path_text(to)?])?;
    let head = git.within(to).ok(&["rev-parse", "HEAD"])?;
    git.within(to).ok(&["update-ref", "refs/heads/round-0", &head])?;
    finish(to)
}

/// How much is generated.
#[derive(Clone, Copy)]
struct Size {
    name: &'static str,
    files: usize,
    commits: usize,
    /// Megabytes that do not compress.
    ballast: usize,
}

impl Size {
    /// 29,000 files' contents, 7,000 commits, 35,000 directories.
    const FULL: Self = Self { name: "70k-v1", files: 1000, commits: 7000, ballast: 40 };
    const QUICK: Self = Self { name: "4k-v1", files: 200, commits: 400, ballast: 4 };

    fn versions(self) -> usize {
        self.commits * CHANGES / self.files + 1
    }
}

/// Files that a commit changes, each in another directory.
const CHANGES: usize = 4;
const DIRECTORIES: usize = 50;

fn generated(directory: &Path, to: &Path, size: Size) -> Result<()> {
    let kept = kept(size.name)?;
    if !kept.join("complete").exists() {
        let _ = fs::remove_dir_all(&kept);
        fs::create_dir_all(&kept)?;
        Git::new(&kept).ok(&["init", "--quiet", "--bare", "--initial-branch=main", &path_text(&kept)?])?;
        let mut import = Command::new("git");
        import.args(["fast-import", "--quiet", "--done"]).current_dir(&kept).stdin(Stdio::piped());
        let mut import = import.spawn()?;
        write(BufWriter::new(import.stdin.take().context("no standard input")?), size)?;
        ensure!(import.wait()?.success(), "git fast-import failed");
        finish(&kept)?;
        fs::write(kept.join("complete"), "")?;
    }
    let status = Command::new("cp").arg("-a").arg(&kept).arg(to).current_dir(directory).status()?;
    ensure!(status.success(), "copying {} failed", kept.display());
    Ok(())
}

/// As a server that is looked after keeps it.
fn finish(repository: &Path) -> Result<()> {
    let git = Git::new(repository);
    git.ok(&["repack", "-adbq"])?;
    git.ok(&["commit-graph", "write", "--reachable"])?;
    git.ok(&["pack-refs", "--all"]).map(drop)
}

fn kept(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("the benchmark has no target directory")?;
    Ok(target.join("bench-repositories").join(name))
}

/// Contents first, version after version of each file, so that git stores differences as it would after a repack.
fn write(mut stream: impl Write, size: Size) -> Result<()> {
    let versions = size.versions();
    for file in 0..size.files {
        let mut lines: Vec<String> = (0..LINES).map(|number| line(file, number, 0)).collect();
        for version in 0..versions {
            let changed = version * 7 % LINES;
            lines[changed] = line(file, changed, version);
            let content = lines.concat();
            write!(
                stream,
                "blob\nmark :{}\ndata {}\n{content}\n",
                mark(file, version, versions),
                content.len()
            )?;
        }
    }
    for number in 0..size.commits {
        commit(&mut stream, size, number)?;
    }
    for branch in 0..BRANCHES {
        let commit = MARK_OF_COMMITS + size.commits - 1 - branch;
        write!(stream, "reset refs/heads/round-{branch}\nfrom :{commit}\n\n")?;
    }
    write!(stream, "reset refs/tags/v1.0\nfrom :{}\n\ndone\n", MARK_OF_COMMITS + size.commits / 2)?;
    Ok(stream.flush()?)
}

fn commit(stream: &mut impl Write, size: Size, number: usize) -> Result<()> {
    let (time, message) = (1_600_000_000 + number * 600, format!("change {number}\n"));
    write!(
        stream,
        "commit refs/heads/main\nmark :{}\ncommitter Test <test@example.org> {time} +0000\ndata {}\n{message}",
        MARK_OF_COMMITS + number,
        message.len()
    )?;
    let versions = size.versions();
    if number == 0 {
        for file in 0..size.files {
            writeln!(stream, "M 100644 :{} {}", mark(file, 0, versions), path(file))?;
        }
        for part in 0..size.ballast {
            let mut content = vec![0; 1 << 20];
            fill(&mut content, part as u64 + 1);
            writeln!(stream, "M 100644 inline media/{part}.bin\ndata {}", content.len())?;
            stream.write_all(&content)?;
        }
    }
    if number == 10 {
        writeln!(stream, "D media")?;
    }
    for change in 0..CHANGES {
        let nth = number * CHANGES + change;
        let (file, version) = (nth % size.files, (nth / size.files + 1).min(versions - 1));
        writeln!(stream, "M 100644 :{} {}", mark(file, version, versions), path(file))?;
    }
    Ok(writeln!(stream)?)
}

fn path(file: usize) -> String {
    format!("dir-{:02}/file-{file}.txt", file % DIRECTORIES)
}

fn mark(file: usize, version: usize, versions: usize) -> usize {
    1 + file * versions + version
}

/// Some words, always the same for the same line.
fn line(file: usize, number: usize, version: usize) -> String {
    let mut random = Random::new((file * 1_000_003 + number * 1009 + version) as u64 + 1);
    let words = (0..6).map(|_| WORDS[random.next() as usize % WORDS.len()]);
    format!("{}{}\n", words.collect::<String>(), random.next() % 100_000)
}

fn fill(content: &mut [u8], seed: u64) {
    let mut random = Random::new(seed * 7_919);
    for chunk in content.chunks_mut(8) {
        chunk.copy_from_slice(&random.next().to_le_bytes()[..chunk.len()]);
    }
}

/// xorshift64*: good enough, and the same everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

const LINES: usize = 150;
const MARK_OF_COMMITS: usize = 1_000_000;
const WORDS: [&str; 16] = [
    "server ", "request ", "branch ", "commit ", "object ", "let ", "return ", "match ", "buffer ",
    "length ", "policy ", "reader ", "writer ", "stream ", "socket ", "signal ",
];
