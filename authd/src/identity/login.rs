//! One login: from a presented password to "right" or "wrong", with as little hashing and asking as is safe.
//!
//! Outcomes are remembered under a keyed digest of directory, user, password and stored hash. The password
//! is not stored; a wrong password can never meet a right one's outcome; and once a file holds
//! another hash, the digest is another and nothing need be invalidated. Groups are not remembered here: they
//! come from the current snapshot, or from the directory's own memory, on every request.
//!
//! A password that was right lately stays right while its directory gives no answer.

mod digest;
mod memory;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use moka::future::Cache;
use policy::identity::UserName;
use tokio::runtime::Handle;
use tokio::time::Instant as Deadline;

use super::hash::HashText;
use super::ldap::{self, Checked, Ldap, Member};
use super::pool::{HashPool, PoolError};
use crate::config::{CacheConfig, FailuresConfig};
use crate::credentials::Password;
use crate::failures::{Digest, Failures, Limits, Scope, Throttled};
use crate::metrics::{CacheOutcome, DirectoryOutcome, Metrics};
use crate::network::Client;
use digest::HMAC_BLOCK;
use memory::{Lifetime, Outcome, Proven};

/// Verifies logins and remembers the outcomes. One for the life of the process.
#[derive(Debug)]
pub struct Logins {
    /// Outcomes, each until its own time is over.
    outcomes: Cache<Digest, Outcome>,
    /// Logins that were right lately: to try them again is no guess, and they outlast an outage.
    proven: Cache<Digest, Proven>,
    /// Never held across an await.
    failures: Mutex<Failures>,
    pool: HashPool,
    /// Random for each process, as long as HMAC takes it unhashed, so that digests in a memory dump cannot be tried out.
    key: [u8; HMAC_BLOCK],
    runtime: Handle,
    metrics: Metrics,
}

/// A password to verify.
#[derive(Debug)]
pub struct Login {
    /// Who says what is right, by the directory's name.
    pub directory: Arc<str>,
    /// The user name, as presented or in its one spelling.
    pub user: String,
    /// The password as presented.
    pub password: Arc<Password>,
    /// What to verify it against.
    pub proof: Proof,
    /// Who asks.
    pub client: Client,
    /// How long to remember.
    pub cache: CacheConfig,
    /// How many guesses to admit.
    pub failures: FailuresConfig,
}

/// What tells a right password from a wrong one.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The stored hash of the user's, as it is written.
    Hash(HashText),
    /// A hash that belongs to nobody of that name: the work is done, the answer is no.
    Decoy(HashText),
    /// The directory, by a bind as the user of that name, until the deadline.
    Bind(Arc<Ldap>, UserName, Deadline),
}

/// Why a login has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Too many wrong ones before it.
    #[error("too many failed logins")]
    Throttled(Throttled),
    /// It could not be verified now.
    #[error("the password could not be checked: {0}")]
    Unavailable(#[from] Unavailable),
}

/// Why something could not be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No thread for it.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// No answer.
    #[error(transparent)]
    Directory(#[from] ldap::Unavailable),
}

/// Why no login can be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum LoginsError {
    /// There is no key to be had.
    #[error("no random bytes to be had for the login cache")]
    NoRandom(#[source] getrandom::Error),
    /// There are no threads to be had.
    #[error("cannot start threads to check passwords")]
    NoThreads(#[source] io::Error),
}

// === impl Logins ===

impl Logins {
    /// Remembers up to `capacity` outcomes; waits on `runtime`, which must outlive every request.
    pub fn new(capacity: u64, runtime: Handle, metrics: Metrics) -> Result<Self, LoginsError> {
        let mut key = [0; HMAC_BLOCK];
        getrandom::fill(&mut key).map_err(LoginsError::NoRandom)?;
        Ok(Self {
            outcomes: Cache::builder().max_capacity(capacity).expire_after(Lifetime).build(),
            proven: Cache::builder().max_capacity(capacity).expire_after(Lifetime).build(),
            failures: Mutex::default(),
            pool: HashPool::start().map_err(LoginsError::NoThreads)?,
            key,
            runtime,
            metrics,
        })
    }

    /// Whether the password is right. Any number of identical logins at once cost one verification.
    pub async fn verify(self: &Arc<Self>, login: Login) -> Result<Checked, LoginError> {
        let digest = self.digest(&login);
        if let Some(outcome) = self.outcomes.get(&digest).await {
            self.metrics.credential_cache(CacheOutcome::Hit);
            return Ok(outcome.checked);
        }
        // On our own runtime: when the client leaves, its handler is dropped, and with it everything that
        // it awaits. The others who wait for the same login must not be left with nothing.
        let task = self.runtime.spawn(Arc::clone(self).verify_unknown(digest, login));
        task.await.unwrap_or_else(|_| Err(LoginError::Unavailable(PoolError::Aborted.into())))
    }

    async fn verify_unknown(self: Arc<Self>, digest: Digest, login: Login) -> Result<Checked, LoginError> {
        let (scopes, guess) = (self.scopes(&login), self.guess(&login));
        let proven = self.proven.contains_key(&digest);
        if !proven {
            let limits = Limits::from(login.failures);
            let admitted = self.failures().admit(&limits, &scopes, guess, Instant::now());
            admitted.map_err(|throttled| self.throttled(throttled))?;
        }
        let stale = login.cache.stale_if_unavailable;
        let reached = Box::pin(self.reach_directory(digest, login));
        let entry = self.outcomes.entry(digest).or_try_insert_with(reached).await;
        if !matches!(&entry, Ok(entry) if entry.value().checked != Checked::Right) {
            self.failures().forgive(&scopes, guess);
        }
        let entry = match entry {
            Err(error) if proven && matches!(*error, Unavailable::Directory(_)) => {
                self.metrics.credential_cache(CacheOutcome::Stale);
                return Ok(Checked::Right);
            }
            entry => entry.map_err(|error| *error)?,
        };
        self.metrics.credential_cache(if entry.is_fresh() {
            CacheOutcome::Miss
        } else {
            CacheOutcome::Joined
        });
        match entry.value().checked {
            Checked::Right => self.proven.insert(digest, Proven { lifetime: stale }).await,
            Checked::Wrong | Checked::Unknown => self.proven.invalidate(&digest).await,
        }
        Ok(entry.value().checked)
    }

    /// The user of that name, with all groups: as remembered, as the directory says, or while it says
    /// nothing, as it said last.
    pub async fn member(
        self: &Arc<Self>,
        directory: &Arc<Ldap>,
        name: &UserName,
        deadline: Deadline,
    ) -> Result<Member, Unavailable> {
        if let Some(member) = directory.known(name).await {
            return Ok(member);
        }
        let looked_up = Arc::clone(self).look_up(Arc::clone(directory), name.clone(), deadline);
        let task = self.runtime.spawn(looked_up);
        task.await.unwrap_or_else(|_| Err(PoolError::Aborted.into()))
    }

    async fn look_up(
        self: Arc<Self>,
        directory: Arc<Ldap>,
        name: UserName,
        deadline: Deadline,
    ) -> Result<Member, Unavailable> {
        let started = Instant::now();
        let found = directory.user(&name, deadline).await;
        let outcome = match &found {
            Ok(Member::User(_)) => DirectoryOutcome::Found,
            Ok(Member::Nobody) => DirectoryOutcome::Unknown,
            Err(_) => DirectoryOutcome::Error,
        };
        self.metrics.directory_request(directory.name(), outcome, started.elapsed());
        match (found, directory.stale(&name).await) {
            (Err(_), Some(user)) => {
                self.metrics.credential_cache(CacheOutcome::Stale);
                Ok(Member::User(user))
            }
            (found, _) => Ok(found?),
        }
    }

    /// The one verification. Only outcomes are remembered, never that there was none.
    async fn reach_directory(&self, digest: Digest, login: Login) -> Result<Outcome, Unavailable> {
        let Login { directory, password, proof, cache, failures, .. } = login;
        let started = Instant::now();
        let (checked, wrong_for) = match proof {
            Proof::Hash(hash) => (self.hash(hash, password, Checked::Wrong).await, cache.negative_ttl),
            Proof::Decoy(hash) => {
                let vain = self.hash(hash, password, Checked::Unknown).await;
                (vain.map(|_| Checked::Unknown), cache.negative_ttl)
            }
            Proof::Bind(ldap, name, deadline) => {
                let checked = ldap.check(&name, &password, digest, deadline).await;
                (checked.map_err(Unavailable::from), cache.negative_ttl.max(failures.window))
            }
        };
        let outcome = match checked {
            Ok(Checked::Right) => DirectoryOutcome::Right,
            Ok(Checked::Wrong) => DirectoryOutcome::Wrong,
            Ok(Checked::Unknown) => DirectoryOutcome::Unknown,
            Err(_) => DirectoryOutcome::Error,
        };
        self.metrics.directory_request(&directory, outcome, started.elapsed());
        let lifetime = match checked? {
            Checked::Right => cache.ttl,
            Checked::Wrong => wrong_for,
            Checked::Unknown => cache.negative_ttl,
        };
        Ok(Outcome { checked: checked?, lifetime })
    }

    async fn hash(
        &self,
        hash: HashText,
        password: Arc<Password>,
        otherwise: Checked,
    ) -> Result<Checked, Unavailable> {
        // It was read before, when its file was.
        let Ok(hash) = hash.parse() else { return Ok(otherwise) };
        let verified = self.pool.run(move |scratch| hash.verify(password.expose(), scratch)).await;
        if verified == Err(PoolError::Full) {
            self.metrics.throttled("queue");
        }
        Ok(if verified? { Checked::Right } else { otherwise })
    }

    fn throttled(&self, throttled: Throttled) -> LoginError {
        self.metrics.throttled(match throttled.scope {
            Scope::User(_) => "user",
            Scope::Client(_) => "client",
        });
        LoginError::Throttled(throttled)
    }

    /// Nothing in the table can be half done when a holder panics: each step leaves it whole.
    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<FailuresConfig> for Limits {
    fn from(config: FailuresConfig) -> Self {
        Self { per_user: config.per_user, per_client: config.per_client, window: config.window }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::argon2id;

    const CACHE: CacheConfig = CacheConfig {
        ttl: Duration::from_secs(60),
        negative_ttl: Duration::from_secs(60),
        stale_if_unavailable: Duration::from_secs(600),
        capacity: 100,
    };

    struct Fixture {
        logins: Arc<Logins>,
        metrics: Metrics,
        hash: HashText,
    }

    impl Fixture {
        fn new() -> Self {
            let metrics = Metrics::new().unwrap();
            let logins = Arc::new(Logins::new(100, Handle::current(), metrics.clone()).unwrap());
            let hash = HashText::new(&argon2id::hash_new(b"right").unwrap());
            Self { logins, metrics, hash }
        }

        fn login(&self, password: &str) -> Login {
            Login {
                directory: "users".into(),
                user: "joe".into(),
                password: Arc::new(Password::new(password).unwrap()),
                proof: Proof::Hash(self.hash.clone()),
                client: Client::parse(b"192.0.2.1"),
                cache: CACHE,
                failures: FailuresConfig { per_user: 2, per_client: 10, window: Duration::from_secs(60) },
            }
        }

        async fn verify(&self, password: &str) -> Result<bool, LoginError> {
            let checked = self.logins.verify(self.login(password)).await;
            checked.map(|checked| checked == Checked::Right)
        }

        fn verifications(&self) -> u64 {
            self.metrics.verifications()
        }
    }

    #[tokio::test]
    async fn an_outcome_is_remembered_whether_right_or_wrong() {
        let fixture = Fixture::new();
        for _ in 0..3 {
            assert_eq!(fixture.verify("right").await, Ok(true));
            assert_eq!(fixture.verify("wrong").await, Ok(false));
        }
        assert_eq!(fixture.verifications(), 2);
    }

    #[tokio::test]
    async fn a_changed_hash_is_effective_at_once() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.verify("right").await, Ok(true));
        fixture.hash = HashText::new(&argon2id::hash_new(b"other").unwrap());
        assert_eq!(fixture.verify("right").await, Ok(false));
        assert_eq!(fixture.verify("other").await, Ok(true));
    }

    #[tokio::test]
    async fn a_decoy_is_never_right_even_with_the_password_of_the_hash() {
        let fixture = Fixture::new();
        let login = Login { proof: Proof::Decoy(fixture.hash.clone()), ..fixture.login("right") };
        assert_eq!(fixture.logins.verify(login).await, Ok(Checked::Unknown));
        assert_eq!(fixture.verify("right").await, Ok(true));
    }

    #[tokio::test]
    async fn a_throttled_guess_costs_no_verification_and_a_known_password_keeps_working() {
        let fixture = Fixture::new();
        assert_eq!(fixture.verify("right").await, Ok(true));
        assert_eq!(fixture.verify("guess 1").await, Ok(false));
        assert_eq!(fixture.verify("guess 2").await, Ok(false));
        assert!(matches!(fixture.verify("guess 3").await, Err(LoginError::Throttled(_))));
        assert_eq!(fixture.verifications(), 3);
        assert_eq!(fixture.verify("right").await, Ok(true));
        assert_eq!(
            fixture.verify("guess 1").await,
            Ok(false),
            "the same guess again is answered from memory"
        );
    }

    #[tokio::test]
    async fn a_password_that_was_right_before_is_no_guess_after_its_outcome_is_forgotten() {
        let fixture = Fixture::new();
        assert_eq!(fixture.verify("right").await, Ok(true));
        for guess in ["guess 1", "guess 2"] {
            assert_eq!(fixture.verify(guess).await, Ok(false));
        }
        fixture.logins.outcomes.invalidate(&fixture.logins.digest(&fixture.login("right"))).await;
        assert_eq!(fixture.verify("right").await, Ok(true));
    }

    #[tokio::test]
    async fn no_shifting_of_bytes_between_user_and_password_makes_the_same_digest() {
        let fixture = Fixture::new();
        let digest = |user: &str, password: &str| {
            fixture.logins.digest(&Login { user: user.into(), ..fixture.login(password) })
        };
        assert_ne!(digest("joe", "xsecret"), digest("joex", "secret"));
        assert_ne!(digest(&"u".repeat(60), "a"), digest(&"u".repeat(60), "b"));
        assert_eq!(digest("joe", "secret"), digest("joe", "secret"));
    }
}
