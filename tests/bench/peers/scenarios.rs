//! What is compared, in this order.

mod auth;
mod clones;
mod growth;
mod memory;
mod pushes;
mod small;

use std::time::Duration;

use anyhow::Result;

use crate::arguments::Arguments;
use crate::contender::Contender;
use crate::load::{Done, Load};
use crate::measure::{Entry, Field, Results};
use crate::output;
use crate::ratios;
use crate::repositories;
use crate::servers::Kind;
use crate::world::World;

/// What a scenario works with.
pub(crate) struct Scene<'w> {
    pub(crate) world: &'w World,
    pub(crate) field: Field<'w>,
    pub(crate) results: Results,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
}

/// Everything that serves git.
const SERVERS: [Kind; 6] =
    [Kind::Gitward, Kind::GitwardUncached, Kind::Fcgiwrap, Kind::Apache, Kind::Lighttpd, Kind::Uwsgi];

/// A scenario and its name on the command line.
type Scenario = (&'static str, fn(&mut Scene<'_>) -> Result<()>);

const SCENARIOS: [Scenario; 11] = [
    ("logins", auth::first_logins),
    ("auth", auth::through_nginx),
    ("small", small::requests),
    ("client", small::real_client),
    ("uncached", clones::uncached),
    ("storm", clones::storm),
    ("hits", clones::hits),
    ("push", pushes::one_commit),
    ("slow", memory::slow_clones),
    ("idle", memory::idle_connections),
    ("growth", growth::decisions),
];

/// Runs what is wanted.
pub(crate) fn run(arguments: &Arguments) -> Result<Results> {
    eprintln!("preparing repositories");
    let world = World::create(arguments.repository.as_deref(), arguments.quick)?;
    let (field, results) = (Field::new(&world), Results::default());
    let mut scene =
        Scene { world: &world, field, results, quick: arguments.quick, rounds: arguments.rounds() };
    scene
        .results
        .notes
        .push(format!("large.git has {}", repositories::size(&world.file("templates/large.git"))?));
    for kind in SERVERS {
        if let Some(package) = kind.missing() {
            scene.results.notes.push(format!("{} is left out: {package} is not installed", kind.name()));
        }
    }
    for (name, scenario) in SCENARIOS {
        if !arguments.wants(name) {
            continue;
        }
        if let Err(error) = scenario(&mut scene) {
            // The others are worth having all the same.
            eprintln!("{name}: {error:#}");
            scene.results.failed.push(format!("{name}: {error:#}"));
        }
        // What is there is kept if somebody ends the run.
        ratios::add(&mut scene.results);
        output::save(&scene.results, arguments)?;
    }
    Ok(scene.results)
}

impl Scene<'_> {
    /// Those of the servers that are installed.
    fn servers(&self) -> Vec<Kind> {
        SERVERS.into_iter().filter(|kind| kind.missing().is_none()).collect()
    }

    /// Runs the rounds of a scenario.
    fn compare(&mut self, scenario: &'static str, entries: &[Entry<'_>]) -> Result<()> {
        self.field.compare(&mut self.results, scenario, entries, self.rounds)
    }

    /// A load that is as long as it has to be for a round.
    fn load(&self, request: Vec<u8>, flushed: bool) -> Load {
        let (visits, time) = if self.quick { (200, 300) } else { (20_000, 1000) };
        let load = Load::of(request, CONNECTIONS, visits, Duration::from_millis(time));
        Load { flushed, ..load }
    }
}

/// An entry that sends the same requests each round.
fn sending<'a>(kind: Kind, load: Load) -> Entry<'a> {
    Entry::new(kind, move |contender: &mut Contender, _| -> Result<Done> { load.run(contender.address()?) })
}

/// Clients at a time where requests are small.
const CONNECTIONS: usize = 16;
