//! Logging in by a real OpenLDAP: who is who, and which groups they are in.

use harness::slapd::{SERVICE_DN, Slapd};
use harness::{Authd, FakeLdap};

const WORDS: &str = "users: { base: 'ou=people,dc=example,dc=org'";

fn both(slapd: &Slapd) -> Authd {
    Authd::start(&slapd.directory(), "").unwrap()
}

#[test]
fn a_user_logs_in_and_is_in_the_groups_of_the_directory() {
    let slapd = Slapd::start().unwrap();
    let authd = both(&slapd);
    let answer = authd.ask("alice", "alice-password", "dev").unwrap();
    assert_eq!((answer.status, answer.user.as_deref()), (200, Some("alice")));
    assert_eq!(authd.status("alice", "alice-password", "staff"), 200, "developers are staff");
    assert_eq!(authd.status("alice", "wrong", "dev"), 401);
    assert_eq!(authd.status("nobody", "x", "dev"), 401);
    assert_eq!(authd.status("carol", "carol-password", "dev"), 403);
    assert_eq!(authd.ask_anonymously("public").unwrap().status, 200);
    assert_eq!(authd.count("gitward_directory_requests_total{directory=\"ldap\"").unwrap(), 4.0);
}

#[test]
fn groups_are_found_by_member_unique_member_and_member_uid() {
    let slapd = Slapd::start().unwrap();
    let authd = both(&slapd);
    for folder in ["unique", "posix", "ops", "admins"] {
        assert_eq!(authd.status("carol", "carol-password", folder), 200, "{folder}");
    }
}

#[test]
fn a_group_of_the_same_name_elsewhere_does_not_count() {
    let slapd = Slapd::start().unwrap();
    let authd = both(&slapd);
    assert_eq!(authd.status("alice", "alice-password", "admins"), 403, "hers are the contractors' admins");
    let listed = slapd.directory().replace("nested: client", "nested: member_of").replace(
        "filter: '(|(member={dn})(uniqueMember={dn})(memberUid={user}))'",
        "filter: '(objectClass=groupOfNames)'",
    );
    let authd = Authd::start(&listed, "").unwrap();
    // The memberof overlay writes on changes only, so make one.
    slapd
        .modify("dn: cn=admins,ou=contractors,dc=example,dc=org\nchangetype: modify\ndelete: member\nmember: uid=alice,ou=people,dc=example,dc=org\n-\nadd: member\nmember: uid=alice,ou=people,dc=example,dc=org\n\n\
                 dn: cn=admins,ou=groups,dc=example,dc=org\nchangetype: modify\nadd: member\nmember: uid=bob,ou=people,dc=example,dc=org\n")
        .unwrap();
    assert_eq!(slapd.values("uid=alice,ou=people,dc=example,dc=org", "memberOf").unwrap().len(), 1);
    assert_eq!(authd.status("alice", "alice-password", "admins"), 403);
    assert_eq!(authd.status("bob", "bob-password", "admins"), 200, "memberOf of the right base counts");
}

#[test]
fn groups_that_contain_one_another_come_to_an_end() {
    let slapd = Slapd::start().unwrap();
    let authd = both(&slapd);
    assert_eq!(authd.status("bob", "bob-password", "circle"), 200);
    let searches = slapd.lines(&["SRCH base=\"ou=groups", "circle-"]).len();
    assert!(searches <= 2, "{searches} searches for the groups of the circle");
}

#[test]
fn without_nesting_only_groups_that_name_the_user_count() {
    let slapd = Slapd::start().unwrap();
    let authd = Authd::start(&slapd.directory().replace("nested: client", "nested: off"), "").unwrap();
    assert_eq!(authd.status("alice", "alice-password", "dev"), 200);
    assert_eq!(authd.status("alice", "alice-password", "staff"), 403);
}

#[test]
fn every_spelling_of_a_name_is_that_one_user_or_nobody() {
    let slapd = Slapd::start().unwrap();
    let authd = both(&slapd);
    for name in ["ALICE", "alice ", " alice", "\u{ff41}lice", "robert", "alice\\20", "a\u{200b}lice"] {
        let answer = authd.ask(name, "alice-password", "dev").unwrap();
        assert_eq!((answer.status, answer.user), (401, None), "{name:?}");
    }
    assert_eq!(slapd.binds("alice") + slapd.binds("bob"), 0, "no bind for a name that is not the user's");
    assert_eq!(authd.status("robert", "bob-password", "circle"), 401, "a second value is not the name");

    let folding = slapd.directory().replace("name: uid,", "name: uid, case_insensitive: true,");
    let authd = Authd::start(&folding, "").unwrap();
    for name in ["alice", "ALICE", "Alice", "aLiCe"] {
        let answer = authd.ask(name, "alice-password", "dev").unwrap();
        assert_eq!((answer.status, answer.user.as_deref()), (200, Some("alice")), "{name}");
    }
    assert_eq!(slapd.binds("alice"), 1, "one memory for all spellings");
    for (guess, name) in ["bob", "BOB", "Bob", "bOb", "boB"].into_iter().enumerate() {
        assert_eq!(authd.status(name, &format!("guess {guess}"), "dev"), 401);
    }
    assert_eq!(authd.status("BoB", "guess 6", "dev"), 429, "one limit for all spellings");
}

#[test]
fn no_name_can_change_the_search() {
    let slapd = Slapd::start().unwrap();
    let authd = both(&slapd);
    for name in
        ["*", "a*", "a)(uid=b", "alice)(|(uid=*", "a\\2ab", "uid=alice,ou=people", "\u{0}", "(", "{dn}"]
    {
        assert_eq!(authd.status(name, "alice-password", "dev"), 401, "{name:?}");
    }
    assert_eq!(slapd.lines(&["method=128", "uid="]).len(), 0, "nobody was bound");
}

#[test]
fn two_matching_entries_are_nobody_and_the_log_says_so() {
    let slapd = Slapd::start().unwrap();
    let directory = slapd.directory().replace(WORDS, "users: { base: 'dc=example,dc=org'");
    let authd = Authd::start(&directory, "").unwrap();
    assert_eq!(authd.status("twin", "twin-password", "dev"), 401);
    assert_eq!(slapd.binds("twin"), 0);
    assert!(authd.process.log().contains("several entries match"), "{}", authd.process.log());
}

#[test]
fn an_empty_password_reaches_no_server() {
    let fake = FakeLdap::start(|_| vec![harness::fake_ldap::Act::Done(0)]).unwrap();
    let authd = Authd::start(&harness::slapd::directory(&[&fake.url()]), "").unwrap();
    for password in ["", "\u{0}", "\u{0}\u{0}"] {
        assert_eq!(authd.status("alice", password, "dev"), 401, "{password:?}");
    }
    assert_eq!(fake.asked(), []);
}

#[test]
fn the_search_after_a_login_is_still_done_as_the_service_account() {
    let slapd = Slapd::start().unwrap();
    let directory = slapd.directory() + "    connections: 1\n";
    let authd = Authd::start(&directory, "cache: { ttl: 1s }\n").unwrap();
    for user in ["alice", "bob", "carol"] {
        assert_eq!(authd.status(user, &format!("{user}-password"), "any"), 200);
    }
    let log = slapd.lines(&["conn="]);
    let connection =
        |line: &str| line.split("conn=").nth(1).and_then(|rest| rest.split(' ').next().map(str::to_owned));
    let searched: std::collections::BTreeSet<_> = log
        .iter()
        .filter(|line| line.contains(" SRCH base=\"ou="))
        .filter_map(|line| connection(line))
        .collect();
    assert!(!searched.is_empty());
    for line in log.iter().filter(|line| line.contains("BIND dn=\"") && line.contains("method=128")) {
        let on_search = connection(line).is_some_and(|connection| searched.contains(&connection));
        assert_eq!(on_search, line.contains(SERVICE_DN), "{line}");
    }
}

#[test]
fn a_front_server_names_the_user_and_the_directory_knows_the_groups() {
    let slapd = Slapd::start().unwrap();
    let active = slapd.directory().replace("(uid={user})", "(&(uid={user})(!(employeeType=disabled)))");
    let directories = format!("  - {{ type: upstream, header: X-Remote-User, groups_from: ldap }}\n{active}");
    let authd = Authd::start(&directories, "cache: { ttl: 1s, negative_ttl: 1s }\n").unwrap();
    let answer = authd.ask_named("alice", "staff").unwrap();
    assert_eq!((answer.status, answer.user.as_deref()), (200, Some("alice")));
    assert_eq!(authd.ask_named("alice", "admins").unwrap().status, 403);
    assert_eq!(authd.ask_named("nobody", "any").unwrap().status, 403);
    assert_eq!(authd.ask_named("ALICE", "any").unwrap().status, 403);
    assert_eq!(authd.ask_named("carol", "unique").unwrap().status, 200);
    assert_eq!(slapd.lines(&["method=128", "uid="]).len(), 0, "nobody was bound");

    slapd
        .modify("dn: uid=carol,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: employeeType\nemployeeType: disabled\n")
        .unwrap();
    let gone = || authd.ask_named("carol", "unique").unwrap().status == 403;
    harness::until_true("refusal of a disabled user", std::time::Duration::from_secs(5), gone).unwrap();
}

#[test]
fn a_user_who_is_disabled_or_leaves_a_group_loses_it_within_the_time_to_live_even_while_polling() {
    let slapd = Slapd::start().unwrap();
    let active = slapd.directory().replace("(uid={user})", "(&(uid={user})(!(employeeType=disabled)))");
    let authd = Authd::start(&active, "cache: { ttl: 1s, negative_ttl: 1s }\n").unwrap();
    assert_eq!(authd.status("carol", "carol-password", "posix"), 200);
    slapd
        .modify("dn: cn=posix,ou=groups,dc=example,dc=org\nchangetype: modify\ndelete: memberUid\nmemberUid: carol\n")
        .unwrap();
    let patience = std::time::Duration::from_secs(5);
    let out = || authd.status("carol", "carol-password", "posix") == 403;
    harness::until_true("loss of the group", patience, out).unwrap();
    slapd
        .modify("dn: uid=carol,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: employeeType\nemployeeType: disabled\n")
        .unwrap();
    let gone = || authd.status("carol", "carol-password", "unique") == 401;
    harness::until_true("loss of the account", patience, gone).unwrap();
}

#[test]
fn an_old_password_dies_within_the_time_to_live_and_the_new_one_works_at_once() {
    let slapd = Slapd::start().unwrap();
    let authd = Authd::start(&slapd.directory(), "cache: { ttl: 1s, negative_ttl: 1s }\n").unwrap();
    assert_eq!(authd.status("alice", "alice-password", "dev"), 200);
    slapd
        .modify("dn: uid=alice,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: userPassword\nuserPassword: changed-password\n")
        .unwrap();
    assert_eq!(authd.status("alice", "changed-password", "dev"), 200);
    let dead = || authd.status("alice", "alice-password", "dev") == 401;
    harness::until_true("end of the old password", std::time::Duration::from_secs(5), dead).unwrap();
    assert_eq!(authd.status("alice", "changed-password", "dev"), 200);
}

#[test]
fn the_last_member_of_a_large_group_is_in_it() {
    let slapd = Slapd::with_people(1501).unwrap();
    let authd = both(&slapd);
    assert_eq!(authd.status("u1500", "u1500-password", "staff"), 200);
}

#[test]
fn more_groups_than_the_server_gives_out_are_an_error_and_not_a_shorter_list() {
    let slapd = Slapd::start().unwrap();
    let authd = both(&slapd);
    let group = |number: usize| {
        format!(
            "dn: cn=many{number},ou=groups,dc=example,dc=org\nchangetype: add\nobjectClass: groupOfNames\n\
             cn: many{number}\nmember: uid=carol,ou=people,dc=example,dc=org\n\n"
        )
    };
    slapd.modify(&(0..501).map(group).collect::<String>()).unwrap();
    assert_eq!(authd.status("carol", "carol-password", "posix"), 503, "the limit of this server is 500");
    assert!(authd.process.log().contains("size limit"), "{}", authd.process.log());
    assert_eq!(authd.status("alice", "alice-password", "staff"), 200, "others are not concerned");
}

#[test]
fn a_reload_forgets_logins_only_if_the_directory_is_configured_otherwise() {
    let slapd = Slapd::start().unwrap();
    let authd = both(&slapd);
    let reload = |generation: f64| {
        authd.process.signal(rustix::process::Signal::HUP).unwrap();
        let loaded = || authd.count("gitward_config_generation").unwrap() == generation;
        harness::until_true("reload", std::time::Duration::from_secs(5), loaded).unwrap();
    };
    assert_eq!(authd.status("alice", "alice-password", "staff"), 200);
    reload(2.0);
    assert_eq!(authd.status("alice", "alice-password", "staff"), 200);
    assert_eq!(slapd.binds("alice"), 1, "what did not change is not asked again");
    let file = authd.file("authd.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("nested: client", "nested: off")).unwrap();
    reload(3.0);
    assert_eq!(authd.status("alice", "alice-password", "staff"), 403);
    assert_eq!(slapd.binds("alice"), 2);
}
