//! One entry of `directories:` as it is written: the keys of every type, and which type takes which.

use std::fmt;
use std::path::PathBuf;

use actix_web::http::header::HeaderName;
use daemon::units::Seconds;
use policy::document;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::{Fields, Type};
use crate::config::ldap::preset::Preset;
use crate::config::ldap::raw::{self, RawGroups, RawTls, RawUsers, Referrals, WhoAmI};
use crate::config::ldap::url::Url;
use crate::network::Network;
use crate::request;

/// One entry as it is written.
pub(in crate::config) struct Raw {
    pub(super) name: Option<String>,
    pub(super) fields: Fields,
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
    preset: Option<Preset>,
    urls: Option<Vec<Url>>,
    bind_dn: Option<String>,
    bind_password_file: Option<PathBuf>,
    users: Option<RawUsers>,
    groups: Option<RawGroups>,
    tls: Option<RawTls>,
    timeout: Option<Seconds>,
    allow_plaintext: Option<bool>,
    whoami: Option<WhoAmI>,
    referrals: Option<Referrals>,
    connections: Option<std::num::NonZeroU16>,
    never_send: Option<Vec<String>>,
}

impl Flat {
    fn build(mut self) -> Result<Raw, String> {
        let fields = match self.kind {
            Type::Users => Fields::Users { file: self.needs("file", |flat| flat.file.take())? },
            Type::Htpasswd => Fields::Htpasswd {
                file: self.needs("file", |flat| flat.file.take())?,
                groups_file: self.groups_file.take(),
            },
            Type::Ldap => Fields::Ldap(Box::new(self.ldap()?.build()?)),
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

    fn ldap(&mut self) -> Result<raw::Raw, String> {
        Ok(raw::Raw {
            preset: self.preset.take(),
            urls: self.needs("urls", |flat| flat.urls.take())?,
            bind_dn: self.bind_dn.take(),
            bind_password_file: self.bind_password_file.take(),
            users: self.needs("users", |flat| flat.users.take())?,
            groups: self.groups.take(),
            tls: self.tls.take().unwrap_or_default(),
            timeout: self.timeout.take(),
            allow_plaintext: self.allow_plaintext.take().unwrap_or(false),
            whoami: self.whoami.take(),
            referrals: self.referrals.take(),
            connections: self.connections.take(),
            never_send: self.never_send.take(),
        })
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
            ("preset", self.preset.is_some()),
            ("urls", self.urls.is_some()),
            ("bind_dn", self.bind_dn.is_some()),
            ("bind_password_file", self.bind_password_file.is_some()),
            ("users", self.users.is_some()),
            ("groups", self.groups.is_some()),
            ("tls", self.tls.is_some()),
            ("timeout", self.timeout.is_some()),
            ("allow_plaintext", self.allow_plaintext.is_some()),
            ("whoami", self.whoami.is_some()),
            ("referrals", self.referrals.is_some()),
            ("connections", self.connections.is_some()),
            ("never_send", self.never_send.is_some()),
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
            "ldap" => Ok(Self::Ldap),
            "upstream" => Ok(Self::Upstream),
            _ => Err(format!(
                "unknown variant `{text}`, expected one of `users`, `htpasswd`, `ldap`, `upstream`"
            )),
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
            Ok(name) if request::is_read(name.as_str()) => {
                Err("this header has a meaning of its own and cannot name the user")
            }
            Ok(name) => Ok(Self(name)),
        })
    }
}
