//! The list of repositories for one caller.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse};
use policy::identity::UserName;
use policy::list_request::ListDecision;

use super::page;
use super::refusal::Refusal;
use crate::runner::Runner;
use crate::web::{answer, list};

pub(super) async fn serve(
    request: &HttpRequest,
    decision: &ListDecision,
    runner: &Runner,
) -> Result<HttpResponse, Refusal> {
    let _ = page::offered(request, runner)?;
    let config = &runner.config;
    let entries = runner.catalogue.entries(&config.repositories, config.export_all).await;
    let identity = decision.identity();
    let visible = list::visible(&entries, &runner.policy, &identity, &decision.list);
    tracing::info!(
        request_id = decision.request_id.as_str(),
        user = decision.user.as_ref().map(UserName::as_str),
        client = decision.client.as_str(),
        below = decision.list.below(),
        shown = visible.len(),
        "list of repositories"
    );
    let mut response = HttpResponse::Ok();
    for (name, value) in answer::orders() {
        response.insert_header((name, value));
    }
    response.insert_header((CONTENT_TYPE, "text/html; charset=utf-8"));
    Ok(response.body(list::html(&config.gitweb, &decision.list, &identity, &visible)))
}
