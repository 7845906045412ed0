//! The repositories that are asked for, each with what its name says.

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::repositories::history;
use harness::{Repositories, Repository};

use super::bodies::Ids;
use super::copy;

/// The repositories, each with what its name says.
pub(crate) fn prepare(repositories: &Repositories) -> Ids {
    let full = repositories.seeded("full.git", 20, &[]).unwrap();
    let git = full.git();
    for (key, value) in [("pack.threads", "1"), ("core.bare", "true")] {
        git.ok(&["config", key, value]).unwrap();
    }
    for arguments in [
        &["branch", "topic", "main~3"][..],
        &["tag", "v1", "main"],
        &["tag", "-a", "-m", "annotated", "v2", "main~1"],
        &["symbolic-ref", "refs/heads/alias", "refs/heads/main"],
        &["repack", "-adq"],
        &["update-server-info"],
    ] {
        git.ok(arguments).unwrap();
    }
    let loose = git.fed(&["hash-object", "-w", "--stdin"], b"loose\n").unwrap();
    let ids = ids(&full, loose);
    fs::create_dir(repositories.root().join("public")).unwrap();
    copy(full.path(), &repositories.root().join("public/full.git"));
    for (name, key, value) in [
        ("hidden.git", "transfer.hideRefs", "refs/tags"),
        ("unwritten.git", "http.receivepack", "false"),
        ("unread.git", "http.uploadpack", "false"),
        ("generous.git", "http.receivepack", "true"),
        ("nofiles.git", "http.getanyfile", "false"),
    ] {
        copy(full.path(), &repositories.root().join(name));
        repositories.open(name).git().ok(&["config", key, value]).unwrap();
    }
    copy(full.path(), &repositories.root().join("noted.git"));
    let noted = repositories.open("noted.git");
    noted.git().ok(&["update-ref", "refs/notes/commits", "main~2"]).unwrap();
    repositories.empty("empty.git").unwrap();
    repositories.init("sha256.git", "sha256").unwrap().import(&history(2, &[])).unwrap();
    copy(full.path(), &repositories.root().join("plain"));
    std::os::unix::fs::symlink("full.git", repositories.root().join("link.git")).unwrap();
    fs::write(repositories.root().join("file.git"), "gitdir: full.git\n").unwrap();
    ids
}

fn ids(full: &Repository, loose: String) -> Ids {
    let git = full.git();
    let tip = git.ok(&["rev-parse", "main"]).unwrap();
    let old = git.ok(&["rev-parse", "main~5"]).unwrap();
    let tree = git.ok(&["rev-parse", "main^{tree}"]).unwrap();
    // No name, no address, no date.
    let commit = format!("tree {tree}\nauthor x\ncommitter x\n\nfaulty\n");
    let faulty =
        git.fed(&["hash-object", "-t", "commit", "--literally", "-w", "--stdin"], commit.as_bytes()).unwrap();
    let base = full.path().join("objects").join(&faulty[..2]).join(&faulty[2..]);
    let faulty_pack = pack(full.path(), &faulty);
    fs::remove_file(base).unwrap();
    let packs = fs::read_dir(full.path().join("objects/pack")).unwrap();
    let mut names: Vec<_> = packs.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let path_of =
        |end: &str| format!("objects/pack/{}", names.iter().find(|name| name.ends_with(end)).unwrap());
    Ids { tip, old, faulty: (faulty, faulty_pack), loose, pack: path_of(".pack"), index: path_of(".idx") }
}

fn pack(repository: &Path, object: &str) -> Vec<u8> {
    let script = format!("echo {object} | git pack-objects -q --stdout");
    Command::new("sh").args(["-c", &script]).current_dir(repository).output().unwrap().stdout
}
