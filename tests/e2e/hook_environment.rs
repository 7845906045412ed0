//! Exactly what git and a hook get to see. A variable that is not listed here is a fault, and so is one
//! that is missing.

use std::collections::BTreeMap;
use std::fs;

use harness::people::WRITER;
use harness::{ENGINES, Git, Stack};

/// Shows the environment that git gave the hook, its descriptors and its directory.
const HOOK: &str = "#!/bin/sh\n\
cat /proc/$$/environ > '@DIR@/environment'\n\
ls -l /proc/$$/fd > '@DIR@/descriptors'\n\
readlink /proc/$$/cwd > '@DIR@/directory'\n";

/// Always there for a push, whoever pushes.
const ALWAYS: &[&str] = &[
    "CONTENT_TYPE",
    "GIT4NGINX_CONFIG",
    "GIT4NGINX_GROUPS",
    "GIT4NGINX_INFO",
    "GIT4NGINX_LOG_DIR",
    "GITWARD_CLIENT",
    "GITWARD_CONFIG",
    "GITWARD_GROUPS",
    "GITWARD_INFO",
    "GITWARD_LOG_DIR",
    "GITWARD_REPO",
    "GITWARD_REQUEST_ID",
    "GITWARD_USER",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_HTTP_EXPORT_ALL",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_PROJECT_ROOT",
    "HOME",
    "LC_ALL",
    "PATH",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_USER",
    "REQUEST_METHOD",
    "SERVER_PROTOCOL",
];

/// What git itself adds for a pre-receive hook: githooks(5) and git-receive-pack(1).
const FROM_GIT: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PUSH_OPTION_COUNT",
    "GIT_QUARANTINE_PATH",
];

/// Set when there is something to say.
const SOMETIMES: &[&str] = &["GIT_EXEC_PATH", "GIT_NAMESPACE", "GIT_PROTOCOL", "HTTP_CONTENT_ENCODING"];

/// Headers by which environments have been poisoned: CGI programs see `Proxy` as HTTP_PROXY, and so on.
const POISON: &[&str] = &[
    "Proxy: http://evil.example",
    "GIT_CONFIG_COUNT: 1",
    "GIT_CONFIG_KEY_0: core.hooksPath",
    "GIT-CONFIG-COUNT: 1",
    "GIT_DIR: /tmp",
    "LD_PRELOAD: /tmp/evil.so",
    "Remote-User: root",
    "X-Remote-User: root",
    "X-Gitward-User: root",
    "Path-Info: /team/other.git/git-receive-pack",
    "X-Gitward-Groups: [\"admins\"]",
];

#[test]
fn a_hook_sees_the_documented_variables_and_no_others() {
    ENGINES.into_iter().for_each(documented_variables);
}

fn documented_variables(engine: &str) {
    let stack = stack(engine);
    push(&stack, stack.git_as(WRITER), "refs/heads/one");
    let environment = environment(&stack);
    let numbered = |name: &str| name.starts_with("GIT_CONFIG_KEY_") || name.starts_with("GIT_CONFIG_VALUE_");
    let documented = |name: &str| [ALWAYS, FROM_GIT, SOMETIMES].concat().contains(&name) || numbered(name);
    let unknown: Vec<&String> = environment.keys().filter(|name| !documented(name)).collect();
    assert!(unknown.is_empty(), "not documented: {unknown:?}");
    let missing: Vec<_> =
        ALWAYS.iter().chain(FROM_GIT).filter(|name| !environment.contains_key(**name)).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
}

#[test]
fn the_variables_say_what_authd_decided() {
    ENGINES.into_iter().for_each(decided_variables);
}

fn decided_variables(engine: &str) {
    let stack = stack(engine);
    push(&stack, stack.git_as(WRITER).protocol(1), "refs/heads/one");
    let environment = environment(&stack);
    let root = stack.path().join("git").display().to_string();
    let expected = [
        ("CONTENT_TYPE", "application/x-git-receive-pack-request"),
        ("GIT4NGINX_GROUPS", "[\"staff\",\"writers\"]"),
        ("GITWARD_CLIENT", "127.0.0.1"),
        ("GITWARD_GROUPS", "[\"staff\",\"writers\"]"),
        ("GITWARD_INFO", "{\"email\":\"writer@example.org\",\"name\":\"Wendy Writer\"}"),
        ("GITWARD_REPO", "team/app.git"),
        ("GITWARD_USER", "writer"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_DIR", "."),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_PROJECT_ROOT", &root),
        ("GIT_PUSH_OPTION_COUNT", "0"),
        ("GIT_PROTOCOL", "version=1"),
        ("LC_ALL", "C"),
        ("PATH_INFO", "/team/app.git/git-receive-pack"),
        ("QUERY_STRING", ""),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_USER", "writer"),
        ("REQUEST_METHOD", "POST"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
    ];
    for (name, value) in expected {
        assert_eq!(environment.get(name).map(String::as_str), Some(value), "{name}");
    }
    let directory = stack.path().join("git/team/app.git").display().to_string();
    assert_eq!(stack.read("directory").trim(), directory);
}

#[test]
fn headers_of_the_client_do_not_reach_the_environment() {
    ENGINES.into_iter().for_each(poisoned_headers);
}

fn poisoned_headers(engine: &str) {
    let stack = stack(engine);
    push(&stack, stack.git_as(WRITER), "refs/heads/one");
    let before = environment(&stack);
    let poisoned =
        POISON.iter().fold(stack.git_as(WRITER), |git, header| git.with("http.extraHeader", header));
    push(&stack, poisoned, "refs/heads/two");
    let after = environment(&stack);
    let changing = [
        "GITWARD_REQUEST_ID",
        "GITWARD_LOG_DIR",
        "GIT4NGINX_LOG_DIR",
        "GIT_OBJECT_DIRECTORY",
        "GIT_QUARANTINE_PATH",
        // The hooks of each push are in its own directory.
        &before
            .iter()
            .find_map(|(name, value)| (value == "core.hooksPath").then(|| name.replace("_KEY_", "_VALUE_")))
            .unwrap(),
    ];
    for (name, value) in after.iter().filter(|(name, _)| !changing.contains(&name.as_str())) {
        assert_eq!(before.get(name), Some(value), "{name}");
    }
    assert_eq!(before.len(), after.len());
}

#[test]
fn settings_given_to_git_outrank_those_of_the_repository() {
    ENGINES.into_iter().for_each(outranking_settings);
}

fn outranking_settings(engine: &str) {
    let stack = stack(engine);
    push(&stack, stack.git_as(WRITER), "refs/heads/one");
    let environment = environment(&stack);
    let count: usize = environment["GIT_CONFIG_COUNT"].parse().unwrap();
    let settings: Vec<(String, String)> = (0..count)
        .map(|n| {
            let at = |part: &str| environment[&format!("GIT_CONFIG_{part}_{n}")].clone();
            (at("KEY").to_ascii_lowercase(), at("VALUE"))
        })
        .collect();
    let repository = stack.path().join("git/team/app.git").display().to_string();
    let hooks = environment["GITWARD_LOG_DIR"].replace("/log", "");
    let expected = [
        ("safe.directory", repository.as_str()),
        ("core.hookspath", &hooks),
        ("core.usereplacerefs", "false"),
        ("http.uploadarchive", "false"),
        ("http.getanyfile", "false"),
        ("receive.fsckobjects", "true"),
        ("receive.maxinputsize", "2147483648"),
        ("receive.autogc", "false"),
        ("receive.hiderefs", "refs"),
    ];
    for (key, value) in expected {
        assert!(
            settings.contains(&(key.to_owned(), value.to_owned())),
            "{key}={value} is not in {settings:?}"
        );
    }
    assert_eq!(settings.iter().filter(|(key, _)| key == "safe.directory").count(), 1);
}

#[test]
fn a_hook_inherits_no_descriptor_beyond_the_three() {
    ENGINES.into_iter().for_each(inherited_descriptors);
}

fn inherited_descriptors(engine: &str) {
    let stack = stack(engine);
    push(&stack, stack.git_as(WRITER), "refs/heads/one");
    let descriptors = links(&stack.read("descriptors"));
    let standard: Vec<&String> = (0..3).filter_map(|number| descriptors.get(&number)).collect();
    let own: Vec<String> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| Some(fs::read_link(entry.unwrap().path()).ok()?.display().to_string()))
        .collect();
    // The shell itself has its script open, and copies of what it redirects. What these tests were started
    // with is passed on by everything and says nothing about the runner.
    let harmless = |target: &String| {
        standard.contains(&target)
            || own.contains(target)
            || target == "/dev/null"
            || target.ends_with("/pre-receive")
    };
    let others: Vec<_> = descriptors.iter().filter(|(_, target)| !harmless(target)).collect();
    assert!(others.is_empty(), "{others:?} of {descriptors:?}");
}

/// Number and target of each line of `ls -l /proc/…/fd`.
fn links(listing: &str) -> BTreeMap<u32, String> {
    let lines = listing.lines().filter_map(|line| line.split_once(" -> "));
    lines
        .map(|(left, target)| (left.rsplit(' ').next().unwrap().parse().unwrap(), target.to_owned()))
        .collect()
}

fn push(stack: &Stack, git: Git, branch: &str) {
    let url = stack.url("team/app.git");
    let work = git.within(&stack.path().join("home/work"));
    work.ok(&["commit", "--quiet", "--allow-empty", "-m", branch]).unwrap();
    work.ok(&["push", "--quiet", &url, &format!("HEAD:{branch}")]).unwrap();
}

fn environment(stack: &Stack) -> BTreeMap<String, String> {
    let bytes = fs::read(stack.path().join("environment")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let entries = text.split('\0').filter(|entry| !entry.is_empty());
    entries.map(|entry| entry.split_once('=').unwrap()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn stack(engine: &str) -> Stack {
    let stack = Stack::builder().engine(engine).hook("pre-receive", HOOK).start().unwrap();
    let repository = stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let source = repository.path().display().to_string();
    stack.git().ok(&["clone", "--quiet", &source, "work"]).unwrap();
    stack
}
