//! A page about one repository: gitweb run for a permitted request, under limits of its own.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use policy::decision::Decision;
use policy::git_request::Service;
use policy::web_request::Web;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::find::STORAGE;
use super::refusal::Refusal;
use super::respond;
use crate::job::Job;
use crate::repository;
use crate::runner::Runner;
use crate::stream::{NoHead, Source, Streams, download};
use crate::switches::{self, Mentioned};
use crate::web::program;
use crate::web::view::View;

pub(super) async fn serve(
    request: &HttpRequest,
    decision: &Decision,
    runner: &Runner,
) -> Result<HttpResponse, Refusal> {
    let started = Instant::now();
    let method = offered(request, runner)?;
    // gitweb knows nothing of namespaces and would show the whole store.
    if runner.config.aliases.of(&decision.repo).is_some() {
        return Err(Refusal::NotOffered);
    }
    let room = runner.pages.enter(decision)?;
    let permit = tokio::select! {
        permit = runner.pages.acquire(room, &decision.repo) => permit?,
        () = runner.stop.cancelled() => return Err(Refusal::Stopping),
    };
    let view = view(runner, decision).await?;
    let gitweb = &runner.config.gitweb;
    let plan = program::plan(gitweb, &runner.git, decision, &view, method).ok_or(Refusal::NotOffered)?;
    let (from_gitweb, body) = download::channel();
    let (head_sender, head) = oneshot::channel();
    runner.start(Job {
        decision: decision.clone(),
        plan,
        push: None,
        turn: None,
        pushing: None,
        record: None,
        success: None,
        forget: None,
        view: Some(view),
        hooks: Arc::clone(&runner.hooks),
        streams: Streams { source: Source::Nothing, head: head_sender, download: from_gitweb, status: None },
        patience: gitweb.patience,
        stop: runner.stop.clone(),
        permit,
        metrics: runner.metrics.clone(),
        audit: runner.audit.clone(),
        started,
    });
    match head.await.unwrap_or(Err(NoHead::Failed)) {
        Ok(head) => Ok(respond(head, body)),
        Err(reason) => Err(Refusal::Unanswered(reason)),
    }
}

/// The method, if browsers are answered at all.
pub(super) fn offered(request: &HttpRequest, runner: &Runner) -> Result<&'static str, Refusal> {
    if runner.config.web != Web::Gitweb {
        return Err(Refusal::NotOffered);
    }
    let method = ["GET", "HEAD"].into_iter().find(|method| request.method().as_str() == *method);
    method.ok_or(Refusal::Method("GET, HEAD"))
}

/// A repository that does not let itself be read by git is not read by gitweb either.
async fn view(runner: &Runner, decision: &Decision) -> Result<View, Refusal> {
    let config = &runner.config;
    let (root, export_all, scratch) =
        (config.repositories.clone(), config.export_all, config.hooks.scratch.clone());
    let (git, repo) = (runner.git.clone(), decision.repo.clone());
    let look = runner.runtime.spawn_blocking(move || {
        let repository = repository::find(&root, &repo, export_all)?;
        let Mentioned { switches, hiding } = switches::mentioned(&repository)?;
        if switches && !switches::allow(&git, &repository, Service::Web)? {
            return Err(Refusal::SwitchedOff);
        }
        // gitweb does not know of them and would show them.
        if hiding && switches::hides_from_readers(&git, &repository)? {
            return Err(Refusal::HidesRefs);
        }
        Ok(View::create(&scratch, &git, &repo, &repository)?)
    });
    match timeout(STORAGE, look).await {
        Ok(Ok(view)) => view,
        Ok(Err(_)) | Err(_) => Err(Refusal::NoStorage),
    }
}
