//! Who may do what: every caller, operation, place and protocol version through the whole stack.
//!
//! What must come out is computed from the text of the policy; the table of rights beside it says the
//! same by hand, so that a fault in the policy crate cannot hide itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use harness::people::{OUTSIDER, READER, USERS, WRITER};
use harness::{Git, Repository, Stack};
use policy::Policy;
use policy::access::Verdict;
use policy::git_request::Access;
use policy::identity::{GroupName, Identity, User, UserName};
use policy::repo_path::RepoPath;

use crate::cells::{Caller, Cell, Operation, Outcome, PLACES, cells};

const POLICY: &str = r#"version: 1
access:
  "/":         { read: ["@readers"], write: ["@writers"] }
  "public.git": { read: [anonymous] }
  "open/":     { read: [anonymous] }
"#;

const THREADS: usize = 4;

#[test]
fn every_caller_can_do_exactly_what_the_policy_says() {
    whole_matrix("http-backend");
}

#[test]
fn every_caller_can_do_exactly_what_the_policy_says_with_the_direct_engine() {
    whole_matrix("direct");
}

fn whole_matrix(engine: &str) {
    let cells = cells();
    let stack = Stack::builder().policy(POLICY).users(USERS).engine(engine).start().unwrap();
    let world = World::new(&stack, cells.len());
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let mut wrong = Vec::new();
            while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                wrong.extend(world.check(*cell).err());
            }
            wrong
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    println!("matrix, {engine}: {} cells in {:.1} s", cells.len(), started.elapsed().as_secs_f32());
    assert!(wrong.is_empty(), "{} of {} cells:\n{}", wrong.len(), cells.len(), wrong.join("\n"));
}

#[test]
fn the_policy_crate_and_the_table_of_rights_agree() {
    let policy = Policy::parse("policy.yaml", POLICY.as_bytes()).unwrap();
    for cell in cells() {
        let Some(identity) = identity(cell.caller) else { continue };
        let repo = RepoPath::parse(cell.place.path).unwrap();
        let verdict = policy.decide(&identity, &repo, cell.operation.access());
        assert_eq!(matches!(verdict, Verdict::Allow(_)), cell.permitted(), "{cell:?}");
    }
}

#[test]
fn credentials_in_the_url_are_sent_after_the_challenge() {
    let stack = Stack::start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let url = stack.url_as(READER.name, READER.password, "team/app.git");
    assert!(stack.git().ok(&["ls-remote", &url]).unwrap().contains("refs/heads/main"));
    let url = stack.url_as(READER.name, "wrong", "team/app.git");
    let refused = stack.git().run(&["ls-remote", &url]).unwrap();
    assert!(harness::git::text(&refused.stderr).contains("Authentication failed"));
}

/// What all cells share: the stack, one commit in every repository, and a newer one to push.
struct World<'a> {
    stack: &'a Stack,
    old: String,
    new: String,
    work: Git,
}

impl<'a> World<'a> {
    fn new(stack: &'a Stack, cells: usize) -> Self {
        let repositories = stack.repositories();
        let branches: Vec<String> = (0..cells).map(|number| format!("refs/heads/cell-{number}")).collect();
        for place in PLACES.iter().filter(|place| place.exists) {
            repositories.seeded(place.path, 3, &branches).unwrap();
        }
        let local = stack.path().join("home/work");
        let source = repositories.root().join("app.git").display().to_string();
        stack.git().ok(&["clone", "--quiet", "--single-branch", &source, "work"]).unwrap();
        let work = stack.git().within(&local);
        work.ok(&["commit", "--quiet", "--allow-empty", "-m", "newer"]).unwrap();
        let old = work.ok(&["rev-parse", "HEAD^"]).unwrap();
        let new = work.ok(&["rev-parse", "HEAD"]).unwrap();
        Self { stack, old, new, work }
    }

    fn check(&self, cell: Cell) -> Result<(), String> {
        let outcome = self.attempt(cell);
        if outcome != cell.expected() {
            return Err(format!("{cell:?}: {outcome:?} instead of {:?}", cell.expected()));
        }
        self.check_server(cell, outcome == Outcome::Done)
    }

    fn attempt(&self, cell: Cell) -> Outcome {
        let url = self.stack.url(cell.place.path);
        let (old, new, branch) = (&self.old, &self.new, cell.branch());
        let target = format!("got-{}.git", cell.number);
        let git = self.git(cell);
        let output = match cell.operation {
            Operation::Clone => git.run(&["clone", "--quiet", "--bare", "--single-branch", &url, &target]),
            Operation::LsRemote => git.run(&["ls-remote", "--quiet", &url, "refs/heads/main"]),
            Operation::Fetch => {
                self.stack.git().ok(&["init", "--quiet", "--bare", &target]).unwrap();
                let refspec = "refs/heads/main:refs/heads/main";
                git.run(&["--git-dir", &target, "fetch", "--quiet", &url, refspec])
            }
            Operation::Push => git.run(&["push", "--quiet", &url, &format!("{new}:{branch}")]),
            Operation::NewBranch => git.run(&["push", "--quiet", &url, &format!("{old}:{branch}-new")]),
            Operation::Delete => git.run(&["push", "--quiet", &url, &format!(":{branch}")]),
        };
        let output = output.unwrap();
        let outcome = classify(output.status.success(), &harness::git::text(&output.stderr));
        if outcome == Outcome::Done && cell.operation.access() == Access::Read {
            let received = match cell.operation {
                Operation::LsRemote => harness::git::text(&output.stdout).starts_with(old),
                _ => self.received(&target).as_deref() == Some(old),
            };
            return if received { outcome } else { Outcome::Broken("nothing was received".into()) };
        }
        outcome
    }

    /// The refs of the repository on the server say whether the push happened.
    fn check_server(&self, cell: Cell, done: bool) -> Result<(), String> {
        if !cell.place.exists {
            return Ok(());
        }
        let server = self.stack.repositories().open(cell.place.path);
        let branch = server.resolve(&cell.branch());
        let created = server.resolve(&format!("{}-new", cell.branch()));
        let expected = match cell.operation {
            Operation::Push if done => (Some(&self.new), None),
            Operation::NewBranch if done => (Some(&self.old), Some(&self.old)),
            Operation::Delete if done => (None, None),
            _ => (Some(&self.old), None),
        };
        if (branch.as_ref(), created.as_ref()) == expected {
            return Ok(());
        }
        Err(format!("{cell:?}: the server has {branch:?} and {created:?} instead of {expected:?}"))
    }

    fn git(&self, cell: Cell) -> Git {
        let git = match cell.operation.access() {
            Access::Read => self.stack.git(),
            Access::Write => self.work.clone(),
        };
        let git = git.protocol(cell.version);
        match cell.caller {
            Caller::Anonymous => git,
            Caller::Reader => git.sending(READER.name, READER.password),
            Caller::Writer => git.sending(WRITER.name, WRITER.password),
            Caller::Outsider => git.sending(OUTSIDER.name, OUTSIDER.password),
            Caller::WrongPassword => git.sending(WRITER.name, "not-the-password"),
            Caller::UnknownUser => git.sending("nobody", WRITER.password),
        }
    }

    fn received(&self, target: &str) -> Option<String> {
        let repository: Repository = harness::Repositories::new(&self.stack.path().join("home")).open(target);
        repository.resolve("refs/heads/main")
    }
}

fn classify(success: bool, stderr: &str) -> Outcome {
    if success {
        Outcome::Done
    } else if stderr.contains("The requested URL returned error: 403") {
        Outcome::Forbidden
    } else if stderr.contains("could not read Username") {
        Outcome::Unauthorized
    } else {
        Outcome::Broken(stderr.to_owned())
    }
}

/// Who a caller is to the policy; `None` when it does not get that far.
fn identity(caller: Caller) -> Option<Identity> {
    let user = |name: &str, groups: &[&str]| {
        let groups = groups.iter().map(|group| GroupName::parse(group).unwrap());
        Some(Identity::User(std::sync::Arc::new(User::new(UserName::parse(name).unwrap(), groups))))
    };
    match caller {
        Caller::Anonymous => Some(Identity::Anonymous),
        Caller::Reader => user(READER.name, &["readers"]),
        Caller::Writer => user(WRITER.name, &["writers", "staff"]),
        Caller::Outsider => user(OUTSIDER.name, &[]),
        Caller::WrongPassword | Caller::UnknownUser => None,
    }
}
