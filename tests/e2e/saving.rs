//! Every way a file is saved: nobody sends a signal, and it counts within a second; what cannot be used changes nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use harness::people::{OUTSIDER, POLICY, Person, READER, WRITER};
use harness::pkt::advertisement;
use harness::{Address, Process, Request, Stack, program, until_true};

const SOON: Duration = Duration::from_secs(20);

const CLOSED: &str = "version: 1\naccess:\n  \"/\": { read: [writer] }\n";

/// How often each way is measured.
const ROUNDS: usize = 12;

#[test]
fn each_way_of_saving_counts_within_a_second() {
    let stack = stack();
    let policy = stack.path().join("etc/policy.yaml");
    measure(&stack, "saved by rename", |text| rename(&policy, text));
    measure(&stack, "rewritten in two halves", |text| {
        let (first, _) = text.split_at(text.len() / 2);
        fs::write(&policy, first).unwrap();
        thread::sleep(Duration::from_millis(100));
        fs::write(&policy, text).unwrap();
    });
    measure(&stack, "deleted and made again", |text| {
        fs::remove_file(&policy).unwrap();
        fs::write(&policy, text).unwrap();
    });
    mount(&stack, 0, POLICY);
    symlink("..data/policy.yaml", stack.path().join("etc/link")).unwrap();
    fs::rename(stack.path().join("etc/link"), &policy).unwrap();
    let mut number = 0;
    measure(&stack, "swapped like a ConfigMap", |text| {
        number += 1;
        mount(&stack, number, text);
    });
}

#[test]
fn a_replaced_directory_is_followed() {
    let stack = stack();
    let at = |name: &str| stack.path().join(name);
    for (text, status) in [(CLOSED, 403), (POLICY, 200), (CLOSED, 403)] {
        fs::create_dir(at("next")).unwrap();
        for entry in fs::read_dir(at("etc")).unwrap().flatten() {
            fs::copy(entry.path(), at("next").join(entry.file_name())).unwrap();
        }
        fs::write(at("next/policy.yaml"), text).unwrap();
        fs::rename(at("etc"), at(&format!("before-{}", stack.read("log/authd.log").len()))).unwrap();
        fs::rename(at("next"), at("etc")).unwrap();
        until_true("the new directory", SOON, || read(&stack, READER) == status).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_read_changes_nothing_and_is_tried_again() {
    let stack = stack();
    let policy = stack.path().join("etc/policy.yaml");
    fs::remove_file(&policy).unwrap();
    fs::create_dir(&policy).unwrap();
    for daemon in ["authd", "backend-runner"] {
        until_true("the report", SOON, || error(&stack, daemon).contains("not a plain file")).unwrap();
    }
    assert_eq!(read(&stack, READER), 200);
    fs::remove_dir(&policy).unwrap();
    fs::write(&policy, CLOSED).unwrap();
    until_true("the new policy", SOON, || read(&stack, READER) == 403).unwrap();
    until_true("recovery", SOON, || error(&stack, "backend-runner").is_empty()).unwrap();
}

#[test]
fn a_mistake_is_shown_in_full_by_both_daemons_while_the_last_good_policy_stays() {
    let stack = stack();
    rename(&stack.path().join("etc/policy.yaml"), "version: 1\naccess:\n  \"/\": { reed: [reader] }\n");
    for daemon in ["authd", "backend-runner"] {
        until_true("the report", SOON, || !error(&stack, daemon).is_empty()).unwrap();
        let error = error(&stack, daemon);
        for part in ["policy.yaml:3:10: ", "unknown key `reed`", "| ", "^", "did you mean `read`?"] {
            assert!(error.contains(part), "{daemon}: {part:?} is not in {error}");
        }
        assert!(stack.metric(daemon, "gitward_config_last_reload_success").unwrap() < 1.0);
        assert_eq!(stack.admin(daemon, "/readyz").unwrap().status, 200);
    }
    assert_eq!(read(&stack, READER), 200);
}

#[test]
fn reading_and_touching_cause_no_reload() {
    let stack = stack();
    let before = generations(&stack);
    let deadline = Instant::now() + Duration::from_secs(4);
    while Instant::now() < deadline {
        for name in ["policy.yaml", "users.yaml", "authd.yaml", "backend-runner.yaml"] {
            let path = stack.path().join("etc").join(name);
            let text = fs::read_to_string(&path).unwrap();
            rename(&path, &text);
        }
        assert_eq!(read(&stack, READER), 200);
        thread::sleep(Duration::from_millis(100));
    }
    thread::sleep(Duration::from_secs(1));
    assert_eq!(generations(&stack), before);
}

#[test]
fn the_settings_of_the_runner_are_replaced_and_its_listener_asks_for_a_restart() {
    let stack = stack();
    assert_eq!(read(&stack, READER), 200);
    edit(&stack, "backend-runner.yaml", "export_all: true", "export_all: false");
    until_true("no export", SOON, || read(&stack, READER) == 403).unwrap();
    edit(&stack, "backend-runner.yaml", "export_all: false", "export_all: true");
    until_true("export", SOON, || read(&stack, READER) == 200).unwrap();
    edit(&stack, "backend-runner.yaml", "backend-runner.sock", "another.sock");
    let asks = || {
        stack.admin("backend-runner", "/readyz").unwrap().text().contains("\"needs_restart\":[\"listen\"]")
    };
    until_true("the request for a restart", SOON, asks).unwrap();
    assert_eq!(read(&stack, READER), 200);
}

#[test]
fn verified_passwords_of_changed_users_die_and_those_of_others_survive() {
    let stack = stack();
    let asked = || stack.metric("authd", "gitward_directory_requests_total").unwrap();
    assert_eq!((read(&stack, READER), read(&stack, WRITER), read(&stack, OUTSIDER)), (200, 200, 403));
    let before = asked();
    edit(&stack, "users.yaml", "  outsider:", "  stranger:");
    until_true("the removal", SOON, || read(&stack, OUTSIDER) == 401).unwrap();
    let after = asked();
    assert_eq!((read(&stack, READER), read(&stack, WRITER)), (200, 200));
    assert_eq!(asked(), after, "reader and writer are still known");
    assert!(after > before);
    let log = stack.read("log/authd.log");
    assert!(log.contains("users: users +stranger −outsider"), "{log}");
}

#[test]
fn a_decision_is_made_by_one_generation_however_often_two_files_are_swapped_together() {
    let stack = stack();
    let etc = stack.path().join("etc");
    let users = fs::read_to_string(etc.join("users.yaml")).unwrap();
    let version = |number: usize| {
        let group = if number.is_multiple_of(2) { "even" } else { "odd" };
        let volume = etc.join(format!("..{number}"));
        fs::create_dir(&volume).unwrap();
        fs::write(
            volume.join("policy.yaml"),
            format!("version: 1\naccess: {{ /: {{ read: ['@{group}'] }} }}\n"),
        )
        .unwrap();
        fs::write(volume.join("users.yaml"), users.replace("[readers]", &format!("[{group}]"))).unwrap();
        symlink(&volume, etc.join("..new")).unwrap();
        fs::rename(etc.join("..new"), etc.join("..data")).unwrap();
    };
    version(0);
    for name in ["policy.yaml", "users.yaml"] {
        symlink(format!("..data/{name}"), etc.join("link")).unwrap();
        fs::rename(etc.join("link"), etc.join(name)).unwrap();
    }
    let generation = || stack.metric("authd", "gitward_config_generation").unwrap();
    until_true("the first", SOON, || generation() > 1.0 && ask(&stack, READER) == 200).unwrap();
    for number in 1..=8 {
        let before = generation();
        version(number);
        until_true("the next generation", SOON, || {
            assert_eq!(ask(&stack, READER), 200, "half old, half new");
            generation() > before
        })
        .unwrap();
    }
}

#[test]
fn without_inotify_files_are_polled() {
    let stack = stack();
    let (config, log) = (stack.path().join("etc/authd.yaml"), stack.path().join("log"));
    let text = fs::read_to_string(&config).unwrap();
    let other = text.replace("/authd.sock", "/deaf.sock").replace("/authd-admin.sock", "/deaf-admin.sock");
    fs::write(stack.path().join("etc/deaf.yaml"), other).unwrap();
    let limit = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" serve --config \"$1\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", limit]).env("GITWARD_LOG_FORMAT", "json");
    command.arg(program("authd").unwrap()).arg(stack.path().join("etc/deaf.yaml"));
    let mut deaf = Process::spawn("deaf", &mut command, &log).unwrap();
    let socket = stack.path().join("run/deaf.sock");
    let mut ended = false;
    until_true("the start", SOON, || {
        ended = deaf.exited().unwrap().is_some();
        ended || socket.exists()
    })
    .unwrap();
    if ended && !deaf.log().contains("authd") {
        eprintln!("skipped, no user namespaces here: {}", deaf.log());
        return;
    }
    let address = Address::unix(&socket);
    until_true("an answer", SOON, || {
        address.send(&question(READER)).is_ok_and(|answer| answer.status == 200)
    })
    .unwrap();
    until_true("the warning", SOON, || deaf.log().contains("they are polled")).unwrap();
    rename(&stack.path().join("etc/policy.yaml"), CLOSED);
    let started = Instant::now();
    until_true("the new policy", SOON, || address.send(&question(READER)).unwrap().status == 403).unwrap();
    println!("without inotify: {} ms", started.elapsed().as_millis());
}

/// Saves two policies in turn and prints how long it took until the next request was decided by the new one.
fn measure(stack: &Stack, how: &str, mut save: impl FnMut(&str)) {
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let (text, status) = if round % 2 == 0 { (CLOSED, 403) } else { (POLICY, 200) };
        save(text);
        let saved = Instant::now();
        while ask(stack, READER) != status {
            assert!(saved.elapsed() < SOON, "{how}: no effect\n{}", stack.read("log/authd.log"));
            thread::sleep(Duration::from_millis(1));
        }
        times.push(saved.elapsed().as_millis());
    }
    times.sort_unstable();
    println!("{how}: p50 {} ms, p99 {} ms, n {ROUNDS}", times[ROUNDS / 2], times[ROUNDS - 1]);
    assert!(times[ROUNDS / 2] < 1000, "{how}: {times:?}");
}

/// What the kubelet does when a ConfigMap changes.
fn mount(stack: &Stack, number: usize, policy: &str) {
    let at = |name: &str| -> PathBuf { stack.path().join("etc").join(name) };
    fs::create_dir(at(&format!("..{number}"))).unwrap();
    fs::write(at(&format!("..{number}/policy.yaml")), policy).unwrap();
    symlink(format!("..{number}"), at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    if number > 0 {
        fs::remove_dir_all(at(&format!("..{}", number - 1))).unwrap();
    }
}

fn stack() -> Stack {
    let stack = Stack::start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack
}

fn rename(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, path).unwrap();
}

fn edit(stack: &Stack, file: &str, from: &str, to: &str) {
    let path = stack.path().join("etc").join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    rename(&path, &text.replace(from, to));
}

fn error(stack: &Stack, daemon: &str) -> String {
    let text = stack.admin(daemon, "/readyz").unwrap().text();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    report["last_reload_error"].as_str().unwrap_or_default().to_owned()
}

fn generations(stack: &Stack) -> [f64; 2] {
    ["authd", "backend-runner"].map(|daemon| stack.metric(daemon, "gitward_config_generation").unwrap())
}

/// Through everything.
fn read(stack: &Stack, person: Person) -> u16 {
    let request = Request::get(&advertisement("team/app.git", "git-upload-pack"));
    stack.http(&request.basic(person.name, person.password)).unwrap().status
}

/// As nginx asks authd.
fn ask(stack: &Stack, person: Person) -> u16 {
    stack.socket("authd").send(&question(person)).unwrap().status
}

fn question(person: Person) -> Request {
    Request::get("/auth/nginx")
        .header("X-Original-Method", "GET")
        .header("X-Original-URI", &advertisement("team/app.git", "git-upload-pack"))
        .header("X-Real-IP", "192.0.2.1")
        .basic(person.name, person.password)
}
