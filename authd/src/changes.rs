//! What a reload changed, for its line in the log: rules, users and settings. Never a password or its hash.

use std::collections::BTreeSet;

use policy::changes::{changes as of_policies, difference};

use crate::config::Config;
use crate::identity::accounts::{Account, Accounts};
use crate::state::Snapshot;

/// One line for each thing that is different.
pub fn changes(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let mut lines = of_policies(&old.policy, &new.policy);
    lines.extend(of_directories(old, new));
    lines.extend(settings(&old.config, &new.config));
    lines
}

fn of_directories(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let names = |snapshot: &Snapshot| -> BTreeSet<String> {
        snapshot.directories.summary().map(|(name, _)| name.to_owned()).collect()
    };
    let mut lines = Vec::new();
    let names = difference(&names(old), &names(new));
    if !names.is_empty() {
        lines.push(format!("directories {names}"));
    }
    for (name, after) in new.directories.files() {
        let before = old.directories.files().find(|(known, _)| *known == name);
        let before = before.map(|(_, accounts)| accounts);
        lines.extend(
            before
                .into_iter()
                .flat_map(|before| of_accounts(before, after))
                .map(|line| format!("{name}: {line}")),
        );
    }
    lines
}

fn of_accounts(old: &Accounts, new: &Accounts) -> Vec<String> {
    let names = |accounts: &Accounts| -> BTreeSet<String> {
        accounts.iter().map(|account| account.name.to_owned()).collect()
    };
    let (before, after) = (names(old), names(new));
    let mut lines = Vec::new();
    let users = difference(&before, &after);
    if !users.is_empty() {
        lines.push(format!("users {users}"));
    }
    let both = before.intersection(&after).filter_map(|name| Some((name, old.find(name)?, new.find(name)?)));
    lines.extend(both.filter_map(|(name, old, new)| Some(format!("{name}: {}", of_account(old, new)?))));
    lines
}

fn of_account(old: Account<'_>, new: Account<'_>) -> Option<String> {
    let mut parts = Vec::new();
    if !old.has_hash_of(&new) {
        parts.push("another password".to_owned());
    }
    let groups = difference(old.groups(), new.groups());
    if !groups.is_empty() {
        parts.push(format!("groups {groups}"));
    }
    if old.info() != new.info() {
        parts.push("another info".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn settings(old: &Config, new: &Config) -> Vec<String> {
    // All of them by name, so that a new one is not forgotten. The listeners need a restart, and a reload says so itself;
    // directories have their own lines.
    let Config {
        listen: _,
        admin: _,
        directories: _,
        endpoints,
        trusted_proxies,
        mounts,
        web,
        realm,
        policy_file,
        shadow_policy_file,
        signing_key_file,
        cache,
        failures,
    } = new;
    let keys = [
        ("endpoints", old.endpoints != *endpoints),
        ("trusted_proxies", old.trusted_proxies != *trusted_proxies),
        ("mounts", old.mounts != *mounts),
        ("web", old.web != *web),
        ("realm", old.realm != *realm),
        ("policy_file", old.policy_file != *policy_file),
        ("shadow_policy_file", old.shadow_policy_file != *shadow_policy_file),
        ("signing_key_file", old.signing_key_file != *signing_key_file),
        ("cache", old.cache != *cache),
        ("failures", old.failures != *failures),
    ];
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| format!("{key} changed")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn pages_that_come_or_go_are_a_change() {
        let parse = |text: &str| {
            let text = format!("version: 1\ndirectories: [{{ type: users, file: u }}]\n{text}");
            Config::parse(Path::new("/etc/gitward/authd.yaml"), text.as_bytes()).unwrap()
        };
        let (before, after) = (parse(""), parse("web: gitweb\nmount: /x/\n"));
        assert_eq!(settings(&before, &after), ["mounts changed", "web changed"]);
        assert!(settings(&before, &before).is_empty());
    }
}
