//! The list of repositories for one caller, in a place among pages.

use std::io;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse};
use policy::decision::Permitted;
use policy::list_request::ListDecision;
use tokio::time::{Instant, timeout};

use super::find::STORAGE;
use super::page;
use super::refusal::Refusal;
use super::served::{By, Served};
use crate::limits::Permit;
use crate::runner::Runner;
use crate::web::catalogue::Entry;
use crate::web::{answer, list};

pub(super) async fn serve(
    request: &HttpRequest,
    decision: &ListDecision,
    runner: &Runner,
) -> Result<HttpResponse, Refusal> {
    let started = Instant::now();
    let _ = page::offered(request, runner)?;
    let room = runner.pages.enter_as(decision.user.as_ref(), &decision.client)?;
    // Before a place is taken: a disk that does not answer holds none of those that pages need.
    let entries = match timeout(STORAGE, entries(runner)).await {
        Ok(entries) => entries.map_err(Refusal::Unlisted)?,
        Err(_) => return Err(Refusal::NoStorage),
    };
    let permit = tokio::select! {
        permit = runner.pages.acquire(room, None) => permit?,
        () = runner.stop.cancelled() => return Err(Refusal::Stopping),
    };
    let mut served = Served::of(Permitted::List(decision.clone()), runner, By::Catalogue, started);
    let page = html(decision, runner, entries, permit).await;
    let page = page.inspect_err(|_| served.give_up()).map_err(Refusal::Unlisted)?;
    if request.method() != Method::HEAD {
        served.add(page.len() as u64);
    }
    served.finish("ok");
    let mut response = HttpResponse::Ok();
    for (name, value) in answer::orders() {
        response.insert_header((name, value));
    }
    response.insert_header((CONTENT_TYPE, "text/html; charset=utf-8"));
    Ok(response.body(page))
}

async fn entries(runner: &Runner) -> io::Result<Arc<[Entry]>> {
    let config = &runner.config;
    runner.catalogue.entries(config.repositories.clone(), config.export_all, &runner.runtime).await
}

/// The policy is asked about every repository, so this is not for the worker that answers others.
async fn html(
    decision: &ListDecision,
    runner: &Runner,
    entries: Arc<[Entry]>,
    permit: Permit,
) -> io::Result<String> {
    let (policy, gitweb, decision) =
        (Arc::clone(&runner.policy), runner.config.gitweb.clone(), decision.clone());
    let page = runner.runtime.spawn_blocking(move || {
        let _held = permit;
        let identity = decision.identity();
        let visible = list::visible(&entries, &policy, &identity, &decision.list);
        list::html(&gitweb, &decision.list, &identity, &visible)
    });
    page.await.map_err(io::Error::other)
}
