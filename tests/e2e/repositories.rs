//! The commands that make, look after and check repositories, while the daemons run; and the fail2ban filter.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use harness::git::text;
use harness::people::WRITER;
use harness::{Stack, program, settings, until_true};

const POLICY: &str = r#"version: 1
access:
  "/": { write: ["@writers"] }
branches:
  "kept/": { protect: { "**": { write: ["@writers"] } } }
"#;

fn runner(stack: &Stack, words: &[&str]) -> Output {
    let config = stack.path().join("etc/backend-runner.yaml");
    let program = program("backend-runner").unwrap();
    Command::new(program).env_clear().args(words).arg("--config").arg(config).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn a_created_repository_can_be_pushed_to_at_once() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    let words = ["create-repo", "kept/new.git", "--default-branch", "trunk", "--object-format", "sha256"];
    let output = runner(&stack, &[&words[..], &["--description", "What is kept"]].concat());
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let repository = stack.repositories().open("kept/new.git");
    assert_eq!(repository.git().ok(&["symbolic-ref", "HEAD"]).unwrap(), "refs/heads/trunk");
    let setting = |key: &str| repository.git().ok(&["config", key]).unwrap_or_default();
    assert_eq!(
        (setting("receive.denyNonFastForwards"), setting("receive.denyDeletes")),
        ("true".into(), "true".into())
    );
    assert_eq!(fs::read_to_string(repository.path().join("description")).unwrap(), "What is kept\n");
    let work = stack.git_as(WRITER).within(&stack.path().join("home/work"));
    stack.git().ok(&["init", "--quiet", "--object-format=sha256", "work"]).unwrap();
    work.ok(&["commit", "--quiet", "--allow-empty", "-m", "first"]).unwrap();
    work.ok(&["push", "--quiet", &stack.url("kept/new.git"), "HEAD:trunk"]).unwrap();

    assert_eq!(code(&runner(&stack, &["create-repo", "free/new.git"])), 0);
    let free = stack.repositories().open("free/new.git");
    assert!(free.git().run(&["config", "receive.denyDeletes"]).unwrap().stdout.is_empty());
    for name in ["kept/new.git", "kept/New.git", "KEPT/other.git", "a", "../a.git", "a.git/b.git", "-x.git"] {
        let words = ["create-repo", "--", name];
        let program = Command::new(program("backend-runner").unwrap())
            .env("GITWARD_CONFIG", stack.path().join("etc/backend-runner.yaml"))
            .args(words)
            .output()
            .unwrap();
        assert_eq!(code(&program), 65, "{name}: {}", text(&program.stderr));
    }
}

#[test]
fn check_names_everything_that_should_not_be_as_it_is() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    stack.repositories().seeded("team/fine.git", 1, &[]).unwrap();
    let fine = runner(&stack, &["check"]);
    assert_eq!(code(&fine), 0, "{}", text(&fine.stdout));
    let bad = stack.repositories().seeded("team/bad.git", 1, &[]).unwrap();
    bad.git().ok(&["config", "core.fsmonitor", "/bin/true"]).unwrap();
    bad.git().ok(&["config", "include.path", "more"]).unwrap();
    old_file(&bad.path().join("refs/heads/x.lock"));
    std::os::unix::fs::symlink(bad.path(), stack.path().join("git/link.git")).unwrap();
    fs::create_dir_all(stack.path().join("git/hollow.git")).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(bad.path(), Some(4711), None).unwrap();
    }
    let output = runner(&stack, &["check"]);
    let said = text(&output.stdout);
    assert_eq!(code(&output), 64, "{said}");
    for problem in [
        "core.fsmonitor",
        "include.path",
        "stale lock: refs/heads/x.lock",
        "link.git: a link",
        "hollow.git: HEAD",
    ] {
        assert!(said.contains(problem), "{problem}: {said}");
    }
    assert!(!rustix::process::geteuid().is_root() || said.contains("belongs to uid 4711"), "{said}");
    assert!(!said.contains("fine.git"), "{said}");
}

#[test]
fn maintain_clears_up_after_broken_pushes_and_leaves_the_rest() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    let repository = stack.repositories().seeded("team/app.git", 1, &[]).unwrap();
    let objects = repository.path().join("objects");
    for name in ["old", "new"] {
        fs::create_dir_all(objects.join(format!("tmp_objdir-incoming-{name}/pack"))).unwrap();
    }
    for part in ["pack", ""] {
        old_file(&objects.join("tmp_objdir-incoming-old").join(part));
    }
    let lock = repository.path().join("refs/heads/x.lock");
    old_file(&lock);
    let output = runner(&stack, &["maintain"]);
    let said = text(&output.stdout);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(said.contains("removed: ") && said.contains("stale lock: "), "{said}");
    assert!(!objects.join("tmp_objdir-incoming-old").exists());
    assert!(objects.join("tmp_objdir-incoming-new").exists() && lock.exists());
}

/// Two days old, and there.
fn old_file(path: &Path) {
    if !path.exists() {
        fs::write(path, "").unwrap();
    }
    let time = SystemTime::now() - Duration::from_secs(48 * 3600);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn the_fail2ban_filter_finds_failed_logins_and_their_address() {
    let stack = Stack::builder().policy(POLICY).start().unwrap();
    stack.repositories().seeded("team/app.git", 1, &[]).unwrap();
    let spoof = r#"x","client":"192.0.2.99","reason":"wrong credentials"#;
    for (user, password) in [("writer", "wrong"), ("nobody", "x"), (spoof, "x"), ("writer", WRITER.password)]
    {
        let git = stack.git().sending(user, password);
        let _ = git.run(&["ls-remote", &stack.url("team/app.git")]).unwrap();
    }
    let _ = stack.git().run(&["ls-remote", &stack.url("team/app.git")]).unwrap();
    let logged = || stack.authd.log().matches("wrong credentials").count() >= 3;
    until_true("the refusals in the log", Duration::from_secs(10), logged).unwrap();
    let filter = fs::read_to_string(settings::checkout().join("config/fail2ban/gitward.conf")).unwrap();
    let expression = filter.lines().find_map(|line| line.strip_prefix("failregex = ")).unwrap();
    let expression = expression.replace("<ADDR>", r"(?P<host>[0-9a-fA-F:.]+)");
    // fail2ban is a Python program, and cuts the date out of a line before it looks at it.
    let script = "import re, sys\n\
                  for line in sys.stdin:\n\
                  \x20   for text in (line, re.sub(r'\"timestamp\":\"[^\"]*\",', '', line)):\n\
                  \x20       found = re.search(sys.argv[1], text)\n\
                  \x20       if found: print(found.group('host'))\n";
    let mut python = Command::new("python3");
    let log = fs::File::open(stack.path().join("log/authd.log")).unwrap();
    let output = python.args(["-c", script, &expression]).stdin(log).output().unwrap();
    let hosts = text(&output.stdout);
    assert_eq!(hosts.lines().collect::<Vec<_>>(), ["127.0.0.1"; 6], "{hosts}{}", text(&output.stderr));
}
