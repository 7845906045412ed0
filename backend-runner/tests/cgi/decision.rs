//! Nothing runs without a decision that holds.

use policy::decision::{self, SigningKey};

use crate::http::{get, head, post};
use crate::stage::{self, Stage, signed};

const DECISION: &str = "X-Gitward-Decision";
const REFS: &str = "/git/a.git/info/refs?service=git-upload-pack";
const TRACED: &str = "echo spawned >>$TRACE; printf 'Content-Type: text/plain\\n\\n'; printf hello";

#[test]
fn a_request_with_a_decision_that_holds_is_served() {
    let stage = Stage::fake(TRACED, "");
    stage.hollow_repository("a.git");
    let answer = stage.ask(&get(&[(DECISION, &signed("GET", REFS))]));
    assert_eq!((answer.status, answer.text().as_str(), answer.complete), (200, "hello", true));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(stage.traced(), "spawned\n");
}

#[test]
fn without_exactly_one_decision_that_holds_nothing_is_started() {
    let stage = Stage::fake(TRACED, "");
    stage.hollow_repository("a.git");
    let good = signed("GET", REFS);
    let foreign = decision::sign(&SigningKey::from_bytes([8; 32]), &stage::decision("GET", REFS));
    let mut expired = stage::decision("GET", REFS);
    (expired.iat, expired.exp) = (expired.iat - 120, expired.exp - 120);
    let expired = stage::sign(&expired);
    let mut altered = good.clone().into_bytes();
    altered[10] ^= 1;
    let altered = String::from_utf8(altered).unwrap();
    let requests: [&[(&str, &str)]; 8] = [
        &[],
        &[(DECISION, "")],
        &[(DECISION, "x.y")],
        &[(DECISION, &foreign)],
        &[(DECISION, &expired)],
        &[(DECISION, &altered)],
        &[(DECISION, &good), (DECISION, &good)],
        &[("X-Remote-User", "joe"), ("Authorization", "Basic am9lOmpvZQ==")],
    ];
    for headers in requests {
        let answer = stage.ask(&get(headers));
        assert_eq!((answer.status, answer.text().trim_end()), (403, daemon::refusals::DENIED), "{headers:?}");
    }
    assert_eq!(stage.traced(), "");
}

#[test]
fn a_decision_is_good_for_its_own_method_only() {
    let stage = Stage::fake(TRACED, "");
    stage.hollow_repository("a.git");
    let kind = ("Content-Type", "application/x-git-receive-pack-request");
    let read = signed("GET", REFS);
    let write = signed("POST", "/git/a.git/git-receive-pack");
    assert_eq!(stage.ask(&post(&[(DECISION, &read), kind], b"0000")).status, 405);
    assert_eq!(stage.ask(&get(&[(DECISION, &write)])).status, 405);
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH"] {
        assert_eq!(stage.ask(&head(method, &[(DECISION, &read)])).status, 405, "{method}");
    }
    assert_eq!(stage.traced(), "");
}

#[test]
fn the_request_target_says_nothing() {
    let stage = Stage::fake("printf 'Content-Type: a/b\\n\\n'; echo $PATH_INFO?$QUERY_STRING", "");
    stage.hollow_repository("a.git");
    stage.hollow_repository("b.git");
    let decision = signed("GET", REFS);
    for target in ["/git", "/git/b.git/info/refs?service=git-receive-pack", "/%2e%2e/x;y", "/"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{DECISION}: {decision}\r\n\r\n");
        let answer = stage.ask(request.as_bytes());
        assert_eq!(answer.text(), "/a.git/info/refs?service=git-upload-pack\n", "{target}");
    }
}
