//! A directory of type `ldap` as it is written, the presets, and what cannot be meant.
//!
//! A preset only fills what is not written. Plain text passwords over the network need to be allowed in
//! words; there is no key that switches the verification of certificates off, and none for a password.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use daemon::units::Seconds;
use serde::Deserialize;

use super::preset::{Defaults, Preset};
use super::url::{Scheme, Url};
use super::{ClientCertificate, GroupsConfig, LdapConfig, ServiceAccount, Template, TlsConfig, UsersConfig};

/// How groups in groups are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nested {
    /// They are not: only groups the user is named in.
    Off,
    /// By searching for the groups of each group found.
    Client,
    /// By the server, with Active Directory's matching rule.
    InChain,
    /// By the server, which lists all of them in the user's `memberOf`.
    MemberOf,
}

/// Whether a bind is checked by asking the server who we are (RFC 4532).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhoAmI {
    /// Where the server knows the question.
    Auto,
    /// Always: a server that does not know it is an error.
    Required,
    /// Never.
    Off,
}

/// What an answer that points to other servers is. None of them is ever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Referrals {
    /// Incomplete, so an error.
    Refuse,
    /// Complete: what lies elsewhere does not concern us. Active Directory points to its own other
    /// partitions whenever the whole domain is searched.
    Ignore,
}

/// Every key of the type, `name` and `type` aside.
pub(in crate::config) struct Raw {
    pub(in crate::config) preset: Option<Preset>,
    pub(in crate::config) urls: Vec<Url>,
    pub(in crate::config) bind_dn: Option<String>,
    pub(in crate::config) bind_password_file: Option<PathBuf>,
    pub(in crate::config) users: RawUsers,
    pub(in crate::config) groups: Option<RawGroups>,
    pub(in crate::config) tls: RawTls,
    pub(in crate::config) timeout: Option<Seconds>,
    pub(in crate::config) allow_plaintext: bool,
    pub(in crate::config) whoami: Option<WhoAmI>,
    pub(in crate::config) referrals: Option<Referrals>,
    pub(in crate::config) connections: Option<NonZeroU16>,
    pub(in crate::config) never_send: Option<Vec<String>>,
}

/// `users:` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawUsers {
    base: String,
    filter: Option<Template>,
    name: Option<String>,
    info: Option<BTreeMap<String, String>>,
    case_insensitive: Option<bool>,
}

/// `groups:` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawGroups {
    base: String,
    filter: Option<Template>,
    name: Option<String>,
    nested: Option<Nested>,
    dn_attribute: Option<String>,
    ttl: Option<Seconds>,
}

/// `tls:` as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawTls {
    ca_file: Option<PathBuf>,
    start_tls: bool,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

// === impl Raw ===

impl Raw {
    /// Fills what is not written and refuses what cannot be meant.
    pub(in crate::config) fn build(self) -> Result<LdapConfig, String> {
        let defaults = Defaults::of(self.preset);
        let config = LdapConfig {
            service: service(self.bind_dn, self.bind_password_file)?,
            users: self.users.build(&defaults)?,
            groups: self.groups.map(|groups| groups.build(&defaults)).transpose()?,
            tls: self.tls.build()?,
            timeout: self.timeout.map_or(DEFAULT_TIMEOUT, Seconds::duration),
            whoami: self.whoami.unwrap_or(WhoAmI::Auto),
            referrals: self.referrals.unwrap_or(defaults.referrals),
            connections: self.connections.map_or(DEFAULT_CONNECTIONS, |number| usize::from(number.get())),
            never_send: self
                .never_send
                .unwrap_or_else(|| TOKENS.iter().map(|&token| token.to_owned()).collect()),
            urls: self.urls,
        };
        check_urls(&config, self.allow_plaintext)?;
        match (DEFAULT_TIMEOUT / 50..=DEFAULT_TIMEOUT * 6).contains(&config.timeout) {
            true => Ok(config),
            false => Err("`timeout` must be between 100ms and 30s: nginx does not wait longer".to_owned()),
        }
    }
}

fn service(dn: Option<String>, password_file: Option<PathBuf>) -> Result<Option<ServiceAccount>, String> {
    match (dn, password_file) {
        (Some(dn), Some(password_file)) if !dn.is_empty() => Ok(Some(ServiceAccount { dn, password_file })),
        (None, None) => Ok(None),
        _ => Err("`bind_dn` and `bind_password_file` need one another".to_owned()),
    }
}

fn check_urls(config: &LdapConfig, allow_plaintext: bool) -> Result<(), String> {
    if config.urls.is_empty() {
        return Err("`urls` needs at least one server".to_owned());
    }
    for url in &config.urls {
        let clear = url.scheme == Scheme::Ldap && !config.tls.start_tls;
        if clear && !url.is_loopback() && !allow_plaintext {
            return Err(format!(
                "{url} would carry passwords in the clear: use ldaps://, or `tls: {{ start_tls: true }}`, or say `allow_plaintext: true`"
            ));
        }
        if !clear && url.host.contains(':') {
            return Err(format!("{url}: a certificate is verified by a name, not by an IPv6 address"));
        }
        if url.scheme == Scheme::Ldaps && config.tls.start_tls {
            return Err(format!("{url} has TLS already: `start_tls` is for ldap://"));
        }
    }
    Ok(())
}

impl RawUsers {
    fn build(self, defaults: &Defaults) -> Result<UsersConfig, String> {
        let filter = self.filter.map_or_else(|| template(defaults.user_filter), Ok)?;
        if !filter.takes_user() || filter.takes_dn() {
            return Err("`users.filter` needs {user} and knows no {dn}".to_owned());
        }
        let info = || defaults.info.iter().map(|&(name, from)| (name.to_owned(), from.to_owned())).collect();
        Ok(UsersConfig {
            base: self.base,
            filter,
            name: self.name.unwrap_or_else(|| defaults.user_name.to_owned()),
            info: self.info.unwrap_or_else(info),
            case_insensitive: self.case_insensitive.unwrap_or(defaults.case_insensitive),
        })
    }
}

impl RawGroups {
    fn build(self, defaults: &Defaults) -> Result<GroupsConfig, String> {
        let nested = self.nested.unwrap_or(defaults.nested);
        let listed_only = nested == Nested::MemberOf && defaults.nested != nested;
        let default = if listed_only { ANYTHING } else { defaults.group_filter };
        let filter = self.filter.map_or_else(|| template(default), Ok)?;
        match nested {
            Nested::MemberOf if filter.takes_dn() || filter.takes_user() => {
                return Err(
                    "with `nested: member_of`, `groups.filter` only says what a group is: no {dn}, no {user}"
                        .to_owned(),
                );
            }
            Nested::Client | Nested::InChain if !filter.takes_dn() => {
                return Err("`groups.filter` needs {dn} to find groups in groups".to_owned());
            }
            Nested::Off if !filter.takes_dn() && !filter.takes_user() => {
                return Err("`groups.filter` needs {dn} or {user}".to_owned());
            }
            _ => {}
        }
        Ok(GroupsConfig {
            base: self.base,
            filter: if nested == Nested::InChain { filter.in_chain() } else { filter },
            name: self.name.unwrap_or_else(|| defaults.group_name.to_owned()),
            nested,
            dn_attribute: self.dn_attribute.unwrap_or_else(|| defaults.dn_attribute.to_owned()),
            ttl: self.ttl.map(Seconds::duration),
        })
    }
}

impl RawTls {
    fn build(self) -> Result<TlsConfig, String> {
        let client = match (self.certificate_file, self.key_file) {
            (Some(certificate_file), Some(key_file)) => {
                Some(ClientCertificate { certificate_file, key_file })
            }
            (None, None) => None,
            _ => return Err("`tls.certificate_file` and `tls.key_file` need one another".to_owned()),
        };
        Ok(TlsConfig { ca_file: self.ca_file, start_tls: self.start_tls, client })
    }
}

fn template(text: &str) -> Result<Template, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_CONNECTIONS: usize = 8;
const ANYTHING: &str = "(objectClass=*)";

/// What tokens of well-known services begin with.
const TOKENS: [&str; 8] =
    ["ghp_*", "gho_*", "ghu_*", "ghs_*", "github_pat_*", "glpat-*", "glptt-*", "gldt-*"];
