//! Neighbouring repositories and repository settings: git guesses and trusts more than it should, see
//! `enter_repo()` in git's path.c. Every alias below really exists on disk, and none may be served.

use std::fs;
use std::os::unix::fs::symlink;

use harness::people::{READER, WRITER};
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, ZERO, advertisement, update};
use harness::repositories::path_text;
use harness::{Request, Stack};

/// Repository parts of targets, each leading to one of the aliases that [`neighbours`] makes.
const ALIASES: &[&str] = &[
    // Outside the grammar.
    "team/app.git/worktrees/tree",
    "team/app.git/modules/part",
    "team/app.git/modules/part.git",
    "team/app.git/.git",
    "team",
    "team/app",
    "only",
    "",
    "group.git/app.git",
    // Inside the grammar: the lookup has to refuse them.
    "only.git",
    "team/plain.git",
    "team/tree.git",
    "team/file.git",
    "team/link.git",
    "team/away.git",
    "linked/app.git",
    "away/outside.git",
    "team/half.git",
    "team/empty.git",
];

#[test]
fn no_alias_of_a_repository_is_served() {
    let stack = stack();
    let before = stack.spawned();
    for alias in ALIASES {
        let base = if alias.is_empty() { "/git".to_owned() } else { format!("/git/{alias}") };
        let requests = [
            Request::get(&format!("{base}/info/refs?service=git-upload-pack")),
            Request::get(&format!("{base}/info/refs?service=git-receive-pack")),
            Request::post(&format!("{base}/git-upload-pack"), UPLOAD_PACK, b"0000"),
            Request::post(&format!("{base}/git-receive-pack"), RECEIVE_PACK, b"0000"),
            Request::post(&format!("{base}/info/refs/git-receive-pack"), RECEIVE_PACK, b"0000"),
        ];
        for request in requests {
            let response = stack.http(&request.clone().basic(WRITER.name, WRITER.password)).unwrap();
            assert!([403, 404].contains(&response.status), "{alias}: {response:?}");
            assert!(response.status == 403 || alias.is_empty(), "{alias}: {response:?}");
        }
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn a_push_through_an_alias_changes_nothing() {
    let stack = stack();
    let repository = stack.repositories().open("team/app.git");
    let (before, main) = (repository.refs().unwrap(), repository.resolve("refs/heads/main").unwrap());
    for alias in
        ["team/app", "team/link.git", "linked/app.git", "team/file.git", "team/tree.git", "team/plain.git"]
    {
        let body = update(ZERO, &main, "refs/heads/stolen");
        let request = Request::post(&format!("/git/{alias}/git-receive-pack"), RECEIVE_PACK, &body);
        assert_eq!(stack.http(&request.basic(WRITER.name, WRITER.password)).unwrap().status, 403, "{alias}");
    }
    assert_eq!(repository.refs().unwrap(), before);
}

#[test]
fn settings_of_a_repository_cannot_grant_an_anonymous_push() {
    let stack = stack();
    let repository = stack.repositories().seeded("public/app.git", 2, &[]).unwrap();
    for (key, value) in
        [("http.receivepack", "true"), ("http.getanyfile", "true"), ("http.uploadarchive", "true")]
    {
        repository.git().ok(&["config", key, value]).unwrap();
    }
    let before = stack.spawned();
    let push = Request::get(&advertisement("public/app.git", "git-receive-pack"));
    assert_eq!(stack.http(&push).unwrap().status, 401);
    assert_eq!(stack.http(&push.basic(READER.name, READER.password)).unwrap().status, 403);
    for target in ["/git/public/app.git/HEAD", "/git/public/app.git/info/refs?service=git-upload-archive"] {
        assert!([401, 403].contains(&stack.http(&Request::get(target)).unwrap().status), "{target}");
    }
    assert_eq!(stack.spawned(), before);
}

#[test]
fn settings_of_a_repository_cannot_replace_the_managed_hook() {
    let hook = "#!/bin/sh\necho 'refused by the managed hook' >&2\nexit 1\n";
    let stack = Stack::builder().hook("pre-receive", hook).start().unwrap();
    let repository = stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let own = repository.path().join("hooks");
    fs::create_dir_all(&own).unwrap();
    for path in ["", "/dev/null", &path_text(&own).unwrap()] {
        repository.git().ok(&["config", "core.hooksPath", path]).unwrap();
        let url = stack.url("team/app.git");
        let pusher = repository.git().with("http.extraHeader", &authorization());
        let output = pusher.run(&["push", &url, "main:refs/heads/other"]).unwrap();
        let stderr = harness::git::text(&output.stderr);
        assert!(
            !output.status.success() && stderr.contains("refused by the managed hook"),
            "{path:?}: {stderr}"
        );
        assert_eq!(repository.resolve("refs/heads/other"), None);
    }
}

#[test]
fn a_push_runs_no_program_that_the_repository_names_for_refs_of_others() {
    let stack = Stack::start().unwrap();
    let repository = stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let marker = stack.path().join("ran");
    let command = format!("touch {} #", path_text(&marker).unwrap());
    repository.git().ok(&["config", "core.alternateRefsCommand", &command]).unwrap();
    let pusher = repository.git().with("http.extraHeader", &authorization());
    pusher.ok(&["push", "--quiet", &stack.url("team/app.git"), "main:refs/heads/other"]).unwrap();
    assert!(repository.resolve("refs/heads/other").is_some() && !marker.exists());
}

#[test]
fn a_managed_hook_that_cannot_run_refuses_the_push() {
    let breakages: [(&str, Breakage); 3] = [
        ("not executable", |hook| {
            fs::set_permissions(hook, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap()
        }),
        ("a missing interpreter", |hook| fs::write(hook, "#!/no/such/interpreter\n").unwrap()),
        ("a directory", |hook| {
            fs::remove_file(hook).unwrap();
            fs::create_dir(hook).unwrap();
        }),
    ];
    let stack = Stack::start().unwrap();
    let repository = stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let main = repository.resolve("refs/heads/main").unwrap();
    for (what, break_hook) in breakages {
        break_hook(&stack.path().join("hooks/pre-receive"));
        let body = [&update(ZERO, &main, "refs/heads/other")[..], harness::pkt::EMPTY_PACK].concat();
        let request = Request::post("/git/team/app.git/git-receive-pack", RECEIVE_PACK, &body);
        let response = stack.http(&request.basic(WRITER.name, WRITER.password)).unwrap();
        assert!(
            response.status >= 500 || response.text().contains("ng refs/heads/other"),
            "{what}: {response:?}"
        );
        assert_eq!(repository.resolve("refs/heads/other"), None, "{what}");
    }
}

#[test]
fn objects_that_attack_clients_are_refused() {
    let stack = Stack::start().unwrap();
    let target = stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let source = stack.repositories().empty("source.git").unwrap();
    let git = source.git();
    let modules = "[submodule \"a\"]\n\tpath = a/../../b\n\turl = -x\n";
    let modules = git.fed(&["hash-object", "-w", "--stdin"], modules.as_bytes()).unwrap();
    let blob = git.fed(&["hash-object", "-w", "--stdin"], b"x").unwrap();
    let plain = git.fed(&["mktree"], format!("100644 blob {blob}\tx\n").as_bytes()).unwrap();
    let trees = [
        format!("040000 tree {plain}\t.git\n"),
        format!("040000 tree {plain}\t.GIT\n"),
        format!("040000 tree {plain}\tgit~1\n"),
        format!("040000 tree {plain}\t..\n"),
        format!("100644 blob {modules}\t.gitmodules\n"),
        format!("120000 blob {blob}\t.gitmodules\n"),
    ];
    let pusher = git.with("http.extraHeader", &authorization());
    for listing in &trees {
        let tree = git.fed(&["mktree"], listing.as_bytes()).unwrap();
        let commit = git.ok(&["commit-tree", "-m", "bad", &tree]).unwrap();
        let refspec = format!("{commit}:refs/heads/bad");
        let output = pusher.run(&["push", &stack.url("team/app.git"), &refspec]).unwrap();
        assert!(!output.status.success(), "{listing}");
        assert_eq!(target.resolve("refs/heads/bad"), None, "{listing}");
    }
}

#[test]
fn a_repository_of_another_owner_is_a_fault_that_the_log_explains() {
    // Only root can make one.
    if !rustix::process::getuid().is_root() {
        return;
    }
    let stack = Stack::start().unwrap();
    let repository = stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    std::os::unix::fs::chown(repository.path(), Some(65534), Some(65534)).unwrap();
    let request = Request::get(&advertisement("team/app.git", "git-upload-pack"));
    let response = stack.http(&request.basic(READER.name, READER.password)).unwrap();
    assert!((500..600).contains(&response.status), "{response:?}");
    assert!(stack.runner.log().contains("own"), "{}", stack.runner.log());
}

fn authorization() -> String {
    format!("Authorization: {}", harness::git::basic(WRITER.name, WRITER.password))
}

fn stack() -> Stack {
    let stack = Stack::builder().counting_spawns().start().unwrap();
    neighbours(&stack);
    stack
}

/// Something that is done to a hook.
type Breakage = fn(&std::path::Path);

/// A repository, and everything around it that git would take for a repository too.
fn neighbours(stack: &Stack) {
    let repositories = stack.repositories();
    let root = repositories.root().to_owned();
    let app = repositories.seeded("team/app.git", 2, &[]).unwrap();
    repositories.seeded("team.git", 2, &[]).unwrap();
    repositories.seeded("only.git.git", 2, &[]).unwrap();
    repositories.seeded("group.git/app.git", 2, &[]).unwrap();
    repositories.seeded("team/app.git/modules/part", 2, &[]).unwrap();
    repositories.seeded("team/app.git/modules/part.git", 2, &[]).unwrap();
    repositories.seeded("../git.git", 2, &[]).unwrap();
    repositories.seeded("../outside.git", 2, &[]).unwrap();
    let tree = path_text(&root.join("team/tree.git")).unwrap();
    app.git().ok(&["worktree", "add", "--quiet", "--detach", &tree]).unwrap();
    fs::rename(root.join("team/app.git/worktrees/tree.git"), root.join("team/app.git/worktrees/tree"))
        .unwrap();
    repositories.seeded("team/plain.git/.git", 2, &[]).unwrap();
    fs::write(root.join("team/file.git"), format!("gitdir: {}\n", app.path().display())).unwrap();
    symlink("app.git", root.join("team/link.git")).unwrap();
    symlink("../../outside.git", root.join("team/away.git")).unwrap();
    symlink("team", root.join("linked")).unwrap();
    symlink("..", root.join("away")).unwrap();
    fs::create_dir_all(root.join("team/half.git/objects")).unwrap();
    fs::create_dir_all(root.join("team/half.git/refs")).unwrap();
    fs::create_dir(root.join("team/empty.git")).unwrap();
}
