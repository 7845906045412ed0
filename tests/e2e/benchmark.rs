//! `make bench-peers` still runs: a look at its smallest scenarios, whose figures mean nothing here.

use std::process::Command;

use harness::{program, report};

#[test]
fn the_benchmark_compares_gitward_with_the_peers_that_are_installed() {
    let namespaces = Command::new("unshare").args(["--pid", "--mount-proc", "--fork", "true"]).status();
    let Ok(bench) = program("examples/bench-peers") else { return report("SKIPPED: examples are not built") };
    if !namespaces.is_ok_and(|status| status.success()) {
        return report("SKIPPED: this user may not make PID namespaces");
    }
    let out = tempfile::tempdir().unwrap();
    let arguments = ["--quick", "--only", "logins,small,push", "--out", out.path().to_str().unwrap()];
    let output = Command::new(bench).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", harness::git::text(&output.stderr));
    let results = std::fs::read(out.path().join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_slice(&results).unwrap();
    let reached = |name: &str| {
        let ratios = results["ratios"].as_array().unwrap();
        ratios.iter().find(|ratio| ratio["name"] == name).unwrap()["reached"].as_bool()
    };
    assert_eq!(reached("first logins at once: hashes"), Some(true));
    assert_eq!(reached("first logins at once: LDAP binds"), Some(true));
    let row = |row: &&serde_json::Value| row["scenario"] == "push" && row["server"] == "gitward";
    assert!(results["rows"].as_array().unwrap().iter().find(row).unwrap()["requests"].as_u64() > Some(0));
    assert!(std::fs::read_to_string(out.path().join("results.svg")).unwrap().contains("push of one commit"));
}
