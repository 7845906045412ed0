//! Answers that need no git: the probe before a large push, and what a cache knows.
//!
//! The decision was verified and the repository found before anything here is asked. What is answered here is counted, logged and
//! recorded like every other request.

use std::sync::Arc;

use actix_web::HttpResponse;
use policy::decision::Decision;
use policy::git_request::Service;
use tokio::time::{Instant, timeout};

use super::body::RequestBody;
use super::find::STORAGE;
use super::pass::Connection;
use super::refusal::Refusal;
use super::served::{By, Served};
use super::with_head;
use crate::cache::digest::{Digest, Parts};
use crate::cache::ground::{Ground, Shape};
use crate::cache::lead::Lead;
use crate::cache::question::{Question, question};
use crate::cache::reader::Reader;
use crate::cache::replay::{Ask, Known, Record};
use crate::cache::standing::Standing;
use crate::cgi::environment::{RequestHeaders, Variable};
use crate::engine::{self, EngineKind};
use crate::limits::Permit;
use crate::metrics::AnswerKind;
use crate::repository::Repository;
use crate::runner::Runner;
use crate::stream::whole::Whole;

/// A request that git may not be needed for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) runner: &'a Arc<Runner>,
    pub(super) decision: &'a Decision,
    pub(super) headers: RequestHeaders,
    pub(super) repository: &'a Repository,
    /// What is known of it beyond this request.
    pub(super) ground: Option<&'a Ground>,
    pub(super) started: Instant,
    /// To cut a client off that stalls.
    pub(super) connection: Option<&'a Connection>,
    /// Whether nginx has the files of the cache.
    pub(super) accel: bool,
}

/// What came of asking the caches.
pub(super) enum Kept {
    /// The answer.
    Answer(HttpResponse),
    /// git has to be asked.
    AskGit(Keep),
}

/// What is to be done with git's answer besides giving it.
pub(super) enum Keep {
    /// No more.
    Nothing,
    /// No more, and the request has its place already.
    Placed(Permit),
    /// It goes to the memory.
    Replay(Box<Record>),
    /// It goes to the disk, and the client reads it there.
    Pack(Lead, Reader, u64),
}

impl From<Keep> for Kept {
    fn from(keep: Keep) -> Self {
        Self::AskGit(keep)
    }
}

impl Keep {
    /// Recording, with the client as its first reader.
    pub(super) fn pack(lead: Lead, received: u64) -> Self {
        match lead.reader() {
            Some(reader) => Self::Pack(lead, reader, received),
            None => Self::Nothing,
        }
    }
}

impl Asked<'_> {
    /// Answers the probe that git sends before a push in chunks, to see whether it may: a flush packet, to which `receive-pack`
    /// has nothing to say.
    pub(super) fn probe(&self, body: &RequestBody) -> Option<HttpResponse> {
        let RequestBody::Whole(Whole::Memory(bytes)) = body else { return None };
        let is_probe = self.decision.service == Service::ReceivePack && bytes == FLUSH;
        // http-backend looks at the repository's switches itself.
        let is_settled = self.runner.config.engine == EngineKind::Direct || self.decision.user.is_none();
        if !is_probe || !is_settled {
            return None;
        }
        Served::new(self, By::Probe, FLUSH.len() as u64).finish("ok");
        Some(with_head(engine::head("application/x-git-receive-pack-result")).finish())
    }

    /// Looks for an answer, or for whoever is getting the same one.
    ///
    /// `environment` is what git would be told.
    pub(super) async fn kept(
        &self,
        body: &RequestBody,
        environment: &impl Fn() -> Vec<Variable>,
    ) -> Result<Kept, Refusal> {
        let cache = &self.runner.cache;
        let is_v2 = self.headers.protocol == Some("version=2");
        let kept = match (self.decision.service, body) {
            (Service::AdvertiseUploadPack, _) if is_v2 => {
                self.replay(AnswerKind::Capabilities, Subject::Capabilities, environment).await
            }
            (Service::AdvertiseUploadPack | Service::AdvertiseReceivePack, _) => {
                self.replay(AnswerKind::Advertisement, Subject::Refs(None, 0), environment).await
            }
            (Service::UploadPack, RequestBody::Whole(Whole::Memory(bytes))) if is_v2 => {
                let received = bytes.len() as u64;
                match (question(bytes), &cache.packs) {
                    (Some(Question::LsRefs(question)), _) => {
                        self.replay(AnswerKind::LsRefs, Subject::Refs(Some(question), received), environment)
                            .await
                    }
                    (Some(Question::Fetch(question)), Some(store)) => {
                        return self.pack(Arc::clone(store), question, environment, received).await;
                    }
                    _ => Kept::AskGit(Keep::Nothing),
                }
            }
            _ => Kept::AskGit(Keep::Nothing),
        };
        Ok(kept)
    }

    /// Looks for an answer in memory.
    async fn replay(
        &self,
        kind: AnswerKind,
        subject: Subject,
        environment: &impl Fn() -> Vec<Variable>,
    ) -> Kept {
        let runner = self.runner;
        if !runner.cache.replay.is_on() {
            return Kept::AskGit(Keep::Nothing);
        }
        let Some(standing) = self.standing().await else {
            runner.metrics.cached(kind, "pass");
            return Kept::AskGit(Keep::Nothing);
        };
        let (repository, git) = (self.repository.path.clone(), runner.git.program.clone());
        let service = self.decision.service;
        let key = self.key("replay", standing, environment).and(service.as_str().as_bytes());
        let (refs, question, received) = match subject {
            Subject::Capabilities => (false, None, 0),
            Subject::Refs(question, received) => (true, question, received),
        };
        let key = question.iter().fold(key, |key, question| key.and(question)).digest();
        let borrows = service == Service::AdvertiseReceivePack;
        let near = self.ground.is_some();
        let ask = Ask { kind, key, standing, repository, git, refs, borrows, near };
        let known = timeout(STORAGE, runner.cache.replay.look(ask, &runner.cache.epochs))
            .await
            .unwrap_or(Known::Pass);
        runner.metrics.cached(kind, known.outcome());
        match known {
            Known::Answer(answer) => {
                let mut served = Served::new(self, By::Replay, received);
                served.add(answer.body.len() as u64);
                served.finish("ok");
                Kept::Answer(with_head(answer.head.clone()).body(answer.body.clone()))
            }
            Known::Record(record) => Kept::AskGit(Keep::Replay(record)),
            Known::Pass => Kept::AskGit(Keep::Nothing),
        }
    }

    /// The standing of the repository; `None` when it has none, or storage does not answer.
    pub(super) async fn standing(&self) -> Option<Standing> {
        if let Some(ground) = self.ground {
            return Some(ground.standing);
        }
        let (repository, git) = (self.repository.path.clone(), self.runner.git.program.clone());
        let standing = self.runner.runtime.spawn_blocking(move || Standing::of(&repository, &git));
        timeout(STORAGE, standing).await.ok()?.ok()?
    }

    /// The key of an answer, without what is asked.
    pub(super) fn key(
        &self,
        purpose: &'static str,
        standing: Standing,
        environment: &impl Fn() -> Vec<Variable>,
    ) -> Parts {
        let key = || standing.key(purpose, &environment());
        let (service, named) = (self.decision.service, self.decision.user.is_some());
        let shape = Shape { purpose, service, protocol: self.headers.protocol, named };
        self.ground.map_or_else(key, |ground| ground.key(shape, key))
    }
}

/// What an answer in memory is about.
enum Subject {
    /// What the server can do.
    Capabilities,
    /// Refs: those asked for in a body of some length, or all.
    Refs(Option<Digest>, u64),
}

const FLUSH: &[u8] = b"0000";
