//! Hooks that are taken away while a push runs: it is judged all the same, or refused, and never goes unnoticed.

use std::fs;

use harness::people::WRITER;
use harness::{Stack, Target, until_true};

use super::{SOON, builder, install, program};

/// Lets the runner's git do `lose` before it takes a push: between the look at the hooks and their use.
fn losing(stack: &Stack, lose: &str) {
    let git = stack.path().join("bin/git");
    let plain = fs::read_to_string(&git).unwrap();
    let plain = plain.lines().filter(|line| !line.starts_with("[ \"$1\" = receive-pack ]"));
    let plain = plain.collect::<Vec<_>>().join("\n") + "\n";
    let script = format!("#!/bin/sh\n[ \"$1\" = receive-pack ] && {{ {lose}; }}\n");
    program(&git, &plain.replacen("#!/bin/sh\n", &script, 1));
}

const PROTECTED: &str = "version: 1\naccess:\n  '/': { write: ['@writers'] }\nbranches:\n  '/':\n    protect: { main: { write: ['@managers'] } }\n";

fn verdicts(stack: &Stack) -> String {
    stack.admin("backend-runner", "/metrics").unwrap().text()
}

#[test]
fn hooks_that_are_lost_in_the_middle_of_a_push_still_judge_it() {
    let stack = builder().engine("direct").policy(PROTECTED).counting_spawns().start().unwrap();
    let target = Target::new(&stack, "team", "sha1").unwrap();
    let hooks = stack.path().join("hooks");
    let losses = [
        format!(
            "cp '{0}/gitward-hook' '{0}/x'; chmod 644 '{0}/x'; mv '{0}/x' '{0}/pre-receive'",
            hooks.display()
        ),
        format!("chmod 644 '{}/gitward-hook'", hooks.display()),
        format!("rm -r '{}'", hooks.display()),
    ];
    for (number, lose) in losses.iter().enumerate() {
        let branch = format!("refs/heads/a{number}");
        for (name, taken) in [("refs/heads/main", false), (&*branch, true)] {
            let _ = fs::remove_dir_all(&hooks);
            assert!(install(&hooks));
            losing(&stack, lose);
            let update = [(&*target.zero, &*target.root, name)];
            let judged = if taken { target.takes(WRITER, &update) } else { target.refuses(WRITER, &update) };
            judged.unwrap_or_else(|error| panic!("{lose}: {error}"));
        }
    }
    let refused = "gitward_hook_verdicts_total{rule=\"protect\",verdict=\"refused\"} 3";
    until_true("the verdicts", SOON, || verdicts(&stack).contains(refused)).unwrap();
    assert!(!verdicts(&stack).contains("rule=\"proof\""), "{}", verdicts(&stack));
}

#[test]
fn refs_that_change_without_a_verdict_raise_the_alarm() {
    let stack = builder().engine("direct").counting_spawns().start().unwrap();
    let target = Target::new(&stack, "team", "sha1").unwrap();
    losing(&stack, "rm \"${GITWARD_LOG_DIR%/log}/pre-receive\"");
    target.takes(WRITER, &[(&target.zero, &target.root, "refs/heads/a")]).unwrap();
    until_true("the alarm", SOON, || verdicts(&stack).contains("rule=\"proof\",verdict=\"missing\""))
        .unwrap();
    let alarm =
        || stack.runner.log().contains("REFS CHANGED WITHOUT") && stack.runner.log().contains("refs/heads/a");
    until_true("the alarm in the log", SOON, alarm).unwrap();
}

#[test]
fn update_refuses_what_pre_receive_never_saw_where_the_hooks_are_not_copied() {
    let stack = builder().engine("direct").counting_spawns().start().unwrap();
    let target = Target::new(&stack, "team", "sha1").unwrap();
    let hooks = stack.path().join("hooks");
    // Hooks that are several files are left where they are.
    let separate = || {
        for name in ["pre-receive", "update", "post-receive"] {
            fs::remove_file(hooks.join(name)).unwrap();
            fs::copy(hooks.join("gitward-hook"), hooks.join(name)).unwrap();
        }
    };
    separate();
    target.takes(WRITER, &[(&target.zero, &target.root, "refs/heads/before")]).unwrap();
    assert!(stack.runner.log().contains("they are several programs"));
    losing(&stack, &format!("chmod 644 '{}/pre-receive'", hooks.display()));
    let update = [(&*target.zero, &*target.root, "refs/heads/a")];
    target.refuses(WRITER, &update).unwrap_or_else(|error| panic!("{error}"));
    until_true("the refusal", SOON, || verdicts(&stack).contains("rule=\"proof\",verdict=\"refused\""))
        .unwrap();

    // All of them: nobody is left to refuse, but somebody notices.
    fs::remove_dir_all(&hooks).unwrap();
    assert!(install(&hooks));
    separate();
    losing(&stack, &format!("chmod 644 '{}'/*", hooks.display()));
    target.takes(WRITER, &update).unwrap();
    until_true("the alarm", SOON, || verdicts(&stack).contains("rule=\"proof\",verdict=\"missing\""))
        .unwrap();
}
