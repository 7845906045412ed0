//! One server, or one limit, under measurement: a process of its own that holds all its parts.
//!
//! The benchmark starts itself again in a PID namespace, see pid_namespaces(7): the last process id given out there counts the
//! processes started, and nothing outlives the end of the first. Both sides speak in lines over the child's standard streams.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::account::{Account, Group, PREFIX};
use crate::servers::{self, Kind};
use crate::world::World;

/// A running contender, seen from the benchmark.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) kind: Kind,
    /// Where it listens, if it does.
    pub(crate) address: Option<SocketAddr>,
    /// Its directory; `git` below it is the project root.
    pub(crate) directory: PathBuf,
    pub(crate) account: Account,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    child: Child,
}

/// What a piece of work cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) processor: Duration,
    /// Processes and threads.
    pub(crate) started: u64,
    pub(crate) written: u64,
    pub(crate) memory: u64,
}

impl Contender {
    /// Starts it and waits until it serves.
    pub(crate) fn start(kind: Kind, world: &World) -> Result<Self> {
        let group = Group::create(&format!("{PREFIX}{}-{}", std::process::id(), kind.name()));
        let mut command = Command::new("unshare");
        // Apache does not serve as root, and git looks only into repositories of its own user.
        if kind == Kind::Apache {
            command.args(["--user", "--map-user=33", "--map-group=33"]);
        } else if !rustix::process::getuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--pid", "--mount-proc", "--fork", "--kill-child=KILL"]);
        command.arg(std::env::current_exe()?).arg("contender").arg(kind.name()).arg(world.path());
        command.arg(group.as_ref().map_or_else(PathBuf::new, Group::door));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("unshare")?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        let account = Account::new(group, child.id());
        let directory = PathBuf::new();
        let mut contender = Self { kind, address: None, directory, account, input, output, child };
        let ready = contender.line().with_context(|| format!("starting {}", kind.name()))?;
        let (address, directory) = ready.split_once(' ').context("no greeting")?;
        contender.address = address.parse().ok();
        contender.directory = directory.into();
        Ok(contender)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        self.address.context("it does not listen")
    }

    /// The URL of a repository for the real git client.
    pub(crate) fn url(&self, repository: &str) -> Result<String> {
        Ok(format!("http://{}/git/{repository}", self.address()?))
    }

    /// Its copy of a repository.
    pub(crate) fn repository(&self, name: &str) -> PathBuf {
        self.directory.join("git").join(name)
    }

    /// The last lines of its error log, for whoever has to find out why it did not answer.
    pub(crate) fn complaints(&self) -> String {
        let logs = ["error.log", "log/error.log", "fcgiwrap.log", "uwsgi.log"];
        let text: Vec<String> =
            logs.iter().filter_map(|log| fs::read_to_string(self.directory.join(log)).ok()).collect();
        let lines: Vec<&str> = text.iter().flat_map(|text| text.lines()).collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Does some work and says what it cost; `watch` also looks at the memory while it goes on.
    pub(crate) fn measure<T>(
        &mut self,
        watch: bool,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Cost)> {
        let (started, written) = (self.started()?, self.account.written());
        let (clock, processor) = (Instant::now(), self.account.processor_time());
        let (result, memory) = if watch { self.watched(work)? } else { (work(self)?, 0) };
        let (wall, processor) = (clock.elapsed(), self.account.processor_time().saturating_sub(processor));
        let written = self.account.written().saturating_sub(written);
        let started = self.started()?.saturating_sub(started);
        Ok((result, Cost { wall, processor, started, written, memory }))
    }

    /// Does some work while another thread looks at the memory.
    fn watched<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<(T, u64)> {
        let (peak, over) = (AtomicU64::new(0), AtomicBool::new(false));
        let account = self.account.reader();
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    peak.fetch_max(account.memory(), Ordering::Relaxed);
                    std::thread::sleep(WATCH);
                }
            });
            let result = work(self);
            over.store(true, Ordering::Relaxed);
            result
        })?;
        Ok((result, peak.into_inner()))
    }

    /// Runs raw git on the contender's side: `count` times one service, `together` at a time, fed with a file.
    pub(crate) fn raw(
        &mut self,
        service: &str,
        repository: &Path,
        body: &Path,
        (count, together): (usize, usize),
    ) -> Result<()> {
        let (repository, body) = (repository.display(), body.display());
        let answer = self.ask(&format!("raw {service} {count} {together} {repository} {body}"))?;
        ensure!(answer == "done", "{answer}");
        Ok(())
    }

    fn started(&mut self) -> Result<u64> {
        Ok(self.ask("started")?.parse()?)
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        writeln!(self.input, "{question}")?;
        self.line()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "{} ended", self.kind.name());
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = writeln!(self.input, "end");
        let ended = || matches!(self.child.try_wait(), Ok(Some(_)));
        if harness::until_true("end of a contender", Duration::from_secs(20), ended).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The contender's own side: `KIND WORLD DOOR`.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let [kind, world, door] = arguments else { bail!("contender KIND WORLD DOOR") };
    if !door.is_empty() {
        fs::write(door, "0").context("joining the control group")?;
    }
    let running = servers::start(Kind::parse(kind)?, &World::open(Path::new(world))?)?;
    let address = running.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    say(&format!("{address} {}", running.directory().display()))?;
    for line in std::io::stdin().lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["started"] => say(&last_process()?)?,
            ["raw", service, count, together, repository, body] => {
                match raw(service, (count.parse()?, together.parse()?), repository, body) {
                    Ok(()) => say("done")?,
                    Err(error) => say(&format!("{error:#}").replace('\n', " "))?,
                }
            }
            _ => break,
        }
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}

/// The id that was given out last in this PID namespace.
fn last_process() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().last().context("/proc/loadavg is empty")?.to_owned())
}

/// git as the servers run it in the end, with nothing around it. Bodies are `BODY`, or `BODY-0`, `BODY-1` and so on.
fn raw(service: &str, (count, together): (usize, usize), repository: &str, body: &str) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            raw_once(service, repository, body, number)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..together).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })
}

fn raw_once(service: &str, repository: &str, body: &str, number: usize) -> Result<()> {
    let numbered = format!("{body}-{number}");
    let body = if Path::new(&numbered).exists() { &*numbered } else { body };
    let mut command = Command::new(servers::GIT);
    command.args([service, "--stateless-rpc", repository]).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1");
    if service == "upload-pack" {
        command.env("GIT_PROTOCOL", "version=2");
    }
    command.stdin(fs::File::open(body)?).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status()?;
    ensure!(status.success(), "git {service} ended with {status}");
    Ok(())
}

/// How often memory is looked at.
const WATCH: Duration = Duration::from_millis(100);
