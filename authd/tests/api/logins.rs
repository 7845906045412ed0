//! What a login costs, and who may not try again.

use std::sync::Arc;

use crate::stage::{Answer, Ask, Files, READ_TEAM, Stage};

const RIGHT: &str = "gitward_directory_requests_total{directory=\"users\",outcome=\"right\"}";
const WRONG: &str = "gitward_directory_requests_total{directory=\"users\",outcome=\"wrong\"}";
const ALL: &str = "gitward_directory_requests_total";

/// All at once; the answers in the order of the questions.
async fn ask_all(stage: &Arc<Stage>, asks: Vec<Ask>) -> Vec<Answer> {
    let tasks: Vec<_> = asks
        .into_iter()
        .map(|ask| {
            let stage = Arc::clone(stage);
            tokio::spawn(async move { stage.ask(&ask).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_identical_logins_at_once_cost_one_verification() {
    let stage = Arc::new(Stage::start().await);
    let answers = ask_all(&stage, vec![Ask::get(READ_TEAM).user("joe"); 100]).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(stage.count(RIGHT).await, 1);
    assert_eq!(stage.count(ALL).await, 1);
    assert_eq!(stage.count("gitward_credential_cache_total").await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn right_and_wrong_passwords_at_once_are_never_mixed_up() {
    let stage = Arc::new(Stage::start().await);
    for round in 0..5 {
        let wrong = Ask::get(READ_TEAM).login("joe", &format!("wrong {}", round % 3));
        let asks = (0..40).map(|n| if n % 2 == 0 { Ask::get(READ_TEAM).user("joe") } else { wrong.clone() });
        let answers = ask_all(&stage, asks.collect()).await;
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer.status, if number % 2 == 0 { 200 } else { 401 }, "number {number}");
        }
    }
    assert_eq!((stage.count(RIGHT).await, stage.count(WRONG).await), (1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_with_one_wrong_password_are_one_guess() {
    let stage = Arc::new(Stage::start().await);
    let answers = ask_all(&stage, vec![Ask::get(READ_TEAM).login("joe", "wrong"); 50]).await;
    assert!(answers.iter().all(|answer| answer.status == 401));
    assert_eq!(stage.count(ALL).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_wrong_passwords_no_more_are_looked_at_but_a_known_one_keeps_working() {
    let stage = Stage::start().await;
    assert_eq!(stage.ask(&Ask::get(READ_TEAM).user("joe")).await.status, 200);
    for guess in 0..5 {
        let ask =
            Ask::get(READ_TEAM).login("joe", &format!("guess {guess}")).from(&format!("198.51.100.{guess}"));
        assert_eq!(stage.ask(&ask).await.status, 401);
    }
    let throttled = stage.ask(&Ask::get(READ_TEAM).login("joe", "guess 5").from("198.51.100.9")).await;
    assert_eq!((throttled.status, throttled.header("x-gitward-status")), (403, Some("429")));
    let seconds: u64 = throttled.header("retry-after").unwrap().parse().unwrap();
    assert!((290..=300).contains(&seconds), "{seconds}");
    let message = throttled.header("x-gitward-message").unwrap();
    assert!(message.starts_with("too many failed logins; try again in "), "{message}");
    assert_eq!(throttled.header("www-authenticate"), None);

    assert_eq!(stage.ask(&Ask::get(READ_TEAM).user("joe")).await.status, 200, "joe goes on working");
    assert_eq!(stage.ask(&Ask::get(READ_TEAM).user("ann")).await.status, 200, "and so does ann");
    assert_eq!(stage.count(WRONG).await, 5);
    assert_eq!(stage.count("gitward_auth_throttled_total{scope=\"user\"}").await, 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_different_guesses_at_once_are_five() {
    let stage = Arc::new(Stage::start().await);
    let asks = (0..100).map(|guess| Ask::get(READ_TEAM).login("joe", &format!("guess {guess}")));
    let answers = ask_all(&stage, asks.collect()).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 5);
    assert_eq!(answers.iter().filter(|answer| answer.header("x-gitward-status") == Some("429")).count(), 95);
    assert_eq!(stage.count(ALL).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_cannot_try_one_password_on_everybody() {
    let files = Files::new();
    let failures = "failures: { per_user: 5, per_client: 10, window: 5m }\n";
    files.configure("unix", failures, "  - { type: users, file: users.yaml }\n");
    let stage = files.start().await;
    for number in 0..10 {
        let spray = Ask::get(READ_TEAM).login(&format!("user{number}"), "Winter2026").from("203.0.113.5");
        assert_eq!(stage.ask(&spray).await.status, 401);
    }
    let spray = Ask::get(READ_TEAM).login("joe", "Winter2026");
    assert_eq!(stage.ask(&spray.clone().from("203.0.113.5")).await.header("x-gitward-status"), Some("429"));
    assert_eq!(stage.ask(&spray.from("203.0.113.6")).await.status, 401, "from elsewhere it is only wrong");
    assert_eq!(stage.count("gitward_auth_throttled_total{scope=\"client\"}").await, 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_costs_a_verification_like_a_known_one() {
    let stage = Stage::start().await;
    for _ in 0..3 {
        assert_eq!(stage.ask(&Ask::get(READ_TEAM).login("nobody", "x")).await.status, 401);
    }
    assert_eq!(
        stage.count("gitward_directory_requests_total{directory=\"(none)\",outcome=\"unknown\"}").await,
        1
    );
    assert_eq!(stage.count("gitward_directory_duration_seconds_count").await, 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_does_not_spoil_the_login_for_the_others() {
    let stage = Arc::new(Stage::start().await);
    let leaver = {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move { stage.ask(&Ask::get(READ_TEAM).user("joe")).await })
    };
    tokio::task::yield_now().await;
    leaver.abort();
    let answers = ask_all(&stage, vec![Ask::get(READ_TEAM).user("joe"); 20]).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(stage.count(ALL).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_directory_that_knows_a_user_answers_for_them() {
    let files = Files::new();
    let hash = bcrypt::hash("other", 4).unwrap();
    files.write("htpasswd", &format!("joe:{hash}\nzoe:{hash}\nold:plaintext\n"));
    files.write("groups", "developers: zoe old\n");
    files.configure(
        "unix",
        "",
        "  - { type: users, file: users.yaml }\n  - { type: htpasswd, file: htpasswd, groups_file: groups }\n",
    );
    let stage = files.start().await;
    assert_eq!(stage.ask(&Ask::get(READ_TEAM).login("zoe", "other")).await.status, 200);
    assert_eq!(stage.ask(&Ask::get(READ_TEAM).user("joe")).await.status, 200);
    assert_eq!(stage.ask(&Ask::get(READ_TEAM).login("joe", "other")).await.status, 401, "not asked there");
    assert_eq!(stage.ask(&Ask::get(READ_TEAM).login("old", "plaintext")).await.status, 401, "no clear text");
    stage.stop().await;
}
