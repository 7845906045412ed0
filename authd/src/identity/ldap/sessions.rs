//! Which connection an operation gets, and when it goes to another server.
//!
//! Searches share connections bound as the service account. User binds have connections of their own, which
//! never become search connections. A connection goes back only after an operation that came to its end;
//! after an error, a timeout or a cancelled future it is gone. Another server is tried only where the network
//! failed, and never after a password was sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustls::ClientConfig;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{self, Instant as Deadline};

use super::connection::{Bound, Connection, Query};
use super::entry::Entry;
use super::error::AskError;
use super::origin::Origin;
use super::servers::Servers;
use crate::config::ldap::WhoAmI;

/// The connections of one directory.
#[derive(Debug)]
pub(super) struct Sessions {
    origin: Arc<Origin>,
    tls: Arc<ClientConfig>,
    servers: Servers,
    /// As the service account.
    searching: Idle,
    /// As whoever was bound last.
    binding: Idle,
    /// How many operations may be under way.
    permits: Semaphore,
}

/// Connections nobody uses now.
#[derive(Debug, Default)]
struct Idle(Mutex<Vec<Connection>>);

/// What is to be done on a new connection.
#[derive(Clone, Copy, Debug)]
enum Task<'a> {
    /// Nothing yet.
    Open,
    /// The bind as the service account.
    OpenService,
    /// That, and a search.
    Search(&'a Query<'a>),
}

// === impl Sessions ===

impl Sessions {
    /// Connects to nobody yet.
    pub(super) fn new(origin: Arc<Origin>, tls: Arc<ClientConfig>) -> Self {
        let servers = Servers::new(origin.config.urls.len());
        let permits = Semaphore::new(origin.config.connections);
        Self { origin, tls, servers, searching: Idle::default(), binding: Idle::default(), permits }
    }

    /// Searches as the service account.
    pub(super) async fn search(&self, query: &Query<'_>, deadline: Deadline) -> Result<Vec<Entry>, AskError> {
        let _permit = self.permit(deadline).await?;
        if let Some(mut connection) = self.searching.take() {
            let server = connection.server;
            let others = self.origin.config.urls.len() > 1;
            let until = if others { share(deadline, self.origin.config.urls.len()) } else { deadline };
            match within(until, connection.search(query)).await {
                Ok(entries) => {
                    self.searching.give_back(connection);
                    return Ok(entries);
                }
                // It broke, as the others to that server may have: a new one tells more.
                Err(AskError::Broken(_)) => self.forget(server),
                Err(error @ AskError::Late) if others => drop(self.noted(server, error)),
                Err(error) => return Err(self.noted(server, error)),
            }
        }
        let (connection, entries) = self.first_server(deadline, Task::Search(query)).await?;
        self.searching.give_back(connection);
        Ok(entries)
    }

    /// Binds as a user. The password goes to one server, once.
    pub(super) async fn bind(&self, dn: &str, password: &str, deadline: Deadline) -> Result<Bound, AskError> {
        let _permit = self.permit(deadline).await?;
        let mut connection = match self.binding.take() {
            Some(connection) => connection,
            None => self.first_server(deadline, Task::Open).await?.0,
        };
        let server = connection.server;
        let bound = within(deadline, self.bind_on(&mut connection, dn, password)).await;
        match bound {
            Ok(bound) => {
                self.binding.give_back(connection);
                Ok(bound)
            }
            Err(error) => Err(self.noted(server, error)),
        }
    }

    async fn bind_on(
        &self,
        connection: &mut Connection,
        dn: &str,
        password: &str,
    ) -> Result<Bound, AskError> {
        let bound = connection.bind_user(dn, password).await?;
        if bound != Bound::Yes || self.origin.config.whoami == WhoAmI::Off {
            return Ok(bound);
        }
        // Servers exist that take a bind for an anonymous one and call it a success.
        match connection.who_am_i().await? {
            Some(identity) if identity.is_empty() || identity.eq_ignore_ascii_case("dn:") => {
                tracing::warn!("a bind made us anonymous: the login is refused");
                Ok(Bound::No { certain: false })
            }
            None if self.origin.config.whoami == WhoAmI::Required => {
                Err(AskError::Nonsense("the server does not say whom a bind made us, see `whoami`"))
            }
            Some(_) | None => Ok(Bound::Yes),
        }
    }

    /// Whether any server answers and takes the service account.
    pub(super) async fn probe(&self, deadline: Deadline) -> Result<(), AskError> {
        let (connection, _) = self.first_server(deadline, Task::OpenService).await?;
        self.searching.give_back(connection);
        Ok(())
    }

    /// A new connection to one server, bound as the service account.
    pub(super) async fn open_service(&self, server: usize) -> Result<Connection, AskError> {
        let mut connection = self.open(server).await?;
        let config = &self.origin.config;
        match (&config.service, &self.origin.password) {
            (Some(service), Some(password)) => connection.bind_service(&service.dn, password).await?,
            _ if config.tls.client.is_some() => connection.bind_external().await?,
            _ => {}
        }
        Ok(connection)
    }

    /// A new connection to one server, bound as nobody.
    pub(super) async fn open(&self, server: usize) -> Result<Connection, AskError> {
        let config = &self.origin.config;
        let opened =
            Connection::open(&config.urls[server], server, config.tls.start_tls, Arc::clone(&self.tls));
        opened.await.map_err(AskError::Connect)
    }

    /// Does it at the first server with which the network works. Each gets its share of the time left, so
    /// that one that is silent leaves some to the next.
    async fn first_server(
        &self,
        deadline: Deadline,
        task: Task<'_>,
    ) -> Result<(Connection, Vec<Entry>), AskError> {
        let order = self.servers.in_order(Instant::now());
        let mut last = AskError::Late;
        for (position, &server) in order.iter().enumerate() {
            // Boxed: connecting takes kilobytes, and every future that may connect would be as large.
            let attempt = Box::pin(self.attempt(server, task));
            match within(share(deadline, order.len() - position), attempt).await {
                Ok(done) => {
                    self.servers.answered(server);
                    return Ok(done);
                }
                Err(error) if error.is_network() => last = self.noted(server, error),
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn attempt(&self, server: usize, task: Task<'_>) -> Result<(Connection, Vec<Entry>), AskError> {
        match task {
            Task::Open => Ok((self.open(server).await?, Vec::new())),
            Task::OpenService => Ok((self.open_service(server).await?, Vec::new())),
            Task::Search(query) => {
                let mut connection = self.open_service(server).await?;
                let entries = connection.search(query).await?;
                Ok((connection, entries))
            }
        }
    }

    async fn permit(&self, deadline: Deadline) -> Result<SemaphorePermit<'_>, AskError> {
        let permit = time::timeout_at(deadline, self.permits.acquire()).await;
        permit.map_err(|_| AskError::Busy)?.map_err(|_| AskError::Busy)
    }

    /// Remembers what an error says about a server.
    fn noted(&self, server: usize, error: AskError) -> AskError {
        if error.is_network() {
            self.servers.failed(server, Instant::now());
            self.forget(server);
            let url = self.origin.config.urls[server].to_string();
            tracing::debug!(url, error = super::chain(&error), "a server did not answer");
        }
        error
    }

    fn forget(&self, server: usize) {
        self.searching.forget(server);
        self.binding.forget(server);
    }
}

// === impl Idle ===

impl Idle {
    fn take(&self) -> Option<Connection> {
        let mut idle = self.lock();
        while let Some(mut connection) = idle.pop() {
            if connection.is_usable() {
                return Some(connection);
            }
        }
        None
    }

    /// What grew old meanwhile is closed: nobody would ask for it if the newest are always enough.
    fn give_back(&self, connection: Connection) {
        let mut idle = self.lock();
        idle.retain_mut(Connection::is_usable);
        idle.push(connection);
    }

    fn forget(&self, server: usize) {
        self.lock().retain(|connection| connection.server != server);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until when the first of so many may take.
fn share(deadline: Deadline, among: usize) -> Deadline {
    let now = Deadline::now();
    now + deadline.saturating_duration_since(now) / u32::try_from(among).unwrap_or(1).max(1)
}

async fn within<T>(
    deadline: Deadline,
    work: impl Future<Output = Result<T, AskError>>,
) -> Result<T, AskError> {
    time::timeout_at(deadline, work).await.unwrap_or(Err(AskError::Late))
}
