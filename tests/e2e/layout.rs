//! Repositories at other URLs: mounted elsewhere, at several places, on several servers, and without `.git`.

use harness::git::text;
use harness::people::{OUTSIDER, READER, WRITER};
use harness::{Git, Request, Stack};

/// What serves git in gitward-server.conf.
const LOCATION: &str = "location ^~ /git/ {";

/// What the server does with everything else.
const REST: &str = "location / {\n            return 404;\n        }";

#[test]
fn repositories_can_be_mounted_anywhere() {
    for mount in ["/", "/a/b/"] {
        let (rest, location) = if mount == "/" { ("", mount) } else { (REST, mount) };
        let stack = Stack::builder()
            .edit("authd.yaml", "mount: /git/", &format!("mount: {mount}"))
            .edit_nginx("gitward-server.conf", LOCATION, &format!("location ^~ {location} {{"))
            .edit_nginx("nginx.conf", REST, rest)
            .start()
            .unwrap();
        stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
        let url = format!("http://{}{mount}team/app.git", stack.nginx.address());
        clone_and_push(&stack, &stack.git_as(WRITER), &url);
        let status = |target: &str| {
            stack.http(&Request::get(target).basic(WRITER.name, WRITER.password)).unwrap().status
        };
        for target in ["/_auth", "/_denied/403", "/.gitward/git/team/app.git/HEAD", "/git/team/app.git/HEAD"]
        {
            assert!((400..500).contains(&status(target)), "{mount}: {target}");
        }
    }
}

#[test]
fn several_mounts_and_servers_have_repositories_of_their_own() {
    let stack = several();
    for repository in ["app.git", "team/apps/app.git", "two/app.git", "two/git/app.git"] {
        stack.repositories().seeded(repository, 1, &[]).unwrap();
    }
    let front = stack.nginx.address();
    let two = format!("http://two.example:{}", front.port());
    let resolve = format!("two.example:{}:127.0.0.1", front.port());
    let git = stack.git_as(WRITER).with("http.curloptResolve", &resolve);
    for (url, repository) in [
        (format!("http://{front}/git/app.git"), "app.git"),
        (format!("http://{front}/apps/app.git"), "team/apps/app.git"),
        (format!("{two}/app.git"), "two/app.git"),
        (format!("{two}/git/app.git"), "two/git/app.git"),
    ] {
        let pushed = clone_and_push(&stack, &git, &url);
        let there = stack.repositories().open(repository).resolve("refs/heads/main");
        assert_eq!(there, Some(pushed), "{url}");
        harness::until_true("the record", std::time::Duration::from_secs(10), || {
            stack
                .read("log/audit.jsonl")
                .contains(&format!("\"repository\":\"{repository}\",\"service\":\"receive-pack\""))
        })
        .unwrap();
    }
}

#[test]
fn a_repository_is_decided_by_its_path_whatever_its_url() {
    let stack = several();
    for repository in ["team/apps/app.git", "two/app.git", "public/app.git"] {
        stack.repositories().seeded(repository, 1, &[]).unwrap();
    }
    let status = |host: &str, target: &str, login: Option<&str>| {
        let target = format!("{target}/info/refs?service=git-upload-pack");
        let request = Request::get(&target).host(host).header("X-Original-Host", "two.example");
        let password = login.map(|name| format!("{name}-password"));
        let request = match (login, &password) {
            (Some(name), Some(password)) => request.basic(name, password),
            _ => request,
        };
        stack.http(&request).unwrap().status
    };
    let (one, two) = ("one.example", "two.example");
    for (host, target, login, expected) in [
        (one, "/git/public/app.git", None, 200),
        (one, "/apps/app.git", None, 401),
        (one, "/apps/app.git", Some(READER.name), 200),
        (one, "/apps/app.git", Some(OUTSIDER.name), 403),
        (one, "/git/team/apps/app.git", Some(OUTSIDER.name), 403),
        (one, "/git/two/app.git", Some(READER.name), 200),
        (two, "/app.git", Some(READER.name), 200),
        (two, "/app.git", Some(OUTSIDER.name), 403),
        // What another server has is not here, whatever the client says.
        (two, "/apps/app.git", Some(READER.name), 403),
        (two, "/git/public/app.git", None, 401),
        (one, "/app.git", Some(READER.name), 404),
    ] {
        assert_eq!(status(host, target, login), expected, "{host} {target} {login:?}");
    }
}

#[test]
fn a_url_without_git_leads_to_the_one_with_it() {
    let stack = redirecting();
    let repository = stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let url = stack.url("team/app");
    let pushed = clone_and_push(&stack, &stack.git_as(WRITER), &url);
    assert_eq!(repository.resolve("refs/heads/main"), Some(pushed));
    let refused = stack.git_as(OUTSIDER).run(&["ls-remote", &url]).unwrap();
    assert!(text(&refused.stderr).contains("There is no such repository"), "{refused:?}");
    // With the password in the URL, and asked for by a 401 at the place it leads to.
    let login = stack.url_as(READER.name, READER.password, "team/app");
    stack.git().ok(&["ls-remote", &login]).unwrap();
}

#[test]
fn a_redirection_says_nothing_about_what_exists_and_leads_nowhere_else() {
    let stack = redirecting();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let before = stack.metric("authd", "gitward_auth_decisions_total").unwrap();
    for name in ["team/app", "team/none", "a", "x.y/z_1/-", "git", "team/info/refs"] {
        for query in ["", "?service=git-upload-pack", "?service=git-receive-pack"] {
            let target = format!("/git/{name}/info/refs{query}");
            let answer = stack.http(&Request::get(&target).host("evil.example")).unwrap();
            let is_name = !name.ends_with('-');
            let location = is_name.then(|| format!("/git/{name}.git/info/refs{query}"));
            assert_eq!(answer.header("Location"), location.as_deref(), "{target}");
            assert_eq!(answer.status, if is_name { 301 } else { 401 }, "{target}");
            assert!(!answer.text().contains("app"));
        }
    }
    // Nobody was asked, but for the name that is none.
    assert_eq!(stack.metric("authd", "gitward_auth_decisions_total").unwrap() - before, 3.0);
    for target in [
        "/git/team/app.git/info/refs?service=git-upload-pack",
        "/git/team/app.GIT/info/refs",
        "/git/team.git/app/info/refs",
        "/git/team.lock/app/info/refs",
        "/git/a.lock/info/refs",
        "//evil.example/git/app/info/refs",
        "/git//evil.example/app/info/refs",
        "/git/../app/info/refs",
        "/git/a..b/info/refs",
        "/git/./app/info/refs",
        "/git/a%2f/info/refs",
        "/git/a%0d%0aX:y/info/refs",
        "/git/app/info/refs?service=git-upload-pack&x=//evil.example",
        "/git/app/info/refs?service=git-upload-archive",
        "/git/app/info/refs?",
        "/git/app/info/refs/",
        "/git/app/info/refs#x",
        "/git/app;x/info/refs",
        "/git/app\\x/info/refs",
        "/git/app",
        "/git/app/HEAD",
        "/git/app/git-upload-pack",
        "/git/info/refs",
        "http://evil.example/git/app.git/info/refs",
    ] {
        let answer = stack.http(&Request::get(target)).unwrap();
        let own = answer.header("Location").is_none_or(|location| location == "/git.git/info/refs");
        assert!(own, "{target}: {answer:?}");
    }
    for method in ["POST", "HEAD", "PUT"] {
        let request = Request::new(method, "/git/team/app/info/refs").header("Content-Length", "0");
        assert!(stack.http(&request).unwrap().header("Location").is_none(), "{method}");
    }
}

/// `/git/` has all repositories, `/apps/` those of one directory, and the server two.example its own at `/`.
fn several() -> Stack {
    let second = format!(
        "{REST}
    }}
    server {{
        listen @ADDRESS@;
        server_name two.example;
        include gitward-server.conf;
        location ^~ / {{ include gitward-git.conf; }}
    }}"
    );
    let mounts = "mounts: { /git/: /, /apps/: team/apps/, //two.example/: two/ } ";
    let apps = format!("location ^~ /apps/ {{ include gitward-git.conf; }}\n{LOCATION}");
    Stack::builder()
        .edit("authd.yaml", "mount: /git/ ", mounts)
        .edit_nginx("gitward-server.conf", LOCATION, &apps)
        .edit_nginx("nginx.conf", "server_name _;", "server_name one.example;")
        .edit_nginx("nginx.conf", &format!("{REST}\n    }}"), &second)
        .start()
        .unwrap()
}

fn redirecting() -> Stack {
    let include = "include gitward-redirect.conf;";
    Stack::builder().edit_nginx("gitward-server.conf", &format!("#{include}"), include).start().unwrap()
}

/// The id of the commit that was pushed.
fn clone_and_push(stack: &Stack, git: &Git, url: &str) -> String {
    let copy = format!("copy-{}", std::fs::read_dir(stack.path().join("home")).unwrap().count());
    git.ok(&["clone", "--quiet", url, &copy]).unwrap();
    let work = git.within(&stack.path().join("home").join(copy));
    work.ok(&["commit", "--quiet", "--allow-empty", "-m", "more"]).unwrap();
    work.ok(&["push", "--quiet", "origin", "HEAD:refs/heads/main"]).unwrap();
    work.ok(&["rev-parse", "HEAD"]).unwrap()
}
