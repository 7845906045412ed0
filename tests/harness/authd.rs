//! One authd alone, asked over its socket as nginx asks: for scenarios where nginx adds nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use tempfile::TempDir;

use crate::http::Address;
use crate::message::{Request, Response};
use crate::process::Process;
use crate::stack::{await_ready, daemon, program};

/// Who may what in these scenarios: names of groups are what matters.
pub const POLICY: &str = r#"version: 1
access:
  "/": { read: [authenticated] }
  "dev/": { inherit: false, read: ["@developers"] }
  "staff/": { inherit: false, read: ["@staff"] }
  "admins/": { inherit: false, read: ["@admins"] }
  "unique/": { inherit: false, read: ["@unique"] }
  "posix/": { inherit: false, read: ["@posix"] }
  "ops/": { inherit: false, read: ["@Dev, Ops"] }
  "circle/": { inherit: false, read: ["@circle-a"] }
  "public/": { read: [anonymous] }
"#;

/// `users.yaml` with one user, `filer`.
pub const USERS: &str = r#"version: 1
users:
  filer: { password: "$2y$04$Am3vW5YIvoqvslV5n68bgujOGfWYjcGBBaKVHFiLM.X17si3mz.1i", groups: [developers] }
"#;

/// The password of `filer`.
pub const FILER_PASSWORD: &str = "reader-password";

/// A running authd.
#[derive(Debug)]
pub struct Authd {
    /// The process.
    pub process: Process,
    directory: TempDir,
}

/// What authd answered, as the client would see it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status the client gets in the end.
    pub status: u16,
    /// Whom authd takes the caller for.
    pub user: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// Everything.
    pub response: Response,
}

impl Authd {
    /// Starts it with these entries of `directories:` and further lines of `authd.yaml`.
    pub fn start(directories: &str, more: &str) -> Result<Self> {
        let directory = prepare(directories, more)?;
        let mut process = daemon(directory.path(), "authd")?;
        await_ready(&mut process, &admin(directory.path()))?;
        Ok(Self { process, directory })
    }

    /// Runs `authd check` with these arguments on such a configuration: exit code, and what was printed.
    pub fn check(directories: &str, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        Self::run(directories, "check", arguments)
    }

    /// Runs a command of `authd` on a configuration with these directories: its exit code and all it prints.
    pub fn run(directories: &str, subcommand: &str, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let directory = prepare(directories, "")?;
        let mut command = Command::new(program("authd")?);
        command.arg(subcommand).arg("--config").arg(directory.path().join("etc/authd.yaml")).args(arguments);
        let output = command.env("PATH", "/usr/bin:/bin").output()?;
        let text = format!("{}{}", crate::git::text(&output.stdout), crate::git::text(&output.stderr));
        Ok((output.status.code(), text))
    }

    /// Asks whether this login may read `<folder>/a.git`.
    pub fn ask(&self, user: &str, password: &str, folder: &str) -> Result<Answer> {
        self.send(question(folder).basic(user, password))
    }

    /// Asks with a header that names the user.
    pub fn ask_named(&self, user: &str, folder: &str) -> Result<Answer> {
        self.send(question(folder).header("X-Remote-User", user))
    }

    /// Asks without credentials.
    pub fn ask_anonymously(&self, folder: &str) -> Result<Answer> {
        self.send(question(folder))
    }

    /// The status alone.
    pub fn status(&self, user: &str, password: &str, folder: &str) -> u16 {
        self.ask(user, password, folder).map_or(0, |answer| answer.status)
    }

    /// Sends any question.
    pub fn send(&self, request: Request) -> Result<Answer> {
        let started = Instant::now();
        let response = self.socket().send(&request)?;
        let took = started.elapsed();
        let status = response.header("X-Gitward-Status").and_then(|status| status.parse().ok());
        let user = response.header("X-Gitward-User").map(str::to_owned);
        Ok(Answer { status: status.unwrap_or(response.status), user, took, response })
    }

    /// The data listener.
    pub fn socket(&self) -> Address {
        Address::unix(&self.directory.path().join("run/authd.sock"))
    }

    /// What the admin listener answers.
    pub fn admin(&self, path: &str) -> Result<Response> {
        admin(self.directory.path()).send(&Request::get(path))
    }

    /// The sum of all series that begin like this.
    pub fn count(&self, series: &str) -> Result<f64> {
        let page = self.admin("/metrics")?.text();
        let values = page.lines().filter(|line| line.starts_with(series));
        Ok(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// A file of its configuration.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("etc").join(name)
    }
}

/// The subrequest of a client that wants to read.
pub fn question(folder: &str) -> Request {
    Request::get("/auth/nginx")
        .header("X-Original-Method", "GET")
        .header("X-Original-URI", &format!("/git/{folder}/a.git/info/refs?service=git-upload-pack"))
        .header("X-Real-IP", "192.0.2.1")
}

fn prepare(directories: &str, more: &str) -> Result<TempDir> {
    let directory = TempDir::with_prefix("gitward-authd-")?;
    for folder in ["run", "etc", "log"] {
        fs::create_dir(directory.path().join(folder))?;
    }
    let (run, etc) = (directory.path().join("run"), directory.path().join("etc"));
    fs::write(etc.join("policy.yaml"), POLICY)?;
    fs::write(etc.join("users.yaml"), USERS)?;
    fs::write(etc.join("service-password"), format!("{}\n", crate::slapd::SERVICE_PASSWORD))?;
    fs::set_permissions(etc.join("service-password"), fs::Permissions::from_mode(0o600))?;
    let run = run.display();
    let text = format!(
        "version: 1\nlisten: unix:{run}/authd.sock\nadmin: unix:{run}/authd-admin.sock\n\
         signing_key_file: {run}/signing.key\n{more}directories:\n{directories}"
    );
    fs::write(etc.join("authd.yaml"), text)?;
    Ok(directory)
}

fn admin(directory: &Path) -> Address {
    Address::unix(&directory.join("run/authd-admin.sock"))
}
