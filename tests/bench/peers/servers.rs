//! Every server that is compared, started on a free loopback port with a configuration of its own.
//!
//! The peers are set up as git-http-backend(1) shows it, with the same git, copies of the same repositories and the same
//! password file, whose `{SHA}` entries cost the peers nothing worth mentioning. Nothing of the system's own set-up is read.

mod apache;
mod gitward;
mod lighttpd;
mod nginx;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use harness::{Process, Stack, until};
use tempfile::TempDir;

use crate::world::{self, World};

/// The git that every contender runs.
pub(crate) const GIT: &str = "/usr/bin/git";

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As it is shipped.
    Gitward,
    /// Without replayed and cached answers.
    GitwardUncached,
    /// nginx and fcgiwrap.
    Fcgiwrap,
    /// The same, with answers passed on as they come instead of being stored in temporary files.
    FcgiwrapUnbuffered,
    /// Apache with `mod_cgid`.
    Apache,
    /// lighttpd with `mod_cgi`.
    Lighttpd,
    /// nginx and uwsgi with its CGI plugin.
    Uwsgi,
    /// git alone, without any server.
    RawGit,
    /// nginx with captured answers as static files.
    StaticFile,
    /// nginx with authd, and a file behind it.
    Auth,
    /// nginx asking itself over a Unix socket in place of authd.
    AuthStub,
    /// nginx asking itself without a socket.
    AuthInside,
}

const KINDS: [(Kind, &str); 12] = [
    (Kind::Gitward, "gitward"),
    (Kind::GitwardUncached, "gitward-cache-off"),
    (Kind::Fcgiwrap, "fcgiwrap"),
    (Kind::FcgiwrapUnbuffered, "fcgiwrap-unbuffered"),
    (Kind::Apache, "apache"),
    (Kind::Lighttpd, "lighttpd"),
    (Kind::Uwsgi, "uwsgi"),
    (Kind::RawGit, "raw-git"),
    (Kind::StaticFile, "static-file"),
    (Kind::Auth, "authd"),
    (Kind::AuthStub, "auth-stub"),
    (Kind::AuthInside, "auth-in-nginx"),
];

/// The parts of a contender; fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: Option<SocketAddr>,
    _processes: Vec<Process>,
    stack: Option<Stack>,
    place: Option<TempDir>,
}

impl Kind {
    /// Its name on the command line and in the results.
    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The kind of this name.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let found = KINDS.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind).with_context(|| format!("no contender is called {name}"))
    }

    /// The programs it needs, with the Debian package that has each.
    fn needs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Fcgiwrap | Self::FcgiwrapUnbuffered => &[("/usr/sbin/fcgiwrap", "fcgiwrap")],
            Self::Apache => &[("/usr/sbin/apache2", "apache2-bin")],
            Self::Lighttpd => &[("/usr/sbin/lighttpd", "lighttpd")],
            Self::Uwsgi => &[
                ("/usr/bin/uwsgi-core", "uwsgi-core"),
                ("/usr/lib/uwsgi/plugins/cgi_plugin.so", "uwsgi-core"),
            ],
            _ => &[],
        }
    }

    /// The package that is missing, when it cannot be started here.
    pub(crate) fn missing(self) -> Option<&'static str> {
        self.needs().iter().find(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package)
    }

    /// Whether Gitward answers.
    pub(crate) fn is_gitward(self) -> bool {
        matches!(self, Self::Gitward | Self::GitwardUncached)
    }
}

impl Running {
    /// Where it keeps everything.
    pub(crate) fn directory(&self) -> &Path {
        let place = self.place.as_ref().map(TempDir::path);
        place.or_else(|| self.stack.as_ref().map(Stack::path)).unwrap_or_else(|| Path::new("/nonexistent"))
    }
}

/// Starts a contender and copies the repositories.
pub(crate) fn start(kind: Kind, world: &World) -> Result<Running> {
    match kind {
        Kind::Gitward | Kind::GitwardUncached | Kind::Auth | Kind::AuthStub | Kind::AuthInside => {
            gitward::start(kind, world)
        }
        Kind::Fcgiwrap | Kind::FcgiwrapUnbuffered | Kind::Uwsgi | Kind::StaticFile => {
            nginx::start(kind, world)
        }
        Kind::Apache => apache::start(world),
        Kind::Lighttpd => lighttpd::start(world),
        Kind::RawGit => {
            let place = place(world)?;
            Ok(Running { address: None, _processes: Vec::new(), stack: None, place: Some(place) })
        }
    }
}

/// A directory with copies of the repositories.
fn place(world: &World) -> Result<TempDir> {
    let place = TempDir::with_prefix_in("contender-", world.path())?;
    world.copy_repositories(&place.path().join("git"))?;
    fs::write(place.path().join("file"), world::FILE)?;
    Ok(place)
}

/// `git-http-backend` itself: no peer pays for the wrapper around it.
fn http_backend() -> Result<PathBuf> {
    let output = Command::new(GIT).arg("--exec-path").output()?;
    Ok(Path::new(harness::git::text(&output.stdout).trim()).join("git-http-backend"))
}

/// Starts a server with the configuration that `configure` gives for an address, and waits until it accepts.
fn listen(
    name: &str,
    place: &Path,
    configure: impl Fn(SocketAddr) -> Result<Command>,
) -> Result<(Process, SocketAddr)> {
    for _ in 0..ATTEMPTS {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut process = Process::spawn(name, &mut configure(address)?, place)?;
        let up = until(name, START, || match process.exited()? {
            Some(_) => Ok(Some(false)),
            None => Ok(TcpStream::connect(address).is_ok().then_some(true)),
        })?;
        if up {
            return Ok((process, address));
        }
        ensure!(process.log().contains("in use"), "{name} ended:\n{}", process.log());
    }
    bail!("no free port in {ATTEMPTS} attempts")
}

/// A program that hears nothing of the environment of whoever runs the benchmark.
fn program(path: &str) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    command
}

const ATTEMPTS: usize = 5;
const START: Duration = Duration::from_secs(20);
