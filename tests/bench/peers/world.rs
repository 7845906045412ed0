//! What all contenders share: repositories, password files, an LDAP server, and the answers captured from git.
//!
//! It lies in one temporary directory. Contenders are other processes: they open it by its path.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::Slapd;
use harness::git::basic;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::repositories;

/// Who asks for everything but the first logins.
pub(crate) const USER: &str = "bench";
pub(crate) const PASSWORD: &str = "bench-password";
/// The same, with a password that is slow to check: bcrypt of cost 10.
pub(crate) const SLOW_USER: &str = "slow";
pub(crate) const SLOW_PASSWORD: &str = "slow-password";

/// What is behind the check where only the check is measured.
pub(crate) const FILE: &str = "allowed\n";

/// The shared directory.
#[derive(Debug)]
pub(crate) struct World {
    path: PathBuf,
    spec: Value,
    _owned: Option<(TempDir, Slapd)>,
}

impl World {
    /// Makes everything; `own` is a repository to use in place of the generated one.
    pub(crate) fn create(own: Option<&Path>, quick: bool) -> Result<Self> {
        let directory = TempDir::with_prefix("gitward-bench-")?;
        let path = directory.path().to_owned();
        fs::create_dir_all(path.join("captured"))?;
        repositories::prepare(&path.join("templates"), own, quick)?;
        let (fast, slow) = (["-nbs", USER, PASSWORD], ["-nbBC", "10", SLOW_USER, SLOW_PASSWORD]);
        fs::write(path.join("htpasswd"), htpasswd(&fast)? + &htpasswd(&slow)?)?;
        let slapd = Slapd::with_people(LDAP_USERS)?;
        let secret = path.join("service-password");
        fs::write(&secret, harness::slapd::SERVICE_PASSWORD)?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        let ldap = slapd.directory().replace("service-password", &secret.display().to_string());
        let spec = json!({ "ldap_directory": ldap, "ldap_port": slapd.port });
        fs::write(path.join("world.json"), spec.to_string())?;
        Ok(Self { path, spec, _owned: Some((directory, slapd)) })
    }

    /// The world at `path`, as a contender sees it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let spec = serde_json::from_slice(&fs::read(path.join("world.json"))?)?;
        Ok(Self { path: path.to_owned(), spec, _owned: None })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The `Authorization` of the user.
    pub(crate) fn authorization() -> String {
        basic(USER, PASSWORD)
    }

    /// The password file of all contenders.
    pub(crate) fn htpasswd(&self) -> PathBuf {
        self.path.join("htpasswd")
    }

    /// The entry for `directories:`.
    pub(crate) fn ldap_directory(&self) -> Result<String> {
        Ok(self.spec["ldap_directory"].as_str().context("no directory")?.to_owned())
    }

    pub(crate) fn ldap_port(&self) -> Result<u64> {
        self.spec["ldap_port"].as_u64().context("no port")
    }

    /// How many binds as this user the LDAP server has seen.
    pub(crate) fn binds(&self, user: &str) -> usize {
        self._owned.as_ref().map_or(0, |(_, slapd)| slapd.binds(user))
    }

    /// Gives a contender repositories of its own.
    pub(crate) fn copy_repositories(&self, root: &Path) -> Result<()> {
        fs::create_dir_all(root)?;
        for template in fs::read_dir(self.path.join("templates"))? {
            copy(&template?.path(), root)?;
        }
        Ok(())
    }

    /// Puts a repository of a contender back to how it began.
    pub(crate) fn reset_repository(&self, root: &Path, name: &str) -> Result<()> {
        fs::remove_dir_all(root.join(name))?;
        copy(&self.path.join("templates").join(name), root)
    }

    /// A place for the body of a request or an answer.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn copy(from: &Path, into: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").arg("--reflink=auto").arg(from).arg(into).status()?;
    ensure!(status.success(), "copying {} failed", from.display());
    Ok(())
}

fn htpasswd(arguments: &[&str]) -> Result<String> {
    let output = Command::new("htpasswd").args(arguments).output().context("htpasswd (apache2-utils)")?;
    ensure!(output.status.success(), "{}", harness::git::text(&output.stderr));
    Ok(format!("{}\n", harness::git::text(&output.stdout).trim()))
}

/// People `u0`, `u1` and so on, whose passwords are `u0-password` and so on.
const LDAP_USERS: usize = 20;
