//! The HTTP server behind a data listener: actix-web, set up as both daemons need it.
//!
//! On a Unix socket connections are [`QuietStream`]s, which takes doing here what actix-web's `listen_uds` does; TCP is actix-web's
//! own. Nothing here knows a request, and signals are the caller's business.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use actix_http::{Extensions, HttpService};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, Server};
use actix_web::{App, HttpServer, web};
use tokio::net::{TcpStream, UnixStream};

use crate::listen::Listener;
use crate::quiet_stream::QuietStream;

/// How connections are treated.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Threads that answer requests.
    pub workers: usize,
    /// How long a connection may be silent between two requests. Whoever closes first must be the one who sends, so this is
    /// longer than the front server keeps its side.
    pub keep_alive: Duration,
    /// How long a client that still sends may take to read an early answer.
    pub farewell: Duration,
    /// How much of an answer is collected before its reader is waited for, in bytes.
    pub write_buffer: usize,
    /// How long requests have to end once the server is told to stop.
    pub drain: Duration,
}

/// The socket of a new connection.
#[derive(Clone, Copy, Debug)]
pub enum Socket<'a> {
    /// Of this machine.
    Unix(BorrowedFd<'a>),
    /// Of any.
    Tcp(BorrowedFd<'a>),
}

/// Builds the server on a bound listener; it runs when awaited. `configure` names the routes, and `connected` notes what
/// handlers have to know of a connection.
///
/// # Errors
/// When the listener cannot be served.
pub fn server(
    listener: Listener,
    settings: Settings,
    configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    connected: impl Fn(Socket<'_>, &mut Extensions) + Clone + Send + Sync + 'static,
) -> io::Result<Server> {
    match listener {
        Listener::Unix(listener) => unix(listener, settings, configure, connected),
        Listener::Tcp(listener) => {
            let server = HttpServer::new(move || App::new().configure(configure.clone()))
                .on_connect(move |socket, data| {
                    if let Some(socket) = socket.downcast_ref::<TcpStream>() {
                        connected(Socket::Tcp(socket.as_fd()), data);
                    }
                })
                .workers(settings.workers)
                .disable_signals()
                .shutdown_timeout(settings.drain.as_secs())
                .keep_alive(settings.keep_alive)
                .client_disconnect_timeout(settings.farewell)
                .h1_allow_half_closed(HALF_CLOSED)
                .h1_write_buffer_size(settings.write_buffer);
            Ok(server.listen(listener)?.run())
        }
    }
}

/// A client that has closed its side is gone; otherwise that is not noticed, and a handler runs on for nobody.
const HALF_CLOSED: bool = false;

fn unix(
    listener: UnixListener,
    settings: Settings,
    configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    connected: impl Fn(Socket<'_>, &mut Extensions) + Clone + Send + Sync + 'static,
) -> io::Result<Server> {
    let builder = Server::build()
        .workers(settings.workers)
        .disable_signals()
        .shutdown_timeout(settings.drain.as_secs());
    let stopping = builder.graceful_shutdown_signal();
    let builder = builder.listen_uds("unix", listener, move || {
        let (stopping, connected) = (stopping.clone(), connected.clone());
        let app = App::new().configure(configure.clone()).into_factory();
        let service = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(settings.keep_alive)
            .client_disconnect_timeout(settings.farewell)
            .h1_allow_half_closed(HALF_CLOSED)
            .h1_write_buffer_size(settings.write_buffer)
            .on_connect_ext(move |socket: &QuietStream, data| connected(Socket::Unix(socket.as_fd()), data))
            .h1(map_config(app, |()| AppConfig::default()))
            .map_err(|error| tracing::debug!(error = error.to_string(), "a connection ended"));
        let quiet = |socket: UnixStream| async {
            match QuietStream::new(socket) {
                Ok(socket) => Ok((socket, None)),
                Err(error) => {
                    tracing::warn!(error = error.to_string(), "a connection cannot be watched");
                    Err(())
                }
            }
        };
        fn_service(quiet).and_then(service)
    })?;
    Ok(builder.run())
}
