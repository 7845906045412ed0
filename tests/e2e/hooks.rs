//! Hooks: those of the site and of the repository, what they see, what becomes of them, and what happens without ours.

mod lost;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::git::text;
use harness::people::WRITER;
use harness::{Repository, Stack, Target, until_true};

/// Written for git4nginx, and not changed for Gitward.
const PYTHON: &str = r#"#!/usr/bin/env python3
import json, os, sys, time

groups = json.loads(os.environ["GIT4NGINX_GROUPS"])
info = json.loads(os.environ["GIT4NGINX_INFO"])
user = os.environ["REMOTE_USER"]
assert os.path.isfile(os.environ["GIT4NGINX_CONFIG"])

log = os.path.join(os.environ["GIT4NGINX_LOG_DIR"], "%d_branch_flow" % time.time())
with open(log, "a") as out:
    for line in sys.stdin:
        old, new, ref = line.split()
        out.write("%f [WARNING] %s (%s) pushes %s (branch_flow.py:12)\n" % (time.time(), user, info["name"], ref))
        if "writers" not in groups or ref.endswith("/forbidden"):
            out.write("%f [ERROR] refused \x1b[31m (branch_flow.py:15)\n" % time.time())
            print("not for %s" % user)
            sys.exit(1)
"#;

const SOON: Duration = Duration::from_secs(20);

/// A repository with two commits on `main`, and a clone of it in `work`.
fn with_work(stack: &Stack) -> Repository {
    let repository = stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let source = repository.path().display().to_string();
    stack.git().ok(&["clone", "--quiet", &source, "work"]).unwrap();
    repository
}

/// Commits and pushes; whether it was taken, and what the pusher reads.
fn push(stack: &Stack, branch: &str) -> (bool, String) {
    let work = stack.git_as(WRITER).within(&stack.path().join("home/work"));
    work.ok(&["commit", "--quiet", "--allow-empty", "-m", branch]).unwrap();
    let output =
        work.run(&["push", &stack.url("team/app.git"), &format!("HEAD:refs/heads/{branch}")]).unwrap();
    (output.status.success(), text(&output.stderr))
}

fn program(path: &Path, script: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn objects(repository: &Repository) -> String {
    repository.git().ok(&["count-objects", "-v"]).unwrap()
}

/// What the private directories of pushes left.
fn left_over(stack: &Stack) -> Vec<String> {
    let entries = fs::read_dir(stack.path().join("run")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("gitward-push-")).collect()
}

/// Private directories where the test can see them.
fn builder() -> harness::Builder {
    Stack::builder().edit("backend-runner.yaml", "timeout: 60s", "timeout: 60s, scratch: '@DIR@/run'")
}

#[test]
fn a_script_written_for_git4nginx_runs_unchanged_and_its_log_is_logged() {
    let stack = builder().hook("pre-receive", PYTHON).start().unwrap();
    let repository = with_work(&stack);
    assert!(push(&stack, "fine").0);
    let before = objects(&repository);
    let (taken, stderr) = push(&stack, "forbidden");
    assert!(!taken && stderr.contains("remote: not for writer"), "{stderr}");
    assert_eq!(objects(&repository), before);
    let logged = || stack.runner.log().contains("refused \\\\u{1b}[31m (branch_flow.py:15)");
    until_true("the hook's line in the log", SOON, logged).unwrap();
    let log = stack.runner.log();
    let line =
        log.lines().find(|line| line.contains("writer (Wendy Writer) pushes refs/heads/fine")).unwrap();
    assert!(
        line.contains("\"WARN\"") && line.contains("request_id") && line.contains("branch_flow"),
        "{line}"
    );
    until_true("the end of private directories", SOON, || left_over(&stack).is_empty()).unwrap();
}

#[test]
fn the_first_hook_that_refuses_ends_the_push_and_the_repositorys_own_comes_last() {
    let stack = builder().start().unwrap();
    let repository = with_work(&stack);
    let note = |name: &str| format!("#!/bin/sh\necho {name} >> '{}/ran'\n", stack.path().display());
    let site = stack.path().join("hooks.d/pre-receive.d");
    program(&site.join("10-first"), &note("first"));
    program(&site.join("20-second"), &note("second"));
    program(&site.join("20-second~"), &note("backup"));
    program(&repository.path().join("hooks/pre-receive"), &note("own"));
    program(&repository.path().join("hooks/update"), &note("update"));
    program(&stack.path().join("hooks.d/post-receive.d/10-after"), &note("after"));
    fs::write(site.join("30-plain"), note("plain")).unwrap();
    assert!(push(&stack, "one").0);
    assert_eq!(stack.read("ran"), "first\nsecond\nown\nupdate\nafter\n");
    program(&site.join("15-no"), "#!/bin/sh\ncat > /dev/null\nprintf 'no\\033[31m\\n'\nexit 3\n");
    let (taken, stderr) = push(&stack, "two");
    assert!(!taken && stderr.contains("remote: no\\u{1b}[31m"), "{stderr}");
    assert!(stderr.contains("the hook 15-no refuses"), "{stderr}");
    assert_eq!(stack.read("ran"), "first\nsecond\nown\nupdate\nafter\nfirst\n");
    assert_eq!(repository.resolve("refs/heads/two"), None);
}

#[test]
fn every_hook_reads_the_whole_input() {
    let stack = builder().start().unwrap();
    with_work(&stack);
    for name in ["pre-receive.d/1-a", "pre-receive.d/2-b", "post-receive.d/1-c"] {
        let copy = format!("#!/bin/sh\ncat > '{}/{}'\n", stack.path().display(), name.replace('/', "-"));
        program(&stack.path().join("hooks.d").join(name), &copy);
    }
    assert!(push(&stack, "one").0);
    let first = stack.read("pre-receive.d-1-a");
    assert!(first.ends_with(" refs/heads/one\n") && first.lines().count() == 1, "{first}");
    assert_eq!(stack.read("pre-receive.d-2-b"), first);
    assert_eq!(stack.read("post-receive.d-1-c"), first);
}

#[test]
fn a_hook_that_is_late_is_ended_with_its_children_and_refuses() {
    let stack = builder().edit("backend-runner.yaml", "timeout: 60s", "timeout: 1s").start().unwrap();
    let repository = with_work(&stack);
    let hook = stack.path().join("hooks.d/pre-receive.d/10-slow");
    program(&hook, "#!/bin/sh\ntrap '' TERM\n(trap '' TERM; sleep 300) &\nsleep 300\n");
    let begin = Instant::now();
    let (taken, stderr) = push(&stack, "late");
    assert!(!taken && stderr.contains("took too long"), "{stderr}");
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(repository.resolve("refs/heads/late"), None);
    stack.await_no_git(SOON).unwrap();
    // After the push nothing can be refused any more, and the answer waits no longer than that.
    fs::remove_file(&hook).unwrap();
    program(&stack.path().join("hooks.d/post-receive.d/10-slow"), "#!/bin/sh\nsleep 300\n");
    let (taken, stderr) = push(&stack, "after");
    assert!(taken && stderr.contains("a hook after it failed"), "{stderr}");
    assert!(repository.resolve("refs/heads/after").is_some());
    stack.await_no_git(SOON).unwrap();
    until_true("the end of private directories", SOON, || left_over(&stack).is_empty()).unwrap();
}

#[test]
fn a_hook_program_that_dies_refuses_and_what_it_started_dies_too() {
    let stack = builder().start().unwrap();
    let repository = with_work(&stack);
    for signal in ["ABRT", "KILL"] {
        let script = format!("#!/bin/sh\nkill -{signal} $PPID\nsleep 300\n");
        program(&stack.path().join("hooks.d/pre-receive.d/10-kill"), &script);
        let before = objects(&repository);
        let (taken, stderr) = push(&stack, "dead");
        assert!(!taken, "{signal}: {stderr}");
        assert_eq!(repository.resolve("refs/heads/dead"), None);
        stack.await_no_git(SOON).unwrap();
        assert_eq!(objects(&repository), before, "{signal}");
    }
    until_true("the end of private directories", SOON, || left_over(&stack).is_empty()).unwrap();
}

#[test]
fn a_push_that_is_broken_off_leaves_neither_hooks_nor_directories() {
    let stack = builder().start().unwrap();
    with_work(&stack);
    let script = format!("#!/bin/sh\ntouch '{}/started'\nsleep 300\n", stack.path().display());
    program(&stack.path().join("hooks.d/pre-receive.d/10-wait"), &script);
    let work = stack.git_as(WRITER).within(&stack.path().join("home/work"));
    let mut client = work.spawn(&["push", &stack.url("team/app.git"), "HEAD:refs/heads/gone"]).unwrap();
    until_true("start of the hook", SOON, || stack.path().join("started").exists()).unwrap();
    assert_eq!(left_over(&stack).len(), 1);
    let helper = harness::procfs::descendants(client.id());
    client.kill().unwrap();
    for pid in helper {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap(),
            rustix::process::Signal::KILL,
        );
    }
    client.wait().unwrap();
    stack.await_no_git(SOON).unwrap();
    until_true("the end of private directories", SOON, || left_over(&stack).is_empty()).unwrap();
}

#[test]
fn without_working_hooks_no_push_is_taken_until_they_work_again() {
    let stack = builder().start().unwrap();
    let repository = with_work(&stack);
    let hooks = stack.path().join("hooks");
    let breakages: [&dyn Fn(); 5] = [
        &|| fs::set_permissions(hooks.join("gitward-hook"), fs::Permissions::from_mode(0o644)).unwrap(),
        &|| fs::remove_file(hooks.join("pre-receive")).unwrap(),
        &|| fs::remove_file(hooks.join("update")).unwrap(),
        &|| fs::remove_dir_all(&hooks).unwrap(),
        &|| program(&hooks.join("proc-receive"), "#!/bin/sh\n"),
    ];
    for (number, break_hooks) in breakages.iter().enumerate() {
        break_hooks();
        let (taken, stderr) = push(&stack, &format!("broken-{number}"));
        assert!(!taken && stderr.contains("500"), "{number}: {stderr}");
        let _ = fs::remove_dir_all(&hooks);
        assert!(install(&hooks), "{number}");
        let (taken, stderr) = push(&stack, &format!("mended-{number}"));
        assert!(taken, "{number}: {stderr}");
        assert_eq!(repository.resolve(&format!("refs/heads/broken-{number}")), None);
    }
    // A hook that judges nothing is none, however well it runs.
    fs::remove_file(hooks.join("pre-receive")).unwrap();
    program(&hooks.join("pre-receive"), "#!/bin/sh\nexit 0\n");
    assert!(!push(&stack, "judged-by-nobody").0);
    assert!(stack.metric("backend-runner", "gitward_hook_verdicts_total").unwrap() > 0.0);
    assert!(stack.runner.log().contains("the managed hooks do not work"));
}

fn install(directory: &Path) -> bool {
    let runner = harness::program("backend-runner").unwrap();
    let status = std::process::Command::new(runner).arg("install-hooks").arg(directory).status();
    status.unwrap().success()
}

#[test]
fn five_thousand_refs_are_judged_by_one_git_process() {
    let policy = "version: 1\naccess:\n  '/': { write: ['@writers'] }\nbranches:\n  '/':\n    protect: { 'b*': { write: [writer] } }\n";
    let stack = Stack::builder().policy(policy).counting_spawns().start().unwrap();
    for format in ["sha1", "sha256"] {
        let target = Target::new(&stack, "team", format).unwrap();
        let names: Vec<String> = (0..5000).map(|number| format!("refs/heads/b{number}")).collect();
        let orders = names.iter().map(|name| format!("create {name} {}\n", target.root)).collect::<String>();
        target.repository.git().fed(&["update-ref", "--stdin"], orders.as_bytes()).unwrap();
        let ends = [&target.next, &target.side, &target.last, &target.merge];
        let updates: Vec<_> = names
            .iter()
            .zip(ends.iter().cycle())
            .map(|(name, new)| (&*target.root, new.as_str(), name.as_str()))
            .collect();
        let before = stack.spawned().len();
        let mut wrong = updates.clone();
        wrong.push((&target.next, &target.root, "refs/heads/b-force"));
        target.refuses(WRITER, &wrong).unwrap_or_else(|error| panic!("{error:.2000}"));
        let asked: Vec<_> = stack.spawned().split_off(before);
        let of_history =
            asked.iter().filter(|line| line.starts_with("rev-list") || line.starts_with("merge-base"));
        assert_eq!(of_history.count(), 1, "{asked:?}");
        println!("{format}: {asked:?}");
    }
}
