//! The address of an LDAP server: a scheme, a host and a port, and nothing else a URL could hold.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use policy::document;
use serde::{Deserialize, Deserializer};

/// `ldaps://dc1.example.org` or `ldap://…`, with a port if it is not the usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// With or without TLS from the first byte.
    pub scheme: Scheme,
    /// A name, or an address; an IPv6 address without its brackets.
    pub host: String,
    /// 636 or 389 unless given.
    pub port: u16,
}

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Ldap,
    /// With TLS.
    Ldaps,
}

// === impl Url ===

impl Url {
    /// Whether it is this machine, by an address or the one name that means it.
    pub fn is_loopback(&self) -> bool {
        let address: Option<IpAddr> = self.host.parse().ok();
        address.map_or(self.host == "localhost", |address| address.is_loopback())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.scheme == Scheme::Ldaps { "ldaps" } else { "ldap" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid server {text:?}: expected ldaps://host, ldap://host or with :port");
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let scheme = match scheme {
            "ldap" => Scheme::Ldap,
            "ldaps" => Scheme::Ldaps,
            _ => return Err(invalid()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, Some("")),
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => rest.split_once(':').map_or((rest, Some("")), |(host, port)| (host, Some(port))),
        };
        let port = match (port.ok_or_else(invalid)?, scheme) {
            ("", _) if rest.ends_with(':') => return Err(invalid()),
            ("", Scheme::Ldaps) => 636,
            ("", Scheme::Ldap) => 389,
            (port, _) => port.parse().ok().filter(|&port: &u16| port > 0).ok_or_else(invalid)?,
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let address = host.parse::<IpAddr>().is_ok();
        match address || (!host.is_empty() && host.bytes().all(plain)) {
            true => Ok(Self { scheme, host: host.to_owned(), port }),
            false => Err(invalid()),
        }
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, str::parse)
    }
}
