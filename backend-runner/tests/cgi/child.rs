//! Programs in git's place that hang, flood, crash, ignore signals, or answer what no git answers.

use std::time::{Duration, Instant};

use crate::http::{Answer, get, head, post, post_chunked};
use crate::stage::{Stage, eventually, signed};

const HEADER: &str = "printf 'Content-Type: text/plain\\r\\n\\r\\n'";

fn stage(script: &str, config: &str) -> Stage {
    let stage = Stage::fake(script, config);
    stage.hollow_repository("a.git");
    stage
}

fn fetch() -> String {
    signed("GET", "/git/a.git/info/refs?service=git-upload-pack")
}

fn ask(script: &str) -> Answer {
    stage(script, "").ask(&get(&[("X-Gitward-Decision", &fetch())]))
}

fn with_push(then: impl FnOnce(&[(&str, &str)])) {
    let decision = signed("POST", "/git/a.git/git-receive-pack");
    then(&[("X-Gitward-Decision", &decision), ("Content-Type", "application/x-git-receive-pack-request")]);
}

#[test]
fn bodies_stream_both_ways_at_once() {
    let body: Vec<u8> = (0..40_000_000_u32).map(|number| (number % 251) as u8).collect();
    let stage = stage(&format!("{HEADER}; exec cat"), "");
    with_push(|headers| {
        for request in [post_chunked(headers, &body, 100_000), post(headers, &body)] {
            let mut connection = stage.connect();
            let mut writer = connection.writer();
            let sending = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &request));
            let answer = connection.answer().unwrap();
            sending.join().unwrap().unwrap();
            assert!(answer.complete && answer.body == body, "{} bytes", answer.body.len());
        }
    });
}

#[test]
fn a_slow_reader_holds_the_child_back() {
    let stage = stage(&format!("{HEADER}; head -c 200000000 /dev/zero; echo done >>$TRACE"), "");
    let mut connection = stage.connect();
    connection.send(&get(&[("X-Gitward-Decision", &fetch())])).unwrap();
    connection.head().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(stage.traced(), "", "the child wrote more than anybody read");
    let mut total = 0;
    while let Ok(chunk @ [_, ..]) = connection.chunk().as_deref() {
        total += chunk.len();
    }
    assert_eq!(total, 200_000_000);
}

#[test]
fn complaints_without_end_block_nobody() {
    let answer = ask(&format!("head -c 30000000 /dev/zero >&2; {HEADER}; echo fine"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "fine\n"));
}

#[test]
fn an_answer_before_the_body_was_read_reaches_the_client() {
    let body = vec![b'x'; 8_000_000];
    let stage = stage("printf 'Status: 403 Forbidden\\n\\nno'; exit 0", "");
    with_push(|headers| {
        let mut connection = stage.connect();
        let mut writer = connection.writer();
        let request = post_chunked(headers, &body, 50_000);
        let sending = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &request));
        let answer = connection.answer().unwrap();
        assert_eq!((answer.status, answer.text().as_str(), answer.complete), (403, "no", true));
        sending.join().unwrap().unwrap();
    });
    stage.wait_for_no_processes();
}

#[test]
fn a_program_that_fails_before_its_headers_is_an_error_of_the_server() {
    for script in [
        "exit 1",
        "exit 0",
        "echo no header at all",
        "printf 'Status: 302 Found\\nLocation: /\\n\\n'",
        "kill -9 $$",
    ] {
        let answer = ask(script);
        assert_eq!((answer.status, answer.complete), (500, true), "{script}");
    }
    let endless = ask("while :; do echo X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done");
    assert_eq!(endless.status, 500);
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_of_the_server() {
    let stage = stage("exit 0", "");
    std::fs::remove_file(stage.path().join("programs/git-http-backend")).unwrap();
    assert_eq!(stage.ask(&get(&[("X-Gitward-Decision", &fetch())])).status, 500);
}

#[test]
fn headers_a_program_may_not_set_are_dropped() {
    let answer = ask(
        "printf 'Content-Type: a/b\\nSet-Cookie: a=b\\nLocation: /x\\nX-Accel-Redirect: /y\\nServer: z\\nPragma: no-cache\\n\\n'",
    );
    for name in ["set-cookie", "location", "x-accel-redirect", "server"] {
        assert_eq!(answer.header(name), None);
    }
    assert_eq!(answer.header("pragma"), Some("no-cache"));
}

#[test]
fn a_program_that_fails_after_its_answer_has_answered() {
    let answer = ask(&format!("{HEADER}; echo said; exit 3"));
    assert_eq!((answer.text().as_str(), answer.complete), ("said\n", true));
}

#[test]
fn an_answer_cut_by_a_signal_does_not_look_complete() {
    let answer = ask(&format!("{HEADER}; echo part; sleep 0.3; kill -9 $$"));
    assert_eq!((answer.text().as_str(), answer.complete), ("part\n", false));
}

#[test]
fn what_was_said_by_a_git_that_is_killed_before_it_was_heard_is_no_answer() {
    let answer = ask(&format!("{HEADER}; echo part; kill -9 $$"));
    // Where the machine is slow, the head was out by then.
    match answer.status {
        200 => assert!(!answer.complete, "{}", answer.text()),
        status => assert_eq!(status, 500),
    }
}

#[test]
fn much_that_is_said_before_anybody_listens_arrives_whole() {
    let answer = ask(&format!("{HEADER}; head -c 5000000 /dev/zero"));
    assert!(answer.complete && answer.body == vec![0; 5_000_000], "{}", answer.body.len());
}

#[test]
fn a_body_that_breaks_off_ends_the_group_before_it_sees_the_end() {
    let stage = stage(
        "trap 'echo ended >>$TRACE; exit 1' TERM; echo begun >>$TRACE; cat >/dev/null; echo landed >>$TRACE",
        "",
    );
    with_push(|headers| {
        for request in [
            [&head("POST", &[headers, &[("Content-Length", "1000000")]].concat())[..], b"0123456789"]
                .concat(),
            [
                &head("POST", &[headers, &[("Transfer-Encoding", "chunked")]].concat())[..],
                b"a\r\n0123456789\r\n",
            ]
            .concat(),
        ] {
            std::fs::write(stage.trace(), "").unwrap();
            let mut connection = stage.connect();
            connection.send(&request).unwrap();
            stage.wait_for_trace("begun");
            drop(connection);
            let gone = Instant::now();
            stage.wait_for_no_processes();
            assert!(gone.elapsed() < Duration::from_secs(2));
            assert_eq!(stage.traced(), "begun\nended\n");
        }
    });
}

#[test]
fn a_client_that_leaves_takes_the_whole_group_with_it() {
    let stage = stage(&format!("{HEADER}; echo begun; sleep 1000 & sleep 1000 & wait"), "");
    for reads in [true, false] {
        let mut connection = stage.connect();
        connection.send(&get(&[("X-Gitward-Decision", &fetch())])).unwrap();
        if reads {
            connection.head().unwrap();
            assert_eq!(connection.chunk().unwrap(), b"begun\n");
        }
        eventually("three processes", || stage.processes().len() == 3);
        drop(connection);
        let gone = Instant::now();
        stage.wait_for_no_processes();
        assert!(gone.elapsed() < Duration::from_secs(2), "{:?}", gone.elapsed());
    }
}

#[test]
fn a_group_that_ignores_the_request_to_end_is_killed() {
    let stage = stage(
        &format!(
            "trap '' TERM; {HEADER}; echo begun; (trap '' TERM; sleep 1000; sleep 1000) & sleep 1000; sleep 1000"
        ),
        "",
    );
    let mut connection = stage.connect();
    connection.send(&get(&[("X-Gitward-Decision", &fetch())])).unwrap();
    connection.head().unwrap();
    connection.chunk().unwrap();
    drop(connection);
    let gone = Instant::now();
    stage.wait_for_no_processes();
    assert!(gone.elapsed() < Duration::from_secs(7), "{:?}", gone.elapsed());
}

#[test]
fn a_process_left_in_the_background_does_not_outlive_its_request_for_long() {
    let stage = stage(&format!("{HEADER}; sleep 1000 & echo said"), "");
    let begun = Instant::now();
    let answer = stage.ask(&get(&[("X-Gitward-Decision", &fetch())]));
    assert_eq!((answer.text().as_str(), answer.complete), ("said\n", true));
    stage.wait_for_no_processes();
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}
