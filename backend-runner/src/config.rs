//! `backend-runner.yaml`: what the file says (`Raw…`), and what the daemon works with (`Config`).
//!
//! Every default is here, or with the limits in `limits`, and nowhere else. Paths in the file are relative to the file. Unknown keys are errors, so a
//! setting that this version does not know cannot be believed to be in force.

mod cache;
mod gitweb;
mod limits;
mod maintenance;

use std::io;
use std::path::{Path, PathBuf};

use daemon::listen::Listen;
use daemon::units::Seconds;
use policy::document::{self, CONFIG_LIMIT, DocumentError, Version};
use policy::web_request::Web;
use serde::Deserialize;

use crate::alias::Aliases;
use crate::engine::EngineKind;
use crate::push::directory::default_scratch;

use self::cache::RawCache;
pub use self::cache::{Admission, Cache};
use self::gitweb::RawGitweb;
pub use self::gitweb::{Gitweb, Search, Snapshot, WebUrl};
pub use self::limits::Limits;
use self::limits::RawLimits;
pub use self::maintenance::Maintenance;
use self::maintenance::RawMaintenance;

/// The settings of one daemon.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file they are from.
    pub file: PathBuf,
    /// Where nginx finds the daemon.
    pub listen: Listen,
    /// Where a monitoring system finds it, if at all.
    pub admin: Option<Listen>,
    /// The project root.
    pub repositories: PathBuf,
    /// The policy.
    pub policy_file: PathBuf,
    /// The key shared with authd.
    pub signing_key_file: PathBuf,
    /// The git program.
    pub git: PathBuf,
    /// Whether repositories without `git-daemon-export-ok` are served.
    pub export_all: bool,
    /// Whether plain files are served to clients that speak no smart HTTP.
    pub dumb_http: bool,
    /// Whether clients may leave objects out of what they fetch; `None` leaves it to each repository.
    pub allow_filter: Option<bool>,
    /// Whether pushers may send options, which hooks then see.
    pub push_options: bool,
    /// Other URLs of repositories.
    pub aliases: Aliases,
    /// How git is run.
    pub engine: EngineKind,
    /// Hooks of all repositories.
    pub hooks: Hooks,
    /// How much, how many, how long.
    pub limits: Limits,
    /// When repositories are cared for, and at what cost.
    pub maintenance: Maintenance,
    /// What is kept of git's answers.
    pub cache: Cache,
    /// Whether browsers are answered too.
    pub web: Web,
    /// How.
    pub gitweb: Gitweb,
    /// Where every request leaves a record.
    pub audit_log: Option<PathBuf>,
}

/// Hooks of all repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// The managed `core.hooksPath`.
    pub directory: Option<PathBuf>,
    /// How long one hook may take.
    pub timeout: std::time::Duration,
    /// Where a site's own hooks are.
    pub external: Option<PathBuf>,
    /// Where pushes get their private directories.
    pub scratch: PathBuf,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not a valid document.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl Config {
    /// Reads and checks `path`.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let read_error = |source| LoadError::Read { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(read_error)?;
        let bytes = std::fs::read(&path).map_err(read_error)?;
        Self::parse(&path, &bytes)
    }

    /// Reads the content of the file at `path`, which is absolute.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, LoadError> {
        let raw: RawConfig = document::parse(&path.display().to_string(), bytes, CONFIG_LIMIT)?;
        let base = path.parent().unwrap_or_else(|| Path::new("/"));
        let beside = |path: PathBuf| base.join(path);
        Ok(Self {
            file: path.to_owned(),
            listen: raw.listen,
            admin: raw.admin,
            repositories: beside(raw.repositories),
            policy_file: beside(raw.policy_file),
            signing_key_file: beside(raw.signing_key_file),
            git: raw.git,
            export_all: raw.export_all,
            dumb_http: raw.dumb_http,
            allow_filter: raw.allow_filter,
            push_options: raw.push_options,
            aliases: unchained(raw.aliases, path, bytes)?,
            engine: raw.engine,
            audit_log: raw.audit_log.map(beside),
            web: raw.web,
            gitweb: raw.gitweb.into(),
            hooks: Hooks {
                directory: raw.hooks.directory.map(beside),
                timeout: raw.hooks.timeout.duration(),
                external: raw.hooks.external.map(beside),
                scratch: raw.hooks.scratch.map_or_else(default_scratch, beside),
            },
            limits: raw.limits.into(),
            maintenance: raw.maintenance.into(),
            cache: raw.cache.beside(base),
        })
    }

    /// The keys that need a restart to take effect and differ from those the daemon was started with.
    #[must_use]
    pub fn needs_restart(&self, started: &Self) -> Vec<&'static str> {
        let keys = [
            ("listen", self.listen != started.listen),
            ("admin", self.admin != started.admin),
            ("audit_log", self.audit_log != started.audit_log),
            ("limits.drain", self.limits.drain != started.limits.drain),
        ];
        keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }

    /// What is different from `last`, for the log.
    #[must_use]
    pub fn changes(&self, last: &Self) -> Vec<String> {
        let keys = [
            ("repositories", self.repositories != last.repositories),
            ("policy_file", self.policy_file != last.policy_file),
            ("signing_key_file", self.signing_key_file != last.signing_key_file),
            ("git", self.git != last.git),
            ("export_all", self.export_all != last.export_all),
            ("dumb_http", self.dumb_http != last.dumb_http),
            ("aliases", self.aliases != last.aliases),
            ("engine", self.engine != last.engine),
            ("hooks", self.hooks != last.hooks),
            ("web", self.web != last.web),
            ("gitweb", self.gitweb != last.gitweb),
            ("limits", self.limits != last.limits),
            ("maintenance", self.maintenance != last.maintenance),
            ("cache", self.cache != last.cache),
        ];
        keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| format!("{key} changed")).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default = "default_listen")]
    listen: Listen,
    #[serde(default)]
    admin: Option<Listen>,
    repositories: PathBuf,
    #[serde(default = "default_policy_file")]
    policy_file: PathBuf,
    #[serde(default = "default_signing_key_file")]
    signing_key_file: PathBuf,
    #[serde(default = "default_git")]
    git: PathBuf,
    #[serde(default = "yes")]
    export_all: bool,
    #[serde(default)]
    dumb_http: bool,
    #[serde(default)]
    allow_filter: Option<bool>,
    #[serde(default)]
    push_options: bool,
    #[serde(default)]
    aliases: Aliases,
    #[serde(default)]
    engine: EngineKind,
    #[serde(default)]
    hooks: RawHooks,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    maintenance: RawMaintenance,
    #[serde(default)]
    cache: RawCache,
    #[serde(default)]
    web: Web,
    #[serde(default)]
    gitweb: RawGitweb,
    #[serde(default)]
    audit_log: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHooks {
    directory: Option<PathBuf>,
    timeout: Seconds,
    external: Option<PathBuf>,
    scratch: Option<PathBuf>,
}

impl Default for RawHooks {
    fn default() -> Self {
        Self { directory: None, timeout: seconds(60), external: None, scratch: None }
    }
}

fn seconds(count: u64) -> Seconds {
    Seconds(std::time::Duration::from_secs(count))
}

fn default_listen() -> Listen {
    Listen::Unix("/run/gitward/backend-runner.sock".into())
}

fn default_policy_file() -> PathBuf {
    "policy.yaml".into()
}

fn default_signing_key_file() -> PathBuf {
    "/run/gitward/signing.key".into()
}

fn default_git() -> PathBuf {
    "/usr/bin/git".into()
}

/// Aliases of which none stands for another.
fn unchained(aliases: Aliases, path: &Path, bytes: &[u8]) -> Result<Aliases, DocumentError> {
    let Some(name) = aliases.chained() else { return Ok(aliases) };
    let text = String::from_utf8_lossy(bytes);
    let position = document::locate(&text, &["aliases", name.as_str(), "repository"]);
    let message = "an alias stands for a repository, not for another alias".to_owned();
    Err(DocumentError::new(&path.display().to_string(), &text, position, message))
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, LoadError> {
        Config::parse(Path::new("/etc/gitward/backend-runner.yaml"), text.as_bytes())
    }

    #[test]
    fn the_shortest_configuration_names_the_repositories() {
        let config = parse("version: 1\nrepositories: /srv/git\n").unwrap();
        assert_eq!(config.policy_file, Path::new("/etc/gitward/policy.yaml"));
        assert_eq!(config.git, Path::new("/usr/bin/git"));
        assert!(config.export_all && !config.dumb_http && config.admin.is_none());
        assert_eq!(config.limits.push_size, 2 << 30);
        assert_eq!((config.allow_filter, config.push_options), (None, false));
    }

    #[test]
    fn every_key_of_this_version_is_accepted() {
        let config = parse(
            "version: 1\nlisten: unix:/run/gitward/backend-runner.sock\nadmin: 127.0.0.1:9182\n\
             repositories: git\npolicy_file: policy.yaml\nsigning_key_file: /run/gitward/signing.key\n\
             git: /usr/bin/git\nexport_all: false\ndumb_http: true\nallow_filter: true\npush_options: true\nengine: http-backend\n\
             hooks: { directory: /usr/lib/gitward/hooks, timeout: 60s, external: hooks, scratch: /tmp }\n\
             limits: { running: 4, per_repository: 3, per_user: 2, queue: 1s, idle: 2s, request: 1h, push_size: 5MiB, push_memory: 1GiB, negotiation: 1MiB, drain: 4s }\nmaintenance: { interval: off, memory: 1GiB, timeout: 1h }\n\
             cache: { memory: 1MiB, directory: kept, size: 1GiB, ttl: 1m, admission: second, forget_rewritten: true }\naudit_log: audit.jsonl\n\
             web: gitweb\ngitweb: { program: /x/gitweb.cgi, url: 'https://git.example.org/git/', static: /s/, title: Git, snapshots: [tgz], \
             search: [files], blame: true, running: 2, per_user: 1, time: 5s, processor: 3s, memory: 1GiB, size: 1MiB }\n",
        )
        .unwrap();
        assert_eq!(config.repositories, Path::new("/etc/gitward/git"));
        assert_eq!(config.hooks.external.as_deref(), Some(Path::new("/etc/gitward/hooks")));
        assert_eq!(config.cache.directory.as_deref(), Some(Path::new("/etc/gitward/kept")));
        assert_eq!((config.cache.memory, config.cache.admission), (1 << 20, Admission::Second));
        assert_eq!(config.limits.sizes.per_user, 2);
        assert_eq!(config.limits.negotiation, 1 << 20);
        assert_eq!((config.allow_filter, config.push_options), (Some(true), true));
        assert_eq!(config.engine, EngineKind::HttpBackend);
        assert_eq!((config.web, config.gitweb.processor.as_secs()), (Web::Gitweb, 3));
    }

    #[test]
    fn the_sample_file_is_valid() {
        let sample = include_str!("../../config/backend-runner.yaml");
        parse(sample).unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn a_setting_of_another_version_is_refused_by_name() {
        for key in ["caches: {}", "repository: /srv"] {
            let error =
                parse(&format!("version: 1\nrepositories: /srv/git\n{key}\n")).unwrap_err().to_string();
            assert!(error.contains(key.split(':').next().unwrap()) && error.contains(":3:"), "{error}");
        }
    }

    #[test]
    fn a_limit_that_would_stop_everything_is_refused() {
        let error = parse("version: 1\nrepositories: /srv/git\nlimits: { running: 0 }\n").unwrap_err();
        assert!(
            error.to_string().contains(":3:20: limits.running: expected a whole number from 1 on"),
            "{error}"
        );
    }
}
