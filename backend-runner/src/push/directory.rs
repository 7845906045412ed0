//! The private directory of one push: made before git starts, read when git has ended, removed whatever happens.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::branch::LevelBranches;
use policy::decision::Decision;
use policy::push::Change;
use policy::ref_update::RefUpdate;
use policy::rule::Rule;
use tempfile::TempDir;

use super::hooks::{self, Spare};
use super::layout::{APPLIED, BEGAN, LOG, ORDER, PROOF};
use super::log_lines::{self, LogLine};
use super::order::{Order, Settings};
use super::program::PrivateCopy;
use super::report::{self, Outcome, Report};
use super::status::Status;
use super::{proof, stragglers};
use crate::text::escape;

/// The private directory of one push. Dropping it removes it.
#[derive(Debug)]
pub struct PushDirectory {
    directory: TempDir,
    nonce: String,
    /// Where git finds the hooks.
    hooks: PathBuf,
}

/// The hooks that git finds in a push.
#[derive(Clone, Debug)]
pub enum Hooks {
    /// All that are in a directory which others have too.
    Elsewhere(PathBuf),
    /// Names of a program in the private directory.
    Own {
        /// The program.
        program: Arc<PrivateCopy>,
        /// The names.
        wanted: Vec<&'static str>,
    },
}

/// A ref that git has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// From where to where.
    pub update: RefUpdate,
    /// See [`policy::push::Change::as_str`]; empty when nobody judged it.
    pub change: String,
}

/// What is known of a push after git has ended.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// What git changed.
    pub applied: Vec<Applied>,
    /// What the hooks say.
    pub reports: Vec<Report>,
    /// What hook scripts logged, and whether there was more.
    pub log: (Vec<LogLine>, bool),
    /// Whether pre-receive accepted.
    pub proven: bool,
}

impl Account {
    /// Whether some ref does not lead to what it led to before, or may not.
    #[must_use]
    pub fn rewrote(&self) -> bool {
        let lossy = [Change::Force.as_str(), Change::Delete.as_str(), UNCONFIRMED];
        self.applied.iter().any(|applied| lossy.contains(&applied.change.as_str()))
    }
}

impl PushDirectory {
    /// Makes one below `scratch`, with an order for the hook program.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(
        scratch: &Path,
        decision: &Decision,
        rules: LevelBranches,
        settings: &Settings,
        hooks: &Hooks,
    ) -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("gitward-push-")
            .rand_bytes(16)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(scratch)?;
        // Random enough: whoever can list the directory could read the nonce in it too.
        let nonce = directory.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let order = Order::new(decision, nonce.clone(), rules, settings);
        write(&directory.path().join(ORDER), order.to_text()?.as_bytes())?;
        let hooks = match hooks {
            Hooks::Elsewhere(path) => path.clone(),
            Hooks::Own { program, wanted } => {
                hooks::link(&program.path(), directory.path(), wanted)?;
                directory.path().to_owned()
            }
        };
        Ok(Self { directory, nonce, hooks })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where hook scripts log to.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.path().join(LOG)
    }

    /// Where git finds the hooks of this push.
    #[must_use]
    pub fn hooks(&self) -> &Path {
        &self.hooks
    }

    /// `post-receive`, where it may have to be put in place.
    #[must_use]
    pub fn spare(&self) -> Option<Spare> {
        Spare::of(self.path().to_owned())
    }

    /// Reads what the hooks left, ends what they left running, and removes the directory. `orderly` says that git ended by
    /// itself, `status` what it reported to the client. Waits for the file system: not for a thread that must not.
    #[must_use]
    pub fn close(self, orderly: bool, status: Option<Status>) -> Account {
        let mut reports = report::read(self.path());
        let noted = fs::read(self.path().join(APPLIED)).ok();
        let proof = fs::read_to_string(self.path().join(PROOF)).ok();
        let accepted = proof.and_then(|proof| proof::read(&proof, &self.nonce));
        // Nothing refuses after the proof, and so that is the report.
        reports.extend(accepted.is_some().then(|| Report::accepted(hooks::PRE_RECEIVE)));
        let finished = |hook: &str| reports.iter().any(|report| report.hook == hook);
        let ends = (noted.is_none() || finished("post-receive"))
            && (finished("pre-receive") || !self.path().join(BEGAN).exists());
        if !orderly || !ends {
            stragglers::end(&self.log());
        }
        let (proven, status) = (accepted.is_some(), status.unwrap_or_default());
        if !proven && (noted.is_some() || !status.changed().is_empty()) {
            reports.push(Report::new("post-receive", Outcome::Missing, Rule::Proof, unasked(&status)));
        }
        let applied = match noted {
            Some(noted) => noted_by_hook(&noted, accepted.unwrap_or_default()),
            None => reported_by_git(&status, accepted.unwrap_or_default()),
        };
        if applied.iter().any(|applied| applied.change == UNCONFIRMED) {
            reports.push(Report::new("post-receive", Outcome::Failed, Rule::Failure, UNREPORTED));
        }
        Account { applied, log: log_lines::read(&self.log()), reports, proven }
    }
}

/// What post-receive was told.
fn noted_by_hook(noted: &[u8], accepted: Vec<(RefUpdate, String)>) -> Vec<Applied> {
    let changes: BTreeMap<_, _> =
        accepted.into_iter().map(|(update, change)| (update.name, change)).collect();
    let updates = noted.split(|byte| *byte == b'\n').filter_map(|line| RefUpdate::parse(line).ok());
    let applied = updates.map(|update| {
        let change = changes.get(&update.name).cloned().unwrap_or_default();
        Applied { update, change }
    });
    applied.collect()
}

/// What was accepted and git has reported as done. It also reports as done that a ref is gone which was not there, and there
/// post-receive knows better: see `hook::pre_receive`. Where its report broke off, too much on record is better than too little.
fn reported_by_git(status: &Status, accepted: Vec<(RefUpdate, String)>) -> Vec<Applied> {
    let applied = accepted.into_iter().filter_map(|(update, change)| {
        let name = update.name.as_str().as_bytes();
        let change = match status.leaves_open(name) {
            true => UNCONFIRMED.to_owned(),
            false => change,
        };
        let counts = change == UNCONFIRMED || status.changed().contains(name);
        counts.then_some(Applied { update, change })
    });
    applied.collect()
}

/// The change of an update that was accepted, and of which nobody has said what became of it.
pub const UNCONFIRMED: &str = "unconfirmed";

const UNREPORTED: &str = "git's report did not come to its end; what was accepted may be changed";

/// How many refs an alarm names.
const NAMED: usize = 10;

fn unasked(status: &Status) -> String {
    let mut names: Vec<_> =
        status.changed().iter().map(|name| escape(&String::from_utf8_lossy(name))).collect();
    names.sort();
    names.truncate(NAMED);
    format!("refs were changed without the rules being asked: {}", names.join(" "))
}

impl Account {
    /// The managed hooks are not what they were before the push: unless they spoke, nobody knows what git did without them.
    pub fn hooks_broke(&mut self) {
        if self.reports.is_empty() && !self.proven {
            let detail = "the managed hooks changed while a push ran, and nobody judged it";
            self.reports.push(Report::new("pre-receive", Outcome::Missing, Rule::Proof, detail));
        }
    }
}

/// Where private directories are unless it is configured: the directory the service manager made for this daemon, or the system's for temporary files.
#[must_use]
pub fn default_scratch() -> PathBuf {
    let listed = std::env::var("RUNTIME_DIRECTORY").unwrap_or_default();
    match listed.split(':').next() {
        Some(first) if first.starts_with('/') => first.into(),
        _ => std::env::temp_dir(),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, bytes)
}
