//! Search filters with places for a user's name and an entry's DN (RFC 4515).
//!
//! What is put in is escaped here and nowhere else, so that no value can change the shape of a filter.

use std::str::FromStr;

use ldap3::{ldap_escape, parse_filter};
use policy::document;
use serde::{Deserialize, Deserializer};

/// A filter such as `(&(objectClass=person)(uid={user}))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

/// The text is no filter that could be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// Some `{…}` is neither of the two.
    #[error("a filter knows {{user}} and {{dn}} and no other {{…}}")]
    Place,
    /// The grammar of RFC 4515 does not hold.
    #[error("this is not an LDAP search filter, such as (uid={{user}})")]
    Filter,
}

impl Template {
    /// Whether the user's name goes in.
    pub fn takes_user(&self) -> bool {
        self.0.contains(USER)
    }

    /// Whether a DN goes in.
    pub fn takes_dn(&self) -> bool {
        self.0.contains(DN)
    }

    /// The filter for these values.
    pub fn fill(&self, user: &str, dn: &str) -> String {
        // The DN last: a name cannot contain `{dn}`, its characters are not those of names.
        self.0.replace(USER, &ldap_escape(user)).replace(DN, &ldap_escape(dn))
    }

    /// The filter that also finds groups the DN is in through other groups (Active Directory).
    pub fn in_chain(&self) -> Self {
        Self(self.0.replace(&format!("={DN}"), &format!(":{IN_CHAIN}:={DN}")))
    }
}

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        let template = Self(text.to_owned());
        if text.replace(USER, "").replace(DN, "").contains(['{', '}']) {
            return Err(InvalidTemplate::Place);
        }
        match parse_filter(template.fill("user", "cn=user")) {
            Ok(_) if text.starts_with('(') => Ok(template),
            _ => Err(InvalidTemplate::Filter),
        }
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, str::parse)
    }
}

const USER: &str = "{user}";
const DN: &str = "{dn}";

/// `LDAP_MATCHING_RULE_IN_CHAIN`
const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        text.parse().unwrap()
    }

    #[test]
    fn whatever_is_put_in_the_shape_of_the_filter_stays() {
        let filter = template("(&(objectClass=person)(uid={user}))");
        assert_eq!(filter.fill("*", ""), "(&(objectClass=person)(uid=\\2a))");
        assert_eq!(filter.fill("a)(uid=b", ""), "(&(objectClass=person)(uid=a\\29\\28uid=b))");
        assert_eq!(filter.fill("a\\2ab\0", ""), "(&(objectClass=person)(uid=a\\5c2ab\\00))");
        let groups = template("(|(member={dn})(memberUid={user}))");
        assert_eq!(groups.fill("joe", "cn=a*(b),dc=x"), "(|(member=cn=a\\2a\\28b\\29,dc=x)(memberUid=joe))");
        for value in ["*", "a)(uid=b", "\\", "((", "a\u{0}b", "é*"] {
            assert!(parse_filter(filter.fill(value, value)).is_ok(), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_when_it_is_read() {
        for (text, error) in [
            ("(uid={user}", InvalidTemplate::Filter),
            ("uid={user}", InvalidTemplate::Filter),
            ("", InvalidTemplate::Filter),
            ("(uid={name})", InvalidTemplate::Place),
            ("(uid={{user}})", InvalidTemplate::Place),
        ] {
            assert_eq!(text.parse::<Template>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_chain_rule_is_put_where_the_dn_is_compared() {
        let filter = template("(&(objectClass=group)(member={dn}))").in_chain();
        assert_eq!(filter.fill("", "cn=a"), "(&(objectClass=group)(member:1.2.840.113556.1.4.1941:=cn=a))");
    }
}
