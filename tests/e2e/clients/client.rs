//! The clients that can be tried on this machine: every git on the `PATH`, and what `.ci/clients` installed.
//!
//! A client is started as its users start it, or by a script of a few lines beside this file for those that are libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use harness::people::Person;

/// A group of clients that behave alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Git,
    Libgit2,
    JGit,
    Dulwich,
    Isomorphic,
}

pub(crate) const FAMILIES: [Family; 5] =
    [Family::Git, Family::Libgit2, Family::JGit, Family::Dulwich, Family::Isomorphic];

/// Parts that Debian's own start script of JGit forgets.
const JGIT_CLASSPATH: &str = "/usr/share/java/org.eclipse.jgit.lfs.jar:\
    /usr/share/java/org.eclipse.jgit.http.apache.jar:/usr/share/java/httpclient.jar:\
    /usr/share/java/httpcore.jar:/usr/share/java/commons-logging.jar";

/// One installed client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) family: Family,
    pub(crate) version: String,
    program: Vec<PathBuf>,
}

/// What a client is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Clone,
    Shallow,
    Fetch,
    /// Pushes this branch.
    Push(&'static str),
}

/// Where a client works, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) home: &'a Path,
    pub(crate) server: String,
    pub(crate) repository: String,
    pub(crate) directory: PathBuf,
    pub(crate) person: Person,
}

impl Family {
    /// As in the documentation.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Libgit2 => "libgit2 (pygit2)",
            Self::JGit => "JGit",
            Self::Dulwich => "dulwich",
            Self::Isomorphic => "isomorphic-git",
        }
    }

    /// Every installed client of this family.
    pub(crate) fn installed(self) -> Vec<Client> {
        let client = |version: String, program: Vec<PathBuf>| Client { family: self, version, program };
        let python = place().join("venv/bin/python");
        let from_python = |expression: &str, script: &str| {
            let version = said(Command::new(&python).args(["-c", expression]))?;
            Some(client(version, vec![python.clone(), script_path(script)]))
        };
        match self {
            Self::Git => harness::git::installed()
                .into_iter()
                .map(|(version, path)| client(version, vec![path]))
                .collect(),
            Self::JGit => said(Command::new("jgit").arg("version").env("JGIT_CLASSPATH", JGIT_CLASSPATH))
                .map(|said| client(last_word(&said), vec!["jgit".into()]))
                .into_iter()
                .collect(),
            Self::Libgit2 => from_python("import pygit2; print(pygit2.LIBGIT2_VERSION)", "with_libgit2.py")
                .into_iter()
                .collect(),
            Self::Dulwich => from_python(
                "import dulwich; print('.'.join(map(str, dulwich.__version__)))",
                "with_dulwich.py",
            )
            .into_iter()
            .collect(),
            Self::Isomorphic => {
                let modules = place().join("node_modules");
                let version =
                    "console.log(require(process.argv[1] + '/isomorphic-git/package.json').version)";
                said(Command::new("node").args(["-e", version]).arg(modules))
                    .map(|version| {
                        client(version, vec!["node".into(), script_path("with_isomorphic_git.mjs")])
                    })
                    .into_iter()
                    .collect()
            }
        }
    }
}

impl Client {
    /// Name and version.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.family.name(), self.version)
    }

    /// Lets the client do one thing and waits for its end, two minutes at most.
    pub(crate) fn run(&self, operation: Operation, place: &Place<'_>) -> Output {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "120"]).args(&self.program).current_dir(place.home);
        command.env_clear().stdin(Stdio::null()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs([("LC_ALL", "C"), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_TERMINAL_PROMPT", "0")]);
        command.env("NODE_PATH", self::place().join("node_modules")).env("JGIT_CLASSPATH", JGIT_CLASSPATH);
        let home = self.home(place);
        // Java does not ask the environment where the home directory is.
        command.env("JAVA_TOOL_OPTIONS", format!("-Duser.home={}", home.display())).env("HOME", home);
        match self.family {
            Family::Git | Family::JGit => command.args(self.arguments(operation, place)),
            _ => command
                .arg(operation.word())
                .arg(place.url())
                .arg(&place.directory)
                .args([place.person.name, place.person.password]),
        };
        command.output().unwrap()
    }

    /// The home directory. JGit asks for passwords in a window unless it finds them there.
    fn home(&self, place: &Place<'_>) -> PathBuf {
        if self.family != Family::JGit {
            return place.home.to_owned();
        }
        let home = place.directory.with_extension("home");
        let Person { name, password } = place.person;
        let machine = place.server.split(':').next().unwrap_or_default();
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join(".netrc"), format!("machine {machine} login {name} password {password}\n"))
            .unwrap();
        home
    }

    /// The command line of the clients that have one.
    fn arguments(&self, operation: Operation, place: &Place<'_>) -> Vec<String> {
        let directory = place.directory.display().to_string();
        let inside = match self.family {
            Family::JGit => vec!["--git-dir".to_owned(), format!("{directory}/.git")],
            _ => vec!["-C".to_owned(), directory.clone()],
        };
        let url = match self.family {
            Family::JGit => place.url(),
            _ => place.url_with_login(),
        };
        let rest = match operation {
            Operation::Clone => return vec!["clone".into(), url, directory],
            Operation::Shallow => return vec!["clone".into(), "--depth=1".into(), url, directory],
            Operation::Fetch => vec!["fetch".to_owned(), "origin".to_owned()],
            Operation::Push(branch) => vec!["push".to_owned(), url, format!("refs/heads/{branch}")],
        };
        [inside, rest].concat()
    }
}

impl Operation {
    fn word(self) -> &'static str {
        match self {
            Self::Clone => "clone",
            Self::Shallow => "shallow",
            Self::Fetch => "fetch",
            Self::Push(branch) => branch,
        }
    }
}

impl Place<'_> {
    fn url(&self) -> String {
        format!("http://{}/git/{}", self.server, self.repository)
    }

    fn url_with_login(&self) -> String {
        let Person { name, password } = self.person;
        format!("http://{name}:{password}@{}/git/{}", self.server, self.repository)
    }
}

/// Where `.ci/clients` installs.
fn place() -> PathBuf {
    harness::front::clients().unwrap()
}

fn script_path(name: &str) -> PathBuf {
    harness::settings::checkout().join("tests/e2e/clients").join(name)
}

/// What a program prints, if there is such a program and it is content.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    Some(harness::git::text(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
}

fn last_word(text: &str) -> String {
    text.rsplit(' ').next().unwrap_or_default().to_owned()
}
