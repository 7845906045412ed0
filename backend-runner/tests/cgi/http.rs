//! A client that sends what it is told to and reads one answer. It never repairs anything.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// One answer, as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its announced end.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<UnixStream>,
}

impl Connection {
    pub(crate) fn open(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// The half that writes, for a second thread.
    pub(crate) fn writer(&self) -> UnixStream {
        self.stream.get_ref().try_clone().unwrap()
    }

    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let (status, headers) = self.head()?;
        let mut answer = Answer { status, headers, body: Vec::new(), complete: true };
        if let Some(length) = answer.header("content-length") {
            let length: u64 = length.parse().unwrap();
            self.stream.by_ref().take(length).read_to_end(&mut answer.body)?;
            answer.complete = answer.body.len() as u64 == length;
        } else {
            answer.complete = self.chunks(&mut answer.body).is_ok();
        }
        Ok(answer)
    }

    pub(crate) fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        Ok((status, headers))
    }

    /// One chunk of a chunked body; empty at the end.
    pub(crate) fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = self.line()?;
        let size = usize::from_str_radix(&size, 16).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk)?;
        chunk.truncate(size);
        Ok(chunk)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(());
            }
            body.extend(chunk);
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

/// A request without a body.
pub(crate) fn get(headers: &[(&str, &str)]) -> Vec<u8> {
    head("GET", headers)
}

/// A request with a body of known length.
pub(crate) fn post(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut request = head("POST", &[headers, &[("Content-Length", &length)]].concat());
    request.extend_from_slice(body);
    request
}

/// A request whose body comes in chunks of `size`.
pub(crate) fn post_chunked(headers: &[(&str, &str)], body: &[u8], size: usize) -> Vec<u8> {
    let mut request = head("POST", &[headers, &[("Transfer-Encoding", "chunked")]].concat());
    for part in body.chunks(size) {
        request.extend(format!("{:x}\r\n", part.len()).bytes());
        request.extend_from_slice(part);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// Everything up to the blank line.
pub(crate) fn head(method: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} /git HTTP/1.1\r\nHost: runner\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}
