//! Many clients that take their time, and many that say nothing.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::procfs;

use super::Scene;
use super::clones::commit;
use crate::account::Account;
use crate::bodies;
use crate::connection::Connection;
use crate::load;
use crate::servers::Kind;

/// What a slow client reads at a time, and how often.
const SIP: usize = 16 * 1024;
const PAUSE: Duration = Duration::from_millis(160);

/// How long they are watched.
const WATCH: Duration = Duration::from_secs(6);

/// Slow clones of one repository at a time: memory for each, and processes that are still there.
///
/// Peers hold processes for each of them, so that a thousand would not fit; they get twenty, and a figure for each.
pub(super) fn slow_clones(scene: &mut Scene<'_>) -> Result<()> {
    let body = bodies::fetch(&commit(scene, "large.git", None)?, None);
    let request = load::post("large.git", "git-upload-pack", &body);
    let (many, few) = if scene.quick { (50, 5) } else { (1000, 20) };
    for (kind, clones) in
        [(Kind::Gitward, many), (Kind::Fcgiwrap, few), (Kind::FcgiwrapUnbuffered, few), (Kind::Apache, few)]
    {
        if kind.missing().is_some() {
            continue;
        }
        let contender = scene.field.contender(kind)?;
        let address = contender.address()?;
        if kind.is_gitward() {
            // The first one of all had to wait for git; it is not slow.
            Connection::open(address)?.exchange(&request)?;
            Connection::open(address)?.exchange(&request)?;
        }
        let (before, written) = (contender.account.memory(), contender.account.written());
        let mut streams = (0..clones).map(|_| ask(address, &request)).collect::<Result<Vec<_>>>()?;
        sip(&mut streams)?;
        let memory = contender.account.memory().saturating_sub(before) as f64;
        let (git, written) =
            (contender.account.git_processes(), contender.account.written().saturating_sub(written));
        drop(streams);
        let what = format!("{clones} slow clones, {}", kind.name());
        let results = &mut scene.results;
        results.single(&format!("{what}: KiB of memory each"), memory / 1024.0 / clones as f64);
        results.single(&format!("{what}: git processes left"), git as f64);
        results.single(&format!("{what}: MiB written each"), written as f64 / 1_048_576.0 / clones as f64);
        scene.field.end(Kind::FcgiwrapUnbuffered);
    }
    Ok(())
}

fn ask(address: std::net::SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, SIP)?;
    stream.write_all(request)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Everybody reads a little in each round.
fn sip(streams: &mut [TcpStream]) -> Result<()> {
    let mut buffer = vec![0; SIP];
    let deadline = Instant::now() + WATCH;
    while Instant::now() < deadline {
        let round = Instant::now();
        for stream in &mut *streams {
            match stream.read(&mut buffer) {
                Ok(count) => ensure!(count > 0, "a slow clone was cut off"),
                Err(error) => ensure!(error.kind() == ErrorKind::WouldBlock, "a slow clone failed: {error}"),
            }
        }
        thread::sleep(PAUSE.saturating_sub(round.elapsed()));
    }
    Ok(())
}

/// Connections that are open after an answer, as nginx keeps them: memory of each, in each daemon.
pub(super) fn idle_connections(scene: &mut Scene<'_>) -> Result<()> {
    let count = if scene.quick { 100 } else { 1000 };
    let directory = scene.field.contender(Kind::GitwardUncached)?.directory.clone();
    for daemon in ["authd", "backend-runner"] {
        let account = &scene.field.contender(Kind::GitwardUncached)?.account;
        let pid = process(account, daemon).with_context(|| format!("{daemon} is not there"))?;
        let socket = directory.join(format!("run/{daemon}.sock"));
        let open = || -> Result<UnixStream> {
            let mut stream = UnixStream::connect(&socket)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(QUESTION)?;
            let mut answer = [0; 4096];
            ensure!(stream.read(&mut answer)? > 0, "{daemon} closed");
            Ok(stream)
        };
        let _warm: Vec<_> = (0..20).map(|_| open()).collect::<Result<_>>()?;
        let before = procfs::resident(pid)?;
        let _connections: Vec<_> = (0..count).map(|_| open()).collect::<Result<_>>()?;
        let grown = procfs::resident(pid)?.saturating_sub(before) as f64;
        scene.results.single(&format!("idle connection to {daemon}: KiB"), grown / 1024.0 / f64::from(count));
        scene.results.single(&format!("{daemon} without connections: MiB"), before as f64 / 1_048_576.0);
    }
    Ok(())
}

fn process(account: &Account, program: &str) -> Option<u32> {
    account.processes().into_iter().find(|pid| {
        let line = procfs::command_line(*pid);
        line.split(' ').next().is_some_and(|path| path.ends_with(&format!("/{program}")))
    })
}

/// Both daemons refuse it and keep the connection.
const QUESTION: &[u8] = b"GET /auth/nginx HTTP/1.1\r\nHost: gitward\r\nX-Original-Method: GET\r\n\
    X-Original-URI: /git/small.git/info/refs?service=git-upload-pack\r\n\r\n";
