//! The admin listener: `/metrics`, `/healthz`, `/readyz`, and 404 for everything else.
//!
//! It shows no secrets and changes nothing, so it may be reachable by a monitoring system. It is apart
//! from the data listener so that who may scrape metrics cannot ask for decisions.

use std::io;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, web};
use prometheus::{Registry, TextEncoder};

use crate::listen::Listener;

/// What `/readyz` answers.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Whether requests can be answered now: 200 or 503.
    pub ready: bool,
    /// The answer's body, for the people who look.
    pub report: serde_json::Value,
}

/// Asks the daemon how it is. `dyn` because two daemons give two different closures to one server.
pub type ReadinessProbe = Arc<dyn Fn() -> Readiness + Send + Sync>;

/// Builds the server on a bound listener; it runs when awaited. Signals are the caller's business.
pub fn server(listener: Listener, registry: Registry, probe: ReadinessProbe) -> io::Result<Server> {
    let state = web::Data::new(Admin { registry, probe });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .route("/metrics", web::get().to(metrics))
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(readyz))
    })
    .workers(1)
    .disable_signals()
    .h1_allow_half_closed(false)
    .shutdown_timeout(1);
    let server = match listener {
        Listener::Unix(socket) => server.listen_uds(socket)?,
        Listener::Tcp(socket) => server.listen(socket)?,
    };
    Ok(server.run())
}

struct Admin {
    registry: Registry,
    probe: ReadinessProbe,
}

async fn metrics(admin: web::Data<Admin>) -> HttpResponse {
    match TextEncoder::new().encode_to_string(&admin.registry.gather()) {
        Ok(text) => HttpResponse::Ok().content_type(METRICS_TYPE).body(text),
        Err(error) => {
            tracing::error!(error = error.to_string(), "metrics cannot be encoded");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// Says only that the process answers; a daemon that lost its directories is alive and must not be killed.
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("ok\n")
}

async fn readyz(admin: web::Data<Admin>) -> HttpResponse {
    let readiness = (admin.probe)();
    match readiness.ready {
        true => HttpResponse::Ok().json(readiness.report),
        false => HttpResponse::ServiceUnavailable().json(readiness.report),
    }
}

/// The text format of Prometheus, with the version scrapers ask for.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
