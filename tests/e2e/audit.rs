//! The audit log: one record for each request, whatever became of it, and no push that fails because of it.

use std::fs;
use std::time::Duration;

use harness::people::{READER, WRITER};
use harness::{Stack, Target, until_true};
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
