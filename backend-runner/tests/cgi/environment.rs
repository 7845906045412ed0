//! What git and its hooks are told: exactly the documented list.

use std::collections::BTreeMap;

use crate::http::{get, post};
use crate::stage::{self, Stage};

const ECHO: &str = "printf 'Content-Type: text/plain\\n\\n'; exec /usr/bin/env -0";

/// Asks a program that prints its environment; what the shell adds to its own is left out.
fn environment(stage: &Stage, request: &[u8]) -> BTreeMap<String, String> {
    let text = stage.ask(request).text();
    let pairs = text.split_terminator('\0').map(|pair| pair.split_once('=').unwrap());
    let mut variables: BTreeMap<_, _> =
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for of_shell in ["PWD", "OLDPWD", "SHLVL", "_"] {
        variables.remove(of_shell);
    }
    variables
}

/// Takes the numbered configuration out of the environment, in order.
fn configuration(variables: &mut BTreeMap<String, String>) -> Vec<String> {
    let count: usize = variables.remove("GIT_CONFIG_COUNT").unwrap().parse().unwrap();
    let mut take =
        |what: &str, number: usize| variables.remove(&format!("GIT_CONFIG_{what}_{number}")).unwrap();
    (0..count).map(|number| format!("{}={}", take("KEY", number), take("VALUE", number))).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const FIXED: [(&str, &str); 7] = [
    ("HOME", "/nonexistent"),
    ("LC_ALL", "C"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("GIT_HTTP_EXPORT_ALL", "1"),
];

#[test]
fn only_a_shallow_clone_looks_less_far_for_deltas() {
    let stage = Stage::fake(ECHO, "");
    stage.hollow_repository("team/a.git");
    let decision = stage::signed("POST", "/git/team/a.git/git-upload-pack");
    let want = "want 0123456789012345678901234567890123456789\n";
    for (lines, is_shallow) in [
        (&["deepen 1\n", want, "done\n"][..], true),
        (&[want, "done\n"], false),
        (&["deepen 1\n", want, "have 0123456789012345678901234567890123456789\n"], false),
    ] {
        let packet = |line: &&str| format!("{:04x}{line}", line.len() + 4);
        let lines: String = lines.iter().map(packet).collect();
        let body = format!("{}0001{lines}0000", packet(&"command=fetch"));
        let headers = [
            ("X-Gitward-Decision", &*decision),
            ("Content-Type", "application/x-git-upload-pack-request"),
            ("Git-Protocol", "version=2"),
        ];
        let mut variables = environment(&stage, &post(&headers, body.as_bytes()));
        let told = configuration(&mut variables).contains(&"pack.window=4".to_owned());
        assert_eq!(told, is_shallow, "{lines}");
    }
}

#[test]
fn a_fetch_without_a_user_gets_the_least() {
    let hooks = tempfile::tempdir().unwrap();
    let stage = Stage::fake(ECHO, &format!("hooks: {{ directory: {} }}", hooks.path().display()));
    stage.hollow_repository("team/a.git");
    let mut decision = stage::decision("GET", "/git/team/a.git/info/refs?service=git-upload-pack");
    decision.user = None;
    decision.groups = Vec::new();
    decision.client = String::new();
    let request = get(&[
        ("X-Gitward-Decision", &stage::sign(&decision)),
        ("Authorization", "Basic am9lOnNlY3JldA=="),
        ("Proxy", "http://evil"),
        ("GIT_CONFIG_COUNT", "1"),
        ("X-Remote-User", "admin"),
        ("Cookie", "a=b"),
        ("User-Agent", "git/2"),
    ]);
    let mut variables = environment(&stage, &request);
    let root = stage.path().join("repos").display().to_string();
    let programs = format!("{}:/usr/bin:/bin", stage.path().join("programs").display());
    assert_eq!(
        configuration(&mut variables),
        [
            &*format!("safe.directory={root}/team/a.git"),
            "core.useReplaceRefs=false",
            "http.uploadarchive=false",
            "receive.fsckObjects=true",
            "receive.maxInputSize=2147483648",
            "receive.autogc=false",
            "gc.auto=0",
            "receive.advertisePushOptions=false",
            "receive.hideRefs=refs",
            "receive.hideRefs=!refs/heads",
            "receive.hideRefs=!refs/tags",
            &format!("core.hooksPath={}", hooks.path().display()),
            "http.receivepack=false",
            "http.getanyfile=false",
        ]
    );
    let mut expected = map(&FIXED);
    expected.extend(map(&[
        ("PATH", &programs),
        ("GIT_PROJECT_ROOT", &root),
        ("PATH_INFO", "/team/a.git/info/refs"),
        ("QUERY_STRING", "service=git-upload-pack"),
        ("REQUEST_METHOD", "GET"),
        ("GIT_COMMITTER_NAME", "anonymous"),
        ("GIT_COMMITTER_EMAIL", "anonymous@http.(none)"),
    ]));
    assert_eq!(variables, expected);
}

#[test]
fn a_push_tells_hooks_who_pushes() {
    let hooks = tempfile::tempdir().unwrap();
    let config = format!("hooks: {{ directory: {} }}", hooks.path().display());
    let stage = Stage::fake(ECHO, &config);
    stage.hollow_repository("a.git");
    let mut decision = stage::decision("POST", "/git/a.git/git-receive-pack");
    decision.info.insert("name".into(), "Joe Doe".into());
    decision.info.insert("email".into(), "joe@example.org".into());
    let request = post(
        &[
            ("X-Gitward-Decision", &stage::sign(&decision)),
            ("Content-Type", "application/x-git-receive-pack-request"),
            ("Content-Encoding", "gzip"),
            ("Git-Protocol", "version=1"),
        ],
        b"0000",
    );
    let mut variables = environment(&stage, &request);
    let configuration = configuration(&mut variables);
    let log = variables["GITWARD_LOG_DIR"].clone();
    let own = log.strip_suffix("/log").unwrap();
    assert!(configuration.contains(&format!("core.hooksPath={own}")), "{configuration:?}");
    assert!(!configuration.iter().any(|entry| entry.starts_with("http.receivepack")));
    let root = stage.path().join("repos").display().to_string();
    let programs = format!("{}:/usr/bin:/bin", stage.path().join("programs").display());
    let file = stage.path().join("backend-runner.yaml").display().to_string();
    let groups = "[\"Domain Users\",\"developers\"]";
    let info = "{\"email\":\"joe@example.org\",\"name\":\"Joe Doe\"}";
    let mut expected = map(&FIXED);
    expected.extend(map(&[
        ("PATH", &programs),
        ("GIT_PROJECT_ROOT", &root),
        ("PATH_INFO", "/a.git/git-receive-pack"),
        ("QUERY_STRING", ""),
        ("REQUEST_METHOD", "POST"),
        ("CONTENT_TYPE", "application/x-git-receive-pack-request"),
        ("HTTP_CONTENT_ENCODING", "gzip"),
        ("GIT_PROTOCOL", "version=1"),
        ("REMOTE_USER", "joe"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("GIT_COMMITTER_NAME", "Joe Doe"),
        ("GIT_COMMITTER_EMAIL", "joe@example.org"),
        ("GITWARD_USER", "joe"),
        ("GITWARD_GROUPS", groups),
        ("GITWARD_INFO", info),
        ("GITWARD_REPO", "a.git"),
        ("GITWARD_REQUEST_ID", "0123456789abcdef"),
        ("GITWARD_CLIENT", "192.0.2.7"),
        ("GITWARD_CONFIG", &file),
        ("GIT4NGINX_GROUPS", groups),
        ("GIT4NGINX_INFO", info),
        ("GIT4NGINX_CONFIG", &file),
    ]));
    for name in ["GITWARD_LOG_DIR", "GIT4NGINX_LOG_DIR"] {
        assert!(variables.remove(name).is_some_and(|directory| directory.ends_with("/log")), "{name}");
    }
    assert_eq!(variables, expected);
}

#[test]
fn a_name_that_git_cannot_write_is_replaced_by_the_users() {
    let stage = Stage::fake(ECHO, "");
    stage.hollow_repository("a.git");
    for name in ["", "<>", "a\nb", "...", "Joe <joe@example.org>"] {
        let mut decision = stage::decision("POST", "/git/a.git/git-receive-pack");
        decision.info.insert("name".into(), name.into());
        let kind = ("Content-Type", "application/x-git-receive-pack-request");
        let variables =
            environment(&stage, &post(&[("X-Gitward-Decision", &stage::sign(&decision)), kind], b"0000"));
        assert_eq!(variables["GIT_COMMITTER_NAME"], "joe", "{name:?}");
        assert_eq!(variables["GIT_COMMITTER_EMAIL"], "joe@http.192.0.2.7");
    }
}
