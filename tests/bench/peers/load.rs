//! The null client: sends the same requests over and over, reads answers to their end and throws them away.
//!
//! It is closed-loop: each connection has one request under way. It costs as little as it can, because it shares the machine
//! with what it measures. An answer that is cut off or has another status than 200 ends the run.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::connection::Connection;
use crate::world::World;

/// What to send, and how.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Whole requests, one after the other: what one command asks.
    pub(crate) visit: Vec<Vec<u8>>,
    /// Whether each visit has a connection of its own, as commands have; else connections are kept.
    pub(crate) connects: bool,
    pub(crate) connections: usize,
    /// No more than this many visits, and no longer than this.
    pub(crate) visits: usize,
    pub(crate) time: Duration,
    /// Whether an answer has to end with git's flush packet.
    pub(crate) flushed: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// Visits, or what takes their place.
    pub(crate) requests: usize,
    /// Bytes that one of them was answered with.
    pub(crate) length: u64,
}

impl Load {
    /// The same request on kept connections, with answers that end with a flush packet.
    pub(crate) fn of(request: Vec<u8>, connections: usize, visits: usize, time: Duration) -> Self {
        Self { visit: vec![request], connects: false, connections, visits, time, flushed: true }
    }

    /// Sends until the number or the time is reached.
    pub(crate) fn run(&self, address: SocketAddr) -> Result<Done> {
        let (next, deadline) = (AtomicUsize::new(0), Instant::now() + self.time);
        let results: Vec<Result<Done>> = thread::scope(|scope| {
            let client = || self.client(address, &next, deadline);
            let threads: Vec<_> = (0..self.connections).map(|_| scope.spawn(client)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| bail!("a client panicked")))
                .collect()
        });
        let mut all = Done::default();
        for result in results {
            let done = result?;
            all = Done { requests: all.requests + done.requests, length: all.length.max(done.length) };
        }
        ensure!(all.requests > 0, "nothing was answered in {:?}", self.time);
        Ok(all)
    }

    fn client(&self, address: SocketAddr, next: &AtomicUsize, deadline: Instant) -> Result<Done> {
        let mut connection = Connection::open(address)?;
        let mut done = Done::default();
        while next.fetch_add(1, Ordering::Relaxed) < self.visits && Instant::now() < deadline {
            let mut length = 0;
            for request in &self.visit {
                let answer = connection.exchange(request)?;
                ensure!(answer.status == 200, "status {}", answer.status);
                ensure!(
                    !self.flushed || &answer.tail == b"0000",
                    "an answer does not end with a flush packet"
                );
                length += answer.length;
            }
            if self.connects {
                connection.close();
            }
            done = Done { requests: done.requests + 1, length };
        }
        Ok(done)
    }
}

/// A `GET` as git sends it.
pub(crate) fn get(target: &str) -> Vec<u8> {
    request("GET", target, "Git-Protocol: version=2\r\n", &[])
}

/// A `POST` of a body in git's version 2 protocol.
pub(crate) fn post(repository: &str, service: &str, body: &[u8]) -> Vec<u8> {
    let fields = format!(
        "Content-Type: application/x-{service}-request\r\nAccept: application/x-{service}-result\r\n\
         Git-Protocol: version=2\r\nContent-Length: {}\r\n",
        body.len()
    );
    request("POST", &format!("/git/{repository}/{service}"), &fields, body)
}

/// A request of the usual user.
pub(crate) fn request(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    request_as(&World::authorization(), method, target, fields, body)
}

/// A request with this `Authorization`.
pub(crate) fn request_as(
    authorization: &str,
    method: &str,
    target: &str,
    fields: &str,
    body: &[u8],
) -> Vec<u8> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: git.example.org\r\nUser-Agent: git/2.39.5\r\nAccept: */*\r\n\
         Authorization: {authorization}\r\n{fields}\r\n"
    );
    [head.as_bytes(), body].concat()
}
