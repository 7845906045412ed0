//! Rules about what a push brings: sizes, paths, authors, messages, signatures; each asked through the real client.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::git::text;
use harness::people::WRITER;
use harness::{Git, Repository, Stack};

const POLICY: &str = r#"version: 1
access:
  "/": { write: ["@writers"] }
branches:
  "size.git":    { max_blob: 10KiB }
  "path.git":    { forbidden_paths: ["**/*.exe", "secrets/**"] }
  "author.git":  { author_email: ["{email}", "*@bots.example.org"] }
  "message.git": { message: "^[A-Z]+-[0-9]+: " }
  "signed.git":  { signed_by: SIGNERS }
"#;

/// One stack, one repository per rule and object format, and a clone to push from.
struct Desk {
    stack: Stack,
    repository: Repository,
    work: Git,
}

impl Desk {
    fn new(rule: &str, format: &str) -> Self {
        let signers = std::env::temp_dir().join(format!("gitward-signers-{}-{format}", std::process::id()));
        let policy = POLICY.replace("SIGNERS", &signers.display().to_string());
        let stack = Stack::builder().policy(&policy).start().unwrap();
        let repository = stack.repositories().init(&format!("{rule}.git"), format).unwrap();
        let work = stack.path().join("home/work");
        let format = format!("--object-format={format}");
        stack.git().ok(&["init", "--quiet", "-b", "main", &format, "work"]).unwrap();
        let work = stack.git_as(WRITER).within(&work);
        Self { stack, repository, work }
    }

    fn commit(&self, message: &str, files: &[(&str, &[u8])]) {
        for (name, content) in files {
            let path = self.stack.path().join("home/work").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        self.work.ok(&["add", "--all"]).unwrap();
        self.work.ok(&["commit", "--quiet", "--allow-empty", "-m", message]).unwrap();
    }

    fn push(&self, rule: &str, refspec: &str) -> (bool, String) {
        let output = self.work.run(&["push", &self.stack.url(&format!("{rule}.git")), refspec]).unwrap();
        (output.status.success(), text(&output.stderr))
    }

    fn takes(&self, rule: &str) {
        let (taken, stderr) = self.push(rule, "HEAD:main");
        assert!(taken, "{stderr}");
    }

    /// Refused by that rule, and nothing of it stays.
    fn refuses(&self, rule: &str, name: &str) -> String {
        let count = || self.repository.git().ok(&["count-objects", "-v"]).unwrap();
        let before = count();
        let (taken, stderr) = self.push(rule, "HEAD:main");
        assert!(!taken && stderr.contains(&format!("refused by rule `{name}`")), "{stderr}");
        assert_eq!(count(), before);
        self.work.ok(&["reset", "--quiet", "--hard", "HEAD~1"]).unwrap();
        stderr
    }
}

fn each_format(rule: &str, check: impl Fn(&Desk)) {
    for format in ["sha1", "sha256"] {
        check(&Desk::new(rule, format));
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from(state >> 24).unwrap()
    };
    (0..length).map(next).collect()
}

#[test]
fn a_file_over_the_limit_is_refused_wherever_it_is_in_the_push() {
    each_format("size", |desk| {
        desk.commit("small", &[("a", &noise(10 * 1024))]);
        desk.takes("size");
        desk.commit("large", &[("b", &noise(10 * 1024 + 1))]);
        desk.commit("gone again", &[]);
        let stderr = desk.refuses("size", "max_blob");
        assert!(stderr.contains("10241 bytes"), "{stderr}");
        // Many small objects arrive as a pack and not one by one; the verdict is the same.
        desk.work.ok(&["reset", "--quiet", "--hard", "HEAD~1"]).unwrap();
        let names: Vec<String> = (0..200).map(|number| format!("many/{number}")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
        desk.commit("many", &files);
        desk.takes("size");
        let mut files = files.clone();
        let large = noise(20 * 1024);
        let changed: Vec<String> = (0..200).map(|number| format!("more/{number}")).collect();
        files.extend(changed.iter().map(|name| (name.as_str(), name.as_bytes())));
        files.push(("large", &large));
        desk.commit("many and a large one", &files);
        desk.refuses("size", "max_blob");
    });
}

#[test]
fn a_forbidden_path_is_refused_in_any_commit_and_may_be_removed() {
    each_format("path", |desk| {
        desk.commit("fine", &[("a.txt", b"x"), ("exe/readme", b"x")]);
        desk.takes("path");
        desk.commit("the content is known already", &[("deep/dir/B.EXE", b"x")]);
        let stderr = desk.refuses("path", "forbidden_paths");
        assert!(stderr.contains("deep/dir/B.EXE matches **/*.exe"), "{stderr}");
        desk.commit("a secret", &[("secrets/key", b"k")]);
        fs::remove_dir_all(desk.stack.path().join("home/work/secrets")).unwrap();
        desk.commit("and not any more", &[]);
        desk.refuses("path", "forbidden_paths");
        desk.work.ok(&["reset", "--quiet", "--hard", "HEAD~1"]).unwrap();
        // What has been there before the rule may go, and merges that take it over bring nothing new.
        let git = desk.repository.git();
        let stream = "feature done\ncommit refs/heads/old\ncommitter T <t@example.org> 1700000000 +0000\ndata 1\no\n\
                      M 100644 inline old.exe\ndata 1\nx\ndone\n";
        desk.repository.import(stream).unwrap();
        let url = desk.repository.path().display().to_string();
        desk.work.ok(&["fetch", "--quiet", &url, "old"]).unwrap();
        desk.work
            .ok(&["merge", "--quiet", "--allow-unrelated-histories", "-m", "merge", "FETCH_HEAD"])
            .unwrap();
        desk.takes("path");
        desk.work.ok(&["rm", "--quiet", "old.exe"]).unwrap();
        desk.commit("clean up", &[]);
        desk.takes("path");
        assert!(git.ok(&["rev-parse", "main"]).is_ok());
        // A tag of a tree has no commit to look at.
        desk.work.ok(&["tag", "tree", "HEAD^{tree}"]).unwrap();
        let (taken, stderr) = desk.push("path", "refs/tags/tree");
        assert!(!taken && stderr.contains("forbidden_paths"), "{stderr}");
    });
}

#[test]
fn trees_with_more_paths_than_memory_are_refused_soon() {
    let desk = Desk::new("path", "sha1");
    let git = &desk.work;
    let blob = git.fed(&["hash-object", "-w", "--stdin"], b"x").unwrap();
    let mut entry = format!("100644 blob {blob}");
    for _ in 0..10 {
        let tree: String = (0..10).map(|number| format!("{entry}\t{number}\n")).collect();
        entry = format!("040000 tree {}", git.fed(&["mktree"], tree.as_bytes()).unwrap());
    }
    let tree = entry.strip_prefix("040000 tree ").unwrap();
    let commit = git.ok(&["commit-tree", "-m", "bomb", tree]).unwrap();
    let begin = Instant::now();
    let (taken, stderr) = desk.push("path", &format!("{commit}:refs/heads/bomb"));
    assert!(!taken && stderr.contains("the rules could not be asked"), "{stderr}");
    assert!(begin.elapsed() < Duration::from_secs(30));
    println!("refused after {:?}", begin.elapsed());
}

#[test]
fn authors_are_the_pusher_or_like_a_pattern() {
    each_format("author", |desk| {
        let commit = |address: &str| {
            let git = desk.work.variable("GIT_AUTHOR_EMAIL", address);
            git.ok(&["commit", "--quiet", "--allow-empty", "-m", address]).unwrap();
        };
        commit("writer@example.org");
        commit("ci@bots.example.org");
        desk.takes("author");
        commit("boss@example.org");
        let stderr = desk.refuses("author", "author_email");
        assert!(!stderr.contains("bots.example.org"), "{stderr}");
    });
}

#[test]
fn messages_match_the_pattern() {
    each_format("message", |desk| {
        desk.commit("ABC-1: begin", &[]);
        desk.takes("message");
        desk.commit("begin", &[]);
        desk.refuses("message", "message");
        desk.commit("fix\n\nABC-2: not where it belongs", &[]);
        desk.refuses("message", "message");
    });
}

#[test]
fn commits_are_signed_by_a_key_that_is_listed() {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        println!("skipped: there is no ssh-keygen");
        return;
    }
    each_format("signed", |desk| {
        let home = desk.stack.path().join("home");
        let key = |name: &str| {
            let path = home.join(name);
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
            assert!(made.unwrap().success());
            path.display().to_string()
        };
        let (known, unknown) = (key("known"), key("unknown"));
        let public = fs::read_to_string(format!("{known}.pub")).unwrap();
        let signers = desk.stack.read("etc/policy.yaml");
        let signers = signers.lines().find_map(|line| line.split_once("signed_by: ")).unwrap().1;
        let signers = Path::new(signers.trim_end_matches([' ', '}']));
        fs::write(signers, format!("writer@example.org {public}")).unwrap();
        let commit = |key: &str, sign: &str| {
            let git = desk.work.with("gpg.format", "ssh").with("user.signingKey", key);
            git.ok(&["commit", "--quiet", "--allow-empty", sign, "-m", "change"]).unwrap();
        };
        commit(&known, "-S");
        desk.takes("signed");
        commit(&unknown, "-S");
        desk.refuses("signed", "signed_by");
        commit(&known, "--no-gpg-sign");
        desk.refuses("signed", "signed_by");
        // The repository cannot name another list, nor another program to ask.
        desk.repository.git().ok(&["config", "gpg.ssh.program", "/bin/true"]).unwrap();
        desk.repository
            .git()
            .ok(&["config", "gpg.ssh.allowedSignersFile", &format!("{unknown}.pub")])
            .unwrap();
        commit(&unknown, "-S");
        desk.refuses("signed", "signed_by");
        fs::remove_file(signers).unwrap();
        commit(&known, "-S");
        let (taken, stderr) = desk.push("signed", "HEAD:main");
        assert!(!taken && stderr.contains("the rules could not be asked"), "{stderr}");
    });
}
