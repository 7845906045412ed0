//! Pushes of one commit each, one after the other.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::git::Git;
use harness::pkt;

use super::{Scene, sending};
use crate::bodies;
use crate::connection::Connection;
use crate::contender::Contender;
use crate::load::{self, Done};
use crate::measure::Entry;
use crate::servers::Kind;

const REPOSITORY: &str = "push.git";

/// A push as the server sees it, without its advertisement; and the advertisement.
pub(super) fn one_commit(scene: &mut Scene<'_>) -> Result<()> {
    let count = if scene.quick { 4 } else { 15 };
    let scratch = scene.world.file("pushing");
    fs::create_dir(&scratch)?;
    let bodies = bodies::pushes(&scene.world.file("templates").join(REPOSITORY), &scratch, count)?;
    let last = Git::new(&scratch).ok(&["rev-parse", "refs/heads/main"])?;
    let file = scene.world.file("push");
    for (number, body) in bodies.iter().enumerate() {
        fs::write(format!("{}-{number}", file.display()), body)?;
    }
    let world = scene.world;
    let reset =
        |contender: &mut Contender, _| world.reset_repository(&contender.directory.join("git"), REPOSITORY);
    let arrived = |contender: &Contender| -> Result<Done> {
        let main = Git::new(&contender.repository(REPOSITORY)).with("safe.directory", "*");
        ensure!(main.ok(&["rev-parse", "refs/heads/main"])? == last, "not all pushes arrived");
        Ok(Done { requests: count, length: 0 })
    };
    let requests: Vec<_> =
        bodies.iter().map(|body| load::post(REPOSITORY, "git-receive-pack", body)).collect();
    let pushing = |contender: &mut Contender, _: usize| {
        let mut connection = Connection::open(contender.address()?)?;
        for request in &requests {
            let answer = connection.exchange(request)?;
            ensure!(answer.status == 200, "{answer:?}");
        }
        arrived(contender)
    };
    let servers = scene.servers();
    let mut entries: Vec<_> = servers.iter().map(|kind| Entry::new(*kind, pushing).prepared(reset)).collect();
    let raw = |contender: &mut Contender, _: usize| {
        let repository = contender.repository(REPOSITORY);
        contender.raw("receive-pack", &repository, &file, (count, 1))?;
        arrived(contender)
    };
    entries.push(Entry::new(Kind::RawGit, raw).prepared(reset));
    scene.compare("push", &entries)?;
    let mut load = scene.load(load::get(&pkt::advertisement(REPOSITORY, "git-receive-pack")), true);
    load.time = Duration::from_millis(700);
    let entries: Vec<_> = servers.into_iter().map(|kind| sending(kind, load.clone())).collect();
    scene.compare("push advertisement", &entries)
}
