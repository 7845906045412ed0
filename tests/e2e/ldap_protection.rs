//! What the directory is spared: equal logins, repeated and guessed passwords, tokens.

use std::thread;
use std::time::{Duration, Instant};

use harness::fake_ldap::{Act, FakeLdap};
use harness::slapd::Slapd;
use harness::{Authd, Process};

/// Each `ask` on a thread of its own; the statuses.
fn at_once(count: usize, ask: impl Fn(usize) -> u16 + Sync) -> Vec<u16> {
    thread::scope(|scope| {
        let tasks: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn({
                    let ask = &ask;
                    move || ask(number)
                })
            })
            .collect();
        tasks.into_iter().map(|task| task.join().unwrap()).collect()
    })
}

#[test]
fn a_hundred_first_logins_of_one_user_at_once_are_one_bind() {
    let slapd = Slapd::start().unwrap();
    let authd = Authd::start(&slapd.directory(), "").unwrap();
    let statuses = at_once(100, |_| authd.status("alice", "alice-password", "staff"));
    assert_eq!(statuses, [200; 100]);
    assert_eq!(slapd.binds("alice"), 1);
    let searches = slapd.lines(&["SRCH base=\"ou=people"]).len();
    assert_eq!(searches, 1);
    println!("100 first logins: 1 bind, {} operations in all", slapd.operations());
}

#[test]
fn fifty_requests_with_one_wrong_password_are_one_bind() {
    let slapd = Slapd::start().unwrap();
    let authd = Authd::start(&slapd.directory(), "").unwrap();
    assert_eq!(at_once(25, |_| authd.status("alice", "wrong", "dev")), [401; 25]);
    for _ in 0..25 {
        assert_eq!(authd.status("alice", "wrong", "dev"), 401);
    }
    assert_eq!(slapd.binds("alice"), 1);
}

#[test]
fn right_and_wrong_passwords_at_once_are_never_mixed_up() {
    let slapd = Slapd::start().unwrap();
    let authd = Authd::start(&slapd.directory(), "").unwrap();
    let statuses = at_once(60, |number| {
        authd.status("alice", if number % 2 == 0 { "alice-password" } else { "wrong" }, "dev")
    });
    for (number, status) in statuses.iter().enumerate() {
        assert_eq!(*status, if number % 2 == 0 { 200 } else { 401 });
    }
    assert_eq!(slapd.binds("alice"), 2);
}

#[test]
fn only_so_many_wrong_passwords_reach_the_directory_and_a_known_one_keeps_working() {
    let slapd = Slapd::start().unwrap();
    let authd = Authd::start(&slapd.directory(), "failures: { per_user: 3, window: 5m }\n").unwrap();
    assert_eq!(authd.status("alice", "alice-password", "dev"), 200);
    let statuses: Vec<_> =
        (0..10).map(|guess| authd.status("alice", &format!("guess {guess}"), "dev")).collect();
    assert_eq!(statuses[..3], [401; 3]);
    assert_eq!(statuses[3..], [429; 7]);
    assert_eq!(slapd.binds("alice"), 4);
    let throttled = authd.ask("alice", "guess 9", "dev").unwrap();
    assert!(throttled.response.header("Retry-After").is_some());
    assert_eq!(authd.status("alice", "alice-password", "dev"), 200);
    assert_eq!(authd.status("bob", "bob-password", "any"), 200);
    assert_eq!(authd.count("gitward_auth_throttled_total{scope=\"user\"}").unwrap(), 8.0);
}

/// The windows here are short, so that a second stands for minutes: by the directory's own rule, five wrong
/// binds within any time lock the account, and only a right one takes them back.
#[test]
fn a_client_that_repeats_one_wrong_password_for_ever_never_locks_the_account() {
    let slapd = Slapd::start().unwrap();
    let more = "cache: { ttl: 1s, negative_ttl: 1s }\nfailures: { per_user: 4, window: 1s }\n";
    let authd = Authd::start(&slapd.directory(), more).unwrap();
    // Times in entries are whole seconds: what is changed now must not look as old as the entry.
    thread::sleep(Duration::from_millis(1100));
    let end = Instant::now() + Duration::from_secs(12);
    let mut asked = 0;
    while Instant::now() < end {
        assert_eq!(authd.status("alice", "stale-password", "dev"), 401);
        asked += 1;
        thread::sleep(Duration::from_millis(20));
    }
    let alice = "uid=alice,ou=people,dc=example,dc=org";
    assert_eq!(slapd.binds("alice"), 1, "{asked} requests in 12 windows");
    assert_eq!(slapd.values(alice, "pwdFailureTime").unwrap().len(), 1);
    assert_eq!(slapd.values(alice, "pwdAccountLockedTime").unwrap().len(), 0);
    println!("{asked} requests with one stale password in 12 windows: 1 bind");
    assert_eq!(authd.status("alice", "alice-password", "dev"), 200);

    // Once the password is what the client has been sending, it works.
    slapd
        .modify(&format!(
            "dn: {alice}\nchangetype: modify\nreplace: userPassword\nuserPassword: stale-password\n"
        ))
        .unwrap();
    let right = || authd.status("alice", "stale-password", "dev") == 200;
    harness::until_true("the changed password", Duration::from_secs(5), right).unwrap();
    assert!(slapd.binds("alice") <= 4, "{}", slapd.binds("alice"));
}

#[test]
fn several_forgotten_clients_do_not_lock_the_account_together() {
    let slapd = Slapd::start().unwrap();
    let more = "cache: { ttl: 1s, negative_ttl: 1s }\nfailures: { per_user: 4, window: 1s }\n";
    let authd = Authd::start(&slapd.directory(), more).unwrap();
    thread::sleep(Duration::from_millis(1100));
    let end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < end {
        for stale in ["stale 1", "stale 2", "stale 3"] {
            assert_eq!(authd.status("alice", stale, "dev"), 401);
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(slapd.binds("alice"), 3, "one for each");
    let alice = "uid=alice,ou=people,dc=example,dc=org";
    assert_eq!(slapd.values(alice, "pwdAccountLockedTime").unwrap().len(), 0);
    assert_eq!(authd.status("alice", "alice-password", "dev"), 200);
}

#[test]
fn a_right_password_that_a_lock_refused_works_again_when_the_lock_is_gone() {
    let slapd = Slapd::start().unwrap();
    let more = "cache: { ttl: 1s, negative_ttl: 1s }\nfailures: { per_user: 9, window: 1s }\n";
    let authd = Authd::start(&slapd.directory(), more).unwrap();
    let bob = "uid=bob,ou=people,dc=example,dc=org";
    slapd
        .modify(&format!(
            "dn: {bob}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n"
        ))
        .unwrap();
    assert_eq!(authd.status("bob", "bob-password", "any"), 401);
    slapd.modify(&format!("dn: {bob}\nchangetype: modify\ndelete: pwdAccountLockedTime\n")).unwrap();
    let works = || authd.status("bob", "bob-password", "any") == 200;
    harness::until_true("the unlocked account", Duration::from_secs(5), works).unwrap();
}

#[test]
fn what_looks_like_a_token_is_never_sent() {
    let fake = FakeLdap::start(|_| vec![Act::Done(0)]).unwrap();
    let directory = harness::slapd::directory(&[&fake.url()]);
    let authd = Authd::start(&directory, "").unwrap();
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV";
    for token in ["ghp_0123456789abcdef", "glpat-0123456789", "github_pat_11AAAA", jwt] {
        assert_eq!(authd.status("alice", token, "dev"), 401, "{token}");
    }
    assert_eq!(fake.asked(), []);
    let authd = Authd::start(&(directory + "    never_send: ['acme-*']\n"), "").unwrap();
    assert_eq!(authd.status("alice", "acme-1", "dev"), 401);
    assert_eq!(fake.asked(), []);
    authd.ask("alice", "ghp_is-a-password-here", "dev").unwrap();
    assert_ne!(fake.asked(), [], "the list is the administrator's");
}

#[test]
fn no_password_and_no_secret_is_in_any_log() {
    let slapd = Slapd::start().unwrap();
    let authd = Authd::start(&slapd.directory(), "").unwrap();
    authd.status("alice", "alice-password", "dev");
    authd.status("alice", "wrong-password", "dev");
    let log = logged(&authd.process);
    for secret in ["alice-password", "wrong-password", "service-password"] {
        assert!(!log.contains(secret), "{log}");
    }
}

fn logged(process: &Process) -> String {
    process.log()
}
