//! Aliases: several URLs of one store, each with refs, rules and records of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use harness::git::text;
use harness::people::{OUTSIDER, READER, WRITER};
use harness::{ENGINES, Git, Request, Stack, program};

const RUNNER: &str = "backend-runner.yaml";

const POLICY: &str = r#"version: 1
access:
  "/":         { read: ["@readers"], write: ["@writers"] }
  "pub/b.git": { read: [anonymous] }
branches:
  "pub/a.git":
    flow: [dev, main]
    protect: { main: { write: ["@writers"] }, stable: { write: ["@nobody"] } }
  "pub/c.git": { message: "^[A-Z]+-[0-9]+: " }
"#;

const ALIASES: &str = r#"aliases:
  pub/a.git: { repository: stores/store.git, namespace: a }
  pub/b.git: { repository: stores/store.git, namespace: b }
  pub/c.git: { repository: stores/store.git, namespace: c }
  pub/lost.git: { repository: stores/no.git, namespace: a }
dumb_http: true"#;

#[test]
fn every_alias_shows_its_own_refs_of_one_store() {
    for engine in ENGINES {
        let stack = stack(engine);
        assert!(create(&stack, "pub/a.git", "dev").status.success());
        let store = stack.repositories().open("stores/store.git");
        let own = store.resolve("refs/heads/main").unwrap();
        let work = work(&stack);
        let url = |name: &str| stack.url(name);
        let first = commit(&work, "first");
        work.ok(&["push", "--quiet", &url("pub/a.git"), "HEAD:refs/heads/dev"]).unwrap();
        let second = commit(&work, "second");
        work.ok(&["push", "--quiet", &url("pub/b.git"), "HEAD:refs/heads/other"]).unwrap();
        let listed = |name: &str, version: u8| {
            let listed = stack.git_as(READER).protocol(version).ok(&["ls-remote", &url(name)]).unwrap();
            // git of version 2 lists the HEAD of a namespace as its HEAD and as one of its refs.
            let mut lines: Vec<_> = listed.lines().collect();
            lines.dedup();
            lines.join("\n")
        };
        for version in [0, 2] {
            let a = format!("{first}\tHEAD\n{first}\trefs/heads/dev");
            assert_eq!(listed("pub/a.git", version), a, "{engine}");
            assert_eq!(listed("pub/b.git", version), format!("{second}\trefs/heads/other"), "{engine}");
        }
        let refs = store.refs().unwrap();
        for (id, name) in [
            (&own, "heads/main"),
            (&first, "namespaces/a/refs/heads/dev"),
            (&second, "namespaces/b/refs/heads/other"),
        ] {
            assert!(refs.contains(&format!("{id} refs/{name}")), "{engine}: {refs}");
        }
        stack.git_as(READER).ok(&["clone", "--quiet", &url("pub/a.git"), "copy"]).unwrap();
        let copy = stack.git().within(&stack.path().join("home/copy"));
        assert_eq!(copy.ok(&["rev-parse", "HEAD", "origin/dev"]).unwrap(), format!("{first}\n{first}"));
        assert_eq!(copy.ok(&["symbolic-ref", "--short", "HEAD"]).unwrap(), "dev");
        // Nor does the advertisement of a push name what the others have.
        let target = "/git/pub/a.git/info/refs?service=git-receive-pack";
        let shown = stack.http(&Request::get(target).basic(WRITER.name, WRITER.password)).unwrap().text();
        assert!(
            shown.contains(&first) && !shown.contains(&second) && !shown.contains(&own),
            "{engine}: {shown}"
        );
    }
}

#[test]
fn a_store_with_reftables_has_aliases_like_any_other() {
    let able = |program: &Path| {
        let scratch = tempfile::tempdir().unwrap();
        let words = ["init", "--quiet", "--bare", "--ref-format=reftable"];
        Command::new(program).args(words).arg(scratch.path()).output().unwrap().status.success()
    };
    let gits = harness::git::installed().into_iter().filter(|(_, program)| able(program));
    for (version, program) in gits {
        let git = format!("git: {}", program.display());
        let builder = Stack::builder().policy(POLICY).edit(RUNNER, "aliases: {}", ALIASES);
        let builder = builder.edit(RUNNER, "\ndumb_http: false", "\n");
        let stack = builder.edit(RUNNER, "git: /usr/bin/git", &git).start().unwrap();
        let store = stack.repositories().root().join("stores/store.git");
        fs::create_dir_all(&store).unwrap();
        let server = stack.git().version(&program).within(&store);
        server.ok(&["init", "--quiet", "--bare", "--ref-format=reftable", "-b", "main"]).unwrap();
        let warned =
            || text(&runner(&stack, &["check"]).stdout).contains("alias pub/a.git: clones find no branch");
        assert!(warned(), "{version}");
        let created = create(&stack, "pub/a.git", "dev");
        assert!(created.status.success(), "{version}: {created:?}");
        assert!(!warned(), "{version}");
        let again = create(&stack, "pub/a.git", "other");
        assert!(text(&again.stderr).contains("exists already"), "{version}: {again:?}");
        let work = work(&stack);
        let first = commit(&work, "first");
        work.ok(&["push", "--quiet", &stack.url("pub/a.git"), "HEAD:refs/heads/dev"]).unwrap();
        let listed = stack.git_as(READER).ok(&["ls-remote", &stack.url("pub/a.git"), "HEAD"]).unwrap();
        assert!(listed.starts_with(&first), "{version}: {listed}");
    }
}

#[test]
fn each_url_has_its_own_grants() {
    let stack = stack("direct");
    let git = |name: &str| stack.git().run(&["ls-remote", &stack.url(name)]).unwrap();
    assert!(!git("pub/a.git").status.success() && git("pub/b.git").status.success());
    let outsider = stack.git_as(OUTSIDER);
    for name in ["pub/a.git", "stores/store.git"] {
        let refused = outsider.run(&["ls-remote", &stack.url(name)]).unwrap();
        assert!(text(&refused.stderr).contains("There is no such repository"), "{refused:?}");
    }
    // Reading all of the store file by file would not be asking for these refs only.
    for file in ["info/refs", "HEAD", "objects/info/packs"] {
        let get = |name: &str| {
            let request = Request::get(&format!("/git/{name}/{file}"));
            stack.http(&request.basic(READER.name, READER.password)).unwrap()
        };
        assert_eq!(get("pub/b.git").comparable(), get("pub/lost.git").comparable());
        assert_eq!((get("pub/b.git").status, get("stores/store.git").status), (403, 200), "{file}");
    }
}

#[test]
fn the_rules_of_an_alias_hold_and_no_other_url_goes_around_them() {
    let stack = stack("direct");
    let store = stack.repositories().open("stores/store.git");
    let work = work(&stack);
    let url = |name: &str| stack.url(name);
    commit(&work, "first");
    work.ok(&["push", "--quiet", &url("pub/a.git"), "HEAD:refs/heads/dev"]).unwrap();
    let known = commit(&work, "second");
    // What another namespace, or the store itself, has in its dev is not in this one's.
    for name in ["pub/b.git", "stores/store.git"] {
        work.ok(&["push", "--quiet", &url(name), "HEAD:refs/heads/dev"]).unwrap();
    }
    let before = store.refs().unwrap();
    let inner = "refs/namespaces/a/refs/heads/stable";
    for (name, to, why) in [
        ("pub/a.git", "refs/heads/main", "rule `flow`"),
        ("pub/a.git", "refs/heads/stable", "rule `protect`"),
        ("pub/a.git", "refs/namespaces/b/refs/heads/x", "hidden ref"),
        ("pub/b.git", inner, "hidden ref"),
        ("stores/store.git", inner, "hidden ref"),
        ("pub/b.git", "refs/heads/../../a/refs/heads/stable", ""),
        // In the history of other refs of the store, but new here.
        ("pub/c.git", "refs/heads/main", "rule `message`"),
    ] {
        let said = work.run(&["push", &url(name), &format!("{known}:{to}")]).unwrap();
        assert!(!said.status.success() && text(&said.stderr).contains(why), "{name} {to}: {said:?}");
    }
    assert_eq!(store.refs().unwrap(), before);
    work.ok(&["push", "--quiet", &url("pub/a.git"), "HEAD:refs/heads/dev"]).unwrap();
    work.ok(&["push", "--quiet", &url("pub/a.git"), "HEAD:refs/heads/main"]).unwrap();
    assert_eq!(store.resolve("refs/namespaces/a/refs/heads/main"), Some(known));
}

#[test]
fn a_symbolic_ref_leads_out_of_no_namespace() {
    let stack = stack("direct");
    let store = stack.repositories().open("stores/store.git");
    for (from, to) in [
        ("refs/namespaces/b/refs/heads/out", "refs/namespaces/a/refs/heads/stable"),
        ("refs/namespaces/b/refs/heads/up", "refs/heads/main"),
        ("refs/heads/in", "refs/namespaces/a/refs/heads/stable"),
    ] {
        store.git().ok(&["symbolic-ref", from, to]).unwrap();
    }
    let work = work(&stack);
    commit(&work, "first");
    let before = store.refs().unwrap();
    for (name, to) in [("pub/b.git", "out"), ("pub/b.git", "up"), ("stores/store.git", "in")] {
        let to = format!("HEAD:refs/heads/{to}");
        let said = work.run(&["push", "--force", &stack.url(name), &to]).unwrap();
        assert!(!said.status.success(), "{name} {to}: {said:?}");
    }
    assert_eq!(store.refs().unwrap(), before);
}

#[test]
fn hooks_and_records_know_the_url_and_plain_names() {
    let script = "#!/bin/sh\ncat > @DIR@/seen\necho \"$GITWARD_REPO $GIT_NAMESPACE\" >> @DIR@/seen\n";
    let stack = Stack::builder()
        .policy(POLICY)
        .edit(
            "backend-runner.yaml",
            "aliases: {}",
            "aliases: { pub/b.git: { repository: stores/store.git, namespace: b } }",
        )
        .hook("pre-receive", script)
        .start()
        .unwrap();
    stack.repositories().seeded("stores/store.git", 1, &[]).unwrap();
    let work = work(&stack);
    let id = commit(&work, "first");
    work.ok(&["push", "--quiet", &stack.url("pub/b.git"), "HEAD:refs/heads/x"]).unwrap();
    let zero = "0".repeat(40);
    assert_eq!(stack.read("seen"), format!("{zero} {id} refs/heads/x\npub/b.git b\n"));
    harness::until_true("the record", std::time::Duration::from_secs(10), || {
        stack.read("log/audit.jsonl").contains("\"ref\":\"refs/heads/x\"")
    })
    .unwrap();
    assert!(
        stack.read("log/audit.jsonl").contains("\"repository\":\"pub/b.git\",\"service\":\"receive-pack\"")
    );
}

#[test]
fn an_alias_that_cannot_work_is_pointed_at() {
    let stack = stack("direct");
    fs::create_dir_all(stack.repositories().root().join("pub/b.git")).unwrap();
    let said = runner(&stack, &["check"]);
    let said = format!("{}{}", text(&said.stdout), text(&said.stderr));
    for part in [
        "alias pub/a.git: clones find no branch to check out; `backend-runner create-repo pub/a.git`",
        "alias pub/b.git: hides what is there",
        "alias pub/lost.git: there is no repository stores/no.git",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("there is no repository `pub/a.git`"), "{said}");
    assert!(create(&stack, "pub/a.git", "main").status.success());
    assert_eq!(create(&stack, "pub/a.git", "main").status.code(), Some(65));
    for (name, branch) in [("pub/lost.git", "main"), ("pub/c.git", "-x"), ("pub/c.git", "a..b")] {
        assert!(!create(&stack, name, branch).status.success(), "{name} {branch}");
    }
    assert!(!text(&runner(&stack, &["check"]).stdout).contains("alias pub/a.git"));
}

fn stack(engine: &str) -> Stack {
    let builder = Stack::builder().policy(POLICY).engine(engine);
    let builder = builder.edit("backend-runner.yaml", "aliases: {}", ALIASES).edit(
        "backend-runner.yaml",
        "\ndumb_http: false",
        "\n",
    );
    let stack = builder.start().unwrap();
    stack.repositories().seeded("stores/store.git", 1, &[]).unwrap();
    stack
}

/// A working copy with nothing in it that the store has.
fn work(stack: &Stack) -> Git {
    stack.git().ok(&["init", "--quiet", "work"]).unwrap();
    stack.git_as(WRITER).within(&stack.path().join("home/work"))
}

fn commit(work: &Git, message: &str) -> String {
    work.ok(&["commit", "--quiet", "--allow-empty", "-m", message]).unwrap();
    work.ok(&["rev-parse", "HEAD"]).unwrap()
}

fn create(stack: &Stack, name: &str, branch: &str) -> Output {
    runner(stack, &["create-repo", name, &format!("--default-branch={branch}")])
}

fn runner(stack: &Stack, words: &[&str]) -> Output {
    let config = stack.path().join("etc/backend-runner.yaml");
    Command::new(program("backend-runner").unwrap()).args(words).arg("--config").arg(config).output().unwrap()
}
