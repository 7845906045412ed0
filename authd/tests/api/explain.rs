//! `authd explain`, `who-can` and `diff` as an administrator runs them.

use crate::commands::Desk;

const POLICY: &str = r#"version: 1
access:
  "/": { read: [kim] }
  "team/":
    read: ["@developers"]
    write: [joe]
  "team/test.git": { write: ["@managers"] }
  "public/": { read: [anonymous] }
  "home/{user}/": { write: ["{user}"] }
  "old/": { frozen: true, write: [joe] }
  "secret/": { inherit: false, read: ["@security"] }
branches:
  "team/":
    flow: [dev, master]
    protect:
      master: { write: ["@managers"], delete: [joe] }
"#;

fn desk() -> Desk {
    Desk::with_policy(POLICY)
}

#[test]
fn an_allowed_request_exits_0_and_shows_the_grant_with_its_line() {
    let done = desk().run("explain --user joe --repo team/a.git --access write");
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(
        done.out,
        "\
ALLOWED  joe: write team/a.git
         granted at team/
caller   joe, known to directory `users` (users.yaml:3)
└─ in @developers (users.yaml:3)
access
├─ / (policy.yaml:3)
│       read  kim              somebody else    policy.yaml:3
└─ team/ (policy.yaml:4)
        read  @developers      reading only     policy.yaml:5
      ✓ write joe              counts           policy.yaml:6
"
    );
}

#[test]
fn a_denied_request_exits_3_and_says_why() {
    for (arguments, why) in [
        (
            "--user kim --repo team/a.git --access write",
            "nothing that is written for this repository grants it",
        ),
        ("--user joe --repo old/a.git --access write", "old/ is frozen: nobody writes there or below"),
        ("--user kim --repo secret/a.git", "✗ read  kim              cut off"),
        ("--user kim --repo secret/a.git", "inherit: false, nothing from above counts"),
        ("--anonymous --repo team/a.git", "anonymous: no credentials are sent"),
        ("--user eve --repo public/a.git", "no directory knows this user"),
        ("--user joe --repo a.git --json", "\"reason\": \"no-grant\""),
    ] {
        let done = desk().run(&format!("explain {arguments}"));
        assert_eq!(done.code, 3, "{arguments}: {done:?}");
        assert!(done.out.contains(why), "{arguments}: {}", done.out);
    }
}

#[test]
fn a_line_of_the_access_log_can_be_asked_about() {
    let ask = |method: &str, url: &str, user: &str| {
        desk().run_args(&["explain", "--user", user, "--method", method, "--url", url, "--json"])
    };
    let push = ask("GET", "/git/team/a.git/info/refs?service=git-receive-pack", "kim");
    assert_eq!(push.code, 3, "{push:?}");
    assert!(
        push.out.contains("\"access\": \"write\"") && push.out.contains("advertise-receive-pack"),
        "{}",
        push.out
    );
    assert_eq!(ask("POST", "/git/team/a.git/git-receive-pack", "joe").code, 0);
    assert_eq!(ask("POST", "/git/team/a.git/git-upload-pack", "kim").code, 0);
    for url in ["/git/team/../a.git/git-upload-pack", "/git/team/a.git/git-upload-pack?x", "/other"] {
        let refused = ask("POST", url, "joe");
        assert_eq!(refused.code, 3, "{url}");
        assert!(refused.out.contains("not-a-git-request"), "{}", refused.out);
    }
}

#[test]
fn a_url_is_asked_about_with_the_server_it_came_to() {
    let desk = desk();
    let config = desk.read("authd.yaml") + "mounts: { /apps/: team/, //old.example/: old/ }\n";
    desk.write("authd.yaml", &config);
    let ask = |url: &str, host: &[&str]| {
        let words = ["explain", "--user", "joe", "--method", "POST", "--json", "--url", url];
        let done = desk.run_args(&[&words[..], host].concat());
        (done.code, done.out)
    };
    assert_eq!(ask("/apps/a.git/git-receive-pack", &[]).0, 0);
    let (code, said) = ask("/a.git/git-receive-pack", &["--host", "old.example"]);
    assert!(code == 3 && said.contains("old/a.git") && said.contains("frozen"), "{said}");
    assert!(ask("/a.git/git-receive-pack", &[]).1.contains("not-a-git-request"));
}

#[test]
fn groups_can_be_supposed_for_a_user_no_file_knows() {
    let done = desk().run("explain --user eve --group security --repo secret/a.git");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.contains("eve, with the groups of the command line"), "{}", done.out);
}

#[test]
fn everyones_corner_names_whose_it_is() {
    let answer = desk().json("explain --user kim --repo home/kim/a.git --access write --json");
    assert_eq!(answer["verdict"], "allowed");
    assert_eq!(answer["levels"][1]["user_stands_for"], "kim");
    assert_eq!(answer["levels"][1]["grants"][0]["at"], "policy.yaml:9");
}

#[test]
fn branch_rules_are_part_of_the_verdict_on_a_push() {
    let refused = desk().run("explain --user joe --repo team/a.git --branch master");
    assert_eq!(refused.code, 3, "{refused:?}");
    for line in [
        "the repository may be written, but the branch rules refuse this branch",
        "├─ flow at team/ (policy.yaml:14): dev → master",
        "a revision enters master only when it is in dev already",
        "├─ protect at team/ (policy.yaml:15)",
        "master (policy.yaml:16)",
        "✗ fast-forward  protect: master is protected: push to another branch and ask for it to be merged",
        "✓ delete",
    ] {
        assert!(refused.out.contains(line), "{line}\n{}", refused.out);
    }
    let feature = desk().run("explain --user joe --repo team/a.git --branch fix/1");
    assert_eq!(feature.code, 0);
    assert!(feature.out.contains("no pattern matches fix/1"), "{}", feature.out);
    let json = desk().json("explain --user ann --group managers --repo team/test.git --branch master --json");
    assert_eq!(json["branch"]["changes"]["fast-forward"]["allowed"], true);
    assert_eq!(json["branch"]["changes"]["force"]["allowed"], false);
    assert_eq!(json["branch"]["flow"]["enters_from"], "dev");
}

#[test]
fn a_bad_configuration_exits_64_and_a_bad_argument_2() {
    let desk = desk();
    desk.write("policy.yaml", "version: 1\naccess:\n  /team/: {}\n");
    let done = desk.run("explain --user joe --repo team/a.git");
    assert_eq!(done.code, 64);
    assert!(done.err.contains("policy.yaml:3:3"), "{}", done.err);
    assert_eq!(desk.run("who-can --repo a.git").code, 64);
    for arguments in [
        "explain --user joe",
        "explain --repo a.git",
        "explain --user joe --repo a",
        "explain --user a/b --repo a.git",
    ] {
        assert_eq!(desk.run(arguments).code, 2, "{arguments}");
    }
}

#[test]
fn who_can_lists_users_one_by_one_and_groups_with_their_members() {
    let done = desk().run("who-can --repo team/test.git --access write");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        done.out,
        "\
write team/test.git
  ann: @managers at team/test.git (policy.yaml:7)
  joe: joe at team/ (policy.yaml:6)
  @managers: @managers at team/test.git (policy.yaml:7)
      ann
"
    );
}

#[test]
fn who_can_names_everyone_unknown_users_and_groups_of_elsewhere_as_what_they_are() {
    let desk = desk();
    let public = desk.json("who-can --repo public/a.git --json");
    assert_eq!(public["anonymous"]["level"], "public/");
    assert_eq!(public["users"].as_array().unwrap().len(), 3);
    let secret = desk.run("who-can --repo secret/a.git");
    assert_eq!(
        secret.out,
        "read secret/a.git\n  @security: @security at secret/ (policy.yaml:11)\n      not expanded: no file knows a member\n"
    );
    let corner = desk.run("who-can --repo home/eve/a.git --access write");
    assert_eq!(
        corner.out,
        "write home/eve/a.git\n  eve (in no file): {user} at home/{user}/ (policy.yaml:9)\n"
    );
    assert_eq!(
        desk.run("who-can --repo old/a.git --access write").out,
        "write old/a.git\n  nobody: old/ is frozen\n"
    );
}

#[test]
fn who_can_and_explain_agree_about_every_user_and_repository() {
    let desk = desk();
    for repo in [
        "a.git",
        "team/a.git",
        "team/test.git",
        "public/a.git",
        "home/kim/a.git",
        "old/a.git",
        "secret/a.git",
    ] {
        for access in ["read", "write"] {
            let can = desk.json(&format!("who-can --repo {repo} --access {access} --json"));
            for user in ["joe", "ann", "kim"] {
                let listed = can["users"].as_array().unwrap().iter().any(|one| one["name"] == user);
                let code = desk.run(&format!("explain --user {user} --repo {repo} --access {access}")).code;
                assert_eq!(listed, code == 0, "{user} {access} {repo}");
            }
        }
    }
}

#[test]
fn two_policies_that_allow_the_same_exit_0_and_others_4() {
    let desk = desk();
    desk.write("same.yaml", &POLICY.replace("write: [joe]\n", "write: [joe, joe]\n"));
    let same = desk.run("diff policy.yaml same.yaml");
    assert_eq!((same.code, same.out.as_str()), (0, "the same permissions\n"));

    desk.write(
        "new.yaml",
        &POLICY.replace("write: [joe]\n", "write: [ann]\n").replace("flow: [dev,", "flow: [dev, test,"),
    );
    let differ = desk.run("diff policy.yaml new.yaml");
    assert_eq!(differ.code, 4, "{differ:?}");
    assert_eq!(
        differ.out,
        "\
team/
  ann                  none  -> write
  joe                  write -> none
  branches: flow       other rules
"
    );
    let json = desk.json("diff policy.yaml new.yaml --json");
    assert_eq!(json["same"], false);
    assert_eq!(json["summary"][0], "team/: flow changed, read -joe, write +ann -joe");
    assert_eq!(json["changes"][0]["subject"], "ann");
    assert_eq!(desk.run("diff policy.yaml missing.yaml").code, 64);
}

#[test]
fn what_the_documentation_shows_is_what_the_commands_print() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let documentation = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    for command in ["explain --user joe --repo team/test.git --branch master", "who-can --repo team/test.git"]
    {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_authd"))
            .args(command.split(' '))
            .args(["--config", "authd.yaml"])
            .current_dir(root.join("config"))
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(
            documentation.contains(&printed),
            "ARCHITECTURE.md does not show what `authd {command}` prints:\n{printed}"
        );
    }
}
