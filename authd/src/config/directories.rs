//! The entries of `directories:`, one type of directory each, and how they refer to one another.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::header::HeaderName;
use policy::document;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::network::Network;
use crate::request::READ_HEADERS;

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

/// Gives names, finds what `groups_from` refers to, and places relative files by `beside`.
pub(super) fn build(
    raw: Vec<Raw>,
    beside: impl Fn(PathBuf) -> PathBuf,
) -> Result<Vec<DirectoryConfig>, String> {
    let known: Vec<(String, Type)> = raw.iter().map(|raw| (raw.name(), raw.fields.kind())).collect();
    let mut names = HashSet::new();
    if let Some((twice, _)) = known.iter().find(|(name, _)| !names.insert(name.as_str())) {
        return Err(format!(
            "directories: two of them are called `{twice}`: give one of them another `name`"
        ));
    }
    raw.into_iter().map(|raw| raw.build(&known, &beside)).collect()
}

/// One entry as it is written.
pub(super) struct Raw {
    name: Option<String>,
    fields: Fields,
}

enum Fields {
    Users { file: PathBuf },
    Htpasswd { file: PathBuf, groups_file: Option<PathBuf> },
    Upstream { header: HeaderName, groups_from: String, addresses: Vec<Network> },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Users,
    Htpasswd,
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
            Self::Upstream { .. } => Type::Upstream,
        }
    }
}

impl Type {
    fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Htpasswd => "htpasswd",
            Self::Upstream => "upstream",
        }
    }
}

/// Every key any type has. One flat struct, because tagged enums lose the positions of errors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    #[serde(rename = "type")]
    kind: Type,
    name: Option<Name>,
    file: Option<PathBuf>,
    groups_file: Option<PathBuf>,
    header: Option<Header>,
    groups_from: Option<String>,
    addresses: Option<Vec<Network>>,
}

impl Flat {
    fn build(mut self) -> Result<Raw, String> {
        let fields = match self.kind {
            Type::Users => Fields::Users { file: self.needs("file", |flat| flat.file.take())? },
            Type::Htpasswd => Fields::Htpasswd {
                file: self.needs("file", |flat| flat.file.take())?,
                groups_file: self.groups_file.take(),
            },
            Type::Upstream => Fields::Upstream {
                header: self.needs("header", |flat| flat.header.take())?.0,
                groups_from: self.needs("groups_from", |flat| flat.groups_from.take())?,
                addresses: self.addresses.take().unwrap_or_default(),
            },
        };
        match self.left_over() {
            Some(key) => Err(format!("a directory of type `{}` has no key `{key}`", self.kind.as_str())),
            None => Ok(Raw { name: self.name.map(|name| name.0), fields }),
        }
    }

    fn needs<T>(&mut self, key: &str, take: impl Fn(&mut Self) -> Option<T>) -> Result<T, String> {
        take(self)
            .ok_or_else(|| format!("a directory of type `{}` needs the key `{key}`", self.kind.as_str()))
    }

    /// A key that was written but belongs to another type.
    fn left_over(&self) -> Option<&'static str> {
        let keys = [
            ("file", self.file.is_some()),
            ("groups_file", self.groups_file.is_some()),
            ("header", self.header.is_some()),
            ("groups_from", self.groups_from.is_some()),
            ("addresses", self.addresses.is_some()),
        ];
        keys.into_iter().find_map(|(key, written)| written.then_some(key))
    }
}

/// Errors raised inside `visit_map` get the position of the entry.
impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a directory: { type: users, file: users.yaml }")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Raw, A::Error> {
                Flat::deserialize(MapAccessDeserializer::new(map))?.build().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_map(Entry)
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, |text| match text {
            "users" => Ok(Self::Users),
            "htpasswd" => Ok(Self::Htpasswd),
            "upstream" => Ok(Self::Upstream),
            "ldap" => Err("directories of type `ldap` are not in this version yet".to_owned()),
            _ => Err(format!("unknown variant `{text}`, expected one of `users`, `htpasswd`, `upstream`")),
        })
    }
}

/// A name that can be a metric's label.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, |text| {
            match (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
                true => Ok(Self(text.to_owned())),
                false => Err("a directory's name has 1 to 64 of A-Z a-z 0-9 _ . -"),
            }
        })
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// A header a front server may name the user in: none that authd reads for something else.
struct Header(HeaderName);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, |text| match HeaderName::try_from(text) {
            Err(_) => Err("this is not a header's name"),
            Ok(name) if READ_HEADERS.contains(&name.as_str()) => {
                Err("this header has a meaning of its own and cannot name the user")
            }
            Ok(name) => Ok(Self(name)),
        })
    }
}
