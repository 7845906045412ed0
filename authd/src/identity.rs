//! Who asks: the configured directories, and how a request becomes an identity.
//!
//! The first directory that knows a user answers for them; a wrong password there is not tried elsewhere.
//! "Cannot say" and "wrong" are different errors and never stand for one another. What an identity may do
//! is not decided here.

pub mod accounts;
mod apr1;
pub mod argon2id;
pub mod hash;
pub mod htpasswd;
pub mod login;
pub mod pool;
pub mod users_file;

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header::HeaderName;
use policy::identity::{Identity, User, UserName};

use crate::config::{CacheConfig, FailuresConfig};
use crate::credentials::Credentials;
use crate::network::{Network, Peer};
use crate::request::{AuthRequest, Vouched};
use accounts::{Account, Accounts};
use hash::StoredHash;
use login::{Login, LoginError, Logins};

/// Where users come from, in the order they are asked.
#[derive(Debug)]
pub struct Directories {
    list: Vec<Directory>,
    /// What the passwords of unknown users are verified against. Without it nobody has a password.
    decoy: Option<Arc<StoredHash>>,
    cache: CacheConfig,
    failures: FailuresConfig,
}

/// One directory.
#[derive(Debug)]
pub struct Directory {
    /// Its name in logs and metrics.
    pub name: Arc<str>,
    /// What it is.
    pub source: Source,
}

/// What a directory is. A directory that is asked over the network becomes another variant here.
#[derive(Debug)]
pub enum Source {
    /// A file's users, in memory.
    File(Accounts),
    /// A front server that names the user itself.
    Upstream(Upstream),
}

/// A front server that has authenticated the user.
#[derive(Debug)]
pub struct Upstream {
    /// Where it names the user.
    pub header: HeaderName,
    /// The place in the list of the directory that knows the user's groups.
    pub groups_from: usize,
    /// TCP peers that are trusted.
    pub addresses: Vec<Network>,
}

/// Why nobody can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifyError {
    /// Malformed, unknown user, or wrong password: from outside there is no difference.
    #[error("wrong credentials")]
    WrongCredentials,
    /// A user is named by a peer that nobody trusts to do so.
    #[error("an untrusted peer names a user")]
    UntrustedPeer,
    /// The front server names a user no directory knows.
    #[error("the front server names a user the directory does not know")]
    UnknownToGroups,
    /// The password was not verified.
    #[error(transparent)]
    Login(#[from] LoginError),
}

// === impl Directories ===

impl Directories {
    /// Takes the directories in their order.
    pub fn new(list: Vec<Directory>, cache: CacheConfig, failures: FailuresConfig) -> Self {
        let files = list.iter().filter_map(|directory| directory.accounts());
        let decoy = accounts::decoy(files);
        Self { list, decoy, cache, failures }
    }

    /// Says who sent the request; without credentials it is [`Identity::Anonymous`].
    pub async fn identify(
        &self,
        logins: &Arc<Logins>,
        request: &AuthRequest<'_>,
    ) -> Result<Identity, IdentifyError> {
        if let Some(user) = self.vouched(request)? {
            return Ok(Identity::User(user));
        }
        let Some(credentials) = request.credentials() else {
            return Ok(Identity::Anonymous);
        };
        let credentials = credentials.map_err(|_| IdentifyError::WrongCredentials)?;
        let known = self.find(&credentials.user);
        let login = self.login(known, credentials, request).ok_or(IdentifyError::WrongCredentials)?;
        let right = logins.verify(login).await?;
        match known {
            Some((_, account)) if right => Ok(Identity::User(Arc::clone(&account.user))),
            _ => Err(IdentifyError::WrongCredentials),
        }
    }

    /// Whether the request says who sent it, truly or not.
    pub fn names_anybody(&self, request: &AuthRequest<'_>) -> bool {
        let mut upstreams = self.list.iter().filter_map(Directory::upstream);
        request.has_credentials()
            || upstreams.any(|upstream| request.vouched_in(&upstream.header) != Vouched::Nobody)
    }

    /// Each directory's name and, where it is a file, how many users it has.
    pub fn summary(&self) -> impl Iterator<Item = (&str, Option<usize>)> {
        self.list.iter().map(|directory| (directory.name.as_ref(), directory.accounts().map(Accounts::len)))
    }

    /// The directories that are files, with their users.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Accounts)> {
        self.list.iter().filter_map(|directory| Some((directory.name.as_ref(), directory.accounts()?)))
    }

    /// Whether every user there is stands in a file.
    pub fn are_files(&self) -> bool {
        self.list.iter().all(|directory| matches!(directory.source, Source::File(_) | Source::Upstream(_)))
    }

    /// The user a front server vouches for. Once it names one, passwords do not count any more.
    fn vouched(&self, request: &AuthRequest<'_>) -> Result<Option<Arc<User>>, IdentifyError> {
        for upstream in self.list.iter().filter_map(Directory::upstream) {
            let name = match request.vouched_in(&upstream.header) {
                Vouched::Nobody => continue,
                _ if !upstream.trusts(request.peer) => return Err(IdentifyError::UntrustedPeer),
                Vouched::Unreadable => return Err(IdentifyError::UnknownToGroups),
                Vouched::For(name) => UserName::parse(name).map_err(|_| IdentifyError::UnknownToGroups)?,
            };
            let accounts = self.list.get(upstream.groups_from).and_then(Directory::accounts);
            let account = accounts.and_then(|accounts| accounts.find(&name));
            let account = account.ok_or(IdentifyError::UnknownToGroups)?;
            return Ok(Some(Arc::clone(&account.user)));
        }
        Ok(None)
    }

    fn find(&self, user: &str) -> Option<(&Directory, &Account)> {
        let name = UserName::parse(user).ok()?;
        self.list.iter().find_map(|directory| Some((directory, directory.accounts()?.find(&name)?)))
    }

    /// What to verify. Who is unknown or has no password costs as much time as who has.
    fn login(
        &self,
        known: Option<(&Directory, &Account)>,
        credentials: Credentials,
        request: &AuthRequest<'_>,
    ) -> Option<Login> {
        let own = known.and_then(|(_, account)| account.hash.clone());
        let directory = known.map_or_else(|| UNKNOWN.into(), |(directory, _)| Arc::clone(&directory.name));
        Some(Login {
            directory,
            decoy: own.is_none(),
            hash: own.or_else(|| self.decoy.clone())?,
            user: credentials.user,
            password: credentials.password,
            client: request.client,
            cache: self.cache,
            failures: self.failures,
        })
    }
}

impl Directory {
    fn accounts(&self) -> Option<&Accounts> {
        match &self.source {
            Source::File(accounts) => Some(accounts),
            Source::Upstream(_) => None,
        }
    }

    fn upstream(&self) -> Option<&Upstream> {
        match &self.source {
            Source::Upstream(upstream) => Some(upstream),
            Source::File(_) => None,
        }
    }
}

impl Upstream {
    /// The Unix socket's file permissions say who may connect; TCP peers must be listed.
    fn trusts(&self, peer: Peer) -> bool {
        let listed = |address: IpAddr| self.addresses.iter().any(|network| network.contains(address));
        match peer {
            Peer::Unix => true,
            Peer::Tcp(address) => listed(address),
            Peer::Unknown => false,
        }
    }
}

/// Stands in metrics for the directory of a user no directory knows; no directory can be called that.
const UNKNOWN: &str = "(none)";
