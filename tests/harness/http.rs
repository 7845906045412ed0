//! HTTP/1.1 as bytes: sends exactly what a test says and reads every response that comes back.
//!
//! Not a client library on purpose: most requests here are ones that no library would send.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::message::{Request, Response, parse_head};

/// How long a server may stay silent before a read counts as failed.
const SILENCE: Duration = Duration::from_secs(30);

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// An address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    unread: Vec<u8>,
    /// Whether the last request was a HEAD, whose response has no body whatever its fields say.
    bodiless: bool,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Address {
    /// The Unix socket at `path`.
    pub fn unix(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }

    /// Opens a connection.
    pub fn connect(&self) -> Result<Connection> {
        let stream = match self {
            Self::Tcp(address) => Stream::Tcp(TcpStream::connect(address)?),
            Self::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        };
        let connection = Connection { stream, unread: Vec::new(), bodiless: false };
        connection.set_silence(SILENCE)?;
        Ok(connection)
    }

    /// Sends one request and reads the one response to it.
    pub fn send(&self, request: &Request) -> Result<Response> {
        let mut responses = self.exchange(&request.bytes())?;
        ensure!(responses.len() == 1, "{} responses to one request: {responses:?}", responses.len());
        responses.pop().context("no response")
    }

    /// Sends `bytes` and reads responses until the server closes or says nothing more for half a second.
    pub fn exchange(&self, bytes: &[u8]) -> Result<Vec<Response>> {
        let mut connection = self.connect()?;
        // A server may answer and close before it has read everything; what it answered still counts.
        let _ = connection.write(bytes);
        let mut responses = Vec::new();
        while let Some(response) = connection.read_response()? {
            responses.push(response);
            connection.set_silence(Duration::from_millis(500))?;
        }
        Ok(responses)
    }
}

impl Connection {
    /// Writes raw bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bodiless = bytes.starts_with(b"HEAD ");
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes)?,
            Stream::Unix(stream) => stream.write_all(bytes)?,
        }
        Ok(())
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) -> Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write)?,
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write)?,
        }
        Ok(())
    }

    /// How long a read waits for the server's next byte.
    pub fn set_silence(&self, silence: Duration) -> Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(silence))?,
            Stream::Unix(stream) => stream.set_read_timeout(Some(silence))?,
        }
        Ok(())
    }

    /// The next response, or `None` when the server closed or stayed silent instead of starting one.
    pub fn read_response(&mut self) -> Result<Option<Response>> {
        loop {
            let Some(head) = self.read_head()? else { return Ok(None) };
            let (status, headers) = parse_head(&head)?;
            // 100 Continue announces the response; it is none.
            if status != 100 {
                let mut response = Response { status, headers, body: Vec::new() };
                response.body = self.read_body(&response)?;
                return Ok(Some(response));
            }
        }
    }

    /// The next response's head only: status line and header fields up to the empty line.
    pub fn read_head(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                let rest = self.unread.split_off(end + 4);
                let head = std::mem::replace(&mut self.unread, rest);
                return Ok(Some(String::from_utf8_lossy(&head[..end]).into_owned()));
            }
            if !self.fill()? {
                ensure!(self.unread.is_empty(), "response cut off in its head: {:?}", self.unread);
                return Ok(None);
            }
        }
    }

    /// Reads once; false at the end of the stream or when nothing came in time.
    pub fn fill(&mut self) -> Result<bool> {
        let mut buffer = [0; 65536];
        let read = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(&mut buffer),
            Stream::Unix(stream) => stream.read(&mut buffer),
        };
        match read {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => self.fill(),
            Err(error) if is_end(error.kind()) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn read_body(&mut self, response: &Response) -> Result<Vec<u8>> {
        if self.bodiless || response.status == 204 || response.status == 304 {
            return Ok(Vec::new());
        }
        if response.header("Transfer-Encoding").is_some() {
            return self.read_chunked_body();
        }
        if let Some(length) = response.header("Content-Length") {
            return self.take(length.parse().context("Content-Length")?);
        }
        while self.fill()? {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// The chunks that follow a head read with [`Self::read_head`].
    pub fn read_chunked_body(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line()?;
            let size = usize::from_str_radix(line.trim(), 16).context("chunk size")?;
            body.extend(self.take(size)?);
            self.take_line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn take_line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n") {
                return Ok(String::from_utf8_lossy(&self.take(end + 2)?).into_owned());
            }
            ensure!(self.fill()?, "response cut off in its framing");
        }
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.unread.len() < count {
            if !self.fill()? {
                bail!("response cut off: {} bytes of {count}", self.unread.len());
            }
        }
        let rest = self.unread.split_off(count);
        Ok(std::mem::replace(&mut self.unread, rest))
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

/// A timeout and a reset both mean that nothing more is coming.
fn is_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionReset)
}
