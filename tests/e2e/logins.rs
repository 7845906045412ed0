//! Passwords under load: one verification for many, right and wrong never mixed up, and a front server
//! that has checked the user itself.

use std::thread;

use harness::people::{OUTSIDER, READER, WRITER};
use harness::pkt::advertisement;
use harness::{Request, Stack};

/// What a user of this table costs to verify is much more than a request, so that requests do meet.
const SLOW: &str = r#"version: 1
users:
  reader: { password: "$argon2id$v=19$m=19456,t=2,p=1$VMsk4SV3vuLAN31Aczrp/Q$yY7ulNt/iqMhaOzMhuz51v3S4UBaRQrdzDLKHxB7TmA", groups: [readers] }
"#;
const SLOW_PASSWORD: &str = "joe-demo";

#[test]
fn many_first_requests_of_one_user_verify_the_password_once() {
    let stack = Stack::builder().users(SLOW).start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    assert_eq!(at_once(&stack, 40, |_| SLOW_PASSWORD.to_owned()), [200; 40]);
    assert!(asked(&stack) <= 1.0, "{} verifications", asked(&stack));
    assert_eq!(at_once(&stack, 40, |_| "the same wrong one".to_owned()), [401; 40]);
    assert!(asked(&stack) <= 2.0, "{} verifications", asked(&stack));
}

#[test]
fn right_and_wrong_passwords_at_the_same_time_never_share_an_answer() {
    let stack = Stack::builder()
        .users(SLOW)
        .edit("authd.yaml", "per_user: 5", "per_user: 1000")
        .edit("authd.yaml", "per_client: 50", "per_client: 1000")
        .start()
        .unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    for round in 0..5 {
        let password = |number: usize| match number % 2 {
            0 => SLOW_PASSWORD.to_owned(),
            _ => format!("wrong-{round}-{}", number % 6),
        };
        let expected: Vec<u16> = (0..24).map(|number| if number % 2 == 0 { 200 } else { 401 }).collect();
        assert_eq!(at_once(&stack, 24, password), expected);
    }
}

#[test]
fn a_request_without_credentials_asks_no_directory() {
    let stack = Stack::start().unwrap();
    stack.repositories().seeded("public/app.git", 2, &[]).unwrap();
    for repository in ["public/app.git", "team/app.git", "team/no.git"] {
        stack.http(&Request::get(&advertisement(repository, "git-upload-pack"))).unwrap();
    }
    assert_eq!(asked(&stack), 0.0);
}

#[test]
fn a_front_server_that_checks_passwords_itself_names_the_user() {
    let hashes = "reader:$2y$04$Am3vW5YIvoqvslV5n68bgujOGfWYjcGBBaKVHFiLM.X17si3mz.1i\n\
                  outsider:$2y$04$DMMF5uQ4I7s/TLBoxzDOaeTZcvC/6W9ikR2CxPiw7zwlUonFW32Yy\n";
    let users = "- { type: users, file: users.yaml }";
    let upstream = "- { type: upstream, header: X-Remote-User, groups_from: users }";
    let stack = Stack::builder()
        .file("etc/htpasswd-git", hashes)
        .edit("authd.yaml", users, &format!("{users}\n  {upstream}"))
        .edit_nginx(
            "gitward-server.conf",
            "proxy_set_header Authorization     $http_authorization;",
            "proxy_set_header X-Remote-User $remote_user;",
        )
        .edit_nginx(
            "gitward-git.conf",
            "auth_request /_auth;",
            "auth_basic \"git\";\n    auth_basic_user_file @DIR@/etc/htpasswd-git;\nauth_request /_auth;",
        )
        .start()
        .unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    let target = advertisement("team/app.git", "git-upload-pack");
    let status = |request: Request| stack.http(&request).unwrap().status;
    assert_eq!(status(Request::get(&target).basic(READER.name, READER.password)), 200);
    assert_eq!(status(Request::get(&target).basic(OUTSIDER.name, OUTSIDER.password)), 403);
    assert_eq!(status(Request::get(&target).basic(READER.name, "wrong")), 401);
    // Known to authd's directory, but not to nginx, which has the word here.
    assert_eq!(status(Request::get(&target).basic(WRITER.name, WRITER.password)), 401);
    assert_eq!(status(Request::get(&target)), 401);
    assert_eq!(status(Request::get(&target).header("X-Remote-User", READER.name)), 401);
    let spoofed = Request::get(&target).header("X-Remote-User", READER.name);
    assert_eq!(status(spoofed.basic(OUTSIDER.name, OUTSIDER.password)), 403);
}

/// Statuses of `count` simultaneous reads as `reader`, in order.
fn at_once(stack: &Stack, count: usize, password: impl Fn(usize) -> String) -> Vec<u16> {
    let target = advertisement("team/app.git", "git-upload-pack");
    thread::scope(|scope| {
        let requests = (0..count).map(|number| Request::get(&target).basic("reader", &password(number)));
        let threads: Vec<_> =
            requests.map(|request| scope.spawn(move || stack.http(&request).unwrap().status)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// How often a directory was asked.
fn asked(stack: &Stack) -> f64 {
    stack.metric("authd", "gitward_directory_requests_total").unwrap()
}
