//! The test of the hooks: a made-up push that they must refuse, one that they must accept, and one without proof.
//!
//! It needs no repository: the refs of the made-up push come into being, so there is no history to ask about.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use policy::branch::LevelBranches;
use policy::decision::Decision;
use policy::git_request::{GitRequest, Mount};

use super::HooksError;
use crate::push::directory::{Hooks, PushDirectory};
use crate::push::layout::{APPLIED, PROOF};
use crate::push::order::Settings;

/// How long one hook may take for next to nothing.
const PATIENCE: Duration = Duration::from_secs(10);

const ZERO: &str = "0000000000000000000000000000000000000000";
const NEW: &str = "1111111111111111111111111111111111111111";

/// Runs the hooks as git finds them on a made-up push in a directory below `scratch`.
pub(super) fn run(hooks: &Hooks, scratch: &Path) -> Result<(), HooksError> {
    let push = order(scratch, hooks).map_err(HooksError::Test)?;
    let stand = Stand { hooks: push.hooks(), push: &push };
    let line = |branch: &str| format!("{ZERO} {NEW} refs/heads/{branch}\n");
    let proof = push.path().join(PROOF);

    stand.expect("update", &["refs/heads/open", ZERO, NEW], "", false, "it takes a ref without proof")?;
    stand.expect("pre-receive", &[], &line("closed"), false, "it takes a push that a rule refuses")?;
    stand.expect("pre-receive", &[], "nonsense\n", false, "it takes nonsense")?;
    stand.check("pre-receive", !proof.exists(), "it leaves a proof of what it refuses")?;
    stand.expect("pre-receive", &[], &line("open"), true, "it refuses a push that no rule refuses")?;
    stand.check("pre-receive", proof.exists(), "it leaves no proof of what it takes")?;
    stand.expect("update", &["refs/heads/open", ZERO, NEW], "", true, "it refuses a ref with a proof")?;
    stand.expect("update", &["refs/heads/closed", ZERO, NEW], "", false, "it takes another ref")?;
    stand.expect("post-receive", &[], &line("open"), true, "it fails")?;
    stand.check("post-receive", push.path().join(APPLIED).exists(), "it does not note what was applied")
}

/// A push to a repository with one protected branch that is nobody's.
fn order(scratch: &Path, hooks: &Hooks) -> std::io::Result<PushDirectory> {
    let rules: LevelBranches = serde_json::from_str(r#"{"protect":{"closed":{}}}"#)?;
    let request = GitRequest::parse(&Mount::default(), "POST", b"/git/probe.git/git-receive-pack")
        .map_err(|refusal| std::io::Error::other(format!("{refusal:?}")))?;
    let decision = Decision::permitting(&request, "probe".into(), 0);
    let settings = Settings { git: "/nonexistent/git".into(), external: None, timeout: PATIENCE };
    let push = PushDirectory::create(scratch, &decision, rules, &settings, hooks)?;
    fs::create_dir(repository(&push))?;
    fs::write(repository(&push).join("config"), "")?;
    Ok(push)
}

/// What the hooks take for the repository: nothing but its settings, and no hooks of its own.
fn repository(push: &PushDirectory) -> PathBuf {
    push.path().join("repository")
}

struct Stand<'a> {
    hooks: &'a Path,
    push: &'a PushDirectory,
}

impl Stand<'_> {
    fn expect(
        &self,
        hook: &'static str,
        arguments: &[&str],
        input: &str,
        accepts: bool,
        otherwise: &str,
    ) -> Result<(), HooksError> {
        let accepted =
            self.execute(hook, arguments, input).map_err(|error| self.unfit(hook, &error.to_string()))?;
        self.check(hook, accepted == accepts, otherwise)
    }

    fn check(&self, hook: &'static str, fine: bool, otherwise: &str) -> Result<(), HooksError> {
        if fine { Ok(()) } else { Err(self.unfit(hook, otherwise)) }
    }

    fn unfit(&self, hook: &'static str, what: &str) -> HooksError {
        HooksError::Unfit { hook, directory: self.hooks.to_owned(), what: what.to_owned() }
    }

    /// Runs a hook as git does; whether it accepts.
    fn execute(&self, hook: &str, arguments: &[&str], input: &str) -> std::io::Result<bool> {
        let until = Instant::now() + PATIENCE;
        let mut child = loop {
            match self.command(hook, arguments).spawn() {
                // What is being started elsewhere may still hold the file that was written a moment ago.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                spawned => break spawned?,
            }
        };
        if let Some(mut stdin) = child.stdin.take() {
            // A hook that reads nothing shows by what it says.
            let _ = stdin.write_all(input.as_bytes());
        }
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            if Instant::now() > until {
                child.kill()?;
                child.wait()?;
                return Err(ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn command(&self, hook: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.hooks.join(hook));
        command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("GITWARD_LOG_DIR", self.push.log()).current_dir(repository(self.push));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}
