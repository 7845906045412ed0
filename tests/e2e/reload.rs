//! Files that change while everything runs: after SIGHUP a good one counts, and a bad one changes nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use harness::people::{POLICY, Person, READER, USERS, WRITER};
use harness::pkt::advertisement;
use harness::{Request, Stack, until_true};
use rustix::process::Signal;

const SOON: Duration = Duration::from_secs(10);

const CLOSED: &str = "version: 1\naccess:\n  \"/\": { read: [writer] }\n";

#[test]
fn a_replaced_policy_counts_without_a_restart() {
    let stack = stack();
    assert_eq!(read(&stack, READER), 200);
    replace(&stack, "policy.yaml", CLOSED);
    until_true("the new policy", SOON, || read(&stack, READER) == 403).unwrap();
    assert_eq!(read(&stack, WRITER), 200);
    // In place, as an editor may do it.
    fs::write(stack.path().join("etc/policy.yaml"), POLICY).unwrap();
    hang_up(&stack);
    until_true("the old policy", SOON, || read(&stack, READER) == 200).unwrap();
}

#[test]
fn a_faulty_policy_changes_nothing_and_is_reported() {
    let stack = stack();
    let faults =
        ["", "version: 1\n", "version: 1\naccess:\n  \"/\": { reed: [reader] }\n", "\u{0}", "access: {}\n"];
    for fault in faults {
        replace(&stack, "policy.yaml", fault);
        let reported = || stack.metric("authd", "gitward_config_last_reload_success").unwrap() < 1.0;
        // A policy without grants is a policy: it allows nothing, and is no fault.
        if fault != "version: 1\n" {
            until_true("the report", SOON, reported).unwrap();
            assert_eq!(read(&stack, READER), 200, "{fault:?}");
        }
        replace(&stack, "policy.yaml", POLICY);
        until_true("recovery", SOON, || !reported() && read(&stack, READER) == 200).unwrap();
    }
}

#[test]
fn a_changed_password_counts_at_once_whatever_is_cached() {
    let stack = stack();
    assert_eq!(read(&stack, READER), 200);
    let swapped = USERS.replace("  reader:  ", "  former:  ").replace("  outsider:", "  reader:");
    replace(&stack, "users.yaml", &swapped);
    until_true("the new password", SOON, || read(&stack, READER) == 401).unwrap();
    let fresh = Person { name: "reader", password: "outsider-password" };
    assert_eq!(read(&stack, fresh), 403);
}

#[test]
fn the_links_of_a_mounted_config_map_are_followed() {
    let stack = stack();
    let etc = stack.path().join("etc");
    let volume = |name: &str, policy: &str| {
        fs::create_dir(etc.join(name)).unwrap();
        fs::write(etc.join(name).join("policy.yaml"), policy).unwrap();
    };
    let point_to = |name: &str| {
        symlink(name, etc.join("..data_tmp")).unwrap();
        fs::rename(etc.join("..data_tmp"), etc.join("..data")).unwrap();
        hang_up(&stack);
    };
    volume("..one", POLICY);
    point_to("..one");
    symlink("..data/policy.yaml", etc.join("policy.tmp")).unwrap();
    fs::rename(etc.join("policy.tmp"), etc.join("policy.yaml")).unwrap();
    assert_eq!(read(&stack, READER), 200);
    volume("..two", CLOSED);
    point_to("..two");
    until_true("the new policy", SOON, || read(&stack, READER) == 403).unwrap();
}

#[test]
fn sighup_reloads_and_leaves_requests_alone() {
    let stack = stack();
    let generation = || stack.metric("authd", "gitward_config_generation").unwrap();
    let before = generation();
    replace(&stack, "policy.yaml", CLOSED);
    until_true("a new generation", SOON, || generation() > before).unwrap();
    assert_eq!(read(&stack, READER), 403);
    assert_eq!(read(&stack, WRITER), 200);
}

fn stack() -> Stack {
    let stack = Stack::start().unwrap();
    stack.repositories().seeded("team/app.git", 2, &[]).unwrap();
    stack
}

/// Puts a file in place in one step, as careful programs do.
fn replace(stack: &Stack, name: &str, text: &str) {
    let file = stack.path().join("etc").join(name);
    let fresh = Path::new(&file).with_extension("new");
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, file).unwrap();
    hang_up(stack);
}

fn hang_up(stack: &Stack) {
    stack.authd.signal(Signal::HUP).unwrap();
    stack.runner.signal(Signal::HUP).unwrap();
}

fn read(stack: &Stack, person: Person) -> u16 {
    let request = Request::get(&advertisement("team/app.git", "git-upload-pack"));
    stack.http(&request.basic(person.name, person.password)).unwrap().status
}
