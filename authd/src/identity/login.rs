//! One login: from a presented password to "right" or "wrong", with as little hashing as is safe.
//!
//! Outcomes are remembered under a keyed digest of directory, user, password and stored hash. The password
//! is not stored; a wrong password can never meet a right one's outcome; and once a file holds
//! another hash, the digest is another and nothing need be invalidated. Groups are not remembered: they
//! come from the current snapshot on every request.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use moka::Expiry;
use moka::future::Cache;
use sha2::Sha256;
use tokio::runtime::Handle;

use super::hash::StoredHash;
use super::pool::{HashPool, PoolError};
use crate::config::{CacheConfig, FailuresConfig};
use crate::credentials::Password;
use crate::failures::{Digest, Failures, Limits, Scope, Throttled};
use crate::metrics::{CacheOutcome, DirectoryOutcome, Metrics};
use crate::network::Client;

/// Verifies logins and remembers the outcomes. One for the life of the process.
#[derive(Debug)]
pub struct Logins {
    /// Outcomes, each until its own time is over.
    outcomes: Cache<Digest, Outcome>,
    /// Logins that were right lately: to try them again is no guess.
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
    /// Whose hash it is, by the directory's name.
    pub directory: Arc<str>,
    /// The user name as presented.
    pub user: String,
    /// The password as presented.
    pub password: Password,
    /// The hash to verify against.
    pub hash: Arc<StoredHash>,
    /// The hash belongs to nobody of that name: the work is done, the answer is no.
    pub decoy: bool,
    /// Who asks.
    pub client: Client,
    /// How long to remember.
    pub cache: CacheConfig,
    /// How many guesses to admit.
    pub failures: FailuresConfig,
}

/// Why a login has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Too many wrong ones before it.
    #[error("too many failed logins")]
    Throttled(Throttled),
    /// It could not be verified now.
    #[error("the password could not be checked")]
    Unavailable(#[from] PoolError),
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

#[derive(Clone, Copy, Debug)]
struct Outcome {
    right: bool,
    lifetime: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Proven {
    lifetime: Duration,
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
    pub async fn verify(self: &Arc<Self>, login: Login) -> Result<bool, LoginError> {
        let digest = self.digest(&login);
        if let Some(outcome) = self.outcomes.get(&digest).await {
            self.metrics.credential_cache(CacheOutcome::Hit);
            return Ok(outcome.right);
        }
        // On our own runtime: when the client leaves, its handler is dropped, and with it everything that
        // it awaits. The others who wait for the same login must not be left with nothing.
        let task = self.runtime.spawn(Arc::clone(self).verify_unknown(digest, login));
        task.await.unwrap_or(Err(LoginError::Unavailable(PoolError::Aborted)))
    }

    async fn verify_unknown(self: Arc<Self>, digest: Digest, login: Login) -> Result<bool, LoginError> {
        let scopes = self.scopes(&login);
        let stale = login.cache.stale_if_unavailable;
        if !self.proven.contains_key(&digest) {
            let limits = Limits::from(login.failures);
            let admitted = self.failures().admit(&limits, &scopes, digest, Instant::now());
            admitted.map_err(|throttled| self.throttled(throttled))?;
        }
        let entry = self.outcomes.entry(digest).or_try_insert_with(self.reach_directory(login)).await;
        if !matches!(&entry, Ok(entry) if !entry.value().right) {
            self.failures().forgive(&scopes, digest);
        }
        let entry = entry.map_err(|error| LoginError::Unavailable(*error))?;
        self.metrics.credential_cache(if entry.is_fresh() {
            CacheOutcome::Miss
        } else {
            CacheOutcome::Joined
        });
        if entry.value().right {
            self.proven.insert(digest, Proven { lifetime: stale }).await;
        }
        Ok(entry.value().right)
    }

    /// The one verification. Only outcomes are remembered, never that there was none.
    async fn reach_directory(&self, login: Login) -> Result<Outcome, PoolError> {
        let Login { directory, password, hash, decoy, cache, .. } = login;
        let started = Instant::now();
        let verified = self.pool.run(move |scratch| hash.verify(password.expose(), scratch)).await;
        if verified == Err(PoolError::Full) {
            self.metrics.throttled("queue");
        }
        let outcome = match verified {
            Ok(_) if decoy => DirectoryOutcome::Unknown,
            Ok(true) => DirectoryOutcome::Right,
            Ok(false) => DirectoryOutcome::Wrong,
            Err(_) => DirectoryOutcome::Error,
        };
        self.metrics.directory_request(&directory, outcome, started.elapsed());
        let right = verified? && !decoy;
        Ok(Outcome { right, lifetime: if right { cache.ttl } else { cache.negative_ttl } })
    }

    fn throttled(&self, throttled: Throttled) -> LoginError {
        self.metrics.throttled(match throttled.scope {
            Scope::User(_) => "user",
            Scope::Client(_) => "client",
        });
        LoginError::Throttled(throttled)
    }

    fn digest(&self, login: &Login) -> Digest {
        let parts = [
            login.directory.as_bytes(),
            &[u8::from(login.decoy)],
            login.user.as_bytes(),
            login.password.expose(),
            login.hash.as_str().as_bytes(),
        ];
        self.keyed(&parts)
    }

    /// A name is counted whether anybody has it or not.
    fn scopes(&self, login: &Login) -> Vec<Scope> {
        let user = Scope::User(self.keyed(&[login.user.as_bytes()]));
        std::iter::once(user).chain(login.client.bucket().map(Scope::Client)).collect()
    }

    /// Each part goes in with its length before it, so that no two lists of parts look alike.
    fn keyed(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
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

/// Every entry lives as long as it says, counted from when it was made. Reading does not prolong it, or a
/// client that polls would keep a revoked password alive.
struct Lifetime;

impl Expiry<Digest, Outcome> for Lifetime {
    fn expire_after_create(&self, _: &Digest, outcome: &Outcome, _: Instant) -> Option<Duration> {
        Some(outcome.lifetime)
    }

    fn expire_after_update(
        &self,
        _: &Digest,
        outcome: &Outcome,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(outcome.lifetime)
    }
}

impl Expiry<Digest, Proven> for Lifetime {
    fn expire_after_create(&self, _: &Digest, proven: &Proven, _: Instant) -> Option<Duration> {
        Some(proven.lifetime)
    }

    fn expire_after_update(
        &self,
        _: &Digest,
        proven: &Proven,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(proven.lifetime)
    }
}

/// SHA-256's block, in bytes.
const HMAC_BLOCK: usize = 64;

#[cfg(test)]
mod tests {
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
        hash: Arc<StoredHash>,
    }

    impl Fixture {
        fn new() -> Self {
            let metrics = Metrics::new().unwrap();
            let logins = Arc::new(Logins::new(100, Handle::current(), metrics.clone()).unwrap());
            let hash = Arc::new(StoredHash::parse(&argon2id::hash_new(b"right").unwrap()).unwrap());
            Self { logins, metrics, hash }
        }

        fn login(&self, password: &str) -> Login {
            Login {
                directory: "users".into(),
                user: "joe".into(),
                password: Password::new(password).unwrap(),
                hash: Arc::clone(&self.hash),
                decoy: false,
                client: Client::parse(b"192.0.2.1"),
                cache: CACHE,
                failures: FailuresConfig { per_user: 2, per_client: 10, window: Duration::from_secs(60) },
            }
        }

        async fn verify(&self, password: &str) -> Result<bool, LoginError> {
            self.logins.verify(self.login(password)).await
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
        fixture.hash = Arc::new(StoredHash::parse(&argon2id::hash_new(b"other").unwrap()).unwrap());
        assert_eq!(fixture.verify("right").await, Ok(false));
        assert_eq!(fixture.verify("other").await, Ok(true));
    }

    #[tokio::test]
    async fn a_decoy_is_never_right_even_with_the_password_of_the_hash() {
        let fixture = Fixture::new();
        let login = Login { decoy: true, ..fixture.login("right") };
        assert_eq!(fixture.logins.verify(login).await, Ok(false));
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
