//! Answers that git gave, said again from memory: the capability advertisement, lists of refs.
//!
//! An answer is recorded when git ended well, complained about nothing and wrote packets to their end; when the repository was
//! the same before git started and after it had ended; and when no push by this daemon touched that time. It is said again while
//! all of that still holds, which is asked with every request. One request records, others that ask the same wait for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use daemon::volume;
use moka::sync::Cache;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::digest::Digest;
use super::epoch::Epochs;
use super::framing::Framing;
use super::standing::Standing;
use super::witness::Witness;
use crate::cgi::response::Head;
use crate::metrics::AnswerKind;
use crate::stream::Copied;
use crate::stream::budget::{Budget, Draw};

/// Recorded answers, the least useful forgotten first.
#[derive(Debug)]
pub struct Replay {
    answers: Cache<Digest, Arc<Answer>>,
    /// What is being recorded.
    flights: Mutex<HashMap<Digest, watch::Receiver<()>>>,
    budget: Budget,
    is_on: bool,
}

/// A recorded answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its head, as git gave it.
    pub head: Head,
    /// Its body.
    pub body: Bytes,
    /// What its refs were; nothing for an answer without refs.
    witness: Option<Witness>,
    epoch: u64,
}

/// What is asked, and of what the answer depends on.
#[derive(Clone, Debug)]
pub struct Ask {
    /// For the metrics.
    pub kind: AnswerKind,
    /// The whole question as a key, its standing included.
    pub key: Digest,
    /// The standing.
    pub standing: Standing,
    /// The repository's directory.
    pub repository: PathBuf,
    /// The git program.
    pub git: PathBuf,
    /// Whether the answer depends on refs.
    pub refs: bool,
    /// Whether objects of other repositories would be part of the answer.
    pub borrows: bool,
    /// Whether the repository is on storage that answers at once (see `ground`): then refs are looked at where that is asked.
    pub near: bool,
}

/// What is to be done about a question.
#[derive(Debug)]
pub enum Known {
    /// Say this.
    Answer(Arc<Answer>),
    /// Ask git, and record what it says.
    Record(Box<Record>),
    /// Ask git.
    Pass,
}

impl Known {
    /// For the metrics.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Answer(_) => "hit",
            Self::Record(_) => "miss",
            Self::Pass => "pass",
        }
    }
}

/// Leave to record one answer. While it is there, others who ask the same wait.
#[derive(Debug)]
pub struct Record {
    replay: Arc<Replay>,
    epochs: Arc<Epochs>,
    ask: Ask,
    witness: Option<Witness>,
    epoch: u64,
    _flight: Flight,
}

/// What git said while it was recorded.
#[derive(Debug)]
pub struct Said {
    /// The head.
    pub head: Head,
    /// The body.
    pub body: Copied,
}

/// How long a request waits for another one's answer before it asks git itself.
const PATIENCE: Duration = Duration::from_secs(5);

impl Replay {
    /// Keeps at most `memory` bytes. What is being recorded takes a quarter of that besides, and for a moment as much again.
    #[must_use]
    pub fn new(memory: u64) -> Self {
        let weight = |_: &Digest, answer: &Arc<Answer>| u32::try_from(answer.weight()).unwrap_or(u32::MAX);
        let answers = Cache::builder().max_capacity(memory).weigher(weight).build();
        let largest = usize::try_from(memory / 4).unwrap_or(usize::MAX).min(LARGEST);
        Self { answers, flights: Mutex::default(), budget: Budget::new(largest), is_on: largest > 0 }
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Looks for the answer to `ask`; when there is none that holds, somebody gets to record it.
    pub async fn look(self: &Arc<Self>, ask: Ask, epochs: &Arc<Epochs>) -> Known {
        for patient in [true, false] {
            if let Some(answer) = self.find(&ask, epochs).await {
                return Known::Answer(answer);
            }
            match self.take_off(ask.key) {
                Ok(flight) => return self.begin(ask, epochs, flight).await,
                Err(mut other) if patient => {
                    let _ = timeout(PATIENCE, other.changed()).await;
                }
                Err(_) => break,
            }
        }
        Known::Pass
    }

    async fn find(&self, ask: &Ask, epochs: &Epochs) -> Option<Arc<Answer>> {
        let answer = self.answers.get(&ask.key)?;
        if answer.epoch != epochs.current(&ask.repository) {
            return None;
        }
        if answer.witness.is_none() {
            return Some(answer);
        }
        let looked_at = Arc::clone(&answer);
        let look = move || {
            let witness = looked_at.witness.as_ref().filter(|witness| witness.holds());
            (witness.is_some(), witness.and_then(Witness::settled))
        };
        let is_quick = ask.near && answer.witness.as_ref().is_some_and(Witness::is_quick);
        let (holds, settled) = if is_quick { look() } else { spawn_blocking(look).await.ok()? };
        if let Some(witness) = settled {
            let answer = Answer { witness: Some(witness), ..Answer::clone(&answer) };
            self.answers.insert(ask.key, Arc::new(answer));
        }
        holds.then_some(answer)
    }

    async fn begin(self: &Arc<Self>, ask: Ask, epochs: &Arc<Epochs>, flight: Flight) -> Known {
        let epoch = epochs.current(&ask.repository);
        let looked_at = ask.clone();
        let Ok(Ok(witness)) = spawn_blocking(move || looked_at.witness()).await else { return Known::Pass };
        let (replay, epochs) = (Arc::clone(self), Arc::clone(epochs));
        Known::Record(Box::new(Record { replay, epochs, ask, witness, epoch, _flight: flight }))
    }

    /// The first to ask gets a flight, the others what tells them of its end.
    fn take_off(self: &Arc<Self>, key: Digest) -> Result<Flight, watch::Receiver<()>> {
        let mut flights = self.flights();
        if let Some(other) = flights.get(&key) {
            return Err(other.clone());
        }
        let (landed, flying) = watch::channel(());
        flights.insert(key, flying);
        Ok(Flight { replay: Arc::clone(self), key, _landed: landed })
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Digest, watch::Receiver<()>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that are being recorded, so no single answer is larger: a hundred thousand refs have a tenth of it.
const LARGEST: usize = 64 << 20;

impl Ask {
    /// The refs, when they may be recorded now; `Err` when nothing may.
    fn witness(&self) -> Result<Option<Witness>, ()> {
        let borrows = self.borrows && self.repository.join("objects/info/alternates").exists();
        if borrows || !volume::is_local(&self.repository) {
            return Err(());
        }
        self.refs.then(|| Witness::take(&self.repository)).transpose().map_err(drop)
    }
}

impl Record {
    /// The memory for a copy.
    #[must_use]
    pub fn draw(&self) -> Draw {
        self.replay.budget.draw()
    }

    /// Keeps what git said, if nothing has changed meanwhile. Reads files: for a thread that may wait.
    #[must_use]
    pub fn keep(self, said: Said) -> bool {
        let mut framing = Framing::default();
        said.body.chunks.iter().for_each(|chunk| framing.follow(chunk));
        let Ask { standing, repository, git, key, .. } = &self.ask;
        let is_good = said.head.status.as_u16() == 200 && framing.is_complete();
        let is_same = || {
            self.witness.as_ref().is_none_or(Witness::holds)
                && Standing::of(repository, git) == Some(*standing)
                && self.epochs.current(repository) == self.epoch
        };
        if !is_good || !is_same() {
            return false;
        }
        let body = said.body.chunks.concat().into();
        let answer = Answer { head: said.head, body, witness: self.witness.clone(), epoch: self.epoch };
        self.replay.answers.insert(*key, Arc::new(answer));
        true
    }

    /// What is recorded, for the metrics.
    #[must_use]
    pub fn kind(&self) -> AnswerKind {
        self.ask.kind
    }

    /// Whose answer it is.
    #[must_use]
    pub fn repository(&self) -> &Path {
        &self.ask.repository
    }
}

impl Answer {
    fn weight(&self) -> usize {
        512 + self.body.len() + self.witness.as_ref().map_or(0, Witness::weight)
    }
}

#[derive(Debug)]
struct Flight {
    replay: Arc<Replay>,
    key: Digest,
    /// Dropped with the flight, which wakes who waits.
    _landed: watch::Sender<()>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.replay.flights().remove(&self.key);
    }
}
