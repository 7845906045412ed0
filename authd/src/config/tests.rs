//! What `authd.yaml` may say, and what it is told when it may not.

use std::path::Path;
use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("/etc/gitward/authd.yaml"), text.as_bytes()).map_err(|error| error.to_string())
}

fn error(text: &str) -> String {
    parse(text).unwrap_err()
}

fn directories(text: &str) -> String {
    format!("version: 1\ndirectories:\n{text}")
}

#[test]
fn a_version_alone_is_a_configuration_with_every_default() {
    let config = parse("version: 1\n").unwrap();
    assert_eq!(config.listen.to_string(), "unix:/run/gitward/authd.sock");
    assert_eq!(config.admin.to_string(), "127.0.0.1:9181");
    assert_eq!(config.policy_file, Path::new("/etc/gitward/policy.yaml"));
    assert_eq!(config.signing_key_file, Path::new("/run/gitward/signing.key"));
    assert_eq!(config.cache.ttl, Duration::from_secs(120));
    assert_eq!(config.cache.negative_ttl, Duration::from_secs(30));
    assert_eq!(config.cache.stale_if_unavailable, Duration::from_secs(3600));
    assert_eq!(config.cache.capacity, 100_000);
    assert_eq!((config.failures.per_user, config.failures.per_client), (5, 50));
    assert_eq!(config.failures.window, Duration::from_secs(300));
    assert_eq!(config.realm.challenge(), "Basic realm=\"git\", charset=\"UTF-8\"");
}

#[test]
fn every_key_is_read() {
    let config = parse(
        "version: 1\nlisten: 127.0.0.1:9180\nadmin: unix:/run/admin.sock\nmount: /repos/\nrealm: our git\n\
         policy_file: rules/policy.yaml\nsigning_key_file: key\n\
         cache: { ttl: 1m, negative_ttl: 5s, stale_if_unavailable: 2h, capacity: 10 }\n\
         failures: { per_user: 1, per_client: 2, window: 1h }\n\
         directories:\n  - { type: users, file: users.yaml }\n\
         \x20 - { type: htpasswd, name: old, file: /etc/nginx/htpasswd, groups_file: groups }\n\
         \x20 - { type: upstream, header: X-Remote-User, groups_from: old, addresses: [10.0.0.0/8, '::1'] }\n",
    )
    .unwrap();
    assert_eq!(config.policy_file, Path::new("/etc/gitward/rules/policy.yaml"));
    assert_eq!(
        config.failures,
        FailuresConfig { per_user: 1, per_client: 2, window: Duration::from_secs(3600) }
    );
    let names: Vec<_> = config.directories.iter().map(|directory| directory.name.as_ref()).collect();
    assert_eq!(names, ["users", "old", "upstream"]);
    assert!(matches!(&config.directories[2].kind, DirectoryKind::Upstream { groups_from: 1, header, .. }
        if header == "x-remote-user"));
    assert!(
        matches!(&config.directories[1].kind, DirectoryKind::Htpasswd { file, groups_file: Some(groups) }
        if file == Path::new("/etc/nginx/htpasswd") && groups == Path::new("/etc/gitward/groups"))
    );
}

#[test]
fn groups_may_come_from_a_directory_named_by_its_type() {
    let text = "  - { type: upstream, header: X-User, groups_from: users }\n  - { type: users, name: ours, file: u }\n";
    let config = parse(&directories(text)).unwrap();
    assert!(matches!(config.directories[0].kind, DirectoryKind::Upstream { groups_from: 1, .. }));
}

#[test]
fn a_mistake_is_shown_where_it_is() {
    for (text, place, message) in [
        ("version: 1\nlisten: 9180\n", ":2:9: ", "listen: invalid"),
        ("version: 1\nrealm: 'a\"b'\n", ":2:8: ", "without \" and \\"),
        ("version: 1\ncache: { ttl: 2 }\n", ":2:15: ", "ttl"),
        ("version: 1\ncache: { tll: 2m }\n", ":2:10: ", "did you mean `ttl`?"),
        ("version: 1\nfailures: { per_user: 0 }\n", ":2:23: ", "from 1 on"),
        ("version: 1\nlisten: unix:sock\n", ":2:9: ", "unix:/absolute/path"),
        ("version: 1\ndirectoris: []\n", ":2:1: ", "did you mean `directories`?"),
    ] {
        let error = error(text);
        assert!(error.contains(place), "{place}: {error}");
        assert!(error.contains(message), "{message}: {error}");
    }
}

#[test]
fn a_directory_takes_the_keys_of_its_own_type_only() {
    for (entry, message) in [
        ("{ type: users }", "a directory of type `users` needs the key `file`"),
        ("{ type: users, file: u, groups_file: g }", "a directory of type `users` has no key `groups_file`"),
        ("{ type: upstream, header: X-User }", "needs the key `groups_from`"),
        ("{ type: htpasswd, file: f, addresses: [] }", "has no key `addresses`"),
        ("{ file: u }", "the key `type` is missing"),
        ("{ type: user, file: u }", "unknown value `user`"),
        ("{ type: users, file: u, name: 'a b' }", "a directory's name has"),
        ("{ type: upstream, header: Authorization, groups_from: users }", "a meaning of its own"),
        ("{ type: upstream, header: X-Original-URI, groups_from: users }", "a meaning of its own"),
        ("{ type: upstream, header: 'X User', groups_from: users }", "not a header's name"),
        ("{ type: upstream, header: X-User, groups_from: users, addresses: ['*'] }", "invalid address \"*\""),
        ("{ type: ldap, urls: [ldaps://dc1] }", "a directory of type `ldap` needs the key `users`"),
        ("{ type: ldap, urls: [], users: { base: dc=x } }", "needs at least one server"),
        ("{ type: ldap, urls: [ldap://dc1], users: { base: dc=x } }", "passwords in the clear"),
        ("{ type: ldap, urls: [http://dc1], users: { base: dc=x } }", "invalid server"),
        ("{ type: ldap, urls: [ldaps://dc1], bind_password: x, users: { base: dc=x } }", "unknown key"),
        ("{ type: ldap, urls: [ldaps://dc1], bind_dn: cn=x, users: { base: dc=x } }", "need one another"),
        ("{ type: ldap, urls: [ldaps://dc1], users: { base: dc=x, filter: '(uid=*)' } }", "needs {user}"),
        ("{ type: users, file: u, urls: [ldaps://dc1] }", "has no key `urls`"),
        ("users", "a directory: { type: users"),
    ] {
        let error = error(&directories(&format!("  - {entry}\n")));
        assert!(error.starts_with("/etc/gitward/authd.yaml:3:"), "{entry}: {error}");
        assert!(error.contains(message), "{entry}: {error}");
    }
}

#[test]
fn directories_that_cannot_be_told_apart_or_found_are_refused() {
    let twice = "  - { type: users, file: a }\n  - { type: users, file: b }\n";
    assert!(error(&directories(twice)).contains("two of them are called `users`"));
    let nowhere = "  - { type: upstream, header: X-User, groups_from: users }\n";
    assert!(error(&directories(nowhere)).contains("`groups_from: users` names no directory"));
    let itself = "  - { type: upstream, header: X-User, groups_from: upstream }\n";
    assert!(error(&directories(itself)).contains("is an upstream and knows no groups"));
}

fn ldap(text: &str) -> LdapConfig {
    let text = directories(&format!("  - type: ldap\n    urls: [ldaps://dc1]\n{text}"));
    match parse(&text).unwrap().directories.remove(0).kind {
        DirectoryKind::Ldap(config) => *config,
        kind => panic!("{kind:?}"),
    }
}

#[test]
fn a_preset_fills_what_is_not_written_and_nothing_else() {
    let base = "    users: { base: ou=people }\n    groups: { base: ou=groups }\n";
    let plain = ldap(base);
    assert_eq!((plain.timeout, plain.connections), (Duration::from_secs(5), 8));
    assert_eq!(plain.users.filter.fill("joe", ""), "(uid=joe)");
    assert_eq!(plain.groups.unwrap().filter.fill("joe", "uid=joe"), "(member=uid=joe)");

    let preset = ldap(&format!("    preset: active_directory\n{base}"));
    assert!(preset.users.case_insensitive && preset.users.name == "sAMAccountName");
    assert_eq!(preset.referrals, ldap::Referrals::Ignore);
    let groups = preset.groups.unwrap();
    assert!(groups.filter.fill("", "cn=a").contains("member:1.2.840.113556.1.4.1941:=cn=a"));

    let preset = ldap(&format!("    preset: freeipa\n{base}"));
    assert_eq!(preset.groups.unwrap().filter.fill("", ""), "(objectClass=ipaUserGroup)");

    let written = ldap(
        "    preset: active_directory\n    referrals: refuse\n\
         \x20   users: { base: x, filter: '(mail={user})', name: mail, case_insensitive: false }\n\
         \x20   groups: { base: y, filter: '(member={dn})', name: cn, nested: client, ttl: 1m }\n",
    );
    assert_eq!(written.users.filter.fill("joe", ""), "(mail=joe)");
    assert!(!written.users.case_insensitive && written.referrals == ldap::Referrals::Refuse);
    assert_eq!(written.groups.unwrap().ttl, Some(Duration::from_secs(60)));
}

#[test]
fn plain_text_goes_to_this_machine_only_unless_it_is_allowed_in_words() {
    for (urls, more, accepted) in [
        ("ldap://127.0.0.1:3890", "", true),
        ("ldap://localhost", "", true),
        ("'ldap://[::1]'", "", true),
        ("ldap://localhost.example.org", "", false),
        ("ldap://10.0.0.1", "", false),
        ("ldap://10.0.0.1", "allow_plaintext: true, ", true),
        ("ldap://dc1", "tls: { start_tls: true }, ", true),
        ("ldaps://dc1", "tls: { start_tls: true }, ", false),
        ("'ldaps://[::1]'", "", false),
        ("'ldaps://dc1:0'", "", false),
        ("'ldaps://dc1/dc=x?sub'", "", false),
    ] {
        let text =
            directories(&format!("  - {{ type: ldap, urls: [{urls}], {more}users: {{ base: x }} }}\n"));
        assert_eq!(parse(&text).is_ok(), accepted, "{urls} {more}: {:?}", parse(&text).err());
    }
}

/// The lines of the sample that are commented out, taken in.
#[test]
fn the_ldap_examples_of_the_sample_can_be_used_as_they_are() {
    let sample = include_str!("../../../config/authd.yaml");
    let blocks = sample.split("\n\n").filter(|block| block.contains("  #- type: ldap"));
    let mut urls = Vec::new();
    for block in blocks {
        let lines = block.lines().filter(|line| line.starts_with("  #-") || line.starts_with("  #  "));
        let text: String = lines.map(|line| format!("  {}\n", &line[3..])).collect();
        match parse(&directories(&text)).unwrap().directories.remove(0).kind {
            DirectoryKind::Ldap(config) => urls.push(config.urls[0].to_string()),
            kind => panic!("{kind:?}"),
        }
    }
    assert_eq!(
        urls,
        ["ldaps://dc1.example.org:636", "ldaps://dc1.corp.example.org:636", "ldaps://ipa1.example.org:636"]
    );
}
