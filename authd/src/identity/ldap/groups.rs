//! The groups of a user: by search, by walking from group to group, or as the directory lists them.
//!
//! A group's name is the one value of one attribute of an entry below one base; DNs are compared whole
//! and never taken apart, so neither a group of that name elsewhere nor a comma in a name can be mistaken
//! for another. All of the groups, or an error: to leave one out could be as wrong as to invent one.

use std::collections::{BTreeSet, HashSet};

use ldap3::{Scope, ldap_escape};
use policy::identity::GroupName;
use tokio::time::Instant as Deadline;

use super::connection::Query;
use super::entry::Entry;
use super::error::AskError;
use super::sessions::Sessions;
use super::users::{MEMBER_OF, Person};
use crate::config::ldap::{GroupsConfig, LdapConfig, Nested};

/// Every group of this user.
pub(super) async fn of(
    sessions: &Sessions,
    config: &LdapConfig,
    person: &Person,
    deadline: Deadline,
) -> Result<BTreeSet<GroupName>, AskError> {
    let Some(groups) = &config.groups else { return Ok(BTreeSet::new()) };
    let search = Search { sessions, config, groups, deadline };
    let entries = match groups.nested {
        Nested::Off | Nested::InChain => {
            search.groups(&groups.filter.fill(person.name.as_str(), &person.dn)).await?
        }
        Nested::Client => search.walk(person).await?,
        Nested::MemberOf => search.listed(person).await?,
    };
    Ok(entries.iter().filter_map(|entry| name(groups, entry)).collect())
}

struct Search<'a> {
    sessions: &'a Sessions,
    config: &'a LdapConfig,
    groups: &'a GroupsConfig,
    deadline: Deadline,
}

impl Search<'_> {
    async fn groups(&self, filter: &str) -> Result<Vec<Entry>, AskError> {
        let query = Query {
            base: &self.groups.base,
            scope: Scope::Subtree,
            filter,
            attributes: vec![&self.groups.name],
            limit: MAX_GROUPS,
            paged: true,
            referrals: self.config.referrals,
        };
        self.sessions.search(&query, self.deadline).await
    }

    /// Level by level: the groups the user is in, the groups those are in, and so on. A group seen before
    /// is not followed again, so a circle comes to an end.
    async fn walk(&self, person: &Person) -> Result<Vec<Entry>, AskError> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut members = vec![person.dn.clone()];
        for _ in 0..MAX_DEPTH {
            let mut next = Vec::new();
            for some in members.chunks(BATCH) {
                for entry in self.groups(&self.containing(person, some)).await? {
                    if seen.insert(entry.dn.to_ascii_lowercase()) {
                        next.push(entry.dn.clone());
                        found.push(entry);
                    }
                }
            }
            match (next.is_empty(), found.len() > MAX_GROUPS) {
                (true, _) => return Ok(found),
                (false, true) => return Err(AskError::Incomplete("the user is in too many groups")),
                (false, false) => members = next,
            }
        }
        Err(AskError::Incomplete("groups are nested too deep"))
    }

    fn containing(&self, person: &Person, members: &[String]) -> String {
        let filters = members.iter().map(|dn| self.groups.filter.fill(person.name.as_str(), dn));
        any(filters.collect())
    }

    /// What the user's entry lists, looked up below the base to learn their names.
    async fn listed(&self, person: &Person) -> Result<Vec<Entry>, AskError> {
        let listed = self.all_listed(person).await?;
        let is_group = self.groups.filter.fill("", "");
        let mut found = Vec::new();
        for some in listed.chunks(BATCH) {
            let one_of =
                some.iter().map(|dn| format!("({}={})", self.groups.dn_attribute, ldap_escape(dn.as_str())));
            found.extend(self.groups(&format!("(&{is_group}{})", any(one_of.collect()))).await?);
        }
        Ok(found)
    }

    /// Active Directory sends 1500 values at a time.
    async fn all_listed(&self, person: &Person) -> Result<Vec<String>, AskError> {
        let mut listed = person.member_of.groups.clone();
        let mut next = person.member_of.next;
        while let Some(start) = next {
            if start != listed.len() || listed.len() > MAX_GROUPS {
                return Err(AskError::Incomplete("the list of groups has holes or no end"));
            }
            let attribute = format!("{MEMBER_OF};range={start}-*");
            let query = Query {
                base: &person.dn,
                scope: Scope::Base,
                filter: "(objectClass=*)",
                attributes: vec![&attribute],
                limit: 1,
                paged: false,
                referrals: self.config.referrals,
            };
            let entries = self.sessions.search(&query, self.deadline).await?;
            let part = entries.first().and_then(|entry| entry.range(MEMBER_OF));
            let (more, after) = part.ok_or(AskError::Incomplete("the list of groups breaks off"))?;
            if more.is_empty() {
                return Err(AskError::Incomplete("the list of groups breaks off"));
            }
            listed.extend_from_slice(more);
            next = after;
        }
        Ok(listed)
    }
}

fn any(mut filters: Vec<String>) -> String {
    match filters.len() {
        1 => filters.remove(0),
        _ => format!("(|{})", filters.concat()),
    }
}

/// The group's name, if it has exactly one: whoever may add a second value must not join a group by it.
fn name(groups: &GroupsConfig, entry: &Entry) -> Option<GroupName> {
    let name = match entry.values(&groups.name) {
        [name] => GroupName::parse(name).ok(),
        _ => None,
    };
    if name.is_none() {
        tracing::warn!(dn = entry.dn, attribute = groups.name, "a group without exactly one usable name");
    }
    name
}

/// More groups than Active Directory lets anybody be in.
const MAX_GROUPS: usize = 10_000;
const MAX_DEPTH: usize = 32;
/// DNs in one filter.
const BATCH: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ldap::test_config;

    #[test]
    fn a_group_counts_by_its_one_name() {
        let groups = test_config().groups.unwrap();
        let name = |values: &[&str]| {
            let entry = Entry::new("cn=x,ou=groups", &[("cn", values)]);
            name(&groups, &entry).map(|name| name.as_str().to_owned())
        };
        assert_eq!(name(&["Dev, Ops"]).as_deref(), Some("Dev, Ops"));
        assert_eq!(name(&["developers", "admins"]), None);
        assert_eq!(name(&[]), None);
        assert_eq!(name(&["a\nb"]), None);
    }

    #[test]
    fn several_members_make_one_filter() {
        assert_eq!(any(vec!["(a=1)".into()]), "(a=1)");
        assert_eq!(any(vec!["(a=1)".into(), "(a=2)".into()]), "(|(a=1)(a=2))");
    }
}
