//! A directory that is asked over LDAP: who is that, is the password right, which groups.
//!
//! Written so that the directory has nothing to fear: few connections, one bind for any number of equal
//! logins (`login`), a wrong password never twice (`Refused`), no waiting for a server that is silent
//! (`breaker`), a deadline around everything. "Cannot say" is never "wrong".

mod breaker;
mod connection;
mod entry;
mod error;
mod groups;
mod members;
mod origin;
mod outage;
pub mod report;
mod servers;
mod sessions;
mod tls;
mod users;

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use policy::identity::{User, UserName};
use tokio::time::{self, Instant as Deadline};

use crate::credentials::Password;
use crate::failures::Digest;
use breaker::Breaker;
use connection::Bound;
use error::AskError;
use sessions::Sessions;
use users::{Found, Person};

pub use members::Member;
pub use origin::{Origin, OriginError};
pub use tls::TlsError;

/// Why there is no directory.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A file cannot be used.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system has no random bytes.
    #[error("no random bytes to be had")]
    Random(#[from] getrandom::Error),
}

/// One LDAP directory.
#[derive(Debug)]
pub struct Ldap {
    name: Arc<str>,
    /// Tells it from the directory that another configuration made before it.
    id: u64,
    origin: Arc<Origin>,
    sessions: Sessions,
    breaker: Mutex<Breaker>,
    members: members::Members,
    /// Logins whose password was wrong, and when that password was set as far as the entry tells.
    refused: Cache<Digest, Refused>,
}

/// What the directory says of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The password is the user's.
    Right,
    /// It is not.
    Wrong,
    /// There is no such user.
    Unknown,
}

/// The directory gives no answer; why is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the directory gives no answer")]
pub struct Unavailable;

/// A wrong password stays wrong until the password is changed. To try it again before would only
/// bring the account nearer to being locked, for ever if a forgotten client goes on sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused(Option<String>);

// === impl Ldap ===

impl Ldap {
    /// Makes the directory. Nothing is connected before it is needed: a start does not depend on it.
    pub fn new(name: Arc<str>, origin: Origin) -> Result<Self, MakeError> {
        let tls = tls::client_config(&origin.tls)?;
        let (cache, origin) = (origin.cache, Arc::new(origin));
        let ttl = origin.config.groups.as_ref().and_then(|groups| groups.ttl).unwrap_or(cache.ttl);
        Ok(Self {
            name,
            id: getrandom::u64()?,
            sessions: Sessions::new(Arc::clone(&origin), tls),
            breaker: Mutex::new(Breaker::Closed),
            members: members::Members::new(cache, ttl),
            refused: Cache::builder().max_capacity(cache.capacity).time_to_live(REFUSED_FOR).build(),
            origin,
        })
    }

    /// Its name in logs and metrics.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Differs between any two directories there have been in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What it was made from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The one spelling of a presented name; `None` if it could be nobody's.
    pub fn fold(&self, presented: &str) -> Option<UserName> {
        users::fold(&self.origin.config, presented)
    }

    /// Whether it is known not to answer.
    pub fn is_out(&self) -> bool {
        !self.breaker().admits()
    }

    /// Asks whether the password is the user's. `digest` stands for the two.
    pub async fn check(
        self: &Arc<Self>,
        name: &UserName,
        password: &Password,
        digest: Digest,
        deadline: Deadline,
    ) -> Result<Checked, Unavailable> {
        if self.origin.config.withholds(password.expose_text()) {
            tracing::info!(directory = &*self.name, "a password that looks like a token was not sent");
            return Ok(Checked::Wrong);
        }
        let checked = self.ask(deadline, self.check_until(name, password, digest, deadline)).await?;
        let Some(person) = checked.1 else { return Ok(checked.0) };
        // Groups now, within the same deadline: who logs in will need them.
        self.members.find(name, self.ask(deadline, self.member(&person, deadline))).await?;
        Ok(checked.0)
    }

    /// The user of that name with all groups, without a password: disabled users are nobody here too.
    pub async fn user(self: &Arc<Self>, name: &UserName, deadline: Deadline) -> Result<Member, Unavailable> {
        self.members.find(name, self.ask(deadline, self.look_up(name, deadline))).await
    }

    /// What was said of the user so lately that it still counts.
    pub async fn known(&self, name: &UserName) -> Option<Member> {
        self.members.known(name).await
    }

    /// What was said of the user last, for the time the directory is silent.
    pub async fn stale(&self, name: &UserName) -> Option<Arc<User>> {
        self.members.stale(name).await
    }

    async fn check_until(
        &self,
        name: &UserName,
        password: &Password,
        digest: Digest,
        deadline: Deadline,
    ) -> Result<(Checked, Option<Box<Person>>), AskError> {
        let person = match users::find(&self.sessions, &self.origin.config, name, deadline).await? {
            Found::One(person) => person,
            Found::Nobody => return Ok((Checked::Unknown, None)),
            Found::Several => {
                tracing::warn!(
                    directory = &*self.name,
                    user = name.as_str(),
                    "several entries match: login refused"
                );
                return Ok((Checked::Wrong, None));
            }
        };
        if self.is_refused(digest, &person).await {
            return Ok((Checked::Wrong, None));
        }
        match self.sessions.bind(&person.dn, password.expose_text(), deadline).await? {
            Bound::Yes => {
                self.refused.invalidate(&digest).await;
                Ok((Checked::Right, Some(person)))
            }
            Bound::No { certain } => {
                if certain && !person.locked {
                    self.refuse(name, digest, deadline).await;
                }
                Ok((Checked::Wrong, None))
            }
        }
    }

    /// Remembers a wrong password. The entry is read again: the failed bind itself may have changed it.
    async fn refuse(&self, name: &UserName, digest: Digest, deadline: Deadline) {
        if let Ok(Found::One(person)) = users::find(&self.sessions, &self.origin.config, name, deadline).await
        {
            self.refused.insert(digest, Refused(person.mark)).await;
        }
    }

    /// Whether this password was wrong before and the user's has not been changed since.
    async fn is_refused(&self, digest: Digest, person: &Person) -> bool {
        let Some(refused) = self.refused.get(&digest).await else { return false };
        let same = refused.0 == person.mark;
        if same && refused.0.is_some() {
            self.refused.insert(digest, refused).await;
        }
        same
    }

    async fn look_up(&self, name: &UserName, deadline: Deadline) -> Result<Member, AskError> {
        match users::find(&self.sessions, &self.origin.config, name, deadline).await? {
            Found::One(person) => self.member(&person, deadline).await,
            Found::Nobody | Found::Several => Ok(Member::Nobody),
        }
    }

    async fn member(&self, person: &Person, deadline: Deadline) -> Result<Member, AskError> {
        let groups = groups::of(&self.sessions, &self.origin.config, person, deadline).await?;
        let user = User { info: person.info.clone().into(), ..User::new(person.name.clone(), groups) };
        Ok(Member::User(Arc::new(user)))
    }

    /// When an answer to a request that comes now must be there.
    pub fn deadline(&self) -> Deadline {
        Deadline::now() + self.origin.config.timeout
    }

    /// Waits for an answer, but not for a directory that is known to give none, and not for ever.
    async fn ask<T>(
        self: &Arc<Self>,
        deadline: Deadline,
        question: impl Future<Output = Result<T, AskError>>,
    ) -> Result<T, Unavailable> {
        if self.is_out() {
            tracing::debug!(directory = &*self.name, error = AskError::Out.to_string(), "not asked");
            return Err(Unavailable);
        }
        let answer = time::timeout_at(deadline, outage::contained(Box::pin(question)))
            .await
            .unwrap_or(Err(AskError::Late));
        answer.map_err(|error| self.failed(&error))
    }

    /// Nothing in it can be half done when a holder panics.
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// A wrong password that is not sent at all for so long is forgotten.
const REFUSED_FOR: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
pub(super) fn test_config() -> crate::config::LdapConfig {
    let text = "version: 1\ndirectories:\n  - type: ldap\n    urls: [ldap://127.0.0.1]\n    users: { base: dc=x }\n    groups: { base: dc=x }\n";
    let config = crate::config::Config::parse(std::path::Path::new("authd.yaml"), text.as_bytes()).unwrap();
    match config.directories.into_iter().next().unwrap().kind {
        crate::config::DirectoryKind::Ldap(config) => *config,
        kind => panic!("{kind:?}"),
    }
}
