//! Pages and the list of repositories, for browsers: the same URLs, the same policy, and nothing else to see or to run.

mod browser;
mod confinement;
mod cost;

use std::fs;

use harness::people::{OUTSIDER, Person, READER, WRITER};
use harness::{Builder, Request, Response, Stack};

const RUNNER: &str = "backend-runner.yaml";

/// A private, a public and a secret tree; nobody named here may see the last one.
const POLICY: &str = "version: 1
access:
  \"team/\":   { read: [\"@readers\"], write: [\"@writers\"] }
  \"public/\": { read: [anonymous] }
  \"secret/\": { read: [nobody-here] }
";

fn builder() -> Builder {
    Stack::builder().policy(POLICY).edit("authd.yaml", "web: off", "web: gitweb").edit(
        RUNNER,
        "web: off",
        "web: gitweb",
    )
}

/// One repository in each tree.
fn seed(stack: &Stack) {
    for name in ["team/app.git", "public/site.git", "secret/hidden-name.git"] {
        let repository = stack.repositories().seeded(name, 3, &["refs/heads/topic".to_owned()]).unwrap();
        fs::write(repository.path().join("description"), format!("About <b>{name}</b> & more\n")).unwrap();
    }
}

fn get(stack: &Stack, target: &str, person: Option<Person>) -> Response {
    let request = Request::get(target);
    let request = match person {
        Some(person) => request.basic(person.name, person.password),
        None => request,
    };
    stack.http(&request).unwrap()
}

#[test]
fn a_browser_gets_pages_where_git_gets_packs() {
    let stack = builder().start().unwrap();
    seed(&stack);
    for (target, text) in [
        ("/git/team/app.git", "About &lt;b&gt;team/app.git&lt;/b&gt; &amp; more"),
        ("/git/team/app.git/", "change 2"),
        ("/git/team/app.git?a=summary", "change 2"),
        ("/git/team/app.git/shortlog/refs/heads/topic", "change 0"),
        ("/git/team/app.git/tree/main", "file-1.txt"),
        ("/git/team/app.git/blob/HEAD:/file-1.txt", "line&nbsp;1"),
        ("/git/team/app.git?a=blob;f=file-1.txt;hb=topic", "line&nbsp;1"),
        ("/git/team/app.git/commitdiff/main", "new file with mode"),
        ("/git/team/app.git?a=search&h=HEAD&st=commit&s=change+1", "change 1"),
        ("/git/team/app.git?a=search;st=grep;s=line", "file-2.txt"),
        ("/git/team/app.git/atom", "<feed"),
    ] {
        let page = get(&stack, target, Some(READER));
        assert_eq!(page.status, 200, "{target}: {}", page.text());
        assert!(page.text().contains(text), "{target}: {}", page.text());
        assert!(page.header("Cache-Control").unwrap().contains("private"), "{target}");
        let request = Request::new("HEAD", target).basic(READER.name, READER.password);
        let head = stack.http(&request).unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0), "HEAD {target}");
        assert_eq!(head.header("Content-Type"), page.header("Content-Type"), "HEAD {target}");
    }
    let git = stack.git_as(WRITER);
    git.ok(&["clone", "--quiet", &stack.url("team/app.git"), "work"]).unwrap();
    let work = git.within(&stack.path().join("home/work"));
    work.ok(&["push", "--quiet", "origin", "HEAD:refs/heads/pushed"]).unwrap();
    assert!(get(&stack, "/git/team/app.git/heads", Some(READER)).text().contains("pushed"));
    stack.await_no_git(std::time::Duration::from_secs(10)).unwrap();
    assert!(
        fs::read_dir(stack.path().join("run"))
            .unwrap()
            .flatten()
            .all(|entry| { !entry.file_name().to_string_lossy().starts_with("gitward-web-") })
    );
}

#[test]
fn pages_follow_the_policy_like_everything_else() {
    let stack = builder().start().unwrap();
    seed(&stack);
    for target in [
        "/git/team/app.git",
        "/git/team/app.git/log",
        "/git/team/absent.git/log",
        "/git/secret/hidden-name.git",
    ] {
        let asked = get(&stack, target, None);
        assert_eq!(asked.status, 401, "{target}");
        assert!(asked.header("WWW-Authenticate").unwrap().starts_with("Basic realm="), "{target}");
        let wrong = Person { name: READER.name, password: "wrong" };
        assert_eq!(get(&stack, target, Some(wrong)).status, 401, "{target}");
    }
    let forbidden = get(&stack, "/git/secret/hidden-name.git", Some(READER));
    assert_eq!(forbidden.status, 403);
    for missing in ["/git/secret/absent.git", "/git/team/absent.git", "/git/team/absent.git?a=log"] {
        let missing = get(&stack, missing, Some(READER));
        assert_eq!(missing.comparable(), forbidden.comparable());
    }
    assert_eq!(get(&stack, "/git/team/app.git", Some(OUTSIDER)).status, 403);
    assert_eq!(get(&stack, "/git/public/site.git", None).status, 200);
    assert_eq!(get(&stack, "/git/public/site.git", Some(OUTSIDER)).status, 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = Request::new(method, "/git/public/site.git?a=summary");
        assert_ne!(stack.http(&request).unwrap().status, 200, "{method}");
    }
}

#[test]
fn without_the_switch_there_are_no_pages() {
    let both_off = Stack::builder().policy(POLICY);
    let runner_off = builder().edit(RUNNER, "web: gitweb", "web: off");
    for builder in [both_off, runner_off] {
        let stack = builder.start().unwrap();
        seed(&stack);
        for target in ["/git/", "/git/team/", "/git/team/app.git", "/git/team/app.git/summary"] {
            assert_eq!(get(&stack, target, Some(READER)).status, 403, "{target}");
        }
    }
}

#[test]
fn the_list_shows_what_each_caller_may_read() {
    let stack = builder().start().unwrap();
    seed(&stack);
    let shown = |person: Option<Person>, target: &str| {
        let page = get(&stack, target, person);
        assert_eq!(page.status, 200, "{target}");
        assert!(page.header("Content-Security-Policy").unwrap().contains("default-src 'none'"));
        assert!(!page.text().contains("secret") && !page.text().contains("hidden-name"), "{}", page.text());
        let count = page.text().matches("class=\"list\"").count();
        (count, page.text())
    };
    let (count, page) = shown(None, "/git/");
    assert_eq!(count, 1);
    assert!(page.contains("href=\"/git/public/site.git\"") && page.contains("href=\"/git/?login\""));
    assert!(page.contains("About &lt;b&gt;public/site.git&lt;/b&gt; &amp; more"));
    assert_eq!(shown(Some(OUTSIDER), "/git/").0, 1);
    let (count, page) = shown(Some(READER), "/git/");
    assert_eq!(count, 2);
    assert!(page.contains("team/app.git") && page.contains("logged in as reader"));
    assert_eq!(shown(Some(READER), "/git/team/").0, 1);
    assert_eq!(shown(Some(READER), "/git/?s=APP").0, 1);
    // A directory that is hidden looks like one that is not there, but for its name in the links.
    let absent = shown(Some(READER), "/git/absent/").1.replace("absent", "");
    let hidden = get(&stack, "/git/secret/", Some(READER)).text().replace("secret", "");
    assert!(absent == hidden && !hidden.contains("hidden-name"), "{hidden}");
    let login = get(&stack, "/git/?login", None);
    assert_eq!(login.status, 401);
    assert_eq!(get(&stack, "/git/?login", Some(OUTSIDER)).status, 200);
    let head = stack.http(&Request::new("HEAD", "/git/")).unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn where_anonymous_callers_may_read_nothing_the_list_asks_who_they_are() {
    let stack = builder().edit("policy.yaml", "[anonymous]", "[authenticated]").start().unwrap();
    seed(&stack);
    assert_eq!(get(&stack, "/git/", None).status, 401);
    assert!(get(&stack, "/git/", Some(OUTSIDER)).text().contains("public/site.git"));
}
