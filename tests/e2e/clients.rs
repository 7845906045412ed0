//! Real clients against the whole stack: what works with each, and what each shows its user when something is refused.
//!
//! The table in ARCHITECTURE.md is generated from [`expected`], which is what the test holds every client to.

mod client;

use std::path::Path;
use std::sync::Mutex;

use harness::git::text;
use harness::people::{Person, READER, WRITER};
use harness::{Git, Repository, Stack};

use client::{Client, FAMILIES, Family, Operation, Place};

/// A branch that the hook refuses.
const CLOSED: &str = "closed";
const HOOK: &str = "#!/bin/sh\nwhile read -r old new name; do\n\
    [ \"$name\" != refs/heads/closed ] || { echo 'closed until the release' >&2; exit 1; }\ndone\n";

const COLUMNS: [&str; 7] = [
    "clone",
    "fetch",
    "push",
    "shallow clone",
    "wrong password",
    "push without the right to",
    "push that a hook refuses",
];

/// What must come of one try.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Works,
    /// It fails, and the user reads this.
    Says(&'static str),
    /// The client cannot do this, with any server.
    Unable,
}

use Expected::{Says, Unable, Works};

fn expected(family: Family) -> [Expected; 7] {
    let (shallow, wrong_password, no_right, hook) = match family {
        Family::Git => (
            Works,
            "remote: A user name and the right password are needed.",
            "remote: There is no such repository, or you may not do this with it.",
            "remote: closed until the release",
        ),
        Family::Libgit2 => {
            (Works, "authentication replays", "unexpected http status code: 403", "closed until the release")
        }
        Family::JGit => {
            (Unable, "not authorized", "git-receive-pack not permitted", "closed until the release")
        }
        Family::Dulwich => {
            (Works, "No valid credentials provided", "unexpected http resp 403", "closed until the release")
        }
        Family::Isomorphic => {
            (Works, "HTTP Error: 401 Unauthorized", "HTTP Error: 403 Forbidden", "closed until the release")
        }
    };
    [Works, Works, Works, shallow, Says(wrong_password), Says(no_right), Says(hook)]
}

#[test]
fn every_client_works_and_says_why_when_it_does_not() {
    let stack = Stack::builder().hook("pre-receive", HOOK).start().unwrap();
    let clients: Vec<Client> = FAMILIES.iter().flat_map(|family| family.installed()).collect();
    let home = stack.path().join("home");
    let results: Vec<Mutex<Vec<String>>> = clients.iter().map(|_| Mutex::default()).collect();
    std::thread::scope(|scope| {
        for (number, client) in clients.iter().enumerate() {
            let trial = Trial::new(&stack, client, &home, number);
            let results = &results;
            scope.spawn(move || *results[number].lock().unwrap() = trial.all());
        }
    });
    let results: Vec<Vec<String>> = results.into_iter().map(|cells| cells.into_inner().unwrap()).collect();
    print(&clients, &results);
    for (client, cells) in clients.iter().zip(&results) {
        let wrong: Vec<_> = cells.iter().filter(|cell| cell.starts_with("FAILED")).collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", client.name());
    }
    assert!(clients.iter().any(|client| client.family == Family::Git));
}

#[test]
fn the_documentation_has_the_table_of_clients() {
    crate::documentation::has(&table());
}

/// One client with a repository and directories of its own.
struct Trial<'a> {
    client: &'a Client,
    server: Repository,
    place: Place<'a>,
    /// Plain git in the client's clone: makes the commits that the client pushes.
    work: Git,
}

impl<'a> Trial<'a> {
    fn new(stack: &Stack, client: &'a Client, home: &'a Path, number: usize) -> Self {
        let repository = format!("team/client-{number}.git");
        let server = stack.repositories().seeded(&repository, 5, &[]).unwrap();
        let directory = home.join(format!("client-{number}"));
        let work = stack.git().within(&directory);
        let address = stack.nginx.address().to_string();
        let place = Place { home, server: address, repository, directory, person: WRITER };
        Self { client, server, place, work }
    }

    /// Every column in order; later ones use the clone that the first one made.
    fn all(&self) -> Vec<String> {
        let writer = &self.place;
        let elsewhere = |name: &str, person: Person| Place {
            directory: writer.directory.with_extension(name),
            person,
            ..writer.clone()
        };
        let wrong_password = Person { password: "not-the-password", ..WRITER };
        let reader = Place { person: READER, ..writer.clone() };
        let tries = [
            (Operation::Clone, writer.clone()),
            (Operation::Fetch, writer.clone()),
            (Operation::Push("topic"), writer.clone()),
            (Operation::Shallow, elsewhere("shallow", WRITER)),
            (Operation::Clone, elsewhere("wrong", wrong_password)),
            (Operation::Push("theirs"), reader),
            (Operation::Push(CLOSED), writer.clone()),
        ];
        let expected = expected(self.client.family);
        tries
            .iter()
            .zip(expected)
            .map(|((operation, place), expected)| self.one(*operation, place, expected))
            .collect()
    }

    fn one(&self, operation: Operation, place: &Place<'_>, expected: Expected) -> String {
        if expected == Unable {
            return "-".into();
        }
        if operation != Operation::Clone && !self.place.directory.is_dir() {
            return format!("FAILED {operation:?}: there is no clone");
        }
        self.prepare(operation);
        let before = self.server.refs().unwrap();
        let output = self.client.run(operation, place);
        let said = text(&output.stdout) + &text(&output.stderr);
        let fault = match expected {
            // JGit's push ends with 0 whatever the server said.
            Says(_) if output.status.success() && self.client.family != Family::JGit => {
                Some("it succeeded".to_owned())
            }
            Says(words) if !said.contains(words) => Some(format!("it does not say {words:?}")),
            Says(_) if self.server.refs().unwrap() != before => Some("it changed the repository".into()),
            Says(_) => None,
            Works | Unable if !output.status.success() => Some(output.status.to_string()),
            Works | Unable => self.missing(operation, place),
        };
        match (fault, expected) {
            (Some(fault), _) => format!("FAILED {operation:?}: {fault}\n{said}"),
            (None, Says(words)) => words.to_owned(),
            (None, _) => "ok".into(),
        }
    }

    /// Something to fetch, or to push.
    fn prepare(&self, operation: Operation) {
        match operation {
            Operation::Clone | Operation::Shallow => {}
            Operation::Fetch => {
                self.server.import(&harness::repositories::history(6, &[])).unwrap();
            }
            Operation::Push(branch) => {
                self.work.ok(&["checkout", "--quiet", "-b", branch]).unwrap();
                self.work.ok(&["commit", "--quiet", "--allow-empty", "-m", branch]).unwrap();
            }
        }
    }

    /// What should have arrived and has not.
    fn missing(&self, operation: Operation, place: &Place<'_>) -> Option<String> {
        let copy = self.work.within(&place.directory);
        let (arrived, wanted) = match operation {
            Operation::Clone => (copy.ok(&["rev-parse", "HEAD"]), self.server.resolve("refs/heads/main")),
            Operation::Fetch => {
                (copy.ok(&["rev-parse", "refs/remotes/origin/main"]), self.server.resolve("refs/heads/main"))
            }
            Operation::Shallow => (copy.ok(&["rev-list", "--count", "HEAD"]), Some("1".into())),
            Operation::Push(branch) => {
                (copy.ok(&["rev-parse", branch]), self.server.resolve(&format!("refs/heads/{branch}")))
            }
        };
        let arrived = arrived.map_err(|error| error.to_string());
        (arrived.as_ref().ok() != wanted.as_ref()).then(|| format!("{arrived:?} instead of {wanted:?}"))
    }
}

/// The table as it was tried now, with versions, and what was left out.
fn print(clients: &[Client], results: &[Vec<String>]) {
    harness::report(&format!("clients: {}", COLUMNS.join(" | ")));
    for (client, cells) in clients.iter().zip(results) {
        harness::report(&format!("clients: {} | {}", client.name(), cells.join(" | ")));
    }
    let absent = FAMILIES.iter().filter(|family| !clients.iter().any(|client| client.family == **family));
    let absent: Vec<_> = absent.map(|family| family.name()).collect();
    let tries = results.iter().flatten().filter(|cell| *cell != "-").count();
    harness::report(&format!(
        "clients: {} clients, {tries} tries, {} SKIPPED {absent:?}",
        clients.len(),
        absent.len()
    ));
}

/// The table as the documentation shows it: the same on every machine.
fn table() -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut table = row([&["client"][..], &COLUMNS].concat().into_iter().map(str::to_owned).collect());
    table.push_str(&"|---".repeat(COLUMNS.len() + 1));
    table.push_str("|\n");
    for family in FAMILIES {
        let cells = expected(family).map(|expected| match expected {
            Works => "works".to_owned(),
            Says(words) => format!("`{words}`"),
            Unable => "not in this client".to_owned(),
        });
        table.push_str(&row([vec![family.name().to_owned()], cells.into()].concat()));
    }
    table
}
