//! `users.yaml`, the embedded default directory: users with their password hashes, groups and info.

use std::collections::{BTreeMap, BTreeSet};

use policy::document::{self, DocumentError, RULES_LIMIT, Version};
use policy::identity::{GroupName, User, UserName};
use serde::Deserialize;

use super::accounts::{Accounts, Builder};
use super::hash::StoredHash;

/// Reads the bytes of a users file; `name` appears in errors.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Accounts, DocumentError> {
    // The line of a mistake is not shown, nor the value in it: it may be a hash, or a password that somebody wrote where
    // its hash belongs, and errors end up in logs.
    let document: Document =
        document::parse(name, bytes, RULES_LIMIT).map_err(DocumentError::without_values)?;
    let mut accounts = Builder::default();
    for (user, entry) in document.users {
        let Entry { password, groups, info } = entry;
        let user = User { name: user, groups: groups.into(), info: info.into() };
        let added = accounts.add(user, password.as_ref());
        added.map_err(|full| DocumentError::new(name, "users", None, full.to_string()))?;
    }
    Ok(accounts.build())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "version")]
    _version: Version,
    users: BTreeMap<UserName, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    password: Option<StoredHash>,
    #[serde(default)]
    groups: BTreeSet<GroupName>,
    #[serde(default)]
    info: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::argon2id::Scratch;

    const HASH: &str = "$2y$05$4cFMj0k2/QAcbrjw8Wbwfex.O0ibtNmbpnLyz60LyIk8Vur/erUIy";

    fn error(text: &str) -> String {
        parse("users.yaml", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_user_has_a_password_groups_and_info_or_none_of_them() {
        let text = format!(
            "version: 1\nusers:\n  joe: {{ password: {HASH}, groups: [developers], info: {{ name: Joe }} }}\n  bot: {{}}\n"
        );
        let accounts = parse("users.yaml", text.as_bytes()).unwrap();
        let joe = accounts.find("joe").unwrap();
        assert!(joe.hash().unwrap().parse().unwrap().verify(b"correct", &mut Scratch::default()));
        assert!(joe.groups().contains(&GroupName::parse("developers").unwrap()));
        assert_eq!(joe.info()["name"], "Joe");
        assert!(accounts.find("bot").unwrap().hash().is_none());
        assert!(accounts.find("JOE").is_none());
    }

    #[test]
    fn a_password_that_is_no_strong_hash_is_refused_where_it_is_written() {
        for password in
            ["secret", "'{SHA}MXmmXv8lI7veU8mbKZtxnBCjUjU='", "$apr1$a6ugPmdb$Y5MDhaKbGBJXLC6VKsN6k0"]
        {
            let error = error(&format!("version: 1\nusers:\n  joe: {{ password: {password} }}\n"));
            assert!(error.starts_with("users.yaml:3:"), "{error}");
            assert!(
                error.contains("expected argon2id or bcrypt; `authd hash-password` makes one"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_error_never_shows_what_may_be_a_secret() {
        for (text, place) in [
            ("joe: { pasword: hunter2 }", "users.yaml:3:10: users.joe: unknown key `pasword`"),
            ("joe: { password: @hunter2 }", "users.yaml:3:20: a value that starts with @ needs quotes"),
            ("joe: { password: *hunter2 }", "users.yaml:3:20: nothing has this name"),
            ("joe: { password: hunter2 }", "users.yaml:3:20: users.joe.password: this is no password hash"),
            ("joe: hunter2", "users.yaml:3:8: users.joe: expected keys and values, found text"),
            ("joe: { groups: hunter2 }", "users.yaml:3:18: users.joe.groups: expected a list, found text"),
        ] {
            let error = error(&format!("version: 1\nusers:\n  {text}\n"));
            assert!(error.starts_with(place), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_duplicate_user_an_unknown_key_and_a_bad_name_are_refused() {
        assert!(error("version: 1\nusers:\n  joe: {}\n  joe: {}\n").starts_with("users.yaml:4:3: "));
        assert!(error("version: 1\nusers:\n  joe: { group: [a] }\n").contains("did you mean `groups`?"));
        assert!(error("version: 1\nusers:\n  'joe smith': {}\n").contains("a user name has"));
        assert!(error("version: 1\nusers:\n  anonymous: {}\n").contains("words of the policy"));
        assert!(error("version: 1\n").contains("users"));
    }
}
