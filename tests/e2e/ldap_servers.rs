//! Servers that do what OpenLDAP never would: each must end in a no or in "not now", never in a yes.

mod groups;

use std::time::Duration;

use harness::Authd;
use harness::fake_ldap::{Act, FakeLdap, Question};
use harness::slapd::{SERVICE_DN, directory};

const ALICE: &str = "uid=alice,ou=people,dc=example,dc=org";
const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";

fn entry(dn: &str, attributes: &[(&str, &[&str])]) -> Act {
    let owned = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    let attributes = attributes.iter().map(|&(name, values)| (name.to_owned(), owned(values))).collect();
    Act::Entry(dn.to_owned(), attributes)
}

fn alice() -> Act {
    entry(ALICE, &[("uid", &["alice"])])
}

fn is_people(base: &str) -> bool {
    base.starts_with("ou=people")
}

/// A server that behaves, with one user and one group, except where `special` says something.
fn server(special: impl Fn(&Question) -> Option<Vec<Act>> + Send + Sync + 'static) -> FakeLdap {
    FakeLdap::start(move |question| {
        special(question).unwrap_or_else(|| match question {
            Question::Bind { password, .. }
                if password == "alice-password" || password == "service-password" =>
            {
                vec![Act::Done(0)]
            }
            Question::Bind { .. } => vec![Act::Done(49)],
            Question::Search { base, .. } if is_people(base) => vec![alice(), Act::Done(0)],
            Question::Search { .. } => {
                vec![
                    entry("cn=developers,ou=groups,dc=example,dc=org", &[("cn", &["developers"])]),
                    Act::Done(0),
                ]
            }
            Question::Extended(_) => vec![Act::Value(format!("dn:{ALICE}"))],
        })
    })
    .unwrap()
}

fn status(fake: &FakeLdap, more: &str) -> u16 {
    let authd = Authd::start(&(directory(&[&fake.url()]) + more), "").unwrap();
    authd.status("alice", "alice-password", "dev")
}

#[test]
fn a_server_that_behaves_lets_the_user_in() {
    assert_eq!(status(&server(|_| None), ""), 200);
}

#[test]
fn a_bind_that_makes_us_anonymous_is_no_login() {
    for identity in ["", "dn:"] {
        let fake = server(move |question| match question {
            Question::Extended(_) => Some(vec![Act::Value(identity.to_owned())]),
            Question::Bind { .. } => Some(vec![Act::Done(0)]),
            Question::Search { .. } => None,
        });
        assert_eq!(status(&fake, ""), 401);
    }
}

#[test]
fn a_server_that_knows_no_who_am_i_is_accepted_unless_it_is_required() {
    for code in [2, 53] {
        let unknown = move |question: &Question| match question {
            Question::Extended(oid) if oid == WHO_AM_I => Some(vec![Act::Done(code)]),
            _ => None,
        };
        assert_eq!(status(&server(unknown), ""), 200);
        assert_eq!(status(&server(unknown), "    whoami: required\n"), 503);
    }
    let fake = server(|_| None);
    assert_eq!(status(&fake, "    whoami: off\n"), 200);
    assert!(!fake.asked().iter().any(|asked| matches!(asked, Question::Extended(_))));
}

#[test]
fn a_referral_is_never_followed_and_never_a_yes() {
    let elsewhere = server(|_| None);
    let url = format!("{}/{ALICE}", elsewhere.url());
    for operation in ["bind", "search", "reference", "groups"] {
        let url = url.clone();
        let fake = server(move |question| match (operation, question) {
            ("bind", Question::Bind { dn, .. }) if dn == ALICE => Some(vec![Act::Referral(url.clone())]),
            ("search", Question::Search { base, .. }) if is_people(base) => {
                Some(vec![Act::Referral(url.clone())])
            }
            ("reference", Question::Search { base, .. }) if is_people(base) => {
                Some(vec![alice(), Act::Reference(url.clone()), Act::Done(0)])
            }
            ("groups", Question::Search { base, .. }) if !is_people(base) => {
                Some(vec![Act::Reference(url.clone()), Act::Done(0)])
            }
            _ => None,
        });
        assert_eq!(status(&fake, ""), 503, "{operation}");
    }
    assert_eq!(elsewhere.asked(), [], "the other server was never asked");
}

#[test]
fn references_of_active_directory_can_be_ignored_but_are_not_followed() {
    let elsewhere = server(|_| None);
    let url = elsewhere.url();
    let fake = server(move |question| match question {
        Question::Search { base, .. } if is_people(base) => {
            Some(vec![alice(), Act::Reference(url.clone()), Act::Done(0)])
        }
        _ => None,
    });
    assert_eq!(status(&fake, "    referrals: ignore\n"), 200);
    assert_eq!(elsewhere.asked(), []);
}

#[test]
fn a_part_of_an_answer_is_an_error() {
    // timeLimitExceeded, sizeLimitExceeded, adminLimitExceeded, busy.
    for code in [3, 4, 11, 51] {
        for people in [true, false] {
            let fake = server(move |question| match question {
                Question::Search { base, .. } if is_people(base) == people => {
                    let found =
                        if people { alice() } else { entry("cn=developers", &[("cn", &["developers"])]) };
                    Some(vec![found, Act::Done(code)])
                }
                _ => None,
            });
            assert_eq!(status(&fake, ""), 503, "code {code}");
        }
    }
}

#[test]
fn codes_that_speak_of_the_account_are_a_no_and_others_are_no_answer() {
    for (code, expected) in [(49, 401), (19, 401), (48, 401), (50, 401), (53, 401), (32, 401)]
        .into_iter()
        .chain([(1, 503), (8, 503), (51, 503), (52, 503), (80, 503)])
    {
        let fake = server(move |question| match question {
            Question::Bind { dn, .. } if dn == ALICE => Some(vec![Act::Done(code)]),
            _ => None,
        });
        assert_eq!(status(&fake, ""), expected, "code {code}");
    }
}

#[test]
fn a_server_that_drips_is_cut_off_at_the_deadline() {
    let fake = server(|question| match question {
        Question::Search { .. } => Some(vec![Act::Drip(vec![0x30; 4096], Duration::from_millis(50))]),
        _ => None,
    });
    let authd = Authd::start(&directory(&[&fake.url()]).replace("timeout: 2s", "timeout: 1s"), "").unwrap();
    let answer = authd.ask("alice", "alice-password", "dev").unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.took < Duration::from_millis(1500), "{:?}", answer.took);
    assert_eq!(authd.admin("/healthz").unwrap().status, 200);
}

#[test]
fn garbage_and_cut_connections_are_no_answer_and_authd_lives_on() {
    for acts in [
        vec![Act::Close],
        vec![Act::Drip(vec![0xff; 64], Duration::ZERO), Act::Close],
        vec![Act::Drip(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Duration::ZERO)],
        vec![Act::Drip(vec![0x30, 0x03, 0x02, 0x01, 0x01], Duration::ZERO)],
        vec![Act::Entry(String::new(), vec![])],
    ] {
        for people in [true, false] {
            let acts = acts.clone();
            let fake = server(move |question| match question {
                Question::Search { base, .. } if is_people(base) == people => Some(acts.clone()),
                _ => None,
            });
            let authd = Authd::start(&directory(&[&fake.url()]), "").unwrap();
            let status = authd.status("alice", "alice-password", "dev");
            assert!(status == 503, "{status}");
            assert_eq!(authd.admin("/healthz").unwrap().status, 200);
        }
    }
}

#[test]
fn a_bind_answered_with_nonsense_is_no_answer_and_costs_nobody_the_directory() {
    let fake = server(|question| match question {
        // A bind response with nothing in it; an element of another type where the code should be.
        Question::Bind { dn, .. } if dn == ALICE => {
            Some(vec![Act::Drip(vec![0x30, 0x05, 0x02, 0x01, 0x01, 0x61, 0x00], Duration::ZERO)])
        }
        Question::Bind { dn, .. } if dn.starts_with("uid=") => {
            Some(vec![Act::Drip(vec![0x30, 0x07, 0x02, 0x01, 0x01, 0x61, 0x02, 0x30, 0x00], Duration::ZERO)])
        }
        _ => None,
    });
    let authd = Authd::start(&directory(&[&fake.url()]), "").unwrap();
    for _ in 0..3 {
        assert_eq!(authd.status("alice", "alice-password", "dev"), 503);
    }
    assert_eq!(authd.admin("/healthz").unwrap().status, 200);
    assert!(authd.admin("/readyz").unwrap().text().contains("\"directories_out\":[]"));
}

#[test]
fn a_wrong_password_goes_to_one_server_only() {
    let (first, second) = (server(|_| None), server(|_| None));
    let authd = Authd::start(&directory(&[&first.url(), &second.url()]), "").unwrap();
    assert_eq!(authd.status("alice", "wrong", "dev"), 401);
    assert_eq!(first.passwords(), ["wrong"]);
    assert_eq!(second.asked(), []);
}

#[test]
fn a_password_that_got_no_answer_is_not_sent_to_another_server() {
    let silent = |question: &Question| match question {
        Question::Bind { dn, .. } if dn == ALICE => Some(vec![]),
        _ => None,
    };
    let (first, second) = (server(silent), server(|_| None));
    let authd = Authd::start(&directory(&[&first.url(), &second.url()]), "").unwrap();
    assert_eq!(authd.status("alice", "alice-password", "dev"), 503);
    assert_eq!(second.passwords(), Vec::<String>::new());
    assert_eq!(authd.status("alice", "alice-password", "dev"), 200, "the next login goes to the other one");
}

#[test]
fn a_refused_service_account_is_not_tried_over_and_over() {
    let fake = server(|question| match question {
        Question::Bind { dn, .. } if dn == SERVICE_DN => Some(vec![Act::Done(49)]),
        _ => None,
    });
    let authd = Authd::start(&directory(&[&fake.url()]), "").unwrap();
    for user in 0..30 {
        assert_eq!(authd.status(&format!("u{user}"), "alice-password", "dev"), 503);
    }
    assert_eq!(fake.asked().len(), 1, "one bind, and no user's");
    assert!(authd.admin("/readyz").unwrap().text().contains("\"directories_out\":[\"ldap\"]"));
}
