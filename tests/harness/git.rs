//! The real git client, cut off from the settings of whoever runs the tests.
//!
//! It never prompts: without credentials that work, git ends with an error.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A git client with its own home directory, settings and credentials.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
    home: PathBuf,
    settings: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Git {
    /// The git of the `PATH`, with `home` as its home and working directory.
    pub fn new(home: &Path) -> Self {
        Self { program: "git".into(), home: home.to_owned(), settings: Vec::new(), variables: Vec::new() }
    }

    /// The same client as another installed version of git.
    pub fn version(&self, program: &Path) -> Self {
        Self { program: program.to_owned(), ..self.clone() }
    }

    /// The same client with one more configuration value.
    pub fn with(&self, key: &str, value: &str) -> Self {
        let mut git = self.clone();
        git.settings.push(format!("{key}={value}"));
        git
    }

    /// The same client with one more environment variable.
    pub fn variable(&self, name: &str, value: &str) -> Self {
        let mut git = self.clone();
        git.variables.push((name.to_owned(), value.to_owned()));
        git
    }

    /// The same client with `directory` as its working directory.
    pub fn within(&self, directory: &Path) -> Self {
        Self { home: directory.to_owned(), ..self.clone() }
    }

    /// Sends these credentials with every request, asked for or not.
    pub fn sending(&self, user: &str, password: &str) -> Self {
        self.with("http.extraHeader", &format!("Authorization: {}", basic(user, password)))
    }

    /// Speaks protocol version 0, 1 or 2.
    pub fn protocol(&self, version: u8) -> Self {
        self.with("protocol.version", &version.to_string())
    }

    /// Runs git to its end, whatever that is; ten minutes at most.
    pub fn run<S: AsRef<str>>(&self, arguments: &[S]) -> Result<Output> {
        let mut command = self.isolated("timeout");
        command.args(["--kill-after=5", "600"]).arg(&self.program).args(self.arguments(arguments));
        command.output().context("running git")
    }

    /// Runs git and gives its standard output without the last newline; anything but success is an error.
    pub fn ok<S: AsRef<str>>(&self, arguments: &[S]) -> Result<String> {
        let output = self.run(arguments)?;
        let shown: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        ensure!(
            output.status.success(),
            "git {} ended with {}:\n{}",
            shown.join(" "),
            output.status,
            text(&output.stderr)
        );
        Ok(text(&output.stdout).trim_end().to_owned())
    }

    /// Starts git in the background with its output piped.
    pub fn spawn<S: AsRef<str>>(&self, arguments: &[S]) -> Result<Child> {
        let mut command = self.isolated(&self.program);
        command.args(self.arguments(arguments)).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("starting git")
    }

    /// Runs git with `input` on its standard input.
    pub fn fed<S: AsRef<str>>(&self, arguments: &[S], input: &[u8]) -> Result<String> {
        let mut command = self.isolated(&self.program);
        command.args(self.arguments(arguments)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().context("starting git")?;
        let mut stdin = child.stdin.take().context("git has no standard input")?;
        let output = std::thread::scope(|scope| {
            scope.spawn(move || std::io::Write::write_all(&mut stdin, input));
            child.wait_with_output()
        })?;
        ensure!(output.status.success(), "git ended with {}:\n{}", output.status, text(&output.stderr));
        Ok(text(&output.stdout).trim_end().to_owned())
    }

    fn isolated(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.home).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        command.envs([
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_AUTHOR_NAME", "Test"),
            ("GIT_AUTHOR_EMAIL", "test@example.org"),
            ("GIT_COMMITTER_NAME", "Test"),
            ("GIT_COMMITTER_EMAIL", "test@example.org"),
        ]);
        command.env("HOME", &self.home).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn arguments<S: AsRef<str>>(&self, arguments: &[S]) -> Vec<String> {
        let settings = self.settings.iter().flat_map(|setting| ["-c".to_owned(), setting.clone()]);
        settings.chain(arguments.iter().map(|a| a.as_ref().to_owned())).collect()
    }
}

/// Every installed git of the `PATH` with a version of its own: the version and the program.
pub fn installed() -> Vec<(String, PathBuf)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for program in std::env::split_paths(&path).map(|directory| directory.join("git")) {
        let Ok(output) = Command::new(&program).arg("version").output() else { continue };
        let said = text(&output.stdout);
        let version = said.split(' ').nth(2).unwrap_or_default().trim().to_owned();
        if !version.is_empty() && !found.iter().any(|(known, _)| *known == version) {
            found.push((version, program));
        }
    }
    found
}

/// The value of an `Authorization` header, RFC 7617.
pub fn basic(user: &str, password: &str) -> String {
    basic_of(format!("{user}:{password}").as_bytes())
}

/// The value of an `Authorization` header for any bytes, whether they are credentials or not.
pub fn basic_of(bytes: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(bytes))
}

/// Output of a program as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
