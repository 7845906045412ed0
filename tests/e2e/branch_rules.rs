//! Pushes that try to get around the branch rules, in both object formats, sent as bytes where git would not send them.

use harness::people::WRITER;
use harness::{Stack, Target};

/// The writer may what the rules let writers do; `main`, `release/**` and the tags `r*` are for others.
const POLICY: &str = r#"version: 1
access:
  "/": { write: ["@writers"] }
branches:
  "/":
    protect:
      main:         { write: ["@managers"] }
      stable:       { write: [writer] }
      "release/**": { write: ["@managers"] }
      "open/**":    { write: [writer], force: [writer], delete: [writer] }
    tags:
      "v*": { create: [writer] }
      "r*": { create: ["@managers"] }
  "flow/": { protect: off, flow: [dev, test, master] }
  "notes/": { namespaces: [refs/notes/] }
"#;

const MAIN: &str = "refs/heads/main";
const STABLE: &str = "refs/heads/stable";

fn stack() -> Stack {
    Stack::builder().policy(POLICY).start().unwrap()
}

/// Both formats, each in a repository of its own.
fn each_format(folder: &str, check: impl Fn(&Target<'_>)) {
    let stack = stack();
    for format in ["sha1", "sha256"] {
        check(&Target::new(&stack, folder, format).unwrap());
    }
}

fn must(outcome: Result<(), String>) {
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn rules_look_at_full_names() {
    each_format("names", |at| {
        let (zero, root) = (&*at.zero, &*at.root);
        must(at.takes(WRITER, &[(zero, root, "refs/heads/x/main"), (zero, root, "refs/heads/releases")]));
        must(at.refuses(WRITER, &[(zero, root, "refs/heads/release/1.0")]));
        must(at.refuses(WRITER, &[(zero, root, "refs/heads/release/a/b")]));
    });
}

#[test]
fn one_refused_ref_refuses_the_push_wherever_it_stands() {
    each_format("order", |at| {
        at.set(&[(MAIN, &at.root)]).unwrap();
        let (zero, root, next) = (&*at.zero, &*at.root, &*at.next);
        let (open, main) = ((zero, next, "refs/heads/a"), (root, next, MAIN));
        must(at.refuses(WRITER, &[open, main]));
        must(at.refuses(WRITER, &[main, open]));
        let names: Vec<String> = (0..500).map(|number| format!("refs/heads/n{number}")).collect();
        let mut many: Vec<_> = names.iter().map(|name| (zero, next, name.as_str())).collect();
        many.insert(250, main);
        must(at.refuses(WRITER, &many));
    });
}

#[test]
fn no_number_of_refs_and_no_length_of_a_name_gets_past_the_rules() {
    each_format("size", |at| {
        at.set(&[(MAIN, &at.root)]).unwrap();
        let (zero, root, next) = (&*at.zero, &*at.root, &*at.next);
        let names: Vec<String> = (0..50_000).map(|number| format!("refs/heads/n{number}")).collect();
        let mut many: Vec<_> = names.iter().map(|name| (zero, next, name.as_str())).collect();
        many.push((root, next, MAIN));
        must(at.refuses(WRITER, &many));
        let long = format!("refs/heads/{}", "n".repeat(60 << 10));
        must(at.refuses(WRITER, &[(zero, next, &long)]));
        must(at.refuses(WRITER, &[(zero, next, &long), (root, next, MAIN)]));
    });
}

#[test]
fn names_that_would_be_read_in_two_ways_refuse_the_push() {
    each_format("bytes", |at| {
        // It reads as two updates, and both are judged; git takes neither.
        let injected = format!("refs/heads/a\n{} {} refs/heads/injected", at.zero, at.root);
        at.push_bytes(WRITER, &[(&at.zero, &at.root, injected.as_bytes())]).unwrap();
        let injected = injected.replace("injected", "main");
        at.push_bytes(WRITER, &[(&at.zero, &at.root, injected.as_bytes())]).unwrap();
        assert_eq!(at.refs().unwrap(), "");
        let names: [&[u8]; 11] = [
            b"refs/heads/a b",
            b"refs/heads/a\r",
            b"refs/heads/a\x1b[31m",
            b"refs/heads/../../x",
            "refs/heads/\u{202e}niam".as_bytes(),
            "refs/heads/ma\u{131}n".as_bytes(),
            b"refs/heads/\xff\xfe",
            b"refs/heads/-x",
            b"refs/heads/a/-x",
            b"refs/heads/HEAD",
            b"refs/heads/refs/heads/main",
        ];
        for name in names {
            let before = at.refs().unwrap();
            let fine = (&*at.zero, &*at.root, &b"refs/heads/fine"[..]);
            let answer = at.push_bytes(WRITER, &[(&at.zero, &at.root, name), fine]).unwrap().text();
            assert_eq!(at.refs().unwrap(), before, "{name:?}: {answer}");
            assert!(!answer.contains("gitward: \x1b"), "{answer}");
        }
        must(at.takes(WRITER, &[(&at.zero, &at.root, "refs/heads/fine")]));
    });
}

#[test]
fn refs_outside_branches_and_tags_are_refused_unless_listed() {
    let names = [
        "refs/meta/config",
        "refs/notes/commits",
        "refs/for/main",
        "refs/replace/0123456789012345678901234567890123456789",
        "refs/pull/1/head",
        "refs/stash",
        "HEAD",
        "foo",
        "refs/x",
        "refs/changes/01/1/1",
    ];
    each_format("spaces", |at| {
        for name in names {
            must(at.refuses(WRITER, &[(&at.zero, &at.root, name)]));
            must(at.refuses(WRITER, &[(&at.zero, &at.root, "refs/heads/a"), (&at.zero, &at.root, name)]));
        }
    });
    each_format("notes", |at| {
        must(at.takes(WRITER, &[(&at.zero, &at.root, "refs/notes/commits")]));
        must(at.refuses(WRITER, &[(&at.zero, &at.root, "refs/meta/config")]));
        must(at.refuses(WRITER, &[(&at.zero, &at.root, &format!("refs/replace/{}", at.next))]));
    });
}

#[test]
fn history_is_what_the_objects_say() {
    each_format("replace", |at| {
        at.set(&[(STABLE, &at.next)]).unwrap();
        // "side" is replaced by a commit that has "next" as its parent, and grafted onto it too.
        let tree = at.repository.git().fed(&["mktree"], b"").unwrap();
        let fake = at.repository.git().ok(&["commit-tree", "-m", "fake", "-p", &at.next, &tree]).unwrap();
        must(at.refuses(WRITER, &[(&at.next, &at.side, STABLE)]));
        at.set(&[(&format!("refs/replace/{}", at.side), &fake)]).unwrap();
        must(at.refuses(WRITER, &[(&at.next, &at.side, STABLE)]));
        std::fs::create_dir_all(at.repository.path().join("info")).unwrap();
        let grafts = at.repository.path().join("info/grafts");
        std::fs::write(grafts, format!("{} {}\n", at.side, at.next)).unwrap();
        must(at.refuses(WRITER, &[(&at.next, &at.side, STABLE)]));
        must(at.refuses(WRITER, &[(&at.next, &at.side, STABLE), (&at.zero, &at.side, "refs/heads/b")]));
    });
}

#[test]
fn a_symbolic_ref_is_no_way_around_its_target() {
    each_format("symbolic", |at| {
        let git = at.repository.git();
        git.ok(&["symbolic-ref", "refs/heads/alias", MAIN]).unwrap();
        git.ok(&["symbolic-ref", "refs/heads/second", "refs/heads/alias"]).unwrap();
        // Its target does not exist yet: git shows no such ref, and would create it.
        must(at.refuses(WRITER, &[(&at.zero, &at.root, "refs/heads/alias")]));
        must(at.refuses(WRITER, &[(&at.zero, &at.root, "refs/heads/second")]));
        at.set(&[(MAIN, &at.root), ("refs/heads/free", &at.root)]).unwrap();
        must(at.refuses(WRITER, &[(&at.root, &at.next, "refs/heads/alias")]));
        must(at.refuses(WRITER, &[(&at.root, &at.next, "refs/heads/second")]));
        must(at.refuses(WRITER, &[(&at.root, &at.zero, "refs/heads/alias")]));
        git.ok(&["symbolic-ref", "refs/heads/pointer", "refs/heads/free"]).unwrap();
        must(at.takes(WRITER, &[(&at.root, &at.next, "refs/heads/pointer")]));
        let twice = [(&*at.next, &*at.last, "refs/heads/pointer"), (&at.next, &at.last, "refs/heads/free")];
        must(at.refuses(WRITER, &twice));
    });
}

#[test]
fn create_force_and_delete_are_rights_of_their_own() {
    each_format("rights", |at| {
        let (zero, root, next, last, side) = (&*at.zero, &*at.root, &*at.next, &*at.last, &*at.side);
        must(at.refuses(WRITER, &[(zero, root, MAIN)]));
        must(at.takes(WRITER, &[(zero, root, STABLE)]));
        must(at.takes(WRITER, &[(root, next, STABLE)]));
        must(at.refuses(WRITER, &[(next, side, STABLE)]));
        must(at.refuses(WRITER, &[(next, root, STABLE)]));
        must(at.refuses(WRITER, &[(next, zero, STABLE)]));
        must(at.takes(WRITER, &[(next, last, STABLE)]));
        must(at.takes(WRITER, &[(zero, next, "refs/heads/open/x")]));
        must(at.takes(WRITER, &[(next, side, "refs/heads/open/x")]));
        must(at.takes(WRITER, &[(side, zero, "refs/heads/open/x")]));
        at.set(&[(MAIN, root)]).unwrap();
        must(at.refuses(WRITER, &[(root, zero, MAIN)]));
        must(at.refuses(WRITER, &[(root, next, MAIN)]));
        // Nothing would change, and it is still not theirs to ask for.
        must(at.refuses(WRITER, &[(root, root, MAIN)]));
        // An old id that is not what the ref holds, or no commit at all.
        must(at.refuses(WRITER, &[(root, last, STABLE)]));
        must(at.refuses(WRITER, &[(&"1".repeat(zero.len()), last, STABLE)]));
    });
}

#[test]
fn tags_under_a_rule_are_created_once() {
    each_format("tags", |at| {
        let (zero, root, next) = (&*at.zero, &*at.root, &*at.next);
        must(at.refuses(WRITER, &[(zero, root, "refs/tags/r1")]));
        must(at.takes(WRITER, &[(zero, root, "refs/tags/v1"), (zero, root, "refs/tags/nightly")]));
        must(at.refuses(WRITER, &[(root, next, "refs/tags/v1")]));
        must(at.refuses(WRITER, &[(root, zero, "refs/tags/v1")]));
        must(at.takes(WRITER, &[(root, next, "refs/tags/nightly")]));
    });
}

#[test]
fn a_ref_named_twice_refuses_the_push() {
    each_format("twice", |at| {
        at.set(&[(STABLE, &at.next)]).unwrap();
        let (zero, next, last, side) = (&*at.zero, &*at.next, &*at.last, &*at.side);
        must(at.refuses(WRITER, &[(next, zero, STABLE), (zero, side, STABLE)]));
        must(at.refuses(WRITER, &[(zero, side, STABLE), (next, zero, STABLE)]));
        must(at.refuses(WRITER, &[(next, last, STABLE), (next, last, STABLE)]));
    });
}

#[test]
fn names_that_pass_for_a_protected_one_are_refused() {
    each_format("alike", |at| {
        for name in ["MAIN", "Main", "Release/1", "refs/heads/main"] {
            must(at.refuses(WRITER, &[(&at.zero, &at.root, &format!("refs/heads/{name}"))]));
        }
        // A file where the directory of another branch would have to be.
        at.set(&[("refs/heads/release/1", &at.root)]).unwrap();
        must(at.refuses(WRITER, &[(&at.zero, &at.root, "refs/heads/release")]));
    });
}

#[test]
fn a_revision_enters_a_flow_branch_only_from_the_one_before() {
    each_format("flow", |at| {
        let (zero, root, next, last) = (&*at.zero, &*at.root, &*at.next, &*at.last);
        let (dev, test, master) = ("refs/heads/dev", "refs/heads/test", "refs/heads/master");
        must(at.refuses(WRITER, &[(zero, root, master)]));
        must(at.refuses(WRITER, &[(zero, root, test)]));
        must(at.takes(WRITER, &[(zero, next, dev)]));
        // All at once does not count: the branch before has it only after this push.
        must(at.refuses(WRITER, &[(next, last, dev), (zero, last, test)]));
        must(at.refuses(WRITER, &[(zero, &at.side, test)]));
        must(at.takes(WRITER, &[(zero, root, test)]));
        must(at.takes(WRITER, &[(root, next, test)]));
        must(at.takes(WRITER, &[(zero, root, master)]));
        // A merge is a revision of its own, whatever its parents are.
        must(at.refuses(WRITER, &[(root, &at.merge, master)]));
        // A tag of the same name, or of the full name, changes nothing.
        at.set(&[("refs/tags/test", last), ("refs/tags/dev", last)]).unwrap();
        must(at.refuses(WRITER, &[(root, last, master)]));
        must(at.takes(WRITER, &[(root, next, master)]));
        must(at.refuses(WRITER, &[(next, last, "refs/heads/MASTER")]));
    });
}

#[test]
fn an_empty_push_changes_nothing_and_is_no_fault() {
    each_format("empty", |at| {
        let answer = at.push(WRITER, &[]).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(at.refs().unwrap(), "");
    });
}

#[test]
fn a_repository_that_lets_another_hook_rename_refs_takes_no_push() {
    each_format("proc", |at| {
        at.repository.git().ok(&["config", "receive.procReceiveRefs", "refs/for"]).unwrap();
        must(at.refuses(WRITER, &[(&at.zero, &at.root, "refs/heads/a")]));
        let config = at.repository.path().join("config");
        let text = std::fs::read_to_string(&config).unwrap();
        let more = at.repository.path().join("more");
        std::fs::write(&more, "[receive]\n\tprocReceiveRefs = refs/heads\n").unwrap();
        let text = text.replace("procReceiveRefs = refs/for", "x = y") + "[include]\n\tpath = more\n";
        std::fs::write(config, text).unwrap();
        must(at.refuses(WRITER, &[(&at.zero, &at.root, "refs/heads/a")]));
    });
}
