//! `endpoints:`: which kinds of front servers get an answer; and what about front servers an administrator should know.

use daemon::listen::Listen;
use policy::document;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::{Config, DirectoryKind};
use crate::dialect::Dialect;

/// The dialects that are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints(Vec<Dialect>);

impl Endpoints {
    /// Whether this dialect is answered.
    pub fn answer(&self, dialect: Dialect) -> bool {
        self.0.contains(&dialect)
    }

    /// Their names.
    pub fn names(&self) -> String {
        self.0.iter().map(|dialect| dialect.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Default for Endpoints {
    fn default() -> Self {
        Self(vec![Dialect::Nginx])
    }
}

impl<'de> Deserialize<'de> for Endpoints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dialects = Vec::<Dialect>::deserialize(deserializer)?;
        let repeated = |(index, dialect): (usize, &Dialect)| dialects[..index].contains(dialect);
        match dialects.is_empty() || dialects.iter().enumerate().any(repeated) {
            true => Err(de::Error::custom("endpoints: at least one, and each of them once")),
            false => Ok(Self(dialects)),
        }
    }
}

impl<'de> Deserialize<'de> for Dialect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, |text| {
            let known = Self::ALL.into_iter().find(|dialect| dialect.as_str() == text);
            known.ok_or_else(|| {
                let names = Self::ALL.map(|dialect| format!("`{}`", dialect.as_str())).join(", ");
                format!("unknown variant `{text}`, expected one of {names}")
            })
        })
    }
}

impl Config {
    /// What works and is probably not meant.
    pub fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        let upstream = self.directories.iter().any(|directory| directory.kind.is_upstream());
        if upstream && !self.endpoints.answer(Dialect::Nginx) {
            advice.push(
                "a directory of type upstream is believed at the endpoint nginx only, which is off".into(),
            );
        }
        let remote = matches!(self.listen, Listen::Tcp(address) if !address.ip().is_loopback());
        if remote && self.trusted_proxies.is_empty() {
            advice.push(
                "trusted_proxies is empty: to failures.per_client, all clients of one front server are one client".into(),
            );
        }
        advice
    }
}

impl DirectoryKind {
    fn is_upstream(&self) -> bool {
        matches!(self, Self::Upstream { .. })
    }
}
