//! A connection of the null client: as little HTTP as servers here speak, read to its end and not kept.
//!
//! It is not the tests' client, because it shares the machine with what is measured and has to cost less.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// A whole answer, as far as it can be judged without keeping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) length: u64,
    /// The last four bytes.
    pub(crate) tail: [u8; 4],
    /// The server closes.
    closes: bool,
}

/// A connection and its buffer.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self { address, stream: Some(connect(address)?), buffer: vec![0; 256 * 1024], filled: 0 })
    }

    /// Sends a request and reads its answer; connects again where the last answer closed the connection.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        if self.stream.is_none() {
            self.stream = Some(connect(self.address)?);
        }
        self.stream()?.write_all(request).context("sending")?;
        let answer = self.read(&mut |_| {}).context("reading")?;
        if answer.closes {
            self.stream = None;
        }
        Ok(answer)
    }

    /// The next exchange gets a new connection.
    pub(crate) fn close(&mut self) {
        self.stream = None;
    }

    /// Sends a request and leaves its answer for later.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream()?.write_all(request)?)
    }

    /// The answer to what was sent.
    pub(crate) fn answer(&mut self) -> Result<Answer> {
        self.read(&mut |_| {})
    }

    /// Sends a request and keeps the whole body.
    pub(crate) fn fetch(&mut self, request: &[u8]) -> Result<(Answer, Vec<u8>)> {
        let mut body = Vec::new();
        self.stream()?.write_all(request)?;
        let answer = self.read(&mut |bytes| body.extend_from_slice(bytes))?;
        Ok((answer, body))
    }

    fn stream(&mut self) -> Result<&mut TcpStream> {
        self.stream.as_mut().context("the connection is closed")
    }

    fn read(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<Answer> {
        self.filled = 0;
        let end = loop {
            if let Some(at) = self.buffer[..self.filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(self.fill()? > 0, "closed before an answer");
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
        let field = |name: &str| {
            let line = head.lines().find(|line| line.starts_with(name))?;
            line.split_once(':').map(|(_, value)| value.trim())
        };
        let mut body = Body { length: 0, tail: [0; 4], sink };
        let mut closes = field("connection") == Some("close");
        let start = end..self.filled;
        if field("transfer-encoding").is_some() {
            self.chunked(start, &mut body)?;
        } else if let Some(length) = field("content-length") {
            self.counted(start, length.parse()?, &mut body)?;
        } else {
            closes = true;
            self.counted(start, u64::MAX, &mut body)?;
        }
        Ok(Answer { status, length: body.length, tail: body.tail, closes })
    }

    fn counted(&mut self, start: std::ops::Range<usize>, length: u64, body: &mut Body<'_>) -> Result<()> {
        body.take(&self.buffer[start]);
        while body.length < length {
            self.filled = 0;
            if self.fill()? == 0 {
                ensure!(length == u64::MAX, "cut off after {} bytes of {length}", body.length);
                return Ok(());
            }
            body.take(&self.buffer[..self.filled]);
        }
        Ok(())
    }

    fn chunked(&mut self, start: std::ops::Range<usize>, body: &mut Body<'_>) -> Result<()> {
        let mut chunks = Chunks::default();
        if chunks.take(&self.buffer[start], body)? {
            return Ok(());
        }
        loop {
            self.filled = 0;
            ensure!(self.fill()? > 0, "cut off between chunks");
            if chunks.take(&self.buffer[..self.filled], body)? {
                return Ok(());
            }
        }
    }

    fn fill(&mut self) -> Result<usize> {
        let Self { stream, buffer, filled, .. } = self;
        let stream = stream.as_mut().context("the connection is closed")?;
        let read = stream.read(&mut buffer[*filled..])?;
        *filled += read;
        Ok(read)
    }
}

/// What is known of a body so far.
struct Body<'a> {
    length: u64,
    tail: [u8; 4],
    // `dyn`, so that there is one reader for bodies that are kept and those that are not.
    sink: &'a mut dyn FnMut(&[u8]),
}

impl Body<'_> {
    fn take(&mut self, bytes: &[u8]) {
        (self.sink)(bytes);
        self.length += bytes.len() as u64;
        let last = &bytes[bytes.len().saturating_sub(4)..];
        self.tail.rotate_left(last.len());
        self.tail[4 - last.len()..].copy_from_slice(last);
    }
}

/// Chunked framing, RFC 9112 7.1, however it is cut into reads. Trailers are not expected.
#[derive(Default)]
struct Chunks {
    line: Vec<u8>,
    left: usize,
    last: bool,
}

impl Chunks {
    /// True at the end of the last chunk.
    fn take(&mut self, mut bytes: &[u8], body: &mut Body<'_>) -> Result<bool> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = self.left.min(bytes.len());
                body.take(&bytes[..count]);
                self.left -= count;
                bytes = &bytes[count..];
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
            if end.is_some() && self.line_ended()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A line is a size, or the empty one after a chunk.
    fn line_ended(&mut self) -> Result<bool> {
        let line = std::mem::take(&mut self.line);
        let text = std::str::from_utf8(&line)?.trim();
        if text.is_empty() {
            return Ok(self.last);
        }
        let size = text.split(';').next().unwrap_or_default();
        self.left = usize::from_str_radix(size, 16).with_context(|| format!("chunk size {text:?}"))?;
        self.last = self.left == 0;
        Ok(false)
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    Ok(stream)
}

/// A server that says nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(120);
