//! What the runner orders the hook program to do for one push: the rules as they were when the push came, and who pushes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use policy::branch::LevelBranches;
use policy::decision::Decision;
use policy::identity::{GroupName, Identity, User, UserName};
use policy::repo_path::RepoPath;
use serde::{Deserialize, Serialize};

/// All of it. Its file has the short order in front, for `update` is started once for every ref.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What every hook needs.
    #[serde(skip)]
    pub short: Short,
    /// The repository.
    pub repo: RepoPath,
    /// Who pushes.
    pub user: Option<UserName>,
    /// Their groups.
    pub groups: Vec<GroupName>,
    /// What the directory says of them.
    pub info: BTreeMap<String, String>,
    /// The rules for this repository.
    pub rules: LevelBranches,
    /// The git program.
    pub git: PathBuf,
}

/// What every hook needs; read without JSON where a hook is started once for every ref.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Short {
    /// What the proof must name.
    pub nonce: String,
    /// How long one hook may take.
    pub timeout_ms: u64,
    /// Where a site's own hooks are.
    pub external: Option<PathBuf>,
}

impl Order {
    /// The order for a push that `decision` permits.
    #[must_use]
    pub fn new(decision: &Decision, nonce: String, rules: LevelBranches, settings: &Settings) -> Self {
        let timeout_ms = u64::try_from(settings.timeout.as_millis()).unwrap_or(u64::MAX);
        Self {
            short: Short { nonce, timeout_ms, external: settings.external.clone() },
            repo: decision.repo.clone(),
            user: decision.user.clone(),
            groups: decision.groups.clone(),
            info: decision.info.clone(),
            rules,
            git: settings.git.clone(),
        }
    }

    /// What is written to the file.
    ///
    /// # Errors
    /// Texts and lists of them always have a JSON form.
    pub fn to_text(&self) -> serde_json::Result<String> {
        Ok(self.short.to_text() + &serde_json::to_string(self)?)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is not what [`Self::to_text`] writes.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        let missing = || serde::de::Error::custom("the short order is missing");
        let short = Short::parse(text).ok_or_else(missing)?;
        let rest = text.splitn(LINES + 1, '\n').nth(LINES).unwrap_or_default();
        Ok(Self { short, ..serde_json::from_str(rest)? })
    }

    /// Who pushes, as rules see them.
    #[must_use]
    pub fn pusher(&self) -> Identity {
        match &self.user {
            None => Identity::Anonymous,
            Some(name) => Identity::User(Arc::new(User {
                info: self.info.clone().into(),
                ..User::new(name.clone(), self.groups.iter().cloned())
            })),
        }
    }
}

impl Short {
    /// Its lines: nonce, milliseconds, and the directory if there is one.
    #[must_use]
    pub fn to_text(&self) -> String {
        let external = self.external.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        format!("{}\n{}\n{external}\n", self.nonce, self.timeout_ms)
    }

    /// Reads the lines; what follows is left alone.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split_inclusive('\n').map_while(|line| line.strip_suffix('\n'));
        let nonce = lines.next().filter(|nonce| !nonce.is_empty())?.to_owned();
        let timeout_ms = lines.next()?.parse().ok()?;
        let external = Some(lines.next()?).filter(|path| !path.is_empty()).map(PathBuf::from);
        Some(Self { nonce, timeout_ms, external })
    }

    /// How long one hook may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// How many lines the short order has.
const LINES: usize = 3;

/// The settings of an order, the same for every push.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The git program.
    pub git: PathBuf,
    /// Where a site's own hooks are.
    pub external: Option<PathBuf>,
    /// How long one hook may take.
    pub timeout: Duration,
}

#[cfg(test)]
mod tests {
    use policy::git_request::{GitRequest, Mount};

    use super::*;

    #[test]
    fn orders_survive_their_text() {
        for external in [None, Some(PathBuf::from("/etc/gitward/hooks"))] {
            let short = Short { nonce: "n".into(), timeout_ms: 60_000, external };
            let request =
                GitRequest::parse(&Mount::default(), "POST", b"/git/a.git/git-receive-pack").unwrap();
            let decision = Decision::permitting(&request, "id".into(), 0);
            let settings = Settings {
                git: "/usr/bin/git".into(),
                external: short.external.clone(),
                timeout: Duration::from_secs(60),
            };
            let order = Order::new(&decision, "n".into(), LevelBranches::default(), &settings);
            let text = order.to_text().unwrap();
            let read = Order::parse(&text).unwrap();
            assert_eq!((read.short, read.repo), (short.clone(), order.repo));
            assert!(Order::parse(&text[2..]).is_err() && Order::parse(&short.to_text()).is_err());
            assert_eq!(Short::parse(&(short.to_text() + "{\n}")), Some(short));
        }
        for text in ["", "\n1\n\n", "n\nx\n\n", "n\n1", "n\n1\n", "n\n1\n/x"] {
            assert_eq!(Short::parse(text), None, "{text:?}");
        }
    }
}
