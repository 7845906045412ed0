//! nginx in the foreground, with the repository's own `nginx/` files and only the strings replaced that
//! `nginx.conf` names for this purpose.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::process::{Process, until};
use crate::procfs;
use crate::settings::{self, Edit};

/// Another process can take the free port between its choice and nginx's bind; then try the next one.
const ATTEMPTS: usize = 5;

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    address: SocketAddr,
}

impl Nginx {
    /// Starts nginx for the stack in `directory` on a free loopback port and waits until it accepts.
    pub(crate) fn start(directory: &Path, edits: &[Edit]) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let address = free_address()?;
            prepare(directory, address, edits)?;
            let mut process = Process::spawn("nginx", &mut command(directory), &directory.join("log"))?;
            let up = until("nginx", Duration::from_secs(10), || {
                if process.exited()?.is_some() {
                    return Ok(Some(false));
                }
                // Its own workers exist, so it is not somebody else who accepts.
                let serves = !procfs::descendants(process.id()).is_empty();
                Ok((serves && std::net::TcpStream::connect(address).is_ok()).then_some(true))
            })?;
            if up {
                return Ok(Self { process, address });
            }
            let errors = errors(directory);
            ensure!(errors.contains("Address already in use"), "nginx ended:\n{}{errors}", process.log());
        }
        bail!("no free port in {ATTEMPTS} attempts")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process ids of the workers.
    pub fn workers(&self) -> Vec<u32> {
        procfs::descendants(self.process.id())
    }

    /// The master process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn prepare(directory: &Path, address: SocketAddr, edits: &[Edit]) -> Result<()> {
    let state = directory.join("nginx-state");
    fs::create_dir_all(&state)?;
    let at = |path: &Path| format!("{}/", path.display());
    let user = rustix::process::getuid();
    let user = if user.is_root() { "user root;" } else { "" };
    let replacements = [
        ("user www-data;", user.to_owned()),
        ("listen 80;", format!("listen {address};")),
        ("/run/gitward/", at(&directory.join("run"))),
        ("/run/nginx.pid", directory.join("nginx.pid").display().to_string()),
        ("/var/log/nginx/", at(&directory.join("log"))),
        ("/var/lib/nginx/", at(&state)),
        ("/var/cache/gitward", directory.join("cache").display().to_string()),
        ("/srv/git", directory.join("git").display().to_string()),
    ];
    let replacements: Vec<_> = replacements.map(|(from, to)| (from.to_owned(), to)).into();
    let target = directory.join("nginx");
    settings::copy("nginx", &target, &replacements)?;
    let edits = edits.iter().map(|edit| {
        let to = edit.to.replace("@ADDRESS@", &address.to_string());
        Edit { to, ..edit.clone() }
    });
    settings::apply(&target, &edits.collect::<Vec<_>>(), directory)
}

/// The error log goes where the configuration says, not to standard error, once that has been read.
fn command(directory: &Path) -> Command {
    let mut command = Command::new("nginx");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env_clear().env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command.arg("-p").arg(directory).arg("-c").arg(directory.join("nginx/nginx.conf"));
    command.args(["-e", "stderr", "-g", "daemon off;"]);
    command
}

fn errors(directory: &Path) -> String {
    fs::read_to_string(directory.join("log/error.log")).unwrap_or_default()
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
