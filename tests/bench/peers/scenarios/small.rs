//! The small requests that every fetch begins with, alone and together, from the null client and from git itself.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use harness::git::Git;

use super::{Scene, sending};
use crate::bodies;
use crate::connection::Connection;
use crate::contender::Contender;
use crate::load::{self, Done, Load};
use crate::measure::Entry;
use crate::servers::Kind;
use crate::world::{PASSWORD, USER};

/// What `git ls-remote` asks in protocol version 2; a fetch that finds nothing new asks the same.
fn questions() -> [(&'static str, Vec<u8>); 2] {
    [
        ("info/refs", load::get(&bodies::advertisement("small.git"))),
        ("ls-refs", load::post("small.git", "git-upload-pack", &bodies::ls_refs())),
    ]
}

/// Each question alone, and both as a command asks them.
pub(super) fn requests(scene: &mut Scene<'_>) -> Result<()> {
    for (name, request) in questions() {
        let mut first = None;
        for kind in scene.servers() {
            let contender = scene.field.contender(kind)?;
            let (answer, body) = Connection::open(contender.address()?)?.fetch(&request)?;
            ensure!(answer.status == 200, "{name}: {}: {answer:?}\n{}", kind.name(), contender.complaints());
            ensure!(
                *first.get_or_insert_with(|| body.clone()) == body,
                "{name}: {} answers something else",
                kind.name()
            );
        }
        let load = scene.load(request, true);
        let entries: Vec<_> = scene.servers().into_iter().map(|kind| sending(kind, load.clone())).collect();
        scene.compare(name, &entries)?;
    }
    all_of_a_command(scene)
}

/// Both questions on a connection made for them, as many at a time as the server can answer.
fn all_of_a_command(scene: &mut Scene<'_>) -> Result<()> {
    let visit = questions().into_iter().map(|(_, request)| request).collect();
    let load = Load { visit, connects: true, ..scene.load(Vec::new(), true) };
    let entries: Vec<_> = scene.servers().into_iter().map(|kind| sending(kind, load.clone())).collect();
    scene.compare("ls-remote, null client", &entries)
}

/// `git ls-remote`, and `git fetch` when there is nothing new.
pub(super) fn real_client(scene: &mut Scene<'_>) -> Result<()> {
    let runs = if scene.quick { 2 } else { 8 };
    let servers = scene.servers();
    let mut clones: Vec<(&'static str, PathBuf)> = Vec::new();
    for &kind in &servers {
        let place = scene.world.file(&format!("clone-{}", kind.name()));
        std::fs::create_dir(&place)?;
        let url = scene.field.contender(kind)?.url("small.git")?;
        client(&place).ok(&["clone", "--quiet", &url, "."])?;
        clones.push((kind.name(), place));
    }
    capture(scene)?;
    let floor = Kind::StaticFile;
    clones.push((floor.name(), scene.world.file("floor")));
    let home = |name: &str| clones.iter().find(|(known, _)| *known == name).map(|(_, place)| place.clone());
    let commands: [(&str, &[&str]); 2] =
        [("ls-remote", &["ls-remote", "origin"]), ("no-op fetch", &["fetch", "origin"])];
    for (name, command) in commands {
        let work = |contender: &mut Contender, _| {
            let place = home(contender.kind.name()).unwrap_or_default();
            for _ in 0..runs {
                client(&place).ok(command)?;
            }
            Ok(Done { requests: runs, length: 0 })
        };
        let entries: Vec<_> = servers.iter().chain([&floor]).map(|kind| Entry::new(*kind, work)).collect();
        scene.compare(name, &entries)?;
    }
    Ok(())
}

/// The least there is: nginx that asks nobody and gives the same answers from files. Both commands ask the same two things.
fn capture(scene: &mut Scene<'_>) -> Result<()> {
    let address = scene.field.contender(Kind::Gitward)?.address()?;
    for (name, request) in questions() {
        let (_, body) = Connection::open(address)?.fetch(&request)?;
        std::fs::write(scene.world.file("captured").join(name.replace('/', "-")), body)?;
    }
    let url = scene.field.contender(Kind::StaticFile)?.url("small.git")?;
    let place = scene.world.file("floor");
    // A clone would ask for a pack as well.
    let from = scene.world.file(&format!("clone-{}", Kind::Gitward.name()));
    client(&scene.world.file("captured")).ok(&[
        "clone",
        "--quiet",
        &from.display().to_string(),
        &place.display().to_string(),
    ])?;
    client(&place).ok(&["remote", "set-url", "origin", &url])?;
    Ok(())
}

/// git with the credentials of the benchmark.
pub(super) fn client(place: &std::path::Path) -> Git {
    Git::new(place).sending(USER, PASSWORD)
}
