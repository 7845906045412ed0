//! Finding a user: exactly one entry, whose name is the presented one.
//!
//! LDAP matches names loosely: `ALICE`, ` alice` and a second value of the attribute all find one entry. The
//! name that counts everywhere is the first value the directory returns; whoever presents another one
//! is not that user.

use std::collections::BTreeMap;

use ldap3::Scope;
use policy::identity::UserName;
use tokio::time::Instant as Deadline;

use super::connection::Query;
use super::entry::Entry;
use super::error::AskError;
use super::sessions::Sessions;
use crate::config::LdapConfig;
use crate::config::ldap::Nested;

/// A user's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) dn: String,
    pub(super) name: UserName,
    pub(super) info: BTreeMap<String, String>,
    /// The groups the directory lists in the entry, where that is what is asked for.
    pub(super) member_of: MemberOf,
    /// Changes when the password does; `None` when the service account sees nothing that would.
    pub(super) mark: Option<String>,
    /// The entry says that the account cannot log in now, whatever the password.
    pub(super) locked: bool,
}

/// DNs of groups, as far as the server sent them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MemberOf {
    pub(super) groups: Vec<String>,
    /// The place of the first one it left out.
    pub(super) next: Option<usize>,
}

/// What a search for a user finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The user.
    One(Box<Person>),
    /// Nobody of that very name.
    Nobody,
    /// Several entries: the directory does not say which one is meant.
    Several,
}

/// Searches as the service account.
pub(super) async fn find(
    sessions: &Sessions,
    config: &LdapConfig,
    name: &UserName,
    deadline: Deadline,
) -> Result<Found, AskError> {
    let users = &config.users;
    let filter = users.filter.fill(name.as_str(), "");
    let mut attributes: Vec<&str> = vec![&users.name];
    attributes.extend(users.info.values().map(String::as_str));
    attributes.extend(PASSWORD_CHANGED.into_iter().chain(ENTRY_CHANGED));
    attributes.extend([POLICY_FAILED, POLICY_LOCKED, AD_LOCKED, DISABLED]);
    if lists_groups(config) {
        attributes.push(MEMBER_OF);
    }
    let query = Query {
        base: &users.base,
        scope: Scope::Subtree,
        filter: &filter,
        attributes,
        limit: 2,
        paged: false,
        referrals: config.referrals,
    };
    let mut entries = sessions.search(&query, deadline).await?;
    match (entries.pop(), entries.is_empty()) {
        (None, _) => Ok(Found::Nobody),
        (Some(_), false) => Ok(Found::Several),
        (Some(entry), true) => person(config, name, &entry),
    }
}

fn lists_groups(config: &LdapConfig) -> bool {
    config.groups.as_ref().is_some_and(|groups| groups.nested == Nested::MemberOf)
}

fn person(config: &LdapConfig, presented: &UserName, entry: &Entry) -> Result<Found, AskError> {
    let member_of = match entry.range(MEMBER_OF) {
        Some((groups, next)) => MemberOf { groups: groups.to_vec(), next },
        None if entry.has_ranges() => return Err(AskError::Incomplete("an attribute is there in part")),
        None => MemberOf { groups: entry.values(MEMBER_OF).to_vec(), next: None },
    };
    let name = entry.first(&config.users.name);
    let name = name.ok_or(AskError::Incomplete("the user's entry has no name, or it may not be read"))?;
    let Some(name) = fold(config, name).filter(|name| name == presented) else {
        return Ok(Found::Nobody);
    };
    let info = config.users.info.iter().filter_map(|(key, attribute)| {
        let value = entry.first(attribute).filter(|value| value.len() <= MAX_INFO)?;
        Some((key.clone(), value.to_owned()))
    });
    Ok(Found::One(Box::new(Person {
        dn: entry.dn.clone(),
        name,
        info: info.collect(),
        member_of,
        mark: mark(entry),
        locked: locked(entry),
    })))
}

/// The one spelling of a name.
pub(super) fn fold(config: &LdapConfig, name: &str) -> Option<UserName> {
    match config.users.case_insensitive {
        true => UserName::parse(&name.to_ascii_lowercase()).ok(),
        false => UserName::parse(name).ok(),
    }
}

/// When the password was changed; where the directory does not note that, when the entry was. A password
/// policy that counts failures would also note a change, so with it none noted is none made; its counting
/// changes the entry and means nothing.
fn mark(entry: &Entry) -> Option<String> {
    let noted = |attribute: &str| Some(format!("{attribute}={}", entry.first(attribute)?));
    let never = || entry.first(POLICY_FAILED).map(|_| "never".to_owned());
    let changed = PASSWORD_CHANGED.into_iter().find_map(noted).or_else(never);
    changed.or_else(|| ENTRY_CHANGED.into_iter().find_map(noted))
}

fn locked(entry: &Entry) -> bool {
    entry.first(POLICY_LOCKED).is_some()
        || entry.first(AD_LOCKED).is_some_and(|since| since != "0")
        || entry.first(DISABLED).is_some_and(|disabled| disabled.eq_ignore_ascii_case("true"))
}

pub(super) const MEMBER_OF: &str = "memberOf";

/// `ppolicy(5)`, Active Directory, FreeIPA.
const PASSWORD_CHANGED: [&str; 3] = ["pwdChangedTime", "pwdLastSet", "krbLastPwdChange"];
const ENTRY_CHANGED: [&str; 2] = ["modifyTimestamp", "whenChanged"];
const POLICY_FAILED: &str = "pwdFailureTime";
const POLICY_LOCKED: &str = "pwdAccountLockedTime";
const AD_LOCKED: &str = "lockoutTime";
const DISABLED: &str = "nsAccountLock";

/// What goes to hooks must fit into a header first.
const MAX_INFO: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ldap::test_config;

    fn find(case_insensitive: bool, presented: &str, attributes: &[(&str, &[&str])]) -> Found {
        let mut config = test_config();
        config.users.case_insensitive = case_insensitive;
        let entry = Entry::new("uid=alice,dc=x", attributes);
        person(&config, &UserName::parse(presented).unwrap(), &entry).unwrap()
    }

    fn is_one(found: &Found) -> bool {
        matches!(found, Found::One(_))
    }

    #[test]
    fn the_name_is_the_first_value_of_the_directory_and_no_other() {
        assert!(is_one(&find(false, "bob", &[("uid", &["bob", "robert"])])));
        assert_eq!(find(false, "robert", &[("uid", &["bob", "robert"])]), Found::Nobody);
        assert_eq!(find(false, "ALICE", &[("uid", &["alice"])]), Found::Nobody);
        assert!(is_one(&find(true, "alice", &[("UID", &["Alice"])])));
        assert_eq!(find(false, "alice", &[("uid", &["al ice"])]), Found::Nobody, "no user name at all");
        let nameless = person(&test_config(), &UserName::parse("alice").unwrap(), &Entry::new("x", &[]));
        assert!(nameless.is_err(), "who that is cannot be said");
    }

    #[test]
    fn the_mark_prefers_what_only_a_new_password_changes() {
        let mark = |attributes: &[(&str, &[&str])]| mark(&Entry::new("x", attributes));
        assert_eq!(
            mark(&[("modifyTimestamp", &["2"]), ("pwdchangedtime", &["1"])]).unwrap(),
            "pwdChangedTime=1"
        );
        assert_eq!(mark(&[("whenChanged", &["3"])]).unwrap(), "whenChanged=3");
        assert_eq!(mark(&[("modifyTimestamp", &["2"]), ("pwdFailureTime", &["2", "3"])]).unwrap(), "never");
        assert_eq!(
            mark(&[("pwdChangedTime", &["1"]), ("pwdFailureTime", &["2"])]).unwrap(),
            "pwdChangedTime=1"
        );
        assert_eq!(mark(&[]), None);
    }

    #[test]
    fn an_account_that_cannot_log_in_is_seen_in_its_entry() {
        let locked = |attribute: &str, value: &str| locked(&Entry::new("x", &[(attribute, &[value])]));
        assert!(locked("pwdAccountLockedTime", "000001010000Z") && locked("lockoutTime", "133"));
        assert!(locked("nsAccountLock", "TRUE"));
        assert!(!locked("lockoutTime", "0") && !locked("nsAccountLock", "FALSE"));
    }
}
