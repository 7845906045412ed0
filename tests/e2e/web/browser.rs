//! A real browser: Debian's headless Chromium, with a new profile each time. Skipped and counted where there is none.

use std::path::Path;
use std::process::Command;

use harness::people::{Person, READER};
use harness::{Stack, report};

use super::{builder, seed};

const PROGRAM: &str = "chromium-headless-shell";

/// Nothing but the page: no telemetry, no updates, no other protocol than plain HTTP over TCP.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1100,760",
];

#[test]
fn a_browser_shows_the_pages_in_their_style() {
    if Command::new(PROGRAM).arg("--version").output().is_err() {
        report("browser: SKIPPED, there is no chromium-headless-shell");
        return;
    }
    let stack = builder().start().unwrap();
    seed(&stack);
    let public = look(&stack, None, "");
    assert!(public.contains("public/site.git") && !public.contains("team/app.git"), "{public}");
    // A password is sent where it is asked for, and from then on.
    let list = look(&stack, Some(READER), "?login");
    assert!(list.contains("team/app.git") && list.contains("logged in as reader"), "{list}");
    let summary = look(&stack, Some(READER), "team/app.git");
    assert!(!summary.contains("parsererror") && !summary.contains("]&gt;"), "{summary}");
    for text in ["change 2", "shortlog", "About &lt;b&gt;team/app.git&lt;/b&gt;", "topic"] {
        assert!(summary.contains(text), "{text}: {summary}");
    }
    let file = look(&stack, Some(READER), "team/app.git/blob/HEAD:/file-1.txt");
    assert!(file.contains("line&nbsp;1") || file.contains("line\u{a0}1"), "{file}");
    let refused = look(&stack, Some(READER), "secret/hidden-name.git");
    assert!(refused.contains("There is no such repository"), "{refused}");
    // Each profile is new, so each of the four pages has fetched its own.
    let log = stack.read("log/gitward.log");
    for name in ["gitweb.css", "git-logo.png"] {
        let fetched = |line: &&str| line.contains(name) && line.contains("\"status\":200");
        assert_eq!(log.lines().filter(fetched).count(), 4, "{name}: {log}");
    }
}

/// The document after it was loaded, as Chromium has it; a picture of it is left beside the logs.
fn look(stack: &Stack, person: Option<Person>, path: &str) -> String {
    let url = match person {
        Some(person) => stack.url_as(person.name, person.password, path),
        None => stack.url(path),
    };
    let picture = stack.path().join(format!("log/{}.png", path.replace(['/', ':', '?'], "-")));
    let profile = tempfile::tempdir().unwrap();
    let document = run(&url, &picture, profile.path());
    assert!(picture.metadata().unwrap().len() > 2000, "an empty picture of {path}");
    document
}

fn run(url: &str, picture: &Path, profile: &Path) -> String {
    let mut command = Command::new("timeout");
    command.arg("60").arg(PROGRAM).args(FLAGS);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.arg(format!("--screenshot={}", picture.display())).arg("--dump-dom").arg(url);
    let output = command.env("HOME", profile).output().unwrap();
    let said = harness::git::text(&output.stderr);
    assert!(output.status.success(), "{said}");
    harness::git::text(&output.stdout)
}
