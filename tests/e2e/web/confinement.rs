//! What a page must never show or do, whatever is asked and whatever a repository holds.

mod attacks;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use harness::people::READER;
use harness::repositories::Repository;
use harness::{Request, Stack};

use self::attacks::ATTACKS;
use super::{RUNNER, builder, get, seed};

#[test]
fn no_path_and_no_query_leads_to_another_repository() {
    let stack = builder().start().unwrap();
    seed(&stack);
    for attack in ATTACKS {
        let ask = |other: &str| {
            get(&stack, &format!("/git/team/app.git{}", attack.replace('@', other)), Some(READER))
        };
        let existing = ask("secret/hidden-name.git");
        let shown = existing.text().replace(&attack.replace('@', "secret/hidden-name.git"), "");
        assert!(
            [400, 403, 404].contains(&existing.status) || !attack.contains('@'),
            "{attack}: {existing:?}"
        );
        assert!(
            !shown.contains("secret/hidden-name.git&lt;") && !shown.contains("<b>secret"),
            "{attack}: {shown}"
        );
        // What is there and may not be seen is answered like what is not there.
        let absent = ask("secret/absent-name.git");
        assert_eq!(existing.status, absent.status, "{attack}");
        let neutral = |text: String, name: &str| text.replace(name, "");
        assert_eq!(
            neutral(existing.text(), "hidden-name"),
            neutral(absent.text(), "absent-name"),
            "{attack}"
        );
        let anonymous =
            get(&stack, &format!("/git/team/app.git{}", attack.replace('@', "public/site.git")), None);
        assert!([400, 401, 403, 404].contains(&anonymous.status), "{attack}: {}", anonymous.status);
    }
    let form =
        Request::post("/git/team/app.git", "application/x-www-form-urlencoded", b"p=secret/hidden-name.git");
    assert_eq!(stack.http(&form.basic(READER.name, READER.password)).unwrap().status, 403);
    assert!(!stack.path().join("run/x").exists());
}

#[test]
fn nothing_a_repository_says_is_executed_or_believed() {
    let stack = builder()
        .edit(RUNNER, "snapshots: []", "snapshots: [tgz, zip]")
        .edit(RUNNER, "blame: false", "blame: true")
        .edit(RUNNER, "[commits, files]", "[commits, files, changes]")
        .start()
        .unwrap();
    seed(&stack);
    let repository = stack.repositories().open("team/app.git");
    hostile(&stack, &repository);
    for target in [
        "/git/team/app.git",
        "/git/team/app.git/log",
        "/git/team/app.git/commitdiff/main",
        "/git/team/app.git/commitdiff_plain/main",
        "/git/team/app.git/blame/HEAD:/file-1.txt",
        "/git/team/app.git/history/HEAD:/file-1.txt",
        "/git/team/app.git/patch/main",
        "/git/team/app.git/snapshot/main.tar.gz",
        "/git/team/app.git/snapshot/main.zip",
        "/git/team/app.git?a=search;st=pickaxe;s=line",
        "/git/team/app.git?a=search;st=grep;s=line",
    ] {
        let page = get(&stack, target, Some(READER));
        assert_eq!(page.status, 200, "{target}: {}", page.text());
        let (text, kind) = (page.text(), page.header("Content-Type").unwrap());
        let inert = !kind.contains("html") || !text.contains("<script>alert") && !text.contains("<img src=x");
        assert!(inert, "{target}: {text}");
    }
    assert!(!stack.path().join("executed").exists(), "{}", stack.read("executed"));
    let page = get(&stack, "/git/team/app.git", Some(READER)).text();
    assert!(
        page.contains("&lt;script&gt;alert(&quot;description&quot;)")
            || page.contains("&lt;script&gt;alert(\"description\")"),
        "{page}"
    );
    assert!(
        page.contains("&lt;script&gt;alert(&quot;owner") || page.contains("&lt;script&gt;alert(\"owner"),
        "{page}"
    );
    assert!(!page.contains("readme-marker"));
}

/// Everything in a repository that could make git or gitweb run something, show a file of the machine or trust a text.
fn hostile(stack: &Stack, repository: &Repository) {
    let program = stack.path().join("program");
    let note = stack.path().join("executed");
    fs::write(&program, format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat 2>/dev/null\n", note.display()))
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.display().to_string();
    for (key, value) in [
        ("diff.external", &*program),
        ("diff.evil.command", &*program),
        ("diff.evil.textconv", &*program),
        ("diff.evil.cachetextconv", "true"),
        ("filter.evil.smudge", &*program),
        ("filter.evil.clean", &*program),
        ("filter.evil.process", &*program),
        ("filter.evil.required", "true"),
        ("core.fsmonitor", &*program),
        ("core.pager", &*program),
        ("core.editor", &*program),
        ("core.sshCommand", &*program),
        ("core.hooksPath", &stack.path().display().to_string()),
        ("log.showSignature", "true"),
        ("gpg.program", &*program),
        ("tar.tgz.command", &*program),
        ("tar.tar.command", &*program),
        ("alias.cat-file", &format!("!{program}")),
        ("alias.log", &format!("!{program}")),
        ("extensions.partialClone", "evil"),
        ("remote.evil.promisor", "true"),
        ("remote.evil.url", &format!("ext::{program}")),
        ("protocol.allow", "always"),
        ("format.outputDirectory", &stack.path().display().to_string()),
        ("gitweb.owner", "<script>alert(\"owner\")</script>"),
        ("gitweb.highlight", "true"),
        ("gitweb.avatar", "gravatar"),
        ("gitweb.ctag", "<script>alert(\"tag\")</script>"),
    ] {
        repository.git().ok(&["config", key, value]).unwrap();
    }
    let write = |name: &str, text: &str| fs::write(repository.path().join(name), text).unwrap();
    fs::create_dir_all(repository.path().join("info")).unwrap();
    write("info/attributes", "* diff=evil filter=evil\n");
    write("description", "<script>alert(\"description\")</script>\n");
    write("cloneurl", "\"><script>alert(1)</script>\njavascript:alert(1)\n");
    write("README.html", "<script>alert(\"readme-marker\")</script>readme-marker");
    let message = "<script>alert(\"message\")</script> <img src=x onerror=alert(1)>\n";
    let stream = format!(
        "feature done\nreset refs/heads/main\nfrom refs/heads/main^0\n\ncommit refs/heads/main\n\
         author x\" onload=\"alert(1) <a@b> 1700000100 +0000\ncommitter '&quot;/x <a@b> 1700000100 +0000\n\
         data {}\n{message}\nM 100644 inline \"<img src=x onerror=alert(1)>.html\"\ndata 5\nline\n\nM 100644 inline .gitattributes\ndata 26\n\
         * diff=evil filter=evil  \n\ndone\n",
        message.len()
    );
    repository.import(&stream).unwrap();
}

#[test]
fn a_repository_that_hides_refs_has_no_pages() {
    let stack = builder().start().unwrap();
    seed(&stack);
    let repository = stack.repositories().open("team/app.git");
    for (setting, status) in
        [("receive.hideRefs", 200), ("transfer.hideRefs", 403), ("uploadpack.hideRefs", 403)]
    {
        repository.git().ok(&["config", setting, "refs/heads/topic"]).unwrap();
        for page in ["", "/heads", "/shortlog/refs/heads/topic"] {
            let page = get(&stack, &format!("/git/team/app.git{page}"), Some(READER));
            assert_eq!(page.status, status, "{setting}");
        }
        let listed = stack.git_as(READER).ok(&["ls-remote", &stack.url("team/app.git")]).unwrap();
        assert_eq!(listed.contains("topic"), status == 200, "{setting}: {listed}");
        repository.git().ok(&["config", "--unset", setting]).unwrap();
    }
    assert!(stack.read("log/backend-runner.log").contains("hides refs"));
}

#[test]
fn of_what_a_repository_borrows_pages_show_what_a_fetch_gives() {
    let stack = builder().start().unwrap();
    seed(&stack);
    let lender = stack.repositories().seeded("secret/lender.git", 7, &[]).unwrap();
    let id = lender.resolve("refs/heads/main").unwrap();
    let page = || get(&stack, &format!("/git/public/site.git/commit/{id}"), None).status;
    stack.git().ok(&["init", "--quiet", "work"]).unwrap();
    let work = stack.git().within(&stack.path().join("home/work"));
    let fetches =
        || work.run(&["fetch", "--quiet", &stack.url("public/site.git"), &id]).unwrap().status.success();
    assert_eq!((page(), fetches()), (404, false));
    let lent = format!("{}\n", lender.path().join("objects").display());
    let borrower = stack.repositories().open("public/site.git");
    fs::write(borrower.path().join("objects/info/alternates"), lent).unwrap();
    assert_eq!((page(), fetches()), (200, true));
}

#[test]
fn what_was_pushed_cannot_act_in_a_browser() {
    let stack = builder().start().unwrap();
    let repository = stack.repositories().seeded("public/site.git", 1, &[]).unwrap();
    let script = "<html><script>alert(1)</script></html>";
    let mut stream = "feature done\ncommit refs/heads/main\ncommitter A <a@b> 1700000100 +0000\ndata 1\nx\nfrom refs/heads/main^0\n".to_owned();
    let names = [
        "page.html",
        "page.xhtml",
        "image.svg",
        "code.js",
        "style.css",
        "feed.atom",
        "text.txt",
        "none",
        "image.png",
        "app.wasm",
    ];
    for name in names {
        stream.push_str(&format!("M 100644 inline {name}\ndata {}\n{script}\n", script.len()));
    }
    repository.import(&(stream + "done\n")).unwrap();
    for name in names {
        for target in [
            format!("/git/public/site.git/blob_plain/main:/{name}"),
            format!("/git/public/site.git?a=blob_plain;f={name}"),
            format!("/git/public/site.git/main:/{name}"),
        ] {
            let file = get(&stack, &target, None);
            assert_eq!((file.status, file.text().as_str()), (200, script), "{target}");
            let kind = file.header("Content-Type").unwrap();
            let plain = kind.starts_with("text/plain") || kind == "image/png";
            let saved = file.header("Content-Disposition").is_some_and(|said| said.starts_with("attachment"));
            assert!(plain || saved, "{target}: {kind}");
            assert!(
                !kind.contains("html") && !kind.contains("svg") && !kind.contains("script"),
                "{target}: {kind}"
            );
            assert_eq!(file.header("X-Content-Type-Options"), Some("nosniff"), "{target}");
            let policy = file.header("Content-Security-Policy").unwrap();
            assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{target}");
            assert!(!policy.contains("allow-scripts") && !policy.contains("unsafe"), "{target}");
        }
        let shown = get(&stack, &format!("/git/public/site.git/blob/main:/{name}"), None);
        let is_page = shown.header("Content-Type").unwrap().contains("html");
        assert!(!is_page || !shown.text().contains(script), "{name}");
    }
    let redirect = get(&stack, "/git/public/site.git?a=object;hb=main;f=page.html", None);
    assert_eq!(redirect.status, 302);
    let location = redirect.header("Location").unwrap();
    assert!(location.contains("/git/public/site.git/blob/"), "{location}");
}
