//! Repositories that are kept fast to read, on demand and by themselves, and never against a push.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use harness::git::{installed, text};
use harness::people::WRITER;
use harness::repositories::Repository;
use harness::{Process, Stack, program, until_true};

const POLICY: &str = "version: 1\naccess:\n  \"/\": { write: [\"@writers\"] }\n";
const PATIENCE: Duration = Duration::from_secs(60);

fn config(stack: &Stack) -> PathBuf {
    stack.path().join("etc/backend-runner.yaml")
}

fn maintain(config: &Path, words: &[&str]) -> Output {
    let program = program("backend-runner").unwrap();
    Command::new(program).arg("maintain").args(words).arg("--config").arg(config).output().unwrap()
}

/// Many refs and packs and no index: what years without care leave.
fn neglected(stack: &Stack, name: &str) -> Repository {
    let branches: Vec<String> = (0..60).map(|number| format!("refs/heads/topic/{number}")).collect();
    let repository = stack.repositories().seeded(name, 5, &branches).unwrap();
    for number in 0..60 {
        let link = repository.path().join(format!("refs/namespaces/n{number}/HEAD"));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        fs::write(link, "ref: refs/heads/main\n").unwrap();
    }
    for number in 0..6 {
        let stream = format!(
            "commit refs/heads/extra-{number}\ncommitter a <a@example.org> 1700000000 +0000\ndata 1\nx\n\
             M 100644 inline extra\ndata 4\n{number:04}\ndone\n"
        );
        repository
            .git()
            .with("fastimport.unpackLimit", "0")
            .fed(&["fast-import", "--quiet"], stream.as_bytes())
            .unwrap();
    }
    repository
}

fn in_packs(repository: &Repository, end: &str) -> usize {
    let entries = fs::read_dir(repository.path().join("objects/pack")).unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.ends_with(end))).count()
}

#[test]
fn maintain_does_what_is_needed_once_and_loses_nothing() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    for (number, (version, git)) in installed().into_iter().enumerate() {
        let repository = neglected(&stack, &format!("team/old-{number}.git"));
        let before =
            (repository.refs().unwrap(), repository.git().ok(&["rev-list", "--all", "--objects"]).unwrap());
        let other = with_git(&stack, &git.display().to_string());
        let name = format!("team/old-{number}.git");
        let planned = text(&maintain(&other, &["--dry-run", &name]).stdout);
        assert!(planned.contains("pack-refs: 67 loose refs"), "{version}: {planned}");
        let output = maintain(&other, &[&name]);
        let said = text(&output.stdout);
        assert!(output.status.success(), "{version}: {said}{}", text(&output.stderr));
        for task in ["pack-refs", "repack", "commit-graph"] {
            assert!(
                said.contains(&format!("done: {}: {task}", repository.path().display())),
                "{version}: {said}"
            );
        }
        assert_eq!(in_packs(&repository, ".bitmap"), 1, "{version}");
        assert!(in_packs(&repository, ".pack") < 6, "{version}");
        let after =
            (repository.refs().unwrap(), repository.git().ok(&["rev-list", "--all", "--objects"]).unwrap());
        assert_eq!(before, after, "{version}");
        repository.git().ok(&["fsck", "--full", "--strict"]).unwrap();
        assert_eq!(text(&maintain(&other, &[&name]).stdout), "", "{version}: in order");
    }
    for name in ["team/missing.git", "../git/team/old-0.git", "team"] {
        let output = maintain(&config(&stack), &[name]);
        assert_eq!(output.status.code(), Some(65), "{name}");
        assert!(text(&output.stderr).contains(name), "{}", text(&output.stderr));
    }
}

#[test]
fn a_push_does_not_wait_for_maintenance() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    let repository = neglected(&stack, "team/app.git");
    let marker = stack.path().join("begun");
    let script = format!(
        "#!/bin/sh\ncase $1 in repack) : > {}; exec sleep 600;; esac\nexec git \"$@\"\n",
        marker.display()
    );
    let slow = stack.path().join("slow-git");
    fs::write(&slow, script).unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
    let config = with_git(&stack, &slow.display().to_string());
    let mut command = Command::new(program("backend-runner").unwrap());
    command.arg("maintain").arg("--config").arg(config).arg("team/app.git");
    let mut maintaining = Process::spawn("maintain", &mut command, stack.path()).unwrap();
    until_true("maintenance that works", PATIENCE, || marker.exists()).unwrap();

    let git = stack.git_as(WRITER).within(repository.path());
    git.ok(&["push", "--quiet", &stack.url("team/app.git"), "main:refs/heads/pushed"]).unwrap();
    assert!(repository.resolve("refs/heads/pushed").is_some());
    maintaining.wait(PATIENCE).unwrap();
    let said = maintaining.log();
    assert!(said.contains("interrupted: ") && said.contains("somebody pushes"), "{said}");
}

#[test]
fn maintenance_comes_by_itself_while_pushes_go_on() {
    let stack = Stack::builder()
        .policy(POLICY)
        .edit("backend-runner.yaml", "maintenance: { interval: 6h", "maintenance: { interval: 100ms")
        .start()
        .unwrap();
    let repository = neglected(&stack, "team/app.git");
    let git = stack.git_as(WRITER).within(repository.path());
    for number in 0..10 {
        let branch = format!("main:refs/heads/pushed-{number}");
        git.ok(&["push", "--quiet", &stack.url("team/app.git"), &branch]).unwrap();
    }
    let graph = repository.path().join("objects/info/commit-graphs/commit-graph-chain");
    let cared = || in_packs(&repository, ".bitmap") == 1 && graph.exists();
    until_true("a round that was not interrupted", PATIENCE, cared).unwrap();
    assert!(stack.metric("backend-runner", "gitward_maintenance_tasks_total").unwrap() >= 3.0);
    assert!(repository.resolve("refs/heads/pushed-9").is_some());
    repository.git().ok(&["fsck", "--full", "--strict"]).unwrap();
}

#[test]
fn a_task_that_needs_too_much_memory_fails_and_says_so() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    neglected(&stack, "team/app.git");
    let text_of = fs::read_to_string(config(&stack)).unwrap();
    let small = stack.path().join("etc/small.yaml");
    fs::write(&small, text_of.replace("memory: 1GiB", "memory: 64KiB")).unwrap();
    let output = maintain(&small, &["team/app.git"]);
    let said = text(&output.stdout);
    assert!(!output.status.success() && said.contains("failed: "), "{said}");
    stack.repositories().open("team/app.git").git().ok(&["fsck", "--full"]).unwrap();
}

/// The daemon's configuration with another git.
fn with_git(stack: &Stack, git: &str) -> PathBuf {
    let text = fs::read_to_string(config(stack)).unwrap();
    let lines = text
        .lines()
        .map(|line| if line.starts_with("git: ") { format!("git: {git}") } else { line.to_owned() });
    let changed = lines.collect::<Vec<_>>().join("\n") + "\n";
    let path = stack.path().join(format!("etc/other-{}.yaml", git.replace('/', "-")));
    fs::write(&path, changed).unwrap();
    path
}
