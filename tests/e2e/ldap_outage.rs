//! A directory that is silent, gone, and back: who is known goes on working, nobody is told 401.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::authd::{Answer, FILER_PASSWORD};
use harness::slapd::{Slapd, directory};
use harness::{Authd, FakeLdap};

const DEADLINE: Duration = Duration::from_secs(2);
/// What a busy machine may add to it.
const MARGIN: Duration = Duration::from_millis(700);
const SHORT: &str = "cache: { ttl: 1s, negative_ttl: 1s, stale_if_unavailable: 1h }\n";

#[test]
fn in_an_outage_known_users_go_on_unknown_ones_are_told_to_come_back_and_files_answer() {
    let mut slapd = Slapd::start().unwrap();
    let directories = format!("  - {{ type: users, file: users.yaml }}\n{}", slapd.directory());
    let authd = Authd::start(&directories, SHORT).unwrap();
    assert_eq!(authd.status("alice", "alice-password", "staff"), 200);
    slapd.kill().unwrap();
    thread::sleep(Duration::from_millis(1200));
    for _ in 0..3 {
        let answer = authd.ask("alice", "alice-password", "staff").unwrap();
        assert_eq!((answer.status, answer.user.as_deref()), (200, Some("alice")));
    }
    let unknown = authd.ask("bob", "bob-password", "any").unwrap();
    assert_eq!(unknown.status, 503);
    assert!(unknown.response.header("Retry-After").is_some());
    assert!(unknown.response.header("WWW-Authenticate").is_none());
    assert_eq!(authd.status("alice", "other-password", "staff"), 503, "a password nobody has seen right");
    assert_eq!(authd.status("filer", FILER_PASSWORD, "dev"), 200, "who is in a file is not asked for");
    assert_eq!(authd.status("filer", "wrong", "dev"), 401);
    assert_eq!(authd.ask_anonymously("public").unwrap().status, 200);

    let out = || authd.admin("/readyz").unwrap().text().contains("\"directories_out\":[\"ldap\"]");
    harness::until_true("an outage on /readyz", Duration::from_secs(5), out).unwrap();
    assert_eq!(authd.admin("/readyz").unwrap().status, 200, "no reason to take the replica out of service");
    assert!(authd.count("gitward_credential_cache_total{outcome=\"stale\"}").unwrap() >= 3.0);
    assert!(authd.process.log().contains("the directory is out"));

    slapd.restart().unwrap();
    let back = || authd.status("bob", "bob-password", "any") == 200;
    harness::until_true("recovery", Duration::from_secs(5), back).unwrap();
    assert!(authd.process.log().contains("the directory answers again"));
}

#[test]
fn users_a_front_server_names_keep_their_groups_in_an_outage_if_they_were_known() {
    let mut slapd = Slapd::start().unwrap();
    let upstream = "  - { type: upstream, header: X-Remote-User, groups_from: ldap }\n";
    let authd = Authd::start(&format!("{upstream}{}", slapd.directory()), SHORT).unwrap();
    assert_eq!(authd.ask_named("alice", "staff").unwrap().status, 200);
    slapd.kill().unwrap();
    thread::sleep(Duration::from_millis(1200));
    assert_eq!(authd.ask_named("alice", "staff").unwrap().status, 200);
    assert_eq!(authd.ask_named("alice", "admins").unwrap().status, 403);
    assert_eq!(authd.ask_named("carol", "admins").unwrap().status, 503, "nobody knows hers");
}

#[test]
fn what_was_known_is_forgotten_when_its_time_is_over() {
    let mut slapd = Slapd::start().unwrap();
    let more = "cache: { ttl: 1s, negative_ttl: 1s, stale_if_unavailable: 3s }\n";
    let authd = Authd::start(&slapd.directory(), more).unwrap();
    assert_eq!(authd.status("alice", "alice-password", "staff"), 200);
    slapd.kill().unwrap();
    let over = || authd.status("alice", "alice-password", "staff") == 503;
    harness::until_true("the end of a stale login", Duration::from_secs(6), over).unwrap();
}

#[test]
fn a_hundred_logins_at_a_silent_server_are_answered_by_the_deadline() {
    let silent = FakeLdap::start(|_| vec![]).unwrap();
    let authd = Authd::start(&directory(&[&silent.url()]), "failures: { per_client: 500 }\n").unwrap();
    let answers: Vec<Answer> = thread::scope(|scope| {
        let authd = &authd;
        let ask = |number: usize| move || authd.ask(&format!("u{number}"), "password", "any").unwrap();
        let tasks: Vec<_> = (0..100).map(|number| scope.spawn(ask(number))).collect();
        assert_eq!(authd.admin("/healthz").unwrap().status, 200);
        tasks.into_iter().map(|task| task.join().unwrap()).collect()
    });
    for answer in &answers {
        assert_eq!(answer.status, 503);
        assert!(answer.took < DEADLINE + MARGIN, "{:?}", answer.took);
    }
    let out = || authd.admin("/readyz").unwrap().text().contains("\"directories_out\":[\"ldap\"]");
    harness::until_true("an outage on /readyz", Duration::from_secs(5), out).unwrap();
    let quick = authd.ask("late", "password", "any").unwrap();
    assert!(quick.status == 503 && quick.took < Duration::from_millis(300), "{:?}", quick.took);
}

#[test]
fn the_second_server_answers_while_the_first_is_silent_or_gone() {
    let slapd = Slapd::start().unwrap();
    let silent = FakeLdap::start(|_| vec![]).unwrap();
    for first in [silent.url(), "ldap://127.0.0.1:1".to_owned()] {
        let authd = Authd::start(&directory(&[&first, &slapd.url()]), "").unwrap();
        let answer = authd.ask("alice", "alice-password", "staff").unwrap();
        assert_eq!(answer.status, 200, "{first}");
        assert!(answer.took < DEADLINE + MARGIN);
        let answer = authd.ask("bob", "bob-password", "any").unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.took < Duration::from_millis(500), "the first is passed over now: {:?}", answer.took);
    }
}

/// 200 requests a second by ten known users, whose logins are remembered for one second only, through a
/// server that is frozen, thawed, killed and started again.
#[test]
fn a_directory_that_freezes_dies_and_comes_back_under_load_costs_no_known_user_a_login() {
    let mut slapd = Slapd::with_people(10).unwrap();
    let upstream = "  - { type: upstream, header: X-Remote-User, groups_from: ldap }\n";
    let authd = Authd::start(&format!("{upstream}{}", slapd.directory()), SHORT).unwrap();
    for user in 0..10 {
        assert_eq!(authd.status(&format!("u{user}"), &format!("u{user}-password"), "dev"), 200);
    }
    let (answers, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let recoveries = thread::scope(|scope| {
        for client in 0..20 {
            let (answers, stop, authd) = (&answers, &stop, &authd);
            scope.spawn(move || load(client, authd, answers, stop));
        }
        thread::sleep(Duration::from_secs(2));
        slapd.freeze().unwrap();
        thread::sleep(Duration::from_secs(6));
        slapd.thaw().unwrap();
        let thawed = recovery(&authd, "bob");
        thread::sleep(Duration::from_secs(2));
        slapd.kill().unwrap();
        thread::sleep(Duration::from_secs(5));
        slapd.restart().unwrap();
        let restarted = recovery(&authd, "carol");
        thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        (thawed, restarted)
    });
    let answers = answers.into_inner().unwrap();
    let slowest = answers.iter().map(|answer: &(u16, Duration)| answer.1).max().unwrap();
    let not_let_in = answers.iter().filter(|answer| answer.0 != 200).count();
    println!(
        "{} requests, {not_let_in} not let in, slowest {slowest:?}, recovered after {:?} (thawed) and {:?} (restarted)",
        answers.len(),
        recoveries.0,
        recoveries.1
    );
    assert!(answers.len() > 2000, "{}", answers.len());
    assert_eq!(not_let_in, 0);
    assert!(slowest < DEADLINE + MARGIN, "{slowest:?}");
    assert!(recoveries.0 < Duration::from_secs(5) && recoveries.1 < Duration::from_secs(5), "{recoveries:?}");
}

/// Ten requests a second.
fn load(client: usize, authd: &Authd, answers: &Mutex<Vec<(u16, Duration)>>, stop: &AtomicBool) {
    let user = format!("u{}", client % 10);
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let status = authd.status(&user, &format!("{user}-password"), "dev");
        answers.lock().unwrap().push((status, started.elapsed()));
        thread::sleep(Duration::from_millis(100).saturating_sub(started.elapsed()));
    }
}

/// How long it takes until the groups of a user who was never seen can be told.
fn recovery(authd: &Authd, name: &str) -> Duration {
    let started = Instant::now();
    let ok = || authd.ask_named(name, "any").unwrap().status == 200;
    harness::until_true("recovery", Duration::from_secs(20), ok).unwrap();
    started.elapsed()
}
