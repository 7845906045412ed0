//! Reads the configuration and every file it names, all or nothing.
//!
//! Starting, reloading and `authd check` do the same here: they differ in what they make of the result.
//! Nothing is created, changed or listened on. All problems are collected, so that one look shows them all.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use policy::Policy;
use policy::document::{CONFIG_LIMIT, DocumentError, RULES_LIMIT};

use crate::config::{Config, DirectoryConfig, DirectoryKind};
use crate::identity::htpasswd::{self, Groups};
use crate::identity::{Directories, Directory, Source, Upstream, users_file};

/// Everything that was read.
#[derive(Debug)]
pub struct Loaded {
    /// `authd.yaml`.
    pub config: Config,
    /// The policy.
    pub policy: Policy,
    /// The directories.
    pub directories: Directories,
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

/// The kinds of files there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// `authd.yaml`
    Config,
    /// `policy.yaml`
    Policy,
    /// `users.yaml`
    Users,
    /// A password file of Apache's.
    Htpasswd,
    /// A groups file of Apache's.
    Groups,
    /// The signing key.
    SigningKey,
}

/// Reads everything, beginning with the configuration file at `path`.
pub fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
    let config = read(FileKind::Config, path, CONFIG_LIMIT)
        .and_then(|bytes| {
            Config::parse(path, &bytes).map_err(|error| Problem::document(FileKind::Config, &error))
        })
        .map_err(|problem| vec![problem])?;
    let mut reader = Reader { files: vec![FileKind::Config], ..Reader::default() };
    let policy = reader.document(FileKind::Policy, &config.policy_file, Policy::parse);
    let directories: Vec<_> =
        config.directories.iter().map(|directory| reader.directory(directory)).collect();
    if directories.is_empty() {
        reader.warnings.push(format!("{}: there are no directories: nobody can log in", path.display()));
    }
    let directories: Option<Vec<_>> = directories.into_iter().collect();
    match (policy, directories) {
        (Some(policy), Some(directories)) if reader.problems.is_empty() => {
            let directories = Directories::new(directories, config.cache, config.failures);
            let Reader { warnings, files, .. } = reader;
            Ok(Loaded { config, policy, directories, warnings, files })
        }
        _ => Err(reader.problems),
    }
}

/// Reads file after file and keeps what is to be said about them.
#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
    warnings: Vec<String>,
    files: Vec<FileKind>,
}

impl Reader {
    /// `None` when the problem has been noted.
    fn document<T>(
        &mut self,
        kind: FileKind,
        path: &Path,
        parse: impl FnOnce(&str, &[u8]) -> Result<T, DocumentError>,
    ) -> Option<T> {
        self.files.push(kind);
        let name = path.display().to_string();
        let parsed = read(kind, path, RULES_LIMIT)
            .and_then(|bytes| parse(&name, &bytes).map_err(|error| Problem::document(kind, &error)));
        parsed.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn directory(&mut self, config: &DirectoryConfig) -> Option<Directory> {
        let source = match &config.kind {
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

/// Reads a file up to one byte over its limit, which is enough to be refused for its size.
fn read(kind: FileKind, path: &Path, limit: usize) -> Result<Vec<u8>, Problem> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error| Problem::new(kind, format!("{}: cannot be read: {error}", path.display())))
}

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

impl FileKind {
    /// A word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Policy => "policy",
            Self::Users => "users",
            Self::Htpasswd => "htpasswd",
            Self::Groups => "groups",
            Self::SigningKey => "signing_key",
        }
    }
}
