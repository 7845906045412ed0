//! What git-http-backend(1) and git's protocol offer beside plain clones and pushes: switches, settings, kinds
//! of repositories. Where an engine could differ, both are tried.

use std::fs;

use harness::git::text;
use harness::people::{READER, WRITER};
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, advertisement, want};
use harness::repositories::{history, path_text};
use harness::{ENGINES, Git, Request, Stack};

const RUNNER: &str = "backend-runner.yaml";

#[test]
fn anonymous_reads_and_authenticated_writes_share_a_url() {
    let stack = Stack::start().unwrap();
    let repository = stack.repositories().seeded("public/app.git", 3, &[]).unwrap();
    stack.git().ok(&["clone", "--quiet", &stack.url("public/app.git"), "work"]).unwrap();
    let work = stack.git().within(&stack.path().join("home/work"));
    work.ok(&["commit", "--quiet", "--allow-empty", "-m", "more"]).unwrap();
    // The first request of a push is the one that is challenged, before a pack is made or sent.
    let first = stack.http(&Request::get(&advertisement("public/app.git", "git-receive-pack"))).unwrap();
    assert_eq!(first.status, 401);
    assert!(first.header("WWW-Authenticate").unwrap().starts_with("Basic realm="));
    let refused = work.run(&["push", "origin", "HEAD:refs/heads/main"]).unwrap();
    assert!(text(&refused.stderr).contains("could not read Username"), "{refused:?}");
    let login = stack.url_as(WRITER.name, WRITER.password, "public/app.git");
    work.ok(&["push", "--quiet", &login, "HEAD:refs/heads/main"]).unwrap();
    assert_eq!(repository.resolve("refs/heads/main").unwrap(), work.ok(&["rev-parse", "HEAD"]).unwrap());
}

#[test]
fn a_repository_can_switch_a_service_off_and_never_on() {
    for engine in ENGINES {
        let stack = Stack::builder().engine(engine).start().unwrap();
        for (name, key, value) in [
            ("public/unread.git", "http.uploadpack", "false"),
            ("public/unwritten.git", "http.receivepack", "false"),
            ("public/generous.git", "http.receivepack", "true"),
            ("team/generous.git", "http.uploadpack", "true"),
        ] {
            let repository = stack.repositories().seeded(name, 2, &[]).unwrap();
            repository.git().ok(&["config", key, value]).unwrap();
        }
        let status = |repository: &str, service: &str, login: bool| {
            let request = Request::get(&advertisement(repository, service));
            let request = if login { request.basic(WRITER.name, WRITER.password) } else { request };
            stack.http(&request).unwrap().status
        };
        let (read, write) = ("git-upload-pack", "git-receive-pack");
        assert_eq!(status("public/unread.git", read, true), 403, "{engine}");
        assert_eq!(status("public/unread.git", write, true), 200, "{engine}");
        assert_eq!(status("public/unwritten.git", read, false), 200, "{engine}");
        assert_eq!(status("public/unwritten.git", write, true), 403, "{engine}");
        assert_eq!(status("public/generous.git", write, false), 401, "{engine}");
        assert_eq!(status("public/generous.git", write, true), 200, "{engine}");
        assert_eq!(status("team/generous.git", read, false), 401, "{engine}");
    }
}

#[test]
fn a_repository_can_hide_refs_from_pushes() {
    for engine in ENGINES {
        let stack = Stack::builder().engine(engine).start().unwrap();
        let branches = ["refs/heads/secret".to_owned()];
        let repository = stack.repositories().seeded("team/app.git", 2, &branches).unwrap();
        repository.git().ok(&["config", "receive.hideRefs", "refs/heads/secret"]).unwrap();
        let request = login(Request::get(&advertisement("team/app.git", "git-receive-pack")));
        let shown = stack.http(&request).unwrap().text();
        assert!(
            shown.contains("refs/heads/main") && !shown.contains("refs/heads/secret"),
            "{engine}: {shown}"
        );
        let before = repository.refs().unwrap();
        let work = work(&stack, "team/app.git");
        let refused = work.run(&["push", "--force", "origin", "HEAD:refs/heads/secret"]).unwrap();
        assert!(text(&refused.stderr).contains("deny updating a hidden ref"), "{engine}: {refused:?}");
        assert_eq!(repository.refs().unwrap(), before);
    }
}

#[test]
fn only_marked_repositories_are_exported_when_that_is_asked_for() {
    for engine in ENGINES {
        let stack = Stack::builder()
            .engine(engine)
            .edit(RUNNER, "export_all: true", "export_all: false")
            .start()
            .unwrap();
        let marked = stack.repositories().seeded("public/marked.git", 2, &[]).unwrap();
        stack.repositories().seeded("public/unmarked.git", 2, &[]).unwrap();
        fs::write(marked.path().join("git-daemon-export-ok"), "").unwrap();
        let git = stack.git_as(WRITER);
        git.ok(&["ls-remote", &stack.url("public/marked.git")]).unwrap();
        let refused = git.run(&["ls-remote", &stack.url("public/unmarked.git")]).unwrap();
        assert!(text(&refused.stderr).contains("There is no such repository"), "{engine}: {refused:?}");
        let absent = stack.http(&login(Request::get(&advertisement("public/absent.git", "git-upload-pack"))));
        let hidden =
            stack.http(&login(Request::get(&advertisement("public/unmarked.git", "git-upload-pack"))));
        assert_eq!(hidden.unwrap().comparable(), absent.unwrap().comparable(), "{engine}");
    }
}

#[test]
fn archives_are_never_made() {
    let stack = Stack::start().unwrap();
    let repository = stack.repositories().seeded("public/app.git", 2, &[]).unwrap();
    repository.git().ok(&["config", "http.uploadarchive", "true"]).unwrap();
    let advertisement = Request::get(&advertisement("public/app.git", "git-upload-archive"));
    let kind = "application/x-git-upload-archive-request";
    let archive = Request::post("/git/public/app.git/git-upload-archive", kind, b"0012argument HEAD\n0000");
    for request in [advertisement, archive] {
        assert_eq!(stack.http(&request).unwrap().status, 401);
        assert_eq!(stack.http(&login(request)).unwrap().status, 403);
    }
    let url = stack.url_as(WRITER.name, WRITER.password, "public/app.git");
    assert!(!stack.git().run(&["archive", "--remote", &url, "HEAD"]).unwrap().status.success());
}

#[test]
fn a_partial_clone_is_for_the_setting_or_else_the_repository_to_allow() {
    let unset = ("#allow_filter: true", "#allow_filter: true");
    let on = ("#allow_filter: true", "allow_filter: true");
    let off = ("#allow_filter: true", "allow_filter: false");
    for engine in ENGINES {
        for ((from, to), expected) in [(unset, ["no", "yes"]), (on, ["yes", "yes"]), (off, ["no", "no"])] {
            let stack = Stack::builder().engine(engine).edit(RUNNER, from, to).start().unwrap();
            for (name, said) in [("plain.git", "false"), ("generous.git", "true")] {
                let repository = stack.repositories().seeded(name, 4, &[]).unwrap();
                repository.git().ok(&["config", "uploadpack.allowFilter", said]).unwrap();
            }
            let allowed =
                ["plain.git", "generous.git"].map(|name| if is_partial(&stack, name) { "yes" } else { "no" });
            assert_eq!(allowed, expected, "{engine}, {to}");
        }
    }
}

/// Whether a clone without contents comes without contents. What is left out arrives when it is needed.
fn is_partial(stack: &Stack, name: &str) -> bool {
    let git = stack.git_as(READER);
    let filter = ["clone", "--quiet", "--no-checkout", "--filter=blob:none", &stack.url(name), name];
    let said = text(&git.run(&filter).unwrap().stderr);
    let copy = git.within(&stack.path().join("home").join(name));
    let missing = copy.ok(&["rev-list", "--objects", "--all", "--missing=print"]).unwrap();
    let is_partial = missing.lines().any(|line| line.starts_with('?'));
    assert_eq!(said.contains("filtering not recognized"), !is_partial, "{said}");
    copy.ok(&["checkout", "--quiet", "main"]).unwrap();
    assert!(copy.ok(&["show", "HEAD:file-3.txt"]).unwrap().contains("line 3"));
    is_partial
}

#[test]
fn a_history_can_be_cut_off_at_a_date_or_a_tag() {
    let stack = Stack::start().unwrap();
    let repository = stack.repositories().seeded("team/app.git", 10, &[]).unwrap();
    repository.git().ok(&["tag", "old", "main~2"]).unwrap();
    for version in [0, 2] {
        let git = stack.git_as(READER).protocol(version);
        let target = format!("since-{version}");
        // The commits are a second apart, the last one is 1700000009.
        let since = "--shallow-since=1700000006";
        git.ok(&["clone", "--quiet", since, &stack.url("team/app.git"), &target]).unwrap();
        let copy = git.within(&stack.path().join("home").join(&target));
        assert_eq!(copy.ok(&["rev-list", "--count", "HEAD"]).unwrap(), "4");
        let exclude = [
            "clone",
            "--quiet",
            "--shallow-exclude=old",
            &stack.url("team/app.git"),
            &format!("not-{version}"),
        ];
        git.ok(&exclude).unwrap();
        let copy = git.within(&stack.path().join("home").join(exclude[4]));
        assert_eq!(copy.ok(&["rev-list", "--count", "HEAD"]).unwrap(), "2");
    }
}

#[test]
fn push_options_reach_hooks_when_they_are_switched_on() {
    let hook = "#!/bin/sh\necho \"$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0\" > '@DIR@/seen'\n";
    for engine in ENGINES {
        let options = ("push_options: false", "push_options: true");
        let stack =
            Stack::builder().engine(engine).edit(RUNNER, options.0, options.1).hook("pre-receive", hook);
        let stack = stack.start().unwrap();
        stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
        let work = work(&stack, "team/app.git");
        work.ok(&["push", "--quiet", "-o", "ci.skip", "origin", "HEAD:refs/heads/optioned"]).unwrap();
        assert_eq!(stack.read("seen"), "1 ci.skip\n", "{engine}");
    }
}

#[test]
fn a_repository_with_reftables_works_where_git_knows_them() {
    let knows = |git: &Git, place: &str| {
        git.ok(&["init", "--quiet", "--bare", "--ref-format=reftable", "-b", "main", place]).is_ok()
    };
    let scratch = Stack::start().unwrap();
    let gits = harness::git::installed().into_iter();
    let able = gits.filter(|(version, program)| knows(&scratch.git().version(program), version));
    let able: Vec<_> = able.collect();
    harness::report(&format!("reftable: {} of the installed gits know it", able.len()));
    for (version, program) in able {
        for engine in ENGINES {
            let to = format!("git: {}", program.display());
            let stack =
                Stack::builder().engine(engine).edit(RUNNER, "git: /usr/bin/git", &to).start().unwrap();
            let place = stack.repositories().root().join("tables.git");
            assert!(knows(&stack.git().version(&program), &path_text(&place).unwrap()));
            let server = stack.git().version(&program).within(&place);
            server.fed(&["fast-import", "--quiet"], history(3, &[]).as_bytes()).unwrap();
            let work = work(&stack, "tables.git");
            work.ok(&["push", "--quiet", "origin", "HEAD:refs/heads/pushed"]).unwrap();
            let head = work.ok(&["rev-parse", "HEAD"]).unwrap();
            assert_eq!(server.ok(&["rev-parse", "refs/heads/pushed"]).unwrap(), head, "{version} {engine}");
            assert!(work.ok(&["ls-remote", "origin"]).unwrap().contains("refs/heads/pushed"));
        }
    }
}

#[test]
fn a_fetch_may_ask_for_as_much_as_the_setting_allows() {
    for engine in ENGINES {
        let builder = Stack::builder().engine(engine).edit(
            RUNNER,
            "push_size: 2GiB",
            "push_size: 2GiB, negotiation: 4KiB",
        );
        let stack = builder.start().unwrap();
        let repository = stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
        let body = want(&repository.resolve("refs/heads/main").unwrap());
        let have = harness::pkt::line(&format!("have {}\n", "1".repeat(40))).into_bytes();
        let long = [&body[..body.len() - 9], &have.repeat(100), b"0009done\n"].concat();
        let post = |body: &[u8]| login(Request::post("/git/team/app.git/git-upload-pack", UPLOAD_PACK, body));
        assert_eq!(stack.http(&post(&body)).unwrap().status, 200, "{engine}");
        let refused = stack.http(&post(&long)).unwrap();
        assert_eq!(refused.status, 413, "{engine}");
        assert!(refused.text().contains("larger than this server allows"), "{refused:?}");
    }
}

#[test]
fn a_post_without_gits_content_type_is_refused() {
    for engine in ENGINES {
        let stack = Stack::builder().engine(engine).start().unwrap();
        stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
        for (service, kind) in [("git-upload-pack", RECEIVE_PACK), ("git-receive-pack", "text/plain")] {
            let target = format!("/git/team/app.git/{service}");
            let response = stack.http(&login(Request::post(&target, kind, b"0000"))).unwrap();
            assert_eq!(response.status, 415, "{engine} {service}");
        }
    }
}

fn login(request: Request) -> Request {
    request.basic(WRITER.name, WRITER.password)
}

/// A clone made by the writer with one commit more than the server has, as a client working in it.
fn work(stack: &Stack, repository: &str) -> Git {
    let git = stack.git_as(WRITER);
    git.ok(&["clone", "--quiet", &stack.url(repository), "work"]).unwrap();
    let work = git.within(&stack.path().join("home/work"));
    work.ok(&["commit", "--quiet", "--allow-empty", "-m", "more"]).unwrap();
    work
}
