//! Rounds, and what they add up to: every contender once in each round, in one order and then in the other.

use anyhow::{Context, Result};

use crate::contender::{Contender, Cost};
use crate::load::Done;
use crate::ratios::Ratio;
use crate::servers::Kind;
use crate::world::World;

/// One contender's part in a scenario.
pub(crate) struct Entry<'a> {
    pub(crate) kind: Kind,
    /// Its name in this scenario.
    pub(crate) label: String,
    /// More rounds than this it does not get, where one is long.
    pub(crate) rounds: usize,
    prepare: Step<'a, ()>,
    work: Step<'a, Done>,
}

/// What is done with a contender in a round; `dyn`, because scenarios differ in nothing else.
type Step<'a, T> = Box<dyn Fn(&mut Contender, usize) -> Result<T> + 'a>;

/// All contenders, started when they are first needed.
#[derive(Debug)]
pub(crate) struct Field<'w> {
    world: &'w World,
    running: Vec<Contender>,
}

/// Everything that was found out.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) rows: Vec<Row>,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) notes: Vec<String>,
    /// Scenarios that could not be run to their end, and why.
    pub(crate) failed: Vec<String>,
    /// Figures that are no comparison: what, and how much.
    pub(crate) singles: Vec<(String, f64)>,
}

/// One contender in one scenario.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) scenario: &'static str,
    pub(crate) label: String,
    pub(crate) samples: Vec<Sample>,
}

/// One round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) requests: usize,
    pub(crate) length: u64,
    pub(crate) cost: Cost,
}

impl<'a> Entry<'a> {
    /// `work` by the contender of this kind, under its own name.
    pub(crate) fn new(kind: Kind, work: impl Fn(&mut Contender, usize) -> Result<Done> + 'a) -> Self {
        let prepare = Box::new(|_: &mut Contender, _| Ok(()));
        Self { kind, label: kind.name().to_owned(), rounds: usize::MAX, prepare, work: Box::new(work) }
    }

    pub(crate) fn labelled(self, label: &str) -> Self {
        Self { label: label.to_owned(), ..self }
    }

    pub(crate) fn at_most(self, rounds: usize) -> Self {
        Self { rounds, ..self }
    }

    /// What is done before each round and not counted.
    pub(crate) fn prepared(self, prepare: impl Fn(&mut Contender, usize) -> Result<()> + 'a) -> Self {
        Self { prepare: Box::new(prepare), ..self }
    }
}

impl<'w> Field<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self { world, running: Vec::new() }
    }

    /// The contender of this kind.
    pub(crate) fn contender(&mut self, kind: Kind) -> Result<&mut Contender> {
        if !self.running.iter().any(|contender| contender.kind == kind) {
            self.running.push(Contender::start(kind, self.world)?);
        }
        self.running.iter_mut().find(|contender| contender.kind == kind).context("it was just started")
    }

    /// Ends the contender of this kind.
    pub(crate) fn end(&mut self, kind: Kind) {
        self.running.retain(|contender| contender.kind != kind);
    }

    /// Runs the rounds of a scenario.
    pub(crate) fn compare(
        &mut self,
        results: &mut Results,
        scenario: &'static str,
        entries: &[Entry<'_>],
        rounds: usize,
    ) -> Result<()> {
        eprintln!("{scenario}: {} contenders, {rounds} rounds", entries.len());
        let mut rows: Vec<Row> = entries.iter().map(|entry| Row::new(scenario, &entry.label)).collect();
        for round in 0..rounds {
            let mut order: Vec<usize> = (0..entries.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let entry = &entries[index];
                if round < entry.rounds {
                    let sample = self.sample(entry, round);
                    rows[index].samples.push(sample.with_context(|| format!("{scenario}: {}", entry.label))?);
                }
            }
        }
        results.rows.extend(rows);
        Ok(())
    }

    fn sample(&mut self, entry: &Entry<'_>, round: usize) -> Result<Sample> {
        let contender = self.contender(entry.kind)?;
        (entry.prepare)(contender, round)?;
        // Looking at the memory disturbs; the first round is often the slowest anyway.
        let (done, cost) = contender.measure(round == 0, |contender| (entry.work)(contender, round))?;
        Ok(Sample { requests: done.requests, length: done.length, cost })
    }
}

impl Results {
    /// Notes one figure.
    pub(crate) fn single(&mut self, what: &str, value: f64) {
        eprintln!("{what}: {value:.3}");
        self.singles.push((what.to_owned(), value));
    }

    /// The row of a contender.
    pub(crate) fn row(&self, scenario: &str, label: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.scenario == scenario && row.label == label)
    }
}

impl Row {
    fn new(scenario: &'static str, label: &str) -> Self {
        Self { scenario, label: label.to_owned(), samples: Vec::new() }
    }

    /// Server processor time of a request, in milliseconds.
    pub(crate) fn processor(&self) -> f64 {
        self.median(|sample| 1000.0 * sample.cost.processor.as_secs_f64() / sample.requests as f64)
    }

    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.median(|sample| sample.requests as f64 / sample.cost.wall.as_secs_f64())
    }

    /// Processes and threads started for a request.
    pub(crate) fn started(&self) -> f64 {
        self.median(|sample| sample.cost.started as f64 / sample.requests as f64)
    }

    /// Bytes written to storage for a request.
    pub(crate) fn written(&self) -> f64 {
        self.median(|sample| sample.cost.written as f64 / sample.requests as f64)
    }

    /// The most memory that was seen.
    pub(crate) fn memory(&self) -> u64 {
        self.samples.iter().map(|sample| sample.cost.memory).max().unwrap_or(0)
    }

    /// The number of requests of all rounds.
    pub(crate) fn requests(&self) -> usize {
        self.samples.iter().map(|sample| sample.requests).sum()
    }

    /// Bytes of an answer.
    pub(crate) fn length(&self) -> u64 {
        self.samples.iter().map(|sample| sample.length).max().unwrap_or(0)
    }

    fn median(&self, value: impl Fn(&Sample) -> f64) -> f64 {
        let mut values: Vec<f64> = self.samples.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        match values.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => values[odd / 2],
            even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
        }
    }
}
