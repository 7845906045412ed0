//! Real git on both sides.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::front::Front;
use crate::http::{head, post, post_chunked};
use crate::stage::{Stage, command, git, signed};

const ENGINES: [&str; 2] = ["engine: direct", "engine: http-backend"];
fn by_each_engine(test: impl Fn(&str)) {
    for engine in ENGINES {
        test(engine);
    }
}

const VERSIONS: [&str; 3] = ["0", "1", "2"];

fn front(stage: &Stage) -> Front {
    Front::to(&stage.path().join("socket"))
}

fn client(stage: &Stage, version: &str, arguments: &[&str]) -> Output {
    let protocol = format!("protocol.version={version}");
    command(stage.path()).args(["-c", &protocol]).args(arguments).output().unwrap()
}

fn succeed(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_protocol_version_clones_and_pushes() {
    by_each_engine(|engine| {
        let stage = Stage::real(engine);
        stage.filled_repository("team/a.git", 50);
        let url = format!("{}team/a.git", front(&stage).url);
        for version in VERSIONS {
            let work = stage.path().join(format!("work-{version}"));
            let work_name = work.to_str().unwrap();
            succeed(&client(&stage, version, &["clone", "-q", &url, work_name]));
            assert_eq!(
                git(&work, &["rev-list", "--count", "HEAD"]).trim().parse::<usize>().unwrap() % 50,
                version.parse::<usize>().unwrap()
            );
            fs::write(work.join(format!("new-{version}")), vec![b'x'; 3_000_000]).unwrap();
            git(&work, &["add", "."]);
            git(&work, &["commit", "-q", "-m", "new"]);
            succeed(&client(&stage, version, &["-C", work_name, "push", "-q", "origin", "HEAD"]));
            git(&work, &["checkout", "-q", "-b", "topic"]);
            succeed(&client(
                &stage,
                version,
                &["-C", work_name, "push", "-q", "origin", &format!("topic:topic-{version}")],
            ));
            succeed(&client(&stage, version, &["-C", work_name, "fetch", "-q"]));
            succeed(&client(
                &stage,
                version,
                &["-C", work_name, "push", "-q", "origin", &format!(":topic-{version}")],
            ));
        }
        git(&stage.repository("team/a.git"), &["fsck", "--strict"]);
        stage.wait_for_no_processes();
    });
}

#[test]
fn shallow_and_partial_clones_work() {
    by_each_engine(|engine| {
        let stage = Stage::real(engine);
        let bare = stage.filled_repository("a.git", 50);
        git(&bare, &["config", "uploadpack.allowFilter", "true"]);
        let url = format!("{}a.git", front(&stage).url);
        succeed(&client(&stage, "2", &["clone", "-q", "--depth=1", &url, "shallow"]));
        succeed(&client(&stage, "2", &["-C", "shallow", "fetch", "-q", "--deepen=5"]));
        succeed(&client(&stage, "2", &["clone", "-q", "--bare", "--filter=blob:none", &url, "partial"]));
    });
}

#[test]
fn hooks_see_the_pusher_and_may_refuse() {
    by_each_engine(|engine| {
        let hooks = tempfile::tempdir().unwrap();
        fs::create_dir(hooks.path().join("pre-receive.d")).unwrap();
        let hook = hooks.path().join("pre-receive.d/10-site");
        let seen = hooks.path().join("seen");
        let script =
            format!("#!/bin/sh\nenv >{}\necho no entry for \"$GITWARD_USER\" >&2\nexit 1\n", seen.display());
        fs::write(&hook, script).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let config = format!("{engine}\nhooks: {{ external: {} }}", hooks.path().display());
        let stage = Stage::real(&config);
        let bare = stage.filled_repository("a.git", 3);
        git(&bare, &["config", "core.hooksPath", "/nonexistent"]);
        let url = format!("{}a.git", front(&stage).url);
        succeed(&client(&stage, "2", &["clone", "-q", &url, "work"]));
        git(&stage.path().join("work"), &["commit", "-q", "--allow-empty", "-m", "new"]);
        let before = git(&bare, &["rev-parse", "main"]);
        let refused = client(&stage, "2", &["-C", "work", "push", "origin", "HEAD"]);
        assert!(!refused.status.success());
        assert!(String::from_utf8_lossy(&refused.stderr).contains("remote: no entry for joe"));
        assert_eq!(git(&bare, &["rev-parse", "main"]), before);
        assert_eq!(names_for_hooks(&fs::read_to_string(seen).unwrap()), DOCUMENTED);
    });
}

/// The names of Gitward's own variables in what `env` printed, sorted.
fn names_for_hooks(environment: &str) -> Vec<&str> {
    let names = environment.lines().filter_map(|line| Some(line.split_once('=')?.0));
    let mut names: Vec<_> =
        names.filter(|name| name.starts_with("GITWARD_") || name.starts_with("GIT4NGINX_")).collect();
    names.sort_unstable();
    names
}

const DOCUMENTED: [&str; 12] = [
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
];

#[test]
fn only_branches_and_tags_can_be_pushed() {
    by_each_engine(|engine| {
        let stage = Stage::real(engine);
        let bare = stage.filled_repository("a.git", 3);
        let url = format!("{}a.git", front(&stage).url);
        succeed(&client(&stage, "2", &["clone", "-q", &url, "work"]));
        for name in ["refs/replace/1234", "refs/meta/config", "refs/notes/commits"] {
            let refused = client(&stage, "2", &["-C", "work", "push", "origin", &format!("HEAD:{name}")]);
            assert!(!refused.status.success(), "{name}");
        }
        assert_eq!(git(&bare, &["for-each-ref", "--format=%(refname)"]), "refs/heads/main\nrefs/tags/v1\n");
    });
}

#[test]
fn a_pack_over_the_limit_is_refused_and_leaves_nothing() {
    by_each_engine(|engine| {
        let stage = Stage::real(&format!("{engine}\nlimits: {{ push_size: 1MiB }}"));
        let bare = stage.filled_repository("a.git", 3);
        let url = format!("{}a.git", front(&stage).url);
        succeed(&client(&stage, "2", &["clone", "-q", &url, "work"]));
        let work = stage.path().join("work");
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let noise: Vec<u8> = (0..3_000_000).map(|_| noise()).collect();
        fs::write(work.join("big"), noise).unwrap();
        git(&work, &["add", "."]);
        git(&work, &["commit", "-q", "-m", "big"]);
        let refused = client(&stage, "2", &["-C", "work", "push", "origin", "HEAD"]);
        assert!(!refused.status.success());
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains("pack exceeds maximum allowed size"), "{text}");
        assert!(git(&bare, &["count-objects", "-v"]).contains("garbage: 0"));
        stage.wait_for_no_processes();
    });
}

#[test]
fn a_push_that_breaks_off_leaves_no_process_and_no_ref() {
    by_each_engine(|engine| {
        let stage = Stage::real(engine);
        let bare = stage.filled_repository("a.git", 3);
        let tip = git(&bare, &["rev-parse", "main"]);
        let decision = signed("POST", "/git/a.git/git-receive-pack");
        let headers =
            [("X-Gitward-Decision", &*decision), ("Content-Type", "application/x-git-receive-pack-request")];
        let command = format!("{} {} refs/heads/new\0report-status", "0".repeat(40), tip.trim());
        // A whole push but for the end of the body: the pack is empty, so nothing else is missing.
        let pack = [
            &b"PACK\0\0\0\x02\0\0\0\0"[..],
            b"\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e",
        ]
        .concat();
        let body =
            [format!("{:04x}{command}0000", command.len() + 4).as_bytes(), &pack[..pack.len() - 1]].concat();
        let length = [("Content-Length", "1000000")];
        let mut connection = stage.connect();
        connection.send(&[&head("POST", &[&headers[..], &length].concat())[..], &body].concat()).unwrap();
        crate::stage::eventually("git runs", || !stage.processes().is_empty());
        drop(connection);
        let gone = Instant::now();
        stage.wait_for_no_processes();
        assert!(gone.elapsed() < Duration::from_secs(2));
        assert_eq!(git(&bare, &["for-each-ref", "--format=%(refname)"]), "refs/heads/main\nrefs/tags/v1\n");
    });
}

#[test]
fn bodies_may_be_compressed_and_chunked() {
    by_each_engine(|engine| {
        let stage = Stage::real(engine);
        stage.filled_repository("a.git", 3);
        let decision = signed("POST", "/git/a.git/git-upload-pack");
        let plain = [
            ("X-Gitward-Decision", &*decision),
            ("Content-Type", "application/x-git-upload-pack-request"),
            ("Git-Protocol", "version=2"),
        ];
        let body = b"0014command=ls-refs\n0016object-format=sha100010009peel\n0000";
        let expected = stage.ask(&post(&plain, body));
        assert!(expected.text().contains("refs/heads/main"), "{}", expected.text());
        assert_eq!(expected.header("content-type"), Some("application/x-git-upload-pack-result"));
        assert_eq!(stage.ask(&post_chunked(&plain, body, 7)).body, expected.body);
        let packed = crate::stage::gzip(body);
        for encoding in ["gzip", "x-gzip"] {
            let headers = [&plain[..], &[("Content-Encoding", encoding)]].concat();
            assert_eq!(stage.ask(&post(&headers, &packed)).body, expected.body);
            assert_eq!(stage.ask(&post_chunked(&headers, &packed, 7)).body, expected.body);
        }
    });
}

#[test]
fn plain_files_are_served_only_when_asked_for() {
    by_each_engine(|engine| {
        let dumb = || crate::stage::dumb_decision("/a.git/HEAD");
        let request = |decision: &str| crate::http::get(&[("X-Gitward-Decision", decision)]);
        let without = Stage::real(engine);
        without.filled_repository("a.git", 3);
        assert_eq!(without.ask(&request(&dumb())).status, 403);
        let with = Stage::real(&format!("{engine}\ndumb_http: true"));
        let bare = with.filled_repository("a.git", 3);
        let answer = with.ask(&request(&dumb()));
        assert_eq!((answer.status, answer.text().as_str()), (200, "ref: refs/heads/main\n"));
        git(&bare, &["config", "http.getanyfile", "false"]);
        assert_eq!(with.ask(&request(&dumb())).status, 403);
    });
}
