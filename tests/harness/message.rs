//! A request as a test writes it and a response as it was read, RFC 9112.

use anyhow::{Context, Result};

use crate::git::basic;

/// A request as it will be written.
#[derive(Clone, Debug)]
pub struct Request {
    head: String,
    body: Vec<u8>,
}

/// A response as it was read.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header fields in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
}

impl Request {
    /// A request line with `Host` and `Connection: close`; `target` is sent as it is.
    pub fn new(method: &str, target: &str) -> Self {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: git.example.org\r\nConnection: close\r\n");
        Self { head, body: Vec::new() }
    }

    /// `GET` of `target`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST` of `body` with its length and content type.
    pub fn post(target: &str, content_type: &str, body: &[u8]) -> Self {
        let request = Self::new("POST", target).header("Content-Type", content_type);
        Self { body: body.to_vec(), ..request.header("Content-Length", &body.len().to_string()) }
    }

    /// `POST` of `body` in chunks, without a length.
    pub fn post_in_chunks(target: &str, content_type: &str, body: &[u8]) -> Self {
        let request = Self::new("POST", target).header("Content-Type", content_type);
        Self { body: chunks(body), ..request.header("Transfer-Encoding", "chunked") }
    }

    /// Adds a header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Sends it to another host's server.
    pub fn host(mut self, host: &str) -> Self {
        self.head = self.head.replacen("Host: git.example.org", &format!("Host: {host}"), 1);
        self
    }

    /// Adds a body as it is, whatever the header fields say about it.
    pub fn body(self, body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..self }
    }

    /// Adds Basic credentials.
    pub fn basic(self, user: &str, password: &str) -> Self {
        self.header("Authorization", &basic(user, password))
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone().into_bytes();
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Response {
    /// The first header field of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Everything a client can see except what differs between any two requests, like the order of fields: it comes out of
    /// a hash with a seed for each answer, and means nothing (RFC 9110, 5.3).
    pub fn comparable(&self) -> String {
        let varies = ["date", "x-request-id"];
        let mut headers: Vec<String> = self
            .headers
            .iter()
            .filter(|(name, _)| !varies.contains(&name.to_ascii_lowercase().as_str()))
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        headers.sort();
        format!("{}\n{}\n\n{}", self.status, headers.join("\n"), self.text())
    }
}

pub(crate) fn parse_head(head: &str) -> Result<(u16, Vec<(String, String)>)> {
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let headers = lines
        .map(|field| field.split_once(':').with_context(|| format!("header field {field:?}")))
        .map(|field| field.map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect::<Result<_>>()?;
    Ok((status.with_context(|| format!("status line {line:?}"))?, headers))
}

/// The body in chunks of at most 64 KiB, RFC 9112 7.1.
pub fn chunks(body: &[u8]) -> Vec<u8> {
    let mut framed = Vec::new();
    for part in body.chunks(1 << 16) {
        framed.extend(format!("{:x}\r\n", part.len()).bytes());
        framed.extend_from_slice(part);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}
