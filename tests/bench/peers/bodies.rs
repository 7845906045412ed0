//! Requests as git sends them, see gitprotocol-v2(5), and what is in the answers.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::git::Git;
use harness::pkt;

/// The delimiter packet.
const DELIMITER: &str = "0001";

/// The target of the first request of a fetch.
pub(crate) fn advertisement(repository: &str) -> String {
    pkt::advertisement(repository, "git-upload-pack")
}

/// What a clone asks about refs.
pub(crate) fn ls_refs() -> Vec<u8> {
    let arguments =
        ["peel\n", "symrefs\n", "ref-prefix refs/heads/\n", "ref-prefix refs/tags/\n", "ref-prefix HEAD\n"];
    command("ls-refs", &arguments.map(str::to_owned))
}

/// What a clone asks of a commit; `depth` as in `git clone --depth`.
pub(crate) fn fetch(want: &str, depth: Option<u32>) -> Vec<u8> {
    let mut arguments: Vec<String> =
        ["thin-pack\n", "no-progress\n", "ofs-delta\n"].map(str::to_owned).into();
    arguments.extend(depth.map(|depth| format!("deepen {depth}\n")));
    arguments.extend([format!("want {want}\n"), "done\n".to_owned()]);
    command("fetch", &arguments)
}

fn command(name: &str, arguments: &[String]) -> Vec<u8> {
    let mut body = pkt::line(&format!("command={name}\n"))
        + &pkt::line("agent=git/2.39.5")
        + &pkt::line("object-format=sha1");
    body += DELIMITER;
    body.extend(arguments.iter().map(|argument| pkt::line(argument)));
    (body + pkt::FLUSH).into_bytes()
}

/// Pushes that follow each other, one commit each: bodies for `git-receive-pack`.
pub(crate) fn pushes(template: &Path, scratch: &Path, count: usize) -> Result<Vec<Vec<u8>>> {
    let git = Git::new(scratch);
    let paths = [template, scratch].map(|path| path.display().to_string());
    git.ok(&["clone", "--quiet", "--bare", &paths[0], "."])?;
    let mut old = git.ok(&["rev-parse", "refs/heads/main"])?;
    let mut stream = String::new();
    for number in 0..count {
        let from = if number == 0 { "from refs/heads/main^0\n" } else { "" };
        let content = format!("pushed {number}\n");
        stream += &format!(
            "commit refs/heads/main\ncommitter Test <test@example.org> {} +0000\ndata 5\npush\n{from}\
             M 100644 inline file-{number}.txt\ndata {}\n{content}\n",
            1_800_000_000 + number,
            content.len()
        );
    }
    git.fed(&["fast-import", "--quiet", "--force"], stream.as_bytes())?;
    let commits = git.ok(&["rev-list", "--reverse", &format!("{old}..refs/heads/main")])?;
    let mut bodies = Vec::new();
    for new in commits.lines() {
        let pack = packed(&git, scratch, &format!("{new}\n^{old}\n"))?;
        bodies.push([pkt::update(&old, new, "refs/heads/main"), pack].concat());
        old = new.to_owned();
    }
    ensure!(bodies.len() == count, "{} pushes", bodies.len());
    Ok(bodies)
}

/// The pack for a list of revisions, as bytes: [`Git::fed`] would read it as text.
fn packed(git: &Git, directory: &Path, revisions: &str) -> Result<Vec<u8>> {
    let file = directory.join("revisions");
    std::fs::write(&file, revisions)?;
    let mut command = std::process::Command::new("git");
    command.args(["pack-objects", "--revs", "--thin", "--stdout", "-q"]).current_dir(directory);
    let output = command.stdin(std::fs::File::open(file)?).output()?;
    ensure!(output.status.success(), "{git:?}: {}", harness::git::text(&output.stderr));
    Ok(output.stdout)
}

/// The pack in the answer to a fetch.
pub(crate) fn pack(answer: &[u8]) -> Result<Vec<u8>> {
    let (mut rest, mut pack, mut begun) = (answer, Vec::new(), false);
    while let Some(length) = rest.get(..4) {
        let length = usize::from_str_radix(std::str::from_utf8(length)?, 16)?;
        let line = rest.get(4.min(length)..length.max(4)).context("a packet is cut off")?;
        match (begun, line.split_first()) {
            (true, Some((1, data))) => pack.extend_from_slice(data),
            (false, _) => begun = line == b"packfile\n",
            _ => {}
        }
        rest = &rest[length.max(4)..];
    }
    ensure!(pack.starts_with(b"PACK"), "there is no pack in {} bytes", answer.len());
    Ok(pack)
}

/// Holds a pack to `git index-pack --strict`; the objects of a shallow clone are checked each by itself.
pub(crate) fn check(pack: &[u8], whole: bool) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let git = Git::new(directory.path());
    git.ok(&["init", "--quiet", "--bare", "."])?;
    let strict = if whole { "--strict" } else { "--fsck-objects" };
    git.fed(&["index-pack", strict, "--stdin"], pack).map(drop)
}
