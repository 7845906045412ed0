//! What must never be seen: the difference between hidden and absent, and any password.

use std::fs;
use std::path::Path;

use harness::people::{OUTSIDER, READER, WRITER};
use harness::pkt::{RECEIVE_PACK, UPLOAD_PACK, advertisement};
use harness::{Request, Stack, procfs};

#[test]
fn forbidden_and_missing_repositories_answer_the_same_bytes() {
    let stack = stack();
    // Forbidden to the outsider, and absent for everybody: who is not allowed must not be able to tell.
    for person in [Some(OUTSIDER), Some(READER), None] {
        for (hidden, absent) in requests("team/app.git").into_iter().zip(requests("team/no.git")) {
            let answers = [hidden, absent].map(|request| match person {
                Some(person) => request.basic(person.name, person.password),
                None => request,
            });
            let [hidden, absent] = answers.map(|request| stack.http(&request).unwrap());
            if hidden.status != 200 {
                assert_eq!(hidden.comparable(), absent.comparable(), "{person:?}");
            }
        }
    }
}

#[test]
fn a_missing_repository_looks_forbidden_to_those_who_could_read_it_and_those_who_could_not() {
    let stack = stack();
    for request in requests("team/no.git") {
        let answer = |name, password| stack.http(&request.clone().basic(name, password)).unwrap();
        let writer = answer(WRITER.name, WRITER.password);
        assert_eq!(writer.status, 403);
        assert_eq!(writer.comparable(), answer(OUTSIDER.name, OUTSIDER.password).comparable());
    }
}

#[test]
fn wrong_passwords_unknown_users_and_no_credentials_get_the_same_401() {
    let stack = stack();
    for target in requests("team/app.git").into_iter().chain(requests("team/no.git")) {
        let anonymous = stack.http(&target).unwrap();
        assert_eq!(anonymous.status, 401);
        for (user, password) in [(READER.name, "wrong"), ("nobody", "wrong"), (READER.name, WRITER.password)]
        {
            let response = stack.http(&target.clone().basic(user, password)).unwrap();
            assert_eq!(response.comparable(), anonymous.comparable(), "{user}");
        }
    }
}

#[test]
fn a_refusal_names_no_version_path_user_or_rule() {
    let stack = stack();
    for request in requests("team/app.git") {
        for response in [
            stack.http(&request).unwrap(),
            stack.http(&request.clone().basic(OUTSIDER.name, OUTSIDER.password)).unwrap(),
        ] {
            let seen = response.comparable().to_ascii_lowercase();
            let directory = stack.path().display().to_string();
            for word in
                ["nginx/", "actix", "authd", "runner", "team", "app.git", "outsider", "readers", &directory]
            {
                assert!(!seen.contains(word), "{word:?} in {seen}");
            }
        }
    }
}

#[test]
fn a_password_is_in_no_log_and_in_no_environment() {
    let hook = "#!/bin/sh\ncat /proc/$$/environ > '@DIR@/hook-environment'\nexit 0\n";
    let stack = Stack::builder().hook("pre-receive", hook).start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let wrong = "a-wrong-password-nobody-has";
    let url = stack.url("team/app.git");
    let writer = stack.git_as(WRITER);
    writer.ok(&["clone", "--quiet", &url, "app"]).unwrap();
    writer
        .within(&stack.path().join("home/app"))
        .ok(&["push", "--quiet", &url, "HEAD:refs/heads/new"])
        .unwrap();
    for (user, password) in [(WRITER.name, wrong), (OUTSIDER.name, OUTSIDER.password), ("nobody", wrong)] {
        assert!(!stack.git().sending(user, password).run(&["ls-remote", &url]).unwrap().status.success());
    }
    let in_url = format!("/git/team/app.git/info/refs?service=git-upload-pack&password={wrong}");
    stack.http(&Request::get(&in_url).header("Authorization", &format!("Bearer {wrong}"))).unwrap();

    let secrets = [WRITER.password, OUTSIDER.password, wrong].map(str::to_owned).to_vec();
    let encoded = [(WRITER.name, WRITER.password), (WRITER.name, wrong), (OUTSIDER.name, OUTSIDER.password)]
        .map(|(user, password)| harness::git::basic(user, password).replace("Basic ", ""));
    let mut seen: Vec<(String, String)> = Vec::new();
    for folder in ["log", "run", "cache", "hook-environment"] {
        collect(&stack.path().join(folder), &mut seen);
    }
    for pid in procfs::mentioning(stack.path()) {
        seen.push((format!("environment of {pid}"), procfs::environment(pid).join("\n")));
        seen.push((format!("arguments of {pid}"), procfs::command_line(pid)));
    }
    for daemon in ["authd", "backend-runner"] {
        seen.push((format!("metrics of {daemon}"), stack.admin(daemon, "/metrics").unwrap().text()));
    }
    assert!(seen.iter().any(|(name, text)| name.ends_with("hook-environment") && text.contains(WRITER.name)));
    for (name, text) in seen {
        // nginx logs request lines as they are; what a client writes there is no secret of ours.
        let text = text.replace(&in_url, "");
        for secret in secrets.iter().chain(&encoded) {
            assert!(!text.contains(secret), "{secret} in {name}");
        }
    }
}

/// One request of every kind to `repository`.
fn requests(repository: &str) -> [Request; 5] {
    [
        Request::get(&advertisement(repository, "git-upload-pack")),
        Request::get(&advertisement(repository, "git-upload-pack")).header("Git-Protocol", "version=2"),
        Request::get(&advertisement(repository, "git-receive-pack")),
        Request::post(&format!("/git/{repository}/git-upload-pack"), UPLOAD_PACK, b"0000"),
        Request::post(&format!("/git/{repository}/git-receive-pack"), RECEIVE_PACK, b"0000"),
    ]
}

/// Adds the text of `path` and of everything below it.
fn collect(path: &Path, into: &mut Vec<(String, String)>) {
    if let Ok(entries) = fs::read_dir(path) {
        entries.flatten().for_each(|entry| collect(&entry.path(), into));
    } else if let Ok(bytes) = fs::read(path) {
        into.push((path.display().to_string(), harness::git::text(&bytes)));
    }
}

fn stack() -> Stack {
    let stack = Stack::start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack
}
