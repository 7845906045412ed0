//! Other front servers than nginx with our configuration, each before the daemons of a stack: the samples of
//! `config/proxies/` as they are, with only paths and ports replaced.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::http::Address;
use crate::process::{Process, until};
use crate::settings;
use crate::stack::Stack;

/// A front server that can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Caddy, with the sample `Caddyfile`.
    Caddy,
    /// Envoy, with the sample `envoy.yaml`; its daemons listen on TCP.
    Envoy,
    /// nginx, with a configuration as a test has it: the file's name in `tests/e2e/proxies`.
    Nginx(&'static str),
}

/// A running front server.
#[derive(Debug)]
pub struct Front {
    /// The process.
    pub process: Process,
    address: SocketAddr,
}

/// Somebody else can take a free port between its choice and its use.
const ATTEMPTS: usize = 5;

impl Front {
    /// Starts it before the daemons of `stack`, or not where it is not installed.
    pub fn start(kind: Kind, stack: &Stack) -> Result<Option<Self>> {
        let Some(program) = kind.program() else { return Ok(None) };
        for _ in 0..ATTEMPTS {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            let mut process = kind.spawn(&program, stack, address)?;
            let up = until("the front server", Duration::from_secs(20), || match process.exited()? {
                Some(_) => Ok(Some(false)),
                None => Ok(TcpStream::connect(address).is_ok().then_some(true)),
            });
            if up.with_context(|| process.log())? {
                return Ok(Some(Self { process, address }));
            }
            if !process.log().to_lowercase().contains("address already in use") {
                bail!("{kind:?} ended:\n{}", process.log());
            }
        }
        bail!("no free port in {ATTEMPTS} attempts")
    }

    /// Where it listens.
    pub fn address(&self) -> Address {
        Address::Tcp(self.address)
    }

    /// The URL of a repository.
    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/git/{repository}", self.address)
    }
}

impl Kind {
    /// The program, where it is installed: by the system, or by `.ci/clients`.
    fn program(self) -> Option<PathBuf> {
        match self {
            Self::Nginx(_) => Some("nginx".into()),
            Self::Caddy => installed("caddy").then(|| "caddy".into()),
            Self::Envoy => {
                let program = clients()?.join("venv/bin/envoy");
                program.is_file().then_some(program)
            }
        }
    }

    fn spawn(self, program: &Path, stack: &Stack, address: SocketAddr) -> Result<Process> {
        let directory = stack.path();
        let file = directory.join(self.file());
        fs::write(&file, self.configuration(stack, address)?)?;
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .env("HOME", directory.join("home"));
        match self {
            Self::Caddy => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file),
            Self::Envoy => command
                .args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn", "-c"])
                .arg(&file),
            Self::Nginx(_) => command.arg("-p").arg(directory).arg("-c").arg(&file).args([
                "-e",
                "stderr",
                "-g",
                "daemon off;",
            ]),
        };
        Process::spawn(self.file(), &mut command, &directory.join("log"))
    }

    fn file(self) -> &'static str {
        match self {
            Self::Caddy => "Caddyfile",
            Self::Envoy => "envoy.yaml",
            Self::Nginx(file) => file,
        }
    }

    fn configuration(self, stack: &Stack, address: SocketAddr) -> Result<String> {
        let folder = if matches!(self, Self::Nginx(_)) { "tests/e2e/proxies" } else { "config/proxies" };
        let sample = settings::checkout().join(folder).join(self.file());
        let text = fs::read_to_string(&sample).with_context(|| format!("{}", sample.display()))?;
        let directory = stack.path().display().to_string();
        Ok(match self {
            Self::Caddy => {
                let global = "{\n\tadmin off\n\tauto_https off\n}\n";
                let port = address.port();
                let sites = format!("http://git.example.org:{port}, http://{address} {{\n\tbind 127.0.0.1");
                let text = text.replace("git.example.org {", &sites);
                global.to_owned() + &text.replace("/run/gitward/", &format!("{directory}/run/"))
            }
            Self::Envoy => {
                let port = |port: u16| format!("port_value: {port} ");
                let text = text.replace(&port(8080), &port(address.port()));
                let text = text.replace(&port(9180), &port(stack.tcp_port("authd")?));
                text.replace(&port(9183), &port(stack.tcp_port("backend-runner")?))
            }
            Self::Nginx(_) => {
                let text = text.replace("@DIR@", &directory).replace("@ADDRESS@", &address.to_string());
                let root = rustix::process::getuid().is_root();
                if root { text } else { text.replace("user root;", "") }
            }
        })
    }
}

/// Where `.ci/clients` installs: beside the directory of this test's build.
pub fn clients() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.ancestors().nth(3)?.join("clients"))
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
