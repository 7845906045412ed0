//! The test of the hooks: a made-up push that they must refuse, one that they must accept, and one without proof.
//!
//! It needs no repository: the refs of the made-up push come into being, so there is no history to ask about.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use policy::branch::LevelBranches;
use policy::decision::Decision;
use policy::git_request::{GitRequest, Mount};

use super::HooksError;
use crate::push::directory::PushDirectory;
use crate::push::layout::{APPLIED, PROOF};
use crate::push::order::Settings;

/// How long one hook may take for next to nothing.
const PATIENCE: Duration = Duration::from_secs(10);

const ZERO: &str = "0000000000000000000000000000000000000000";
const NEW: &str = "1111111111111111111111111111111111111111";

/// Runs the hooks in `hooks` on a made-up push in a directory below `scratch`.
pub(super) fn run(hooks: &Path, scratch: &Path) -> Result<(), HooksError> {
    let push = order(scratch).map_err(HooksError::Test)?;
    let stand = Stand { hooks, push: &push };
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
fn order(scratch: &Path) -> std::io::Result<PushDirectory> {
    let rules: LevelBranches = serde_json::from_str(r#"{"protect":{"closed":{}}}"#)?;
    let request = GitRequest::parse(&Mount::default(), "POST", b"/git/probe.git/git-receive-pack")
        .map_err(|refusal| std::io::Error::other(format!("{refusal:?}")))?;
    let decision = Decision::permitting(&request, "probe".into(), 0);
    let settings = Settings { git: "/nonexistent/git".into(), external: None, timeout: PATIENCE };
    let push = PushDirectory::create(scratch, &decision, rules, &settings)?;
    fs::write(push.path().join("config"), "")?;
    Ok(push)
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
        let mut child = Command::new(self.hooks.join(hook))
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("GITWARD_LOG_DIR", self.push.log())
            .current_dir(self.push.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A hook that reads nothing shows by what it says.
            let _ = stdin.write_all(input.as_bytes());
        }
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            if Instant::now() > until {
                child.kill()?;
                child.wait()?;
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
