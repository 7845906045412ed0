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
pub mod ldap;
pub mod login;
pub mod pool;
pub mod upstream;
pub mod users_file;

use std::collections::HashSet;
use std::sync::Arc;

use policy::identity::{Identity, User, UserName};

use crate::config::{CacheConfig, FailuresConfig};
use crate::credentials::{Credentials, Password};
use crate::network::Client;
use crate::request::{AuthRequest, Vouched};
use accounts::{Account, Accounts};
use hash::HashText;
use ldap::{Checked, Ldap, Member, Unavailable};
use login::{Login, LoginError, Logins, Proof};
use upstream::Upstream;

/// Where users come from, in the order they are asked.
#[derive(Debug)]
pub struct Directories {
    list: Vec<Directory>,
    /// What the passwords of unknown users are verified against. Without it nobody has a password.
    decoy: Option<HashText>,
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

/// What a directory is.
#[derive(Debug)]
pub enum Source {
    /// A file's users, in memory.
    File(Accounts),
    /// A server that is asked over the network.
    Ldap(Arc<Ldap>),
    /// A front server that names the user itself.
    Upstream(Upstream),
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
    /// The password was not verified, or the directory did not say who that is.
    #[error(transparent)]
    Login(#[from] LoginError),
}

/// A login and whoever it is that presents it.
struct Claim<'a> {
    logins: &'a Arc<Logins>,
    user: String,
    password: Arc<Password>,
    client: Client,
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
        if let Some(user) = self.vouched(logins, request).await? {
            return Ok(Identity::User(user));
        }
        let Some(credentials) = request.credentials() else {
            return Ok(Identity::Anonymous);
        };
        let Credentials { user, password } = credentials.map_err(|_| IdentifyError::WrongCredentials)?;
        let claim = Claim { logins, user, password: Arc::new(password), client: request.client };
        self.log_in(&claim).await.map(Identity::User)
    }

    /// Asks one directory after the other. What a file knows it answers without asking any server.
    async fn log_in(&self, claim: &Claim<'_>) -> Result<Arc<User>, IdentifyError> {
        for directory in &self.list {
            match &directory.source {
                Source::File(accounts) => {
                    if let Some(account) = accounts.find(&claim.user) {
                        return self.log_in_by_file(claim, &directory.name, account).await;
                    }
                }
                Source::Ldap(ldap) => {
                    if let Some(user) = self.log_in_by_ldap(claim, ldap).await? {
                        return Ok(user);
                    }
                }
                Source::Upstream(_) => {}
            }
        }
        self.log_in_as_nobody(claim).await
    }

    async fn log_in_by_file(
        &self,
        claim: &Claim<'_>,
        directory: &Arc<str>,
        account: Account<'_>,
    ) -> Result<Arc<User>, IdentifyError> {
        let Some(hash) = account.hash() else { return self.log_in_as_nobody(claim).await };
        match self.verify(claim, directory, &claim.user, Proof::Hash(hash)).await? {
            Checked::Right => account.user().ok_or(IdentifyError::WrongCredentials),
            Checked::Wrong | Checked::Unknown => Err(IdentifyError::WrongCredentials),
        }
    }

    /// `None` where the directory does not know the user.
    async fn log_in_by_ldap(
        &self,
        claim: &Claim<'_>,
        ldap: &Arc<Ldap>,
    ) -> Result<Option<Arc<User>>, IdentifyError> {
        let Some(name) = ldap.fold(&claim.user) else { return Ok(None) };
        let deadline = ldap.deadline();
        let proof = Proof::Bind(Arc::clone(ldap), name.clone(), deadline);
        match self.verify(claim, ldap.name(), name.as_str(), proof).await? {
            Checked::Unknown => return Ok(None),
            Checked::Wrong => return Err(IdentifyError::WrongCredentials),
            Checked::Right => {}
        }
        match claim.logins.member(ldap, &name, deadline).await.map_err(LoginError::from)? {
            Member::User(user) => Ok(Some(user)),
            Member::Nobody => Err(IdentifyError::WrongCredentials),
        }
    }

    /// Who is unknown or has no password costs as much time as who has.
    async fn log_in_as_nobody(&self, claim: &Claim<'_>) -> Result<Arc<User>, IdentifyError> {
        if let Some(decoy) = &self.decoy {
            self.verify(claim, &UNKNOWN.into(), &claim.user, Proof::Decoy(decoy.clone())).await?;
        }
        Err(IdentifyError::WrongCredentials)
    }

    async fn verify(
        &self,
        claim: &Claim<'_>,
        directory: &Arc<str>,
        user: &str,
        proof: Proof,
    ) -> Result<Checked, LoginError> {
        let login = Login {
            directory: Arc::clone(directory),
            user: user.to_owned(),
            password: Arc::clone(&claim.password),
            proof,
            client: claim.client,
            cache: self.cache,
            failures: self.failures,
        };
        claim.logins.verify(login).await
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

    /// The users of every file, each as the first directory that knows them has them.
    pub fn known_users(&self) -> impl Iterator<Item = Arc<User>> {
        let everybody = self.files().flat_map(|(_, accounts)| accounts.iter());
        let mut seen = HashSet::new();
        everybody.filter(move |account| seen.insert(account.name)).filter_map(|account| account.user())
    }

    /// The user of this name, and the directory that answers for them, without a password.
    pub async fn look_up(&self, name: &UserName) -> Result<Option<(Arc<str>, Arc<User>)>, Unavailable> {
        for directory in &self.list {
            let found = match &directory.source {
                Source::File(accounts) => accounts.find(name.as_str()).and_then(|account| account.user()),
                Source::Ldap(ldap) => match ldap.fold(name.as_str()) {
                    Some(name) => ldap.user(&name, ldap.deadline()).await?.into(),
                    None => None,
                },
                Source::Upstream(_) => None,
            };
            if let Some(user) = found {
                return Ok(Some((Arc::clone(&directory.name), user)));
            }
        }
        Ok(None)
    }

    /// Whether every user there is stands in a file.
    pub fn are_files(&self) -> bool {
        self.list.iter().all(|directory| matches!(directory.source, Source::File(_) | Source::Upstream(_)))
    }

    /// The LDAP directories.
    pub fn ldap(&self) -> impl Iterator<Item = &Arc<Ldap>> {
        self.list.iter().filter_map(|directory| match &directory.source {
            Source::Ldap(ldap) => Some(ldap),
            Source::File(_) | Source::Upstream(_) => None,
        })
    }

    /// Takes over the directories of `last` that were made from the same as these, with all they remember.
    pub fn inherit(&mut self, last: &Self) {
        for directory in &mut self.list {
            let Source::Ldap(ldap) = &mut directory.source else { continue };
            let same = |old: &&Arc<Ldap>| old.name() == ldap.name() && old.origin() == ldap.origin();
            if let Some(old) = last.ldap().find(same) {
                *ldap = Arc::clone(old);
            }
        }
    }
}

impl Directory {
    fn accounts(&self) -> Option<&Accounts> {
        match &self.source {
            Source::File(accounts) => Some(accounts),
            Source::Ldap(_) | Source::Upstream(_) => None,
        }
    }

    fn upstream(&self) -> Option<&Upstream> {
        match &self.source {
            Source::Upstream(upstream) => Some(upstream),
            Source::File(_) | Source::Ldap(_) => None,
        }
    }
}

/// Stands in metrics for the directory of a user no directory knows; no directory can be called that.
const UNKNOWN: &str = "(none)";
