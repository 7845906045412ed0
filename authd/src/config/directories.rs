//! The entries of `directories:`, one type of directory each, and how they refer to one another.

mod entry;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::header::HeaderName;

use super::ldap::LdapConfig;
use crate::network::Network;
pub(super) use entry::Raw;

/// One directory, under the name it has in logs, metrics and `groups_from`.
#[derive(Clone, Debug)]
pub struct DirectoryConfig {
    /// Its name; unless given, its type.
    pub name: Arc<str>,
    /// Where its users come from.
    pub kind: DirectoryKind,
}

/// The types of directories.
#[derive(Clone, Debug)]
pub enum DirectoryKind {
    /// A users file of our own format.
    Users {
        /// The file.
        file: PathBuf,
    },
    /// Apache's files.
    Htpasswd {
        /// Names and hashes.
        file: PathBuf,
        /// Groups.
        groups_file: Option<PathBuf>,
    },
    /// A server that speaks LDAP; boxed, because it has much more to say than the others.
    Ldap(Box<LdapConfig>),
    /// A front server that has authenticated the user itself.
    Upstream {
        /// Where it names the user.
        header: HeaderName,
        /// The directory that knows the user's groups, by its place in the list.
        groups_from: usize,
        /// TCP peers that are trusted; the Unix socket always is.
        addresses: Vec<Network>,
    },
}

/// A directory that does not fit the others.
pub(super) struct Misfit {
    /// Its place in the list.
    pub(super) index: usize,
    /// The key that says so.
    pub(super) key: &'static str,
    /// What is wrong.
    pub(super) message: String,
}

/// Gives names, finds what `groups_from` refers to, and places relative files by `beside`.
pub(super) fn build(
    raw: Vec<Raw>,
    beside: impl Fn(PathBuf) -> PathBuf,
) -> Result<Vec<DirectoryConfig>, Misfit> {
    let known: Vec<(String, Type)> = raw.iter().map(|raw| (raw.name(), raw.fields.kind())).collect();
    let mut names = HashSet::new();
    if let Some(index) = known.iter().position(|(name, _)| !names.insert(name.as_str())) {
        let message = format!(
            "directories: two of them are called `{}`: give one of them another `name`",
            known[index].0
        );
        return Err(Misfit { index, key: "name", message });
    }
    let directories = raw.into_iter().enumerate();
    directories
        .map(|(index, raw)| {
            raw.build(&known, &beside).map_err(|message| Misfit { index, key: "groups_from", message })
        })
        .collect()
}

enum Fields {
    Users { file: PathBuf },
    Htpasswd { file: PathBuf, groups_file: Option<PathBuf> },
    Ldap(Box<LdapConfig>),
    Upstream { header: HeaderName, groups_from: String, addresses: Vec<Network> },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Users,
    Htpasswd,
    Ldap,
    Upstream,
}

impl Raw {
    fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.fields.kind().as_str().to_owned())
    }

    fn build(
        self,
        known: &[(String, Type)],
        beside: impl Fn(PathBuf) -> PathBuf,
    ) -> Result<DirectoryConfig, String> {
        let name = self.name().into();
        let kind = match self.fields {
            Fields::Users { file } => DirectoryKind::Users { file: beside(file) },
            Fields::Htpasswd { file, groups_file } => {
                DirectoryKind::Htpasswd { file: beside(file), groups_file: groups_file.map(beside) }
            }
            Fields::Ldap(config) => DirectoryKind::Ldap(Box::new(config.beside(beside))),
            Fields::Upstream { header, groups_from, addresses } => {
                DirectoryKind::Upstream { header, groups_from: refer(known, &groups_from)?, addresses }
            }
        };
        Ok(DirectoryConfig { name, kind })
    }
}

/// Finds a directory by its name, else the first of that type.
fn refer(known: &[(String, Type)], groups_from: &str) -> Result<usize, String> {
    let by_name = known.iter().position(|(name, _)| name == groups_from);
    let by_type = || known.iter().position(|(_, kind)| kind.as_str() == groups_from);
    match by_name.or_else(by_type) {
        Some(index) if known[index].1 != Type::Upstream => Ok(index),
        Some(_) => {
            Err(format!("directories: `groups_from: {groups_from}` is an upstream and knows no groups"))
        }
        None => Err(format!("directories: `groups_from: {groups_from}` names no directory of this list")),
    }
}

impl Fields {
    fn kind(&self) -> Type {
        match self {
            Self::Users { .. } => Type::Users,
            Self::Htpasswd { .. } => Type::Htpasswd,
            Self::Ldap(_) => Type::Ldap,
            Self::Upstream { .. } => Type::Upstream,
        }
    }
}

impl Type {
    fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Htpasswd => "htpasswd",
            Self::Ldap => "ldap",
            Self::Upstream => "upstream",
        }
    }
}
