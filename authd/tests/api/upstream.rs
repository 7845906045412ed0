//! Front servers that name the user themselves.

use crate::stage::{Ask, Files, READ_MEMBERS, READ_PUBLIC, READ_TEAM, Stage, WRITE_TEAM};

async fn stage(listen: &str, addresses: &str) -> Stage {
    let files = Files::new();
    let directories = format!(
        "  - {{ type: upstream, header: X-Remote-User, groups_from: users, addresses: [{addresses}] }}\n\
         \x20 - {{ type: users, file: users.yaml }}\n"
    );
    files.configure(listen, "", &directories);
    files.start().await
}

fn named(target: &str, user: &str) -> Ask {
    Ask::get(target).header("X-Remote-User", user)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_unix_socket_the_named_user_is_believed_and_the_groups_looked_up() {
    let stage = stage("unix", "").await;
    let answer = stage.ask(&named(WRITE_TEAM, "joe")).await;
    assert_eq!((answer.status, answer.header("x-gitward-user")), (200, Some("joe")));
    assert_eq!(stage.decision(&answer).groups.len(), 1);
    assert_eq!(stage.ask(&named(WRITE_TEAM, "ann")).await.status, 403);
    assert_eq!(
        stage.ask(&named(READ_TEAM, "eve")).await.status,
        200,
        "a user without a password can be named"
    );
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_no_directory_knows_is_denied_everywhere() {
    let stage = stage("unix", "").await;
    for name in ["nobody", "JOE", "joe ann", "", "anonymous", "jo\u{eb}"] {
        for target in [READ_TEAM, READ_MEMBERS, READ_PUBLIC] {
            assert_eq!(stage.ask(&named(target, name)).await.status, 403, "{name:?} {target}");
        }
    }
    assert_eq!(stage.ask(&named(READ_TEAM, "joe").header("X-Remote-User", "joe")).await.status, 403);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_user_is_named_passwords_do_not_count() {
    let stage = stage("unix", "").await;
    let answer = stage.ask(&named(READ_MEMBERS, "bob").user("joe")).await;
    assert_eq!(answer.header("x-gitward-user"), Some("bob"));
    assert_eq!(stage.ask(&named(READ_TEAM, "joe").login("joe", "wrong")).await.status, 200);
    assert_eq!(stage.count("gitward_directory_requests_total").await, 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_named_user_the_other_directories_answer() {
    let stage = stage("unix", "").await;
    assert_eq!(stage.ask(&Ask::get(READ_TEAM).user("joe")).await.status, 200);
    assert_eq!(stage.ask(&Ask::get(READ_TEAM)).await.status, 401);
    assert_eq!(stage.ask(&Ask::get(READ_PUBLIC)).await.status, 200);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_only_listed_peers_may_name_users() {
    for (addresses, status) in
        [("", 403), ("10.0.0.0/8", 403), ("'::1'", 403), ("127.0.0.1", 200), ("127.0.0.0/8", 200)]
    {
        let stage = stage("127.0.0.1:0", addresses).await;
        assert_eq!(stage.ask(&named(READ_TEAM, "joe")).await.status, status, "[{addresses}]");
        let spoofed = named(READ_TEAM, "joe").from("127.0.0.1").header("X-Forwarded-For", "127.0.0.1");
        assert_eq!(stage.ask(&spoofed).await.status, status, "[{addresses}] whatever the client's address");
        assert_eq!(
            stage.ask(&Ask::get(READ_TEAM).user("joe")).await.status,
            200,
            "passwords work for every peer"
        );
        stage.stop().await;
    }
}
