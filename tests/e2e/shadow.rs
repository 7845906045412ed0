//! A policy that is tried on real requests before it counts.

use std::fs;
use std::time::Duration;

use harness::people::{OUTSIDER, Person, READER, WRITER};
use harness::pkt::advertisement;
use harness::{Request, Stack, until_true};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_shadow_policy_is_compared_and_never_enforced() {
    let stack = Stack::builder()
        .edit(
            "authd.yaml",
            "policy_file: policy.yaml",
            "policy_file: policy.yaml\nshadow_policy_file: shadow.yaml",
        )
        .file("etc/shadow.yaml", "version: 1\naccess:\n  \"/\": { read: [outsider, writer] }\n")
        .start()
        .unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    assert_eq!((read(&stack, READER), read(&stack, WRITER), read(&stack, OUTSIDER)), (200, 200, 403));
    let page = stack.admin("authd", "/metrics").unwrap().text();
    for change in ["would_allow", "would_deny"] {
        assert!(
            page.contains(&format!("gitward_shadow_differences_total{{change=\"{change}\"}} 1\n")),
            "{page}"
        );
    }
    let log = stack.read("log/authd.log");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("shadow policy differs")).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("\"user\":\"reader\"") && lines[0].contains("\"level\":\"/\""), "{}", lines[0]);
    assert!(lines[1].contains("\"shadow_level\":\"/\"") && lines[1].contains("team/app.git"), "{}", lines[1]);

    fs::write(stack.path().join("etc/shadow.yaml"), "version: 1\n").unwrap();
    let shown = || {
        let report: serde_json::Value =
            serde_json::from_str(&stack.admin("authd", "/readyz").unwrap().text()).unwrap();
        report["shadow_policy_error"].as_str().is_some_and(|error| error.contains("shadow.yaml"))
            && report["last_reload_error"].is_null()
    };
    until_true("the warning", SOON, shown).unwrap();
    assert_eq!((read(&stack, READER), read(&stack, OUTSIDER)), (200, 403));
}

fn read(stack: &Stack, person: Person) -> u16 {
    let request = Request::get(&advertisement("team/app.git", "git-upload-pack"));
    stack.http(&request.basic(person.name, person.password)).unwrap().status
}
