//! One connection to one LDAP server: opening it, binding, searching (RFC 4511, 4513, 4532).
//!
//! The socket is opened here (every address, `TCP_NODELAY`) and handed to ldap3. A connection whose future
//! is dropped before its end is never used again, see `sessions`; its task is aborted with it. Referrals are
//! never followed and a result code that is not success is never taken for one.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ldap3::adapters::{Adapter, PagedResults};
use ldap3::exop::WhoAmI as WhoAmIRequest;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, ResultEntry, Scope, SearchOptions, StdStream};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::entry::Entry;
use super::error::{AskError, ConnectError};
use crate::config::ldap::{Referrals, Scheme, Url};

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    ldap: Ldap,
    driver: AbortHandle,
    /// The server's place in the configuration.
    pub(super) server: usize,
    opened: Instant,
    used: Instant,
}

/// What to search for.
#[derive(Clone, Debug)]
pub(super) struct Query<'a> {
    pub(super) base: &'a str,
    pub(super) scope: Scope,
    pub(super) filter: &'a str,
    pub(super) attributes: Vec<&'a str>,
    /// More entries than these are too many.
    pub(super) limit: usize,
    /// Whether to fetch page by page, which servers ask for where there are many entries.
    pub(super) paged: bool,
    pub(super) referrals: Referrals,
}

/// What became of a bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// The password is right.
    Yes,
    /// It is not, or the account cannot log in. `certain`: it really is the password.
    No {
        /// The server does not say that the account is locked, expired or disabled.
        certain: bool,
    },
}

// === impl Connection ===

impl Connection {
    /// Opens a connection; with TLS where the URL or `start_tls` says so. Nothing is sent that is secret.
    pub(super) async fn open(
        url: &Url,
        server: usize,
        start_tls: bool,
        tls: Arc<ClientConfig>,
    ) -> Result<Self, ConnectError> {
        let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
        // Else Nagle and delayed acknowledgements cost 40 ms on every TLS handshake.
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_keepalive(&stream, true).map_err(io::Error::from)?;
        let settings = LdapConnSettings::new()
            .set_config(tls)
            .set_starttls(start_tls && url.scheme == Scheme::Ldap)
            .set_std_stream(StdStream::Tcp(stream.into_std()?));
        let (connection, ldap) = LdapConnAsync::with_settings(settings, &url.to_string()).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(error = error.to_string(), "an LDAP connection ended");
            }
        });
        let now = Instant::now();
        Ok(Self { ldap, driver: driver.abort_handle(), server, opened: now, used: now })
    }

    /// Whether it may be used again: still open as far as can be seen, and neither old nor long unused.
    pub(super) fn is_usable(&mut self) -> bool {
        let fresh = self.used.elapsed() < MAX_IDLE && self.opened.elapsed() < MAX_AGE;
        fresh && !self.driver.is_finished() && !self.ldap.is_closed()
    }

    /// Binds as the service account.
    pub(super) async fn bind_service(&mut self, dn: &str, password: &str) -> Result<(), AskError> {
        match self.bind(dn, password).await? {
            (SUCCESS, _) => Ok(()),
            (code, _) if BUSY.contains(&code) => Err(AskError::Refused { operation: "bind", code }),
            (code, _) => Err(AskError::ServiceAccount { code }),
        }
    }

    /// Binds by the certificate shown in TLS (SASL EXTERNAL).
    pub(super) async fn bind_external(&mut self) -> Result<(), AskError> {
        match self.ldap.sasl_external_bind().await?.rc {
            SUCCESS => Ok(()),
            code => Err(AskError::ServiceAccount { code }),
        }
    }

    /// Binds as a user. Codes that speak of the account are a no, everything else is no answer.
    pub(super) async fn bind_user(&mut self, dn: &str, password: &str) -> Result<Bound, AskError> {
        // A bind without a name or a password is an anonymous one, and succeeds (RFC 4513, section 5.1).
        if dn.is_empty() || password.is_empty() {
            return Ok(Bound::No { certain: true });
        }
        match self.bind(dn, password).await? {
            (SUCCESS, _) => Ok(Bound::Yes),
            (INVALID_CREDENTIALS, text) => Ok(Bound::No { certain: speaks_of_the_password(&text) }),
            (code, _) if NOT_THIS_ACCOUNT.contains(&code) => Ok(Bound::No { certain: false }),
            (code, _) => Err(AskError::Refused { operation: "bind", code }),
        }
    }

    async fn bind(&mut self, dn: &str, password: &str) -> Result<(u32, String), AskError> {
        self.used = Instant::now();
        let result = self.ldap.simple_bind(dn, password).await?;
        Ok((result.rc, result.text))
    }

    /// Whom the server takes us for; `None` when it does not know the question.
    pub(super) async fn who_am_i(&mut self) -> Result<Option<String>, AskError> {
        let answer = self.ldap.extended(WhoAmIRequest).await?;
        match answer.1.rc {
            SUCCESS => {
                let identity = String::from_utf8(answer.0.val.unwrap_or_default());
                identity.map(Some).map_err(|_| AskError::Nonsense("an identity that is not text"))
            }
            PROTOCOL_ERROR | UNAVAILABLE_EXTENSION | UNWILLING => Ok(None),
            code => Err(AskError::Refused { operation: "whoami", code }),
        }
    }

    /// All entries, or an error: never a part of them.
    pub(super) async fn search(&mut self, query: &Query<'_>) -> Result<Vec<Entry>, AskError> {
        self.used = Instant::now();
        let limit = i32::try_from(query.limit).unwrap_or(i32::MAX);
        // With pages the limit would be one for each page at some servers and for all at others.
        let options = if query.paged { SearchOptions::new() } else { SearchOptions::new().sizelimit(limit) };
        // `dyn` is ldap3's own interface.
        let mut adapters: Vec<Box<dyn Adapter<'_, _, _>>> = Vec::new();
        if query.paged {
            adapters.push(Box::new(PagedResults::new(PAGE)));
        }
        self.ldap.with_search_options(options);
        let attributes = query.attributes.clone();
        let mut stream = self
            .ldap
            .streaming_search_with(adapters, query.base, query.scope, query.filter, attributes)
            .await?;
        let mut entries = Vec::new();
        while let Some(entry) = stream.next().await? {
            take(entry, query, &mut entries)?;
        }
        match stream.finish().await.rc {
            SUCCESS => Ok(entries),
            NO_SUCH_OBJECT => Ok(Vec::new()),
            // That there are too many is an answer where one more than enough was asked for.
            SIZE_LIMIT if !query.paged && entries.len() >= query.limit => Ok(entries),
            SIZE_LIMIT => Err(AskError::Incomplete("the server's size limit is reached")),
            TIME_LIMIT => Err(AskError::Incomplete("the server's time limit is reached")),
            REFERRAL => Err(AskError::Incomplete("the server refers to another one")),
            code => Err(AskError::Refused { operation: "search", code }),
        }
    }
}

impl Drop for Connection {
    /// The task may be waiting for a server that does not read.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn take(entry: ResultEntry, query: &Query<'_>, entries: &mut Vec<Entry>) -> Result<(), AskError> {
    if entry.is_intermediate() {
        return Ok(());
    }
    if entry.is_ref() {
        return match query.referrals {
            Referrals::Ignore => Ok(()),
            Referrals::Refuse => Err(AskError::Incomplete("the server refers to another one")),
        };
    }
    match entries.len() >= query.limit {
        true if query.paged => return Err(AskError::Incomplete("there are too many entries")),
        // One more than enough was asked for; a server that does not mind the limit changes nothing.
        true => return Ok(()),
        false => {}
    }
    entries.push(Entry::parse(entry).ok_or(AskError::Nonsense("an entry that is none"))?);
    Ok(())
}

/// Active Directory says 49 for everything and the reason in its text: 52e is a wrong password, 525 no such
/// user; others are locked, expired, disabled, not at this hour.
fn speaks_of_the_password(text: &str) -> bool {
    let Some((_, reason)) = text.split_once(", data ") else { return true };
    reason.starts_with("52e") || reason.starts_with("525")
}

const SUCCESS: u32 = 0;
const PROTOCOL_ERROR: u32 = 2;
const TIME_LIMIT: u32 = 3;
const SIZE_LIMIT: u32 = 4;
const REFERRAL: u32 = 10;
const UNAVAILABLE_EXTENSION: u32 = 12;
const NO_SUCH_OBJECT: u32 = 32;
const INVALID_CREDENTIALS: u32 = 49;
const UNWILLING: u32 = 53;

/// constraintViolation, noSuchObject, inappropriateAuthentication, insufficientAccessRights,
/// unwillingToPerform: what servers say of accounts that are locked, gone, without a password, disabled.
const NOT_THIS_ACCOUNT: [u32; 5] = [19, NO_SUCH_OBJECT, 48, 50, UNWILLING];

/// busy, unavailable: nothing is wrong with the account.
const BUSY: [u32; 2] = [51, 52];

/// Entries in a page; Active Directory sends no more than 1000.
const PAGE: i32 = 500;

/// Servers and firewalls forget connections; they are forgotten here first.
const MAX_IDLE: Duration = Duration::from_secs(45);
const MAX_AGE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wrong_password_counts_as_a_wrong_password() {
        let text = |data: &str| {
            format!(
                "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data {data}, v4563"
            )
        };
        for data in ["52e", "525"] {
            assert!(speaks_of_the_password(&text(data)));
        }
        for data in ["530", "532", "533", "701", "773", "775"] {
            assert!(!speaks_of_the_password(&text(data)), "{data}");
        }
        assert!(speaks_of_the_password(""), "other servers do not say");
    }
}
