//! Answers that need no git: the probe before a large push, and what a cache knows.
//!
//! The decision was verified and the repository found before anything here is asked. What is answered here is counted, logged and
//! recorded like every other request.

use actix_web::HttpResponse;
use policy::decision::Decision;
use policy::git_request::Service;
use policy::identity::UserName;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::body::RequestBody;
use super::respond_whole;
use crate::audit;
use crate::cache::question::{Question, question};
use crate::cache::replay::{Ask, Known, Record};
use crate::cache::standing::Standing;
use crate::cgi::environment::{RequestHeaders, Variable};
use crate::engine::{self, EngineKind};
use crate::repository::Repository;
use crate::runner::Runner;
use crate::stream::whole::Whole;

/// A request that git may not be needed for.
pub(super) struct Asked<'a> {
    pub(super) runner: &'a Runner,
    pub(super) decision: &'a Decision,
    pub(super) headers: RequestHeaders,
    pub(super) repository: &'a Repository,
    pub(super) started: Instant,
}

/// What came of asking the caches.
pub(super) enum Kept {
    /// The answer.
    Answer(HttpResponse),
    /// git has to be asked; what it says may be worth recording.
    AskGit(Option<Record>),
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
        self.account("probe", FLUSH.len() as u64, 0);
        Some(respond_whole(engine::head("application/x-git-receive-pack-result"), bytes::Bytes::new()))
    }

    /// Looks for an answer about the repository's refs in memory.
    pub(super) async fn replay(&self, body: &RequestBody, environment: &[Variable]) -> Kept {
        let runner = self.runner;
        let Some((kind, refs)) = self.replayable(body) else { return Kept::AskGit(None) };
        if runner.cache.replay.largest() == 0 {
            return Kept::AskGit(None);
        }
        let (path, git) = (self.repository.path.clone(), runner.git.program.clone());
        let Ok(Some(standing)) = spawn_blocking(move || Standing::of(&path, &git)).await else {
            runner.metrics.cached(kind, "pass");
            return Kept::AskGit(None);
        };
        let service = self.decision.service;
        let asked = match body {
            RequestBody::Whole(Whole::Memory(bytes)) => question(bytes),
            _ => None,
        };
        let key = standing.key("replay", environment).and(service.as_str().as_bytes());
        let key = match asked {
            Some(Question::LsRefs(digest) | Question::Fetch(digest)) => key.and(&digest),
            None => key,
        };
        let ask = Ask {
            key: key.digest(),
            standing,
            repository: self.repository.path.clone(),
            git: runner.git.program.clone(),
            refs,
            borrows: service == Service::AdvertiseReceivePack,
        };
        match runner.cache.replay.look(ask, &runner.cache.epochs).await {
            Known::Answer(answer) => {
                runner.metrics.cached(kind, "hit");
                self.account("replay", received(body), answer.body.len() as u64);
                Kept::Answer(respond_whole(answer.head.clone(), answer.body.clone()))
            }
            Known::Record(record) => {
                runner.metrics.cached(kind, "miss");
                Kept::AskGit(Some(record))
            }
            Known::Pass => {
                runner.metrics.cached(kind, "pass");
                Kept::AskGit(None)
            }
        }
    }

    /// What the answer would be, for the metrics, and whether it depends on refs.
    fn replayable(&self, body: &RequestBody) -> Option<(&'static str, bool)> {
        let is_v2 = self.headers.protocol == Some("version=2");
        match (self.decision.service, body) {
            (Service::AdvertiseUploadPack, _) if is_v2 => Some(("capabilities", false)),
            (Service::AdvertiseUploadPack | Service::AdvertiseReceivePack, _) => {
                Some(("advertisement", true))
            }
            (Service::UploadPack, RequestBody::Whole(Whole::Memory(bytes))) if is_v2 => {
                matches!(question(bytes), Some(Question::LsRefs(_))).then_some(("ls-refs", true))
            }
            _ => None,
        }
    }

    /// Counts, logs and records a request that was answered here.
    fn account(&self, by: &'static str, received: u64, sent: u64) {
        let Self { runner, decision, .. } = self;
        runner.metrics.answered(decision.service, "ok", received, sent);
        tracing::info!(
            request_id = decision.request_id.as_str(),
            user = decision.user.as_ref().map(UserName::as_str),
            client = decision.client.as_str(),
            repo = decision.repo.as_str(),
            service = decision.service.as_str(),
            outcome = "ok",
            by,
            received,
            sent,
            took_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "git request"
        );
        runner.audit.record(&audit::Record::of(decision, "ok").with_bytes(received, sent));
    }
}

const FLUSH: &[u8] = b"0000";

fn received(body: &RequestBody) -> u64 {
    match body {
        RequestBody::Whole(Whole::Memory(bytes)) => bytes.len() as u64,
        _ => 0,
    }
}
