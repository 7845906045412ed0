//! `authd.yaml`: what is written in it (`Raw`), and what the rest of the daemon works with ([`Config`]).
//!
//! Every default is in this file and nowhere else. Relative paths are relative to the configuration file.
//! Nothing here opens the files it names.

mod directories;
mod endpoints;
pub mod ldap;

use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::header::HeaderValue;
use daemon::listen::Listen;
use daemon::units::Seconds;
use policy::document::{self, CONFIG_LIMIT, DocumentError, Version};
use policy::git_request::{Mount, Mounts};
use policy::web_request::Web;
use serde::{Deserialize, Deserializer};

use directories::Misfit;
pub use directories::{DirectoryConfig, DirectoryKind};
pub use endpoints::Endpoints;
pub use ldap::LdapConfig;

use crate::network::Network;

/// Everything `authd.yaml` says.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where nginx asks.
    pub listen: Listen,
    /// Where metrics and health are.
    pub admin: Listen,
    /// Which kinds of front servers are answered.
    pub endpoints: Endpoints,
    /// Whose word on a client's address counts, besides that of the own machine.
    pub trusted_proxies: Vec<Network>,
    /// The URL prefixes of git repositories.
    pub mounts: Mounts,
    /// Whether browsers are answered too.
    pub web: Web,
    /// The realm of the Basic challenge.
    pub realm: Realm,
    /// Who may do what.
    pub policy_file: PathBuf,
    /// Another policy that is compared with the first on every decision, and never enforced.
    pub shadow_policy_file: Option<PathBuf>,
    /// The key decisions are signed with.
    pub signing_key_file: PathBuf,
    /// Who says who is who, in the order they are asked.
    pub directories: Vec<DirectoryConfig>,
    /// How long verified logins are remembered.
    pub cache: CacheConfig,
    /// How many wrong passwords are looked at.
    pub failures: FailuresConfig,
}

/// `cache:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// How long a right password stays right without asking again.
    pub ttl: Duration,
    /// How long a wrong one stays wrong.
    pub negative_ttl: Duration,
    /// How long a password that was right is still told from a guess after `ttl`.
    pub stale_if_unavailable: Duration,
    /// How many logins are remembered.
    pub capacity: u64,
}

/// `failures:`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailuresConfig {
    /// Distinct wrong passwords for one user.
    pub per_user: usize,
    /// Distinct wrong logins from one client address.
    pub per_client: usize,
    /// The time they are counted over.
    pub window: Duration,
}

/// A realm that needs no escaping inside the quotes of a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm(String);

/// The text would need escaping inside a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a realm has 1 to 128 printable ASCII characters, without \" and \\")]
pub struct InvalidRealm;

// === impl Config ===

impl Config {
    /// Reads the bytes of the configuration file at `path`.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, DocumentError> {
        let name = path.display().to_string();
        let raw: Raw = document::parse(&name, bytes, CONFIG_LIMIT)?;
        let beside = |file: PathBuf| path.parent().unwrap_or_else(|| Path::new("")).join(file);
        let mounts = match (raw.mount, raw.mounts) {
            (mount, None) => mount.unwrap_or_default().into(),
            (None, Some(mounts)) => mounts,
            (Some(_), Some(_)) => {
                let text = String::from_utf8_lossy(bytes);
                let position = document::locate(&text, &["mount"]);
                let message = "either `mount` or `mounts`, not both".to_owned();
                return Err(DocumentError::new(&name, &text, position, message));
            }
        };
        let refused = |misfit: Misfit| {
            let text = String::from_utf8_lossy(bytes);
            let (list, item) = ("directories", format!("[{}]", misfit.index));
            let key = document::locate(&text, &[list, &item, misfit.key]);
            let position = key.or_else(|| document::locate(&text, &[list, &item]));
            DocumentError::new(&name, &text, position, misfit.message)
        };
        Ok(Self {
            listen: raw.listen,
            admin: raw.admin,
            endpoints: raw.endpoints,
            trusted_proxies: raw.trusted_proxies,
            mounts,
            web: raw.web,
            realm: raw.realm,
            policy_file: beside(raw.policy_file),
            shadow_policy_file: raw.shadow_policy_file.map(beside),
            signing_key_file: beside(raw.signing_key_file),
            directories: directories::build(raw.directories, beside).map_err(refused)?,
            cache: raw.cache.into(),
            failures: raw.failures.into(),
        })
    }

    /// The keys that need a restart to take effect and differ from those the daemon was started with.
    pub fn needs_restart(&self, started: &Self) -> Vec<&'static str> {
        let keys = [
            ("listen", self.listen != started.listen),
            ("admin", self.admin != started.admin),
            ("cache.capacity", self.cache.capacity != started.cache.capacity),
        ];
        keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default = "default_listen")]
    listen: Listen,
    #[serde(default = "default_admin")]
    admin: Listen,
    #[serde(default)]
    endpoints: Endpoints,
    #[serde(default)]
    trusted_proxies: Vec<Network>,
    #[serde(default)]
    mount: Option<Mount>,
    #[serde(default)]
    mounts: Option<Mounts>,
    #[serde(default)]
    web: Web,
    #[serde(default)]
    realm: Realm,
    #[serde(default = "default_policy_file")]
    policy_file: PathBuf,
    shadow_policy_file: Option<PathBuf>,
    #[serde(default = "default_signing_key_file")]
    signing_key_file: PathBuf,
    #[serde(default)]
    directories: Vec<directories::Raw>,
    #[serde(default)]
    cache: RawCache,
    #[serde(default)]
    failures: RawFailures,
}

fn default_listen() -> Listen {
    Listen::Unix("/run/gitward/authd.sock".into())
}

fn default_admin() -> Listen {
    Listen::Tcp(([127, 0, 0, 1], 9181).into())
}

fn default_policy_file() -> PathBuf {
    "policy.yaml".into()
}

fn default_signing_key_file() -> PathBuf {
    "/run/gitward/signing.key".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawCache {
    ttl: Seconds,
    negative_ttl: Seconds,
    stale_if_unavailable: Seconds,
    capacity: NonZeroU64,
}

impl Default for RawCache {
    fn default() -> Self {
        Self {
            ttl: Seconds(Duration::from_secs(120)),
            negative_ttl: Seconds(Duration::from_secs(30)),
            stale_if_unavailable: Seconds(Duration::from_secs(3600)),
            capacity: NonZeroU64::MIN.saturating_add(99_999),
        }
    }
}

impl From<RawCache> for CacheConfig {
    fn from(raw: RawCache) -> Self {
        Self {
            ttl: raw.ttl.duration(),
            negative_ttl: raw.negative_ttl.duration(),
            stale_if_unavailable: raw.stale_if_unavailable.duration(),
            capacity: raw.capacity.get(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawFailures {
    per_user: NonZeroU32,
    per_client: NonZeroU32,
    window: Seconds,
}

impl Default for RawFailures {
    fn default() -> Self {
        Self {
            per_user: NonZeroU32::MIN.saturating_add(4),
            per_client: NonZeroU32::MIN.saturating_add(49),
            window: Seconds(Duration::from_secs(300)),
        }
    }
}

impl From<RawFailures> for FailuresConfig {
    fn from(raw: RawFailures) -> Self {
        Self {
            per_user: raw.per_user.get() as usize,
            per_client: raw.per_client.get() as usize,
            window: raw.window.duration(),
        }
    }
}

// === impl Realm ===

impl Realm {
    /// The whole value of `WWW-Authenticate`.
    pub fn challenge(&self) -> HeaderValue {
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", self.0);
        HeaderValue::try_from(challenge)
            .unwrap_or(HeaderValue::from_static("Basic realm=\"git\", charset=\"UTF-8\""))
    }
}

impl Default for Realm {
    fn default() -> Self {
        Self("git".to_owned())
    }
}

impl FromStr for Realm {
    type Err = InvalidRealm;

    fn from_str(text: &str) -> Result<Self, InvalidRealm> {
        let plain = |byte: u8| (byte == b' ' || byte.is_ascii_graphic()) && byte != b'"' && byte != b'\\';
        match (1..=128).contains(&text.len()) && text.bytes().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidRealm),
        }
    }
}

impl<'de> Deserialize<'de> for Realm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, str::parse)
    }
}

#[cfg(test)]
mod tests;
