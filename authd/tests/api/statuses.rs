//! Who gets which answer, and what is in it.

use policy::git_request::{Access, Service};

use crate::stage::{Ask, READ_MEMBERS, READ_MISSING, READ_PUBLIC, READ_TEAM, Stage, WRITE_TEAM};

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_decides_and_the_status_tells_who_must_do_what() {
    let stage = Stage::start().await;
    for (ask, status, why) in [
        (Ask::get(READ_PUBLIC), 200, "anonymous may read public"),
        (Ask::get(READ_TEAM), 401, "anonymous may not read the team's"),
        (Ask::get(READ_MEMBERS), 401, "anonymous is nobody"),
        (Ask::get(READ_MISSING), 401, "nor learn what is there"),
        (Ask::get(READ_TEAM).user("joe"), 200, "a writer may read"),
        (Ask::get(WRITE_TEAM).user("joe"), 200, "and write"),
        (Ask::get(READ_TEAM).user("ann"), 200, "a developer may read"),
        (Ask::get(WRITE_TEAM).user("ann"), 403, "but not write"),
        (Ask::get(READ_TEAM).user("bob"), 403, "a known user without the right"),
        (Ask::get(READ_MISSING).user("bob"), 403, "as for a missing repository"),
        (Ask::get(READ_MEMBERS).user("bob"), 200, "anybody with an account"),
        (Ask::get(READ_TEAM).login("joe", "wrong"), 401, "a wrong password"),
        (Ask::get(READ_TEAM).login("nobody", "joe's password"), 401, "an unknown user"),
        (Ask::get(READ_TEAM).login("eve", "eve's password"), 401, "a user without a password"),
        (Ask::get(READ_PUBLIC).login("joe", "wrong"), 401, "a wrong password even where none is needed"),
        (
            Ask::get("/git/old/a.git/git-upload-pack").header("X", "y").user("joe"),
            403,
            "a GET of an RPC path",
        ),
        (Ask::get("/git/old/a.git/info/refs?service=git-receive-pack").user("joe"), 403, "a frozen level"),
    ] {
        assert_eq!(stage.ask(&ask).await.status, status, "{why}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_request_carries_a_signed_decision_and_no_body() {
    let stage = Stage::start().await;
    let ask = Ask::get(WRITE_TEAM).user("joe").header("X-Request-Id", "0123456789abcdef0123456789abcdef");
    let answer = stage.ask(&ask).await;
    assert_eq!((answer.header("content-length"), answer.body.as_str()), (Some("0"), ""));
    assert_eq!(answer.header("x-gitward-user"), Some("joe"));
    assert_eq!(answer.header("www-authenticate"), None);
    let decision = stage.decision(&answer);
    assert_eq!(decision.request_id, "0123456789abcdef0123456789abcdef");
    assert_eq!((decision.service, decision.access), (Service::AdvertiseReceivePack, Access::Write));
    assert_eq!(decision.path_info, "/team/a.git/info/refs");
    assert_eq!(decision.query, "service=git-receive-pack");
    assert_eq!(decision.user.unwrap().as_str(), "joe");
    assert_eq!(decision.groups.iter().map(|group| group.as_str()).collect::<Vec<_>>(), ["developers"]);
    assert_eq!(decision.info["name"], "joe");
    assert_eq!((decision.client.as_str(), decision.generation), ("192.0.2.1", 1));
    assert_eq!(decision.exp - decision.iat, 60);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_decision_names_nobody() {
    let stage = Stage::start().await;
    let answer = stage.ask(&Ask::get(READ_PUBLIC)).await;
    assert_eq!(answer.header("x-gitward-user"), None);
    assert_eq!(stage.decision(&answer).user, None);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_401_is_the_same_bytes() {
    let stage = Stage::start().await;
    let expected = stage.ask(&Ask::get(READ_TEAM)).await.fixed();
    assert_eq!(expected.header("www-authenticate"), Some("Basic realm=\"git\", charset=\"UTF-8\""));
    assert_eq!((expected.headers.len(), expected.body.as_str()), (3, ""), "{expected:?}");
    let authorization = |value: &str| Ask::get(READ_TEAM).header("Authorization", value);
    for ask in [
        Ask::get(READ_MISSING),
        Ask::get("/git/team/a.git"),
        Ask::get(READ_TEAM).login("joe", "wrong"),
        Ask::get(READ_TEAM).login("nobody", "wrong"),
        Ask::get(READ_TEAM).login("eve", "wrong"),
        Ask::get(READ_TEAM).login("joe smith/..", "wrong"),
        Ask::get(READ_TEAM).login("joe", &"x".repeat(73)),
        Ask::get(READ_TEAM).login("joe", ""),
        Ask::get(READ_TEAM).login("", "x"),
        authorization("Basic"),
        authorization("Basic ="),
        authorization("Bearer eyJhbGciOiJub25lIn0.e30."),
        authorization("Negotiate abc"),
        authorization(&format!("Basic {}", "QUFB".repeat(3000))),
        Ask::get(READ_TEAM).user("joe").user("joe"),
    ] {
        assert_eq!(stage.ask(&ask).await.fixed(), expected);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_and_missing_are_the_same_bytes() {
    let stage = Stage::start().await;
    let forbidden = stage.ask(&Ask::get(READ_TEAM).user("bob")).await.fixed();
    assert_eq!((forbidden.status, forbidden.headers.len()), (403, 2), "{forbidden:?}");
    for ask in [
        Ask::get(READ_MISSING).user("bob"),
        Ask::get("/git/team/a.git/config").user("joe"),
        Ask::get("/elsewhere"),
        Ask::get("/git/../etc/passwd"),
        Ask::bare(),
    ] {
        assert_eq!(stage.ask(&ask).await.fixed(), forbidden);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_outside_the_grammar_is_refused_before_credentials_are_looked_at() {
    let stage = Stage::start().await;
    for target in [
        "/git/team/a.git/info/refs?service=git-upload-archive",
        "/git/team/a.git/info/refs?service=git-upload-pack&x",
        "/git/team/%61.git/x",
    ] {
        let wrong = Ask::get(target).login("joe", "wrong");
        assert_eq!(stage.ask(&wrong).await.status, 403, "{target}");
    }
    assert_eq!(stage.count("gitward_directory_requests_total").await, 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_request_must_be_there_exactly_once() {
    let stage = Stage::start().await;
    let public = || Ask::get(READ_PUBLIC);
    for ask in [
        Ask::bare().header("X-Original-Method", "GET"),
        Ask::bare().header("X-Original-URI", READ_PUBLIC),
        public().header("X-Original-URI", READ_PUBLIC),
        public().header("x-original-uri", "/git/team/a.git/info/refs?service=git-upload-pack"),
        public().header("X-Original-Method", "POST"),
        public().header("X-Real-IP", "192.0.2.2"),
    ] {
        assert_eq!(stage.ask(&ask).await.status, 403);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_name_a_user_have_no_effect_with_passwords() {
    let stage = Stage::start().await;
    for name in ["X-Remote-User", "REMOTE_USER", "X-Gitward-User", "X-Forwarded-User", "X-Gitward-Decision"] {
        assert_eq!(stage.ask(&Ask::get(READ_TEAM).header(name, "joe")).await.status, 401, "{name}");
        let answer = stage.ask(&Ask::get(READ_MEMBERS).user("bob").header(name, "joe")).await;
        assert_eq!(answer.header("x-gitward-user"), Some("bob"), "{name}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_listener_knows_one_path_and_one_method() {
    let stage = Stage::start().await;
    for line in [
        "GET /",
        "GET /auth",
        "GET /auth/nginx/",
        "GET /metrics",
        "GET /healthz",
        "POST /auth/nginx",
        "HEAD /x",
    ] {
        let answer = stage.raw(&format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(answer.status, 404, "{line}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_shows_health_and_metrics_and_makes_no_decisions() {
    let stage = Stage::start().await;
    assert_eq!(stage.admin("/healthz").await.body, "ok\n");
    let ready = stage.admin("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(ready.body.contains("\"generation\":1"), "{}", ready.body);
    assert_eq!(stage.admin("/auth/nginx").await.status, 404);
    stage.ask(&Ask::get(READ_PUBLIC)).await;
    let metrics = stage.metrics().await;
    for line in [
        "gitward_auth_decisions_total{decision=\"allowed\",service=\"advertise-upload-pack\"} 1",
        "gitward_auth_duration_seconds_count 1",
        "gitward_config_generation 1",
        "gitward_config_last_reload_success 1",
        "gitward_build_info{program=\"authd\",version=",
        "process_open_fds",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_choose_never_becomes_a_label() {
    let stage = Stage::start().await;
    let series = async || stage.metrics().await.lines().filter(|line| line.starts_with("gitward_")).count();
    let attack = async |number: u32| {
        let target = format!("/git/team/r{number}.git/info/refs?service=git-upload-pack");
        stage
            .ask(&Ask::get(&target).login(&format!("user{number}"), "x").from(&format!("192.0.2.{number}")))
            .await;
        stage.ask(&Ask::get(&format!("/x{number}"))).await;
    };
    attack(0).await;
    let before = series().await;
    for number in 1..40 {
        attack(number).await;
    }
    assert_eq!(series().await, before);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_do_not_fit_are_left_out_unless_the_policy_names_them() {
    let stage = {
        let files = crate::stage::Files::new();
        let groups: Vec<_> = (0..2000).map(|number| format!("group-{number}")).collect();
        let text =
            files.read("users.yaml").replace("[developers]", &format!("[developers, {}]", groups.join(", ")));
        files.write("users.yaml", &text);
        files.start().await
    };
    let answer = stage.ask(&Ask::get(READ_TEAM).user("joe")).await;
    assert_eq!(answer.status, 200);
    let groups = stage.decision(&answer).groups;
    assert_eq!(groups.iter().map(|group| group.as_str()).collect::<Vec<_>>(), ["developers"]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_too_large_even_so_is_postponed_and_nothing_is_dropped() {
    let stage = {
        let files = crate::stage::Files::new();
        let text =
            files.read("users.yaml").replace("{ name: joe }", &format!("{{ name: {} }}", "x".repeat(20_000)));
        files.write("users.yaml", &text);
        files.start().await
    };
    let answer = stage.ask(&Ask::get(READ_TEAM).user("joe")).await;
    assert_eq!((answer.status, answer.header("x-gitward-status")), (403, Some("503")));
    assert_eq!(answer.header("x-gitward-decision"), None);
    stage.stop().await;
}
