//! A request that git is run for: a place among those that run, what git is told, the job, and its answer.

use std::sync::Arc;

use actix_web::HttpResponse;
use policy::git_request::Service;
use policy::repo_path::RepoPath;
use tokio::sync::oneshot;

use super::body::RequestBody;
use super::kept::{Asked, Keep};
use super::push::{self, Prepared};
use super::refusal::Refusal;
use super::served::{By, Served};
use super::{dumb, respond};
use crate::alias::Alias;
use crate::audit::Audit;
use crate::cache::lead::{Forget, Lead};
use crate::cache::question::is_shallow_clone;
use crate::cache::reader::Reader;
use crate::cache::recorder::{self, FromJob};
use crate::cache::standing::tag;
use crate::cgi::environment::{self, RulesForGit, Settings, Variable};
use crate::engine::Plan;
use crate::job::Job;
use crate::limits::Permit;
use crate::metrics::AnswerKind;
use crate::push::directory::PushDirectory;
use crate::stream::whole::Whole;
use crate::stream::{NoHead, Streams, download};

/// A request that needs git.
pub(super) struct Run<'a> {
    pub(super) asked: Asked<'a>,
    /// What the repository hides from a push.
    pub(super) hidden_refs: &'a [String],
    /// What the rules ask of git.
    pub(super) rules: RulesForGit,
    /// How long the body may be.
    pub(super) limit: u64,
    /// What the decided repository stands for, if it is an alias.
    pub(super) alias: Option<&'a Alias>,
    /// The repository that takes a place among those that run.
    pub(super) store: &'a RepoPath,
}

/// What git is told of one request alone, and no cache asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    no_alternates: bool,
    shallow: bool,
}

impl Run<'_> {
    /// What git is told.
    pub(super) fn environment(&self, push: Option<&PushDirectory>, told: Told) -> Vec<Variable> {
        let Asked { runner, decision, headers, repository, .. } = self.asked;
        let (log, hooks) = (push.map(PushDirectory::log), push.map(PushDirectory::hooks));
        let common = runner.settings(self.rules.clone(), hooks, log.as_deref());
        let Told { no_alternates, shallow } = told;
        let hidden_refs = self.hidden_refs;
        let settings = Settings { hidden_refs, no_alternates, shallow, alias: self.alias, ..common };
        environment::variables(decision, headers, &repository.path, &settings)
    }

    /// Runs git and gives its answer.
    pub(super) async fn git(self, body: RequestBody, keep: Keep) -> Result<HttpResponse, Refusal> {
        let Asked { runner, decision, headers, repository, started, .. } = self.asked;
        let (permit, keep) = match keep {
            Keep::Placed(permit) => (permit, Keep::Nothing),
            keep => (self.place().await?, keep),
        };
        let prepared = push::prepare(runner, decision, repository, self.asked.ground.is_some()).await?;
        prepared.note_unreported(&body)?;
        let Prepared { directory: push, status, unreported, no_alternates, turn } = prepared;
        let told = Told { no_alternates, shallow: self.is_shallow(&body) };
        let environment = self.environment(push.as_ref(), told);
        let (input, unsent) = body.split()?;
        let engine = (runner.config.engine, &runner.git, runner.config.limits.push_memory);
        let plan = Plan::new(engine, decision.service, headers, repository, environment, input);
        let patience = runner.config.limits.patience;
        let source = unsent.into_source(plan.inflate, self.limit, patience.idle, unreported);
        let (record, pack) = match keep {
            Keep::Nothing | Keep::Placed(_) => (None, None),
            Keep::Replay(record) => (Some(record), None),
            Keep::Pack(lead, reader, received) => (None, Some((lead, reader, received))),
        };
        let (from_git, answer_body) =
            record.as_ref().map_or_else(download::channel, |record| download::copying(record.draw()));
        let (head_sender, head) = oneshot::channel();
        let (success, succeeded) = oneshot::channel();
        runner.start(Job {
            decision: decision.clone(),
            plan,
            pushing: push.is_some().then(|| runner.cache.epochs.push(&repository.path)),
            forget: push.is_some().then(|| self.forget()).flatten(),
            push,
            turn,
            record,
            view: None,
            success: pack.is_some().then_some(success),
            hooks: Arc::clone(&runner.hooks),
            streams: Streams { source, head: head_sender, download: from_git, status },
            patience,
            stop: runner.stop.clone(),
            permit,
            metrics: runner.metrics.clone(),
            // Who reads a recording is recorded as its reader.
            audit: if pack.is_some() { Audit::silent() } else { runner.audit.clone() },
            started,
        });
        if let Some(pack) = pack {
            return self.lead(pack, FromJob { head, body: answer_body, success: succeeded }).await;
        }
        // A job that is gone without a word has failed.
        match head.await.unwrap_or(Err(NoHead::Failed)) {
            Ok(head) => Ok(respond(dumb::kept_by_the_caller_only(head, decision), answer_body)),
            Err(reason) => Err(Refusal::Unanswered(reason)),
        }
    }

    /// Waits for a place among those that run.
    async fn place(&self) -> Result<Permit, Refusal> {
        let Asked { runner, decision, .. } = self.asked;
        let room = runner.limits.enter(decision)?;
        tokio::select! {
            permit = runner.limits.acquire(room, self.store) => Ok(permit?),
            () = runner.stop.cancelled() => Err(Refusal::Stopping),
        }
    }

    fn is_shallow(&self, body: &RequestBody) -> bool {
        let RequestBody::Whole(Whole::Memory(bytes)) = body else { return false };
        let Asked { decision, headers, .. } = self.asked;
        decision.service == Service::UploadPack
            && headers.protocol == Some("version=2")
            && is_shallow_clone(bytes)
    }

    /// Lets the answer be recorded, and follows that like everybody else.
    async fn lead(
        &self,
        (lead, reader, received): (Lead, Reader, u64),
        job: FromJob,
    ) -> Result<HttpResponse, Refusal> {
        let runner = self.asked.runner;
        let mut served = Served::new(&self.asked, By::Led, received);
        let (key, metrics) = (*lead.key(), runner.metrics.clone());
        let recording = async move { metrics.cached(AnswerKind::Fetch, recorder::record(lead, job).await) };
        runner.jobs.spawn_on(recording, &runner.runtime);
        let Some(head) = reader.head().await else {
            let stopped = runner.stop.is_cancelled();
            served.finish(if stopped { "stopped" } else { "failed" });
            return Err(Refusal::Unanswered(if stopped { NoHead::Stopped } else { NoHead::Failed }));
        };
        self.asked.follow(reader, head, &key, served).await
    }

    /// What forgets the repository's packs, if a push is to do that.
    fn forget(&self) -> Option<Forget> {
        let runner = self.asked.runner;
        let store = runner.cache.packs.clone().filter(|_| runner.config.cache.forget_rewritten)?;
        Some(Forget { store, tag: tag(self.store) })
    }
}
