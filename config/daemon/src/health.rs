//! `health`: asks the admin listener of a running daemon how it is, for the probes of images that hold no other program.
//!
//! One request and its answer, as RFC 9112 has them; no single wait is longer than three seconds, and whoever probes has a
//! deadline of its own for the whole. It reads no policy and no secret, and with `--address` not even the configuration, which may
//! be broken while the daemon goes on with the last good one.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use clap::Args;

use crate::listen::Listen;

/// What `health` takes besides the configuration file.
#[derive(Debug, Args)]
pub struct Health {
    /// Ask whether it lives; without this, whether it can answer requests
    #[arg(long)]
    live: bool,
    /// Where its admin listener is, instead of reading that in the configuration
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Listen>,
}

/// Why a daemon is not well.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there, or nobody answers.
    #[error("no answer from {address}")]
    NoAnswer {
        /// The address that was asked.
        address: Listen,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It says itself that it is not.
    #[error("{address} answers {answer}")]
    Unwell {
        /// The address that was asked.
        address: Listen,
        /// The first line and the body of the answer.
        answer: String,
    },
}

impl Health {
    /// The address from the command line.
    #[must_use]
    pub fn address(&self) -> Option<&Listen> {
        self.address.as_ref()
    }

    /// Asks the daemon whose admin listener has this address; what it says of itself when it is well.
    ///
    /// # Errors
    /// When it is not, or cannot be asked.
    pub fn ask(&self, address: &Listen) -> Result<String, AskError> {
        let target = if self.live { "/healthz" } else { "/readyz" };
        let answer = exchange(address, target)
            .map_err(|source| AskError::NoAnswer { address: address.clone(), source })?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.lines().next().unwrap_or_default();
        match status.split(' ').nth(1) {
            Some("200") => Ok(body.to_owned()),
            _ => Err(AskError::Unwell { address: address.clone(), answer: format!("{status}: {body}") }),
        }
    }
}

fn exchange(address: &Listen, target: &str) -> io::Result<String> {
    match address {
        Listen::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            converse(stream, target)
        }
        Listen::Tcp(listening) => {
            let stream = TcpStream::connect_timeout(&reachable(*listening), PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            converse(stream, target)
        }
    }
}

fn converse(mut stream: impl Read + Write, target: &str) -> io::Result<String> {
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Who listens on every address is asked on the loopback one.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

const PATIENCE: Duration = Duration::from_secs(3);

const LONGEST_ANSWER: u64 = 64 * 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::BufRead;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const READY: Health = Health { live: false, address: None };

    /// Answers one request with this text; gives the request line.
    fn answering(text: &'static str) -> (Listen, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Listen::Tcp(listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = io::BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let request = lines.next().unwrap();
            assert!(lines.any(|line| line.is_empty()));
            stream.write_all(text.as_bytes()).unwrap();
            request
        });
        (address, thread)
    }

    #[test]
    fn a_daemon_that_is_ready_is_well() {
        let (address, request) = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(READY.ask(&address).unwrap(), "{}");
        assert_eq!(request.join().unwrap(), "GET /readyz HTTP/1.1");
    }

    #[test]
    fn whether_it_lives_is_another_question() {
        let (address, request) = answering("HTTP/1.1 200 OK\r\n\r\nok\n");
        assert!(Health { live: true, address: None }.ask(&address).is_ok());
        assert_eq!(request.join().unwrap(), "GET /healthz HTTP/1.1");
    }

    #[test]
    fn one_that_is_not_ready_says_why() {
        let (address, _) = answering("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"policy\":\"missing\"}");
        let error = READY.ask(&address).unwrap_err().to_string();
        assert!(
            error.ends_with("answers HTTP/1.1 503 Service Unavailable: {\"policy\":\"missing\"}"),
            "{error}"
        );
    }

    #[test]
    fn whatever_is_no_answer_is_not_well() {
        for text in ["", "200\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 302 Found\r\n\r\n"] {
            let (address, _) = answering(text);
            assert!(matches!(READY.ask(&address), Err(AskError::Unwell { .. })), "{text}");
        }
    }

    #[test]
    fn nobody_there_is_not_well() {
        let directory = tempfile::tempdir().unwrap();
        let address = Listen::Unix(directory.path().join("admin.sock"));
        assert!(matches!(READY.ask(&address), Err(AskError::NoAnswer { .. })));
    }

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (listening, asked) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(reachable(listening.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
