//! The private directory of one push: made before git starts, read when git has ended, removed whatever happens.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use policy::branch::LevelBranches;
use policy::decision::Decision;
use policy::push::Change;
use policy::ref_update::RefUpdate;
use policy::rule::Rule;
use tempfile::TempDir;

use super::layout::{APPLIED, BEGAN, LOG, ORDER, PROOF, SHORT};
use super::log_lines::{self, LogLine};
use super::order::{Order, Settings};
use super::report::{self, Outcome, Report};
use super::{proof, stragglers};

/// The private directory of one push. Dropping it removes it.
#[derive(Debug)]
pub struct PushDirectory {
    directory: TempDir,
    nonce: String,
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
    /// Whether some ref does not lead to what it led to before.
    #[must_use]
    pub fn rewrote(&self) -> bool {
        let lossy = [Change::Force.as_str(), Change::Delete.as_str()];
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
    ) -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("gitward-push-")
            .rand_bytes(16)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(scratch)?;
        // Random enough: whoever can list the directory could read the nonce in it too.
        let nonce = directory.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        fs::create_dir(directory.path().join(LOG))?;
        let order = Order::new(decision, nonce.clone(), rules, settings);
        write(&directory.path().join(ORDER), &serde_json::to_vec(&order)?)?;
        write(&directory.path().join(SHORT), order.short.to_text().as_bytes())?;
        Ok(Self { directory, nonce })
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

    /// Reads what the hooks left, ends what they left running, and removes the directory. `orderly` says that git ended by
    /// itself. Waits for the file system: not for a thread that must not.
    #[must_use]
    pub fn close(self, orderly: bool) -> Account {
        let mut reports = report::read(self.path());
        let applied = fs::read(self.path().join(APPLIED)).ok();
        let proof = fs::read_to_string(self.path().join(PROOF)).ok();
        let changes = proof.and_then(|proof| proof::read(&proof, &self.nonce));
        let finished = |hook: &str| reports.iter().any(|report| report.hook == hook);
        let ends = (applied.is_none() || finished("post-receive"))
            && (finished("pre-receive") || !self.path().join(BEGAN).exists());
        if !orderly || !ends {
            stragglers::end(&self.log());
        }
        let proven = changes.is_some();
        if applied.is_some() && !proven {
            let detail = "refs were changed without the rules being asked";
            reports.push(Report::new("post-receive", Outcome::Missing, Rule::Proof, detail));
        }
        let changes = changes.unwrap_or_default();
        let updates = applied.unwrap_or_default();
        let updates = updates.split(|byte| *byte == b'\n').filter_map(|line| RefUpdate::parse(line).ok());
        let applied = updates.map(|update| {
            let change = changes.get(&update.name).cloned().unwrap_or_default();
            Applied { update, change }
        });
        Account { applied: applied.collect(), log: log_lines::read(&self.log()), reports, proven }
    }
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
