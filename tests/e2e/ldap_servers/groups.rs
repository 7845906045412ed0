//! Groups in parts, in parts that break off, and without end.

use harness::Authd;
use harness::fake_ldap::{Act, FakeLdap, Question};
use harness::slapd::directory;

use super::{ALICE, entry, is_people, server, status};

const LISTED: &str = "nested: member_of";

/// Member of 3300 groups, sent 1500 at a time; the last part may break off.
fn ranged(breaks: bool) -> FakeLdap {
    let group = |number: usize| format!("cn=g{number},ou=groups,dc=example,dc=org");
    server(move |question| match question {
        Question::Search { base, attributes, .. } if is_people(base) || base == ALICE => {
            let start =
                attributes.iter().find_map(|name| name.strip_prefix("memberOf;range=")?.strip_suffix("-*"));
            let start: usize = start.map_or(0, |start| start.parse().unwrap());
            let end = (start + 1500).min(3300);
            let last = if end == 3300 { "*".to_owned() } else { (end - 1).to_string() };
            let values: Vec<_> = (start..end).map(group).collect();
            let name = format!("memberOf;range={start}-{last}");
            let attributes = vec![("uid".to_owned(), vec!["alice".to_owned()]), (name, values)];
            let attributes = if breaks && start > 1500 { vec![] } else { attributes };
            Some(vec![Act::Entry(ALICE.to_owned(), attributes), Act::Done(0)])
        }
        Question::Search { filter, .. } if filter.contains("cn=g3299,") => {
            Some(vec![entry("cn=g3299", &[("cn", &["developers"])]), Act::Done(0)])
        }
        Question::Search { .. } => Some(vec![Act::Done(0)]),
        _ => None,
    })
}

fn listing(fake: &FakeLdap) -> String {
    directory(&[&fake.url()]).replace("nested: client", LISTED).replace(
        "filter: '(|(member={dn})(uniqueMember={dn})(memberUid={user}))'",
        "filter: '(objectClass=group)'",
    )
}

#[test]
fn an_attribute_sent_in_ranges_is_fetched_to_its_end() {
    let authd = Authd::start(&listing(&ranged(false)), "").unwrap();
    assert_eq!(authd.status("alice", "alice-password", "dev"), 200, "the last of 3300 groups counts");
}

#[test]
fn an_attribute_whose_ranges_break_off_is_an_error() {
    let authd = Authd::start(&listing(&ranged(true)), "").unwrap();
    assert_eq!(authd.status("alice", "alice-password", "dev"), 503);
}

#[test]
fn groups_without_end_are_an_error() {
    let fake = server(|question| match question {
        Question::Search { base, filter, .. } if !is_people(base) => {
            let depth = filter.matches("cn=deep").count()
                + filter.rsplit("deep").next().map_or(0, |rest| {
                    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
                });
            let name = format!("deep{}", depth + 1);
            Some(vec![entry(&format!("cn={name},ou=groups"), &[("cn", &[&name])]), Act::Done(0)])
        }
        _ => None,
    });
    assert_eq!(status(&fake, ""), 503);
    assert!(fake.asked().len() < 60, "{}", fake.asked().len());
}
