//! What a kind of server calls things, for the values that are not written.

use serde::Deserialize;

use super::raw::{Nested, Referrals};

/// Values for a kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// OpenLDAP and others with the schemas of RFC 2256 and 2307.
    Openldap,
    /// Active Directory, Samba.
    ActiveDirectory,
    /// FreeIPA.
    Freeipa,
}

/// What a kind of server uses.
pub(super) struct Defaults {
    pub(super) user_filter: &'static str,
    pub(super) user_name: &'static str,
    pub(super) info: &'static [(&'static str, &'static str)],
    pub(super) case_insensitive: bool,
    pub(super) group_filter: &'static str,
    pub(super) group_name: &'static str,
    pub(super) nested: Nested,
    pub(super) dn_attribute: &'static str,
    pub(super) referrals: Referrals,
}

impl Defaults {
    /// Without a preset: names as OpenLDAP has them, and no guesses about groups.
    pub(super) fn of(preset: Option<Preset>) -> Self {
        let openldap = Self {
            user_filter: "(uid={user})",
            user_name: "uid",
            info: &[("name", "cn"), ("email", "mail")],
            case_insensitive: false,
            group_filter: "(|(member={dn})(uniqueMember={dn})(memberUid={user}))",
            group_name: "cn",
            nested: Nested::Client,
            dn_attribute: "entryDN",
            referrals: Referrals::Refuse,
        };
        match preset {
            None => Self { info: &[], group_filter: "(member={dn})", ..openldap },
            Some(Preset::Openldap) => openldap,
            // 2 is ACCOUNTDISABLE.
            Some(Preset::ActiveDirectory) => Self {
                user_filter: "(&(objectCategory=person)(objectClass=user)(sAMAccountName={user})(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
                user_name: "sAMAccountName",
                info: &[("name", "displayName"), ("email", "mail")],
                case_insensitive: true,
                group_filter: "(&(objectClass=group)(member={dn}))",
                group_name: "sAMAccountName",
                nested: Nested::InChain,
                dn_attribute: "distinguishedName",
                referrals: Referrals::Ignore,
            },
            Some(Preset::Freeipa) => Self {
                user_filter: "(&(objectClass=posixAccount)(uid={user})(!(nsAccountLock=TRUE)))",
                group_filter: "(objectClass=ipaUserGroup)",
                nested: Nested::MemberOf,
                ..openldap
            },
        }
    }
}
