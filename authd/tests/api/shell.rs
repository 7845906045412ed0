//! Completions and manual pages say what the program can do.

use crate::commands::Desk;

#[test]
fn every_shell_is_told_the_commands() {
    let desk = Desk::new(&[]);
    for (shell, mark) in [("bash", "complete -F"), ("zsh", "#compdef authd"), ("fish", "complete -c authd")] {
        let done = desk.run(&format!("completions {shell}"));
        assert_eq!(done.code, 0, "{done:?}");
        for text in [mark, "who-can", "hash-password", "git4nginx"] {
            assert!(done.out.contains(text), "{shell}: {text}");
        }
    }
    assert_eq!(desk.run("completions tcsh").code, 2);
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let desk = Desk::new(&[]);
    assert_eq!(desk.run("man --out pages").code, 0);
    for page in ["authd.1", "authd-explain.1", "authd-import-gitolite.1"] {
        assert!(desk.read(&format!("pages/{page}")).contains(".TH"), "{page}");
    }
}
