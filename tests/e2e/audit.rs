//! The audit log: one record for each request, whatever became of it, and no push that fails because of it.

use std::fs;
use std::time::Duration;

use harness::message::Request;
use harness::people::{READER, WRITER};
use harness::pkt::{EMPTY_PACK, FLUSH, RECEIVE_PACK, ZERO, line};
use harness::{ENGINES, Stack, Target, until_true};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

const POLICY: &str = r#"version: 1
access:
  "/": { read: ["@readers"], write: ["@writers"] }
branches:
  "/":
    protect: { main: { write: ["@managers"] } }
    override: [writer]
"#;

fn records(stack: &Stack) -> Vec<Value> {
    let text = stack.read("log/audit.jsonl");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Waits for the record of the latest push and gives it.
fn push_record(stack: &Stack, count: usize) -> Value {
    let pushes = || {
        records(stack).into_iter().filter(|record| record["service"] == "receive-pack").collect::<Vec<_>>()
    };
    until_true("the record", SOON, || pushes().len() == count).unwrap();
    pushes().pop().unwrap()
}

#[test]
fn a_push_is_recorded_with_what_it_changed_and_what_refused_it() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    let target = Target::new(&stack, "team", "sha1").unwrap();
    let (zero, root, next, side) = (&*target.zero, &*target.root, &*target.next, &*target.side);
    target.push(WRITER, &[(zero, next, "refs/heads/a"), (zero, root, "refs/tags/t")]).unwrap();
    let record = push_record(&stack, 1);
    assert_eq!(record["outcome"], "ok");
    assert_eq!(record["user"], "writer");
    assert_eq!(record["client"], "127.0.0.1");
    assert_eq!(record["repository"], "team/sha1.git");
    assert!(record["time"].as_str().unwrap().ends_with('Z') && record["bytes_in"].as_u64().unwrap() > 100);
    assert!(record["request_id"].as_str().unwrap().len() >= 16);
    let update = &record["updates"][0];
    assert_eq!((update["ref"].as_str(), update["old"].as_str()), (Some("refs/heads/a"), Some(zero)));
    assert_eq!((update["new"].as_str(), update["forced"].as_bool()), (Some(next), Some(false)));
    assert_eq!(record["updates"].as_array().unwrap().len(), 2);

    target.push(WRITER, &[(next, side, "refs/heads/a")]).unwrap();
    let record = push_record(&stack, 2);
    assert_eq!(
        (&record["updates"][0]["forced"], &record["updates"][0]["change"]),
        (&true.into(), &"force".into())
    );

    // One ref is judged well and then not what git finds: only what was applied is told.
    target.push(WRITER, &[(zero, root, "refs/heads/a"), (zero, root, "refs/heads/b")]).unwrap();
    let record = push_record(&stack, 3);
    let names: Vec<_> = record["updates"].as_array().unwrap().iter().map(|update| &update["ref"]).collect();
    assert_eq!(names, ["refs/heads/b"]);

    target.push(WRITER, &[(zero, root, "refs/heads/main")]).unwrap();
    let record = push_record(&stack, 4);
    assert_eq!((&record["outcome"], &record["rule"]), (&"refused".into(), &"protect".into()));
    assert_eq!(record["updates"], Value::Array(Vec::new()));
}

#[test]
fn what_a_push_changed_is_recorded_however_its_client_asks_for_a_report() {
    ENGINES.into_iter().for_each(recorded_without_a_report);
}

/// How a request is made of its target, content type and body.
type Post = fn(&str, &str, &[u8]) -> Request;

fn recorded_without_a_report(engine: &str) {
    let stack = Stack::builder().policy(POLICY).engine(engine).start().unwrap();
    let target = Target::new(&stack, "team", "sha1").unwrap();
    let (root, next) = (&*target.root, &*target.next);
    let mut count = 0;
    let mut applied = |(post, words): (Post, &str), updates: &[(&str, &str, &str)]| {
        let mut body = String::new();
        for (old, new, name) in updates {
            let words = if body.is_empty() { words } else { "" };
            body.push_str(&line(&format!("{old} {new} {name}{words}")));
        }
        let body = [body.as_bytes(), FLUSH.as_bytes(), EMPTY_PACK].concat();
        let request = post("/git/team/sha1.git/git-receive-pack", RECEIVE_PACK, &body);
        stack.http(&request.basic(WRITER.name, WRITER.password)).unwrap();
        count += 1;
        let record = push_record(&stack, count);
        let updates = record["updates"].as_array().unwrap().iter();
        let text = |update: &Value, key: &str| update[key].as_str().unwrap().to_owned();
        updates.map(|update| (text(update, "ref"), text(update, "change"))).collect::<Vec<_>>()
    };
    let pair = |name: &str, change: &str| (name.to_owned(), change.to_owned());
    let asked = [
        "\0",
        "\0 report-status",
        "\0 report-status-v2 side-band-64k",
        "\0 side-band-64k quiet",
        // What git does not take for a request.
        "\0 quiet\0 report-status",
        "\0 quiet\x0creport-status",
    ];
    // A push with a length is looked at before git starts, another on its way to git.
    let whole = asked.map(|words| (Request::post as Post, words));
    let streamed = asked.map(|words| (Request::post_in_chunks as Post, words));
    for (number, how) in whole.into_iter().chain(streamed).enumerate() {
        let words = how.1;
        let (name, other) = (format!("refs/heads/z{number}"), format!("refs/heads/a{number}"));
        let (made, taken) = ((ZERO, root, &*name), (root, next, &*other));
        assert_eq!(applied(how, &[made, taken]), [pair(&name, "create")], "{words}");
        assert_eq!(
            applied(how, &[(root, next, &name), (ZERO, next, &other)]),
            [pair(&name, "fast-forward"), pair(&other, "create")],
            "{words}"
        );
        assert_eq!(applied(how, &[(next, root, &name)]), [pair(&name, "force")], "{words}");
        // git calls it done when a ref is gone that was not there.
        let absent = (ZERO, ZERO, "refs/heads/absent");
        assert_eq!(applied(how, &[absent, (root, ZERO, &name)]), [pair(&name, "delete")], "{words}");
    }
    let page = stack.admin("backend-runner", "/metrics").unwrap().text();
    assert!(!page.contains("verdict=\"missing\""), "{page}");
}

#[test]
fn an_override_is_granted_to_those_named_recorded_and_shouted() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    let repository = stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let source = repository.path().display().to_string();
    stack.git().ok(&["clone", "--quiet", &source, "work"]).unwrap();
    let work = stack.git_as(WRITER).within(&stack.path().join("home/work"));
    work.ok(&["commit", "--quiet", "--allow-empty", "-m", "urgent"]).unwrap();
    let url = stack.url("team/app.git");
    let push = |option: &str| {
        let output =
            work.run(&["push", "-o", option, "-o", "x;admin=1\tGIT_DIR=/", &url, "HEAD:main"]).unwrap();
        (output.status.success(), harness::git::text(&output.stderr))
    };
    let (taken, stderr) = push("gitward.override=");
    assert!(!taken && stderr.contains("say why"), "{stderr}");
    let (taken, stderr) = push("ci.skip");
    assert!(!taken && stderr.contains("refused by rule `protect`"), "{stderr}");
    let (taken, stderr) = push("gitward.override=outage 17");
    assert!(taken && stderr.contains("SET ASIDE FOR THIS PUSH, and this is recorded: outage 17"), "{stderr}");
    let record = push_record(&stack, 3);
    assert_eq!((&record["outcome"], &record["override"]), (&"ok".into(), &"outage 17".into()));
    assert!(stack.runner.log().contains("RULES WERE SET ASIDE"));
    let page = stack.admin("backend-runner", "/metrics").unwrap().text();
    assert!(
        page.contains("gitward_hook_verdicts_total{rule=\"override\",verdict=\"overridden\"} 1"),
        "{page}"
    );
}

#[test]
fn fetches_and_refusals_are_recorded_too() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack.git_as(READER).ok(&["clone", "--quiet", &stack.url("team/app.git"), "copy"]).unwrap();
    let _ = stack.git_as(READER).run(&["ls-remote", &stack.url("team/none.git")]).unwrap();
    let seen = |service: &str, outcome: &str| {
        records(&stack).iter().any(|record| record["service"] == service && record["outcome"] == outcome)
    };
    until_true("the records", SOON, || {
        seen("upload-pack", "ok")
            && seen("advertise-upload-pack", "ok")
            && seen("advertise-upload-pack", "refused")
    })
    .unwrap();
}

#[test]
fn a_renamed_log_is_written_anew() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    let target = Target::new(&stack, "team", "sha1").unwrap();
    target.push(WRITER, &[(&target.zero, &target.root, "refs/heads/a")]).unwrap();
    push_record(&stack, 1);
    fs::rename(stack.path().join("log/audit.jsonl"), stack.path().join("log/audit.jsonl.1")).unwrap();
    target.push(WRITER, &[(&target.zero, &target.root, "refs/heads/b")]).unwrap();
    let record = push_record(&stack, 1);
    assert_eq!(record["updates"][0]["ref"], "refs/heads/b");
    assert_eq!(stack.read("log/audit.jsonl.1").lines().count(), 1);
}

#[test]
fn a_full_disk_fails_no_push_and_is_heard_of() {
    let stack = Stack::builder()
        .policy(POLICY)
        .edit("backend-runner.yaml", "audit_log: ", "audit_log: /dev/full # ")
        .start()
        .unwrap();
    let target = Target::new(&stack, "team", "sha1").unwrap();
    let update = [(&*target.zero, &*target.root, "refs/heads/a")];
    target.takes(WRITER, &update).unwrap_or_else(|error| panic!("{error}"));
    let lost = || {
        let page = stack.admin("backend-runner", "/metrics").unwrap().text();
        page.contains("gitward_audit_records_total{outcome=\"lost\"} 1")
    };
    until_true("the loss in the metrics", SOON, lost).unwrap();
    assert!(stack.runner.log().contains("AUDIT RECORD LOST"));
}
