//! Reads the configuration and every file it names, all or nothing.
//!
//! Starting, reloading and `authd check` do the same here: they differ in what they make of the result.
//! Nothing is created, changed or listened on. All problems are collected, so that one look shows them all.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use daemon::files::Files;
use policy::Policy;
use policy::document::{CONFIG_LIMIT, DocumentError, RULES_LIMIT};

use crate::config::{Config, DirectoryConfig, DirectoryKind, LdapConfig};
use crate::identity::htpasswd::{self, Groups};
use crate::identity::ldap::{Ldap, Origin};
use crate::identity::upstream::Upstream;
use crate::identity::{Directories, Directory, Source, users_file};

/// Everything that was read.
#[derive(Debug)]
pub struct Loaded {
    /// `authd.yaml`.
    pub config: Config,
    /// The policy.
    pub policy: Policy,
    /// The directories.
    pub directories: Directories,
    /// The policy as it is written, for telling where something stands.
    pub policy_text: String,
    /// The policy to compare with, if there is one.
    pub shadow: Option<Policy>,
    /// Why there is none although one is configured.
    pub shadow_error: Option<String>,
    /// What works but should be known to the administrator.
    pub warnings: Vec<String>,
    /// What kinds of files were read.
    pub files: Vec<FileKind>,
}

/// One thing that is wrong, in the words to show.
#[derive(Debug)]
pub struct Problem {
    /// What kind of file it is in.
    pub file: FileKind,
    message: String,
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

/// The kinds of files there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// `authd.yaml`
    Config,
    /// `policy.yaml`
    Policy,
    /// The policy to compare with
    Shadow,
    /// `users.yaml`
    Users,
    /// A password file of Apache's.
    Htpasswd,
    /// A groups file of Apache's.
    Groups,
    /// A password or certificate of an LDAP directory.
    Ldap,
    /// The signing key.
    SigningKey,
}

/// Reads everything, beginning with the configuration file at `path`.
pub fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
    load_noting(path, &mut Files::default())
}

/// The same, and notes in `files` what was read, however it ends. All of it was there at one time: files that are replaced
/// together, while they are read, do not make a configuration that is half old and half new.
pub fn load_noting(path: &Path, files: &mut Files) -> Result<Loaded, Vec<Problem>> {
    for _ in 0..MAX_ATTEMPTS {
        *files = Files::default();
        let loaded = load_once(path, files);
        if files.untouched() {
            return loaded;
        }
    }
    let message = format!("{}: files change faster than they can be read", path.display());
    Err(vec![Problem::new(FileKind::Config, message)])
}

fn load_once(path: &Path, files: &mut Files) -> Result<Loaded, Vec<Problem>> {
    let config = read(files, FileKind::Config, path, CONFIG_LIMIT)
        .and_then(|bytes| {
            Config::parse(path, &bytes).map_err(|error| Problem::document(FileKind::Config, &error))
        })
        .map_err(|problem| vec![problem])?;
    let mut reader =
        Reader { files, problems: Vec::new(), warnings: Vec::new(), kinds: vec![FileKind::Config] };
    let policy = reader.document(FileKind::Policy, &config.policy_file, policy_and_text);
    let (shadow, shadow_error) = reader.shadow(config.shadow_policy_file.as_deref());
    let directories: Vec<_> =
        config.directories.iter().map(|directory| reader.directory(&config, directory)).collect();
    reader.warn_of_order(path, &config.directories);
    reader.warnings.extend(config.advice().iter().map(|advice| format!("{}: {advice}", path.display())));
    if directories.is_empty() {
        reader.warnings.push(format!("{}: there are no directories: nobody can log in", path.display()));
    }
    let directories: Option<Vec<_>> = directories.into_iter().collect();
    match (policy, directories) {
        (Some((policy, policy_text)), Some(directories)) if reader.problems.is_empty() => {
            let directories = Directories::new(directories, config.cache, config.failures);
            let Reader { warnings, kinds: files, .. } = reader;
            Ok(Loaded { config, policy, directories, policy_text, shadow, shadow_error, warnings, files })
        }
        _ => Err(reader.problems),
    }
}

fn policy_and_text(name: &str, bytes: &[u8]) -> Result<(Policy, String), DocumentError> {
    let policy = Policy::parse(name, bytes)?;
    Ok((policy, String::from_utf8_lossy(bytes).into_owned()))
}

/// How often files may change while they are read before that is a problem of its own.
const MAX_ATTEMPTS: usize = 5;

/// Reads file after file and keeps what is to be said about them.
struct Reader<'f> {
    files: &'f mut Files,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    kinds: Vec<FileKind>,
}

impl Reader<'_> {
    /// `None` when the problem has been noted.
    fn document<T>(
        &mut self,
        kind: FileKind,
        path: &Path,
        parse: impl FnOnce(&str, &[u8]) -> Result<T, DocumentError>,
    ) -> Option<T> {
        self.kinds.push(kind);
        let name = path.display().to_string();
        let parsed = read(self.files, kind, path, RULES_LIMIT)
            .and_then(|bytes| parse(&name, &bytes).map_err(|error| Problem::document(kind, &error)));
        if kind.is_secret() {
            self.warn_if_public(path);
        }
        parsed.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// A shadow policy decides nothing, so it is no problem when there is none.
    fn shadow(&mut self, path: Option<&Path>) -> (Option<Policy>, Option<String>) {
        let Some(path) = path else { return (None, None) };
        let problems = self.problems.len();
        let shadow = self.document(FileKind::Shadow, path, Policy::parse);
        let error = self.problems.drain(problems..).next().map(|problem| problem.message);
        self.warnings.extend(error.iter().map(|error| format!("the shadow policy is not used: {error}")));
        (shadow, error)
    }

    /// Who can read hashes can try passwords at leisure.
    fn warn_if_public(&mut self, path: &Path) {
        if let Some(mode) = self.files.mode(path).filter(|mode| mode & EVERYBODY != 0) {
            self.warnings.push(format!(
                "{}: everybody on this machine can read it (mode {mode:04o}): chmod o-rwx it",
                path.display()
            ));
        }
    }

    fn directory(&mut self, whole: &Config, config: &DirectoryConfig) -> Option<Directory> {
        let source = match &config.kind {
            DirectoryKind::Ldap(ldap) => Source::Ldap(self.ldap(whole, config, ldap)?),
            DirectoryKind::Users { file } => {
                Source::File(self.document(FileKind::Users, file, users_file::parse)?)
            }
            DirectoryKind::Htpasswd { file, groups_file } => {
                let groups = match groups_file {
                    Some(file) => self.apache(FileKind::Groups, file, htpasswd::parse_groups)?,
                    None => Groups::new(),
                };
                let parse = |name: &str, bytes: &[u8]| htpasswd::parse(name, bytes, groups);
                Source::File(self.apache(FileKind::Htpasswd, file, parse)?)
            }
            DirectoryKind::Upstream { header, groups_from, addresses } => Source::Upstream(Upstream {
                header: header.clone(),
                groups_from: *groups_from,
                addresses: addresses.clone(),
            }),
        };
        Some(Directory { name: config.name.clone(), source })
    }

    fn ldap(
        &mut self,
        whole: &Config,
        directory: &DirectoryConfig,
        config: &LdapConfig,
    ) -> Option<Arc<Ldap>> {
        self.kinds.push(FileKind::Ldap);
        let made = Origin::read(config, whole.cache, whole.failures, self.files)
            .map_err(Into::into)
            .and_then(|origin| Ldap::new(Arc::clone(&directory.name), origin));
        let problem = |error| Problem::new(FileKind::Ldap, format!("directory {}: {error}", directory.name));
        made.map(Arc::new).map_err(|error| self.problems.push(problem(error))).ok()
    }

    /// A server that comes before a file is asked about every user of the file, and its outage is theirs.
    fn warn_of_order(&mut self, path: &Path, directories: &[DirectoryConfig]) {
        let is_file = |kind: &DirectoryKind| {
            matches!(kind, DirectoryKind::Users { .. } | DirectoryKind::Htpasswd { .. })
        };
        let first_server =
            directories.iter().position(|directory| matches!(directory.kind, DirectoryKind::Ldap(_)));
        let Some(server) = first_server else { return };
        for file in directories[server..].iter().filter(|directory| is_file(&directory.kind)) {
            self.warnings.push(format!(
                "{}: directory {} comes after {}: its users cannot log in while that server is down",
                path.display(),
                file.name,
                directories[server].name
            ));
        }
    }

    fn apache<T>(
        &mut self,
        kind: FileKind,
        path: &Path,
        parse: impl FnOnce(&str, &[u8]) -> Result<htpasswd::Read<T>, DocumentError>,
    ) -> Option<T> {
        let read = self.document(kind, path, parse)?;
        self.warnings.extend(read.warnings);
        Some(read.content)
    }
}

fn read(files: &mut Files, kind: FileKind, path: &Path, limit: usize) -> Result<Vec<u8>, Problem> {
    let read = files.read(path, limit);
    read.map_err(|error| Problem::new(kind, format!("{}: cannot be read: {error}", path.display())))
}

/// Permission bits of those who are neither owner nor group.
const EVERYBODY: u32 = 0o007;

// === impl Problem ===

impl Problem {
    /// A problem in these words.
    pub fn new(file: FileKind, message: String) -> Self {
        Self { file, message }
    }

    fn document(file: FileKind, error: &DocumentError) -> Self {
        Self::new(file, error.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl FileKind {
    /// Whether nobody but the daemon should read it.
    fn is_secret(self) -> bool {
        matches!(self, Self::Users | Self::Htpasswd)
    }

    /// A word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Policy => "policy",
            Self::Shadow => "shadow_policy",
            Self::Users => "users",
            Self::Htpasswd => "htpasswd",
            Self::Groups => "groups",
            Self::Ldap => "ldap",
            Self::SigningKey => "signing_key",
        }
    }
}
