//! Files that change under a running daemon.

use crate::stage::{Ask, READ_TEAM, Stage, WRITE_TEAM};

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_and_a_changed_password_count_at_once_though_the_login_was_cached() {
    let stage = Stage::start().await;
    for user in ["joe", "ann"] {
        assert_eq!(stage.ask(&Ask::get(READ_TEAM).user(user)).await.status, 200);
    }
    let users = stage.files.read("users.yaml");
    let hash = bcrypt::hash("new", 4).unwrap();
    let without_joe: String =
        users.lines().filter(|line| !line.starts_with("  joe:")).map(|line| format!("{line}\n")).collect();
    let ann = without_joe.lines().find(|line| line.starts_with("  ann:")).unwrap().to_owned();
    let new_ann = format!("  ann: {{ password: \"{hash}\", groups: [developers] }}");
    stage.files.write("users.yaml", &without_joe.replace(&ann, &new_ann));
    stage.state.reload().unwrap();

    assert_eq!(stage.ask(&Ask::get(READ_TEAM).user("joe")).await.status, 401);
    assert_eq!(stage.ask(&Ask::get(READ_TEAM).user("ann")).await.status, 401);
    assert_eq!(stage.ask(&Ask::get(READ_TEAM).login("ann", "new")).await.status, 200);
    assert!(stage.metrics().await.contains("gitward_config_generation 2"));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_group_counts_at_once_without_a_new_verification() {
    let stage = Stage::start().await;
    assert_eq!(stage.ask(&Ask::get(READ_TEAM).user("ann")).await.status, 200);
    let users = stage.files.read("users.yaml");
    stage.files.write("users.yaml", &users.replace("groups: [developers]", "groups: []"));
    stage.state.reload().unwrap();
    assert_eq!(stage.ask(&Ask::get(READ_TEAM).user("ann")).await.status, 403);
    assert_eq!(stage.count("gitward_directory_requests_total").await, 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_policy_counts_and_its_generation_is_in_the_decision() {
    let stage = Stage::start().await;
    assert_eq!(stage.ask(&Ask::get(WRITE_TEAM).user("ann")).await.status, 403);
    let policy = stage.files.read("policy.yaml").replace("write: [joe]", "write: [joe, ann]");
    stage.files.write("policy.yaml", &policy);
    stage.state.reload().unwrap();
    let answer = stage.ask(&Ask::get(WRITE_TEAM).user("ann")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(stage.decision(&answer).generation, 2);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_changes_nothing_and_is_shown_until_it_is_mended() {
    let stage = Stage::start().await;
    let users = stage.files.read("users.yaml");
    stage.files.write("users.yaml", "version: 1\nusers:\n  joe: { pasword: x }\n");
    stage.files.write("policy.yaml", "");
    let problems = stage.state.reload().unwrap_err().to_string();
    assert!(
        problems.contains("users.yaml:3:10") && problems.contains("did you mean `password`?"),
        "{problems}"
    );
    assert!(problems.contains("policy.yaml: the file is empty"), "every problem is shown: {problems}");

    assert_eq!(stage.ask(&Ask::get(READ_TEAM).user("joe")).await.status, 200);
    let ready = stage.admin("/readyz").await;
    assert_eq!(ready.status, 200, "the last good configuration decides");
    assert!(ready.body.contains("did you mean `password`?"), "{}", ready.body);
    assert!(stage.metrics().await.contains("gitward_config_last_reload_success 0"));
    assert_eq!(stage.count("gitward_config_reloads_total{file=\"users\",outcome=\"failure\"}").await, 1);

    stage.files.write("users.yaml", &users);
    stage.files.write("policy.yaml", crate::stage::POLICY);
    stage.state.reload().unwrap();
    assert!(stage.admin("/readyz").await.body.contains("\"last_reload_error\":null"));
    assert!(stage.metrics().await.contains("gitward_config_last_reload_success 1"));
    stage.stop().await;
}
