//! What a pusher reads when a rule refuses, and that the documentation shows exactly that.

use std::fs;

use harness::git::text;
use harness::people::WRITER;
use harness::{Stack, settings};

const POLICY: &str = r#"version: 1
access:
  "/": { write: ["@writers"] }
branches:
  "/":
    flow: [dev, test, master]
    protect:
      master:       { write: ["@managers"] }
      stable:       { write: [writer] }
      "release/**": { write: ["@managers"] }
    tags: { "v*": { create: ["@managers"] } }
    override: [writer]
    max_blob: 1KiB
    forbidden_paths: ["**/*.exe"]
    message: "^[A-Z]+-[0-9]+: "
"#;

/// What is pushed, one after the other.
const PUSHES: [&[&str]; 9] = [
    &["dev", "dev:master"],
    &["dev:test"],
    &["--force", "dev~1:stable"],
    &[":stable"],
    &["dev:release/1.0", "dev:refs/heads/MASTER"],
    &["refs/tags/v1"],
    &["dev:refs/meta/config"],
    &["-o", "gitward.override=outage 17", "dev:master"],
    &["content"],
];

#[test]
fn the_documentation_shows_what_a_pusher_reads() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    let repository = stack.repositories().empty("team/app.git").unwrap();
    stack.git().ok(&["init", "--quiet", "-b", "dev", "work"]).unwrap();
    let directory = stack.path().join("home/work");
    let work = stack.git_as(WRITER).within(&directory);
    let commit = |message: &str| {
        work.ok(&["commit", "--quiet", "--allow-empty", "-m", message]).unwrap();
    };
    commit("ABC-1: one");
    commit("ABC-2: two");
    work.ok(&["tag", "v1"]).unwrap();
    work.ok(&["push", "--quiet", &repository.path().display().to_string(), "dev:stable"]).unwrap();
    work.ok(&["checkout", "--quiet", "-b", "content"]).unwrap();
    fs::write(directory.join("setup.exe"), vec![b'x'; 2000]).unwrap();
    work.ok(&["add", "setup.exe"]).unwrap();
    commit("no ticket");

    let url = stack.url("team/app.git");
    let mut seen = String::new();
    for pushed in PUSHES {
        let output = work.run(&[&["push", &url], pushed].concat()).unwrap();
        let stderr = text(&output.stderr);
        let told: Vec<_> = stderr.lines().filter(|line| line.starts_with("remote: ")).collect();
        assert!(!told.is_empty(), "{pushed:?}: {stderr}");
        seen.push_str(&format!(
            "$ git push origin {}\n",
            pushed.join(" ").replace("=outage 17", "='outage 17'")
        ));
        for line in told {
            seen.push_str(&format!("{}\n", masked(line.trim_end())));
        }
    }
    let documentation = fs::read_to_string(settings::checkout().join("ARCHITECTURE.md")).unwrap();
    assert!(documentation.contains(&seen), "ARCHITECTURE.md does not show:\n{seen}");
}

/// The line without the ids of commits, which are never the same again.
fn masked(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let bare = word.trim_end_matches(':');
        let id = bare.len() == 12 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        if id { word.replace(bare, "1b0a2c3d4e5f") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}
