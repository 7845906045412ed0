//! The end of the daemon: nothing is cut that can finish, nothing is left that cannot.

use std::time::{Duration, Instant};

use crate::http::get;
use crate::stage::{Stage, eventually, signed};

fn stage(script: &str, config: &str) -> Stage {
    let stage = Stage::fake(script, config);
    stage.hollow_repository("a.git");
    stage
}

fn fetch() -> Vec<u8> {
    get(&[("X-Gitward-Decision", &signed("GET", "/git/a.git/info/refs?service=git-upload-pack"))])
}

#[test]
fn what_runs_may_finish() {
    let script = "printf 'Content-Type: text/plain\\n\\nbegun'; while [ ! -e $TRACE ]; do sleep 0.02; done; printf ' ended'";
    let mut stage = stage(script, "");
    let mut connection = stage.connect();
    connection.send(&fetch()).unwrap();
    connection.head().unwrap();
    assert_eq!(connection.chunk().unwrap(), b"begun");
    stage.begin_stop();
    eventually("no new connection is answered", || {
        std::os::unix::net::UnixStream::connect(stage.path().join("socket")).is_err()
    });
    assert!(!stage.is_stopped());
    std::fs::write(stage.trace(), "").unwrap();
    assert_eq!(connection.chunk().unwrap(), b" ended");
    assert_eq!(connection.chunk().unwrap(), b"");
    stage.stop();
}

#[test]
fn what_does_not_finish_in_time_is_ended() {
    let mut stage = stage(
        "printf 'Content-Type: text/plain\\n\\nbegun'; sleep 1000 & sleep 1000",
        "limits: { drain: 1s }",
    );
    let mut connection = stage.connect();
    connection.send(&fetch()).unwrap();
    connection.head().unwrap();
    assert_eq!(connection.chunk().unwrap(), b"begun");
    let begun = Instant::now();
    stage.stop();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(stage.processes().is_empty());
    assert!(connection.chunk().is_err());
}

#[test]
fn an_idle_daemon_stops_at_once() {
    let mut stage = stage("exit 0", "");
    let idle = stage.connect();
    let begun = Instant::now();
    stage.stop();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    drop(idle);
}
