//! Packs: made for every request, made once for many, and not made at all.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Scene, sending};
use crate::bodies;
use crate::connection::Connection;
use crate::contender::Contender;
use crate::load::{self, Done, Load};
use crate::measure::Entry;
use crate::repositories::BRANCHES;
use crate::servers::Kind;

/// Fetches that no cache can answer, against git fed with the same bytes.
pub(super) fn uncached(scene: &mut Scene<'_>) -> Result<()> {
    for (name, repository, depth, requests, connections) in [
        ("small fetch, uncached", "small.git", None, 40, 1),
        ("small fetches, uncached", "small.git", None, 120, 4),
        ("shallow fetch, uncached", "large.git", Some(1), 3, 1),
    ] {
        let body = bodies::fetch(&commit(scene, repository, None)?, depth);
        let file = scene.world.file(&format!("fetch-{repository}"));
        fs::write(&file, &body)?;
        let request = load::post(repository, "git-upload-pack", &body);
        let load = Load::of(request, connections, requests, Duration::from_secs(20));
        let mut entries: Vec<Entry<'_>> = [Kind::GitwardUncached, Kind::Fcgiwrap, Kind::Apache]
            .into_iter()
            .filter(|kind| kind.missing().is_none())
            .map(|kind| sending(kind, load.clone()))
            .collect();
        let raw = move |contender: &mut Contender, _| {
            let repository = contender.repository(repository);
            contender.raw("upload-pack", &repository, &file, (requests, connections))?;
            Ok(Done { requests, length: 0 })
        };
        entries.push(Entry::new(Kind::RawGit, raw));
        scene.compare(name, &entries)?;
    }
    Ok(())
}

/// Many identical shallow clones of a large repository at once, as a pipeline of continuous integration starts them.
///
/// Peers make a pack for each, so a clone costs them the same in a smaller number; a hundred would take minutes.
pub(super) fn storm(scene: &mut Scene<'_>) -> Result<()> {
    let commits =
        (0..BRANCHES).map(|branch| commit(scene, "large.git", Some(branch))).collect::<Result<Vec<_>>>();
    // A repository of the user's has one commit to ask for; then only the first round finds nothing prepared.
    let commits = commits.or_else(|_| commit(scene, "large.git", None).map(|only| vec![only]))?;
    let (all, few) = if scene.quick { (10, 4) } else { (100, 20) };
    // A look at one answer, of a commit that no round asks for.
    let request =
        load::post("large.git", "git-upload-pack", &bodies::fetch(&commits[commits.len() - 1], Some(1)));
    let (_, sample) = Connection::open(scene.field.contender(Kind::Gitward)?.address()?)?.fetch(&request)?;
    bodies::check(&bodies::pack(&sample)?, false)?;
    let work = |clones: usize| {
        let commits = commits.clone();
        move |contender: &mut Contender, round: usize| {
            let body = bodies::fetch(&commits[round % commits.len()], Some(1));
            let request = load::post("large.git", "git-upload-pack", &body);
            Load::of(request, clones, clones, Duration::from_secs(300)).run(contender.address()?)
        }
    };
    let entries: Vec<Entry<'_>> = scene
        .servers()
        .into_iter()
        .map(|kind| match kind {
            Kind::Gitward => Entry::new(kind, work(all)),
            _ => Entry::new(kind, work(few)).at_most(1),
        })
        .collect();
    let raw = {
        let file = scene.world.file("storm");
        fs::write(&file, bodies::fetch(&commits[0], Some(1)))?;
        move |contender: &mut Contender, _| {
            let repository = contender.repository("large.git");
            contender.raw("upload-pack", &repository, &file, (1, 1))?;
            Ok(Done { requests: 1, length: 0 })
        }
    };
    let entries: Vec<_> = entries.into_iter().chain([Entry::new(Kind::RawGit, raw)]).collect();
    scene.compare("100 shallow clones", &entries)
}

/// Whole clones that have been asked for before, against nginx with the same bytes in a file.
pub(super) fn hits(scene: &mut Scene<'_>) -> Result<()> {
    let body = bodies::fetch(&commit(scene, "large.git", None)?, None);
    let request = load::post("large.git", "git-upload-pack", &body);
    for kind in [Kind::Gitward, Kind::Fcgiwrap] {
        let address = scene.field.contender(kind)?.address()?;
        // Twice: what is asked for again is worth keeping.
        Connection::open(address)?.exchange(&request)?;
        let (answer, bytes) = Connection::open(address)?.fetch(&request)?;
        ensure!(answer.status == 200 && &answer.tail == b"0000", "{}: {answer:?}", kind.name());
        bodies::check(&bodies::pack(&bytes)?, true).with_context(|| kind.name())?;
        fs::write(scene.world.file("captured/large"), bytes)?;
    }
    let clones = if scene.quick { 4 } else { 40 };
    let load = |request: Vec<u8>, requests| Load::of(request, 4, requests, Duration::from_secs(20));
    let entries = [
        sending(Kind::Gitward, load(request.clone(), clones)),
        sending(Kind::StaticFile, load(load::get("/large"), clones)),
        sending(Kind::Fcgiwrap, load(request, 4)).at_most(2),
    ];
    scene.compare("full clone, hit", &entries)
}

/// The commit to ask for: of a round, or the newest.
pub(super) fn commit(scene: &Scene<'_>, repository: &str, round: Option<usize>) -> Result<String> {
    let path = scene.world.file("templates").join(repository);
    let name = round.map_or_else(|| "HEAD".to_owned(), |round| format!("refs/heads/round-{round}"));
    resolve(&path, &name)
}

fn resolve(path: &Path, name: &str) -> Result<String> {
    harness::git::Git::new(path).with("safe.directory", "*").ok(&["rev-parse", "--verify", "--quiet", name])
}
