//! The endpoints of other front servers than nginx, asked as Traefik, Caddy and Envoy ask.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::stage::{Answer, Files, READ_PUBLIC, READ_TEAM, Stage};

const EVERY: &str =
    "endpoints: [nginx, ingress-nginx, gateway-fabric, forward, envoy]\nfailures: { per_user: 1 }\n";

async fn stage(more: &str) -> Stage {
    let files = Files::new();
    files.configure(
        "unix",
        more,
        "  - { type: users, file: users.yaml }\n  - { type: upstream, header: X-Remote-User, groups_from: users }\n",
    );
    files.start().await
}

async fn ask(stage: &Stage, line: &str, headers: &[(&str, &str)]) -> Answer {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    stage.raw(&format!("{line} HTTP/1.1\r\nHost: authd\r\nConnection: close\r\n{headers}\r\n")).await
}

fn login(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_not_listed_refuses_what_it_would_allow() {
    let stage = stage("").await;
    let forward = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", READ_PUBLIC)];
    assert_eq!(ask(&stage, "GET /auth/forward", &forward).await.status, 403);
    assert_eq!(ask(&stage, &format!("GET /auth/envoy{READ_PUBLIC}"), &[]).await.status, 403);
    stage.files.configure("unix", EVERY, "  - { type: users, file: users.yaml }\n");
    stage.state.reload().unwrap();
    assert_eq!(ask(&stage, "GET /auth/forward", &forward).await.status, 200);
    assert_eq!(ask(&stage, &format!("GET /auth/envoy{READ_PUBLIC}"), &[]).await.status, 200);
    stage.stop().await;
}

/// Caddy appends the client's query to the endpoint; only the header counts.
#[tokio::test(flavor = "multi_thread")]
async fn traefik_and_caddy_get_a_decision_about_the_request_in_their_headers() {
    let stage = stage(EVERY).await;
    for line in ["GET /auth/forward", "GET /auth/forward?service=git-receive-pack"] {
        let read = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", READ_PUBLIC)];
        let answer = ask(&stage, line, &read).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{line}");
        assert_eq!(stage.decision(&answer).repo.as_str(), "public/a.git");
        let missing = ask(&stage, line, &read[1..]).await;
        assert_eq!(missing.status, 403);
        let twice = [read[0], read[1], read[1]];
        assert_eq!(ask(&stage, line, &twice).await.status, 403);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_gets_exactly_200_for_the_method_and_path_it_repeats() {
    let stage = stage(EVERY).await;
    let joe = login("joe", "joe's password");
    let joe = [("Authorization", joe.as_str()), ("Content-Length", "0")];
    let push = ask(&stage, "POST /auth/envoy/git/team/a.git/git-receive-pack", &joe).await;
    assert_eq!((push.status, push.body.as_str()), (200, ""));
    assert_eq!(stage.decision(&push).service.as_str(), "receive-pack");
    for line in [
        "GET /auth/envoy/git/team/a.git/git-receive-pack",
        "DELETE /auth/envoy/git/team/a.git",
        "GET /auth/envoy//git/team/a.git/info/refs?service=git-upload-pack",
        "GET /auth/envoy/../nginx",
        "GET /auth/envoy/",
    ] {
        assert_eq!(ask(&stage, line, &joe).await.status, 403, "{line}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_statuses_pass_the_true_one_is_said_with_words() {
    let stage = stage(EVERY).await;
    let wrong = |n: u8| login("ann", &format!("wrong {n}"));
    for (n, status) in [(1, 401), (2, 429)] {
        let login = wrong(n);
        let target = format!("GET /auth/envoy{READ_TEAM}");
        let answer = ask(&stage, &target, &[("Authorization", &login)]).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("retry-after").is_some(), status == 429);
        assert_eq!(answer.header("x-gitward-status"), None);
        assert!(answer.body.trim().len() > 10, "{}", answer.body);
    }
    let login = wrong(3);
    let question = [
        ("X-Original-Method", "GET"),
        ("X-Original-URL", &*format!("https://git{READ_TEAM}")),
        ("Authorization", &login),
    ];
    let throttled = ask(&stage, "GET /auth/ingress-nginx", &question).await;
    assert_eq!((throttled.status, throttled.header("x-gitward-status")), (403, Some("429")));
    stage.stop().await;
}

/// Traefik, Caddy and Envoy may hand on what the client calls itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_names_the_user_counts_where_only_nginx_can_have_sent_it() {
    let stage = stage(EVERY).await;
    let named = ("X-Remote-User", "joe");
    let nginx = [("X-Original-Method", "GET"), ("X-Original-URI", READ_TEAM), named];
    assert_eq!(ask(&stage, "GET /auth/nginx", &nginx).await.status, 200);
    let forward = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", READ_TEAM), named];
    assert_eq!(ask(&stage, "GET /auth/forward", &forward).await.status, 401);
    assert_eq!(ask(&stage, &format!("GET /auth/envoy{READ_TEAM}"), &[named]).await.status, 401);
    stage.stop().await;
}
