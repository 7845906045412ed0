//! `git http-backend` as the manual page sets it up: a CGI program behind a web server that decodes the path, checks
//! passwords and hands on what the client said. Nothing of Gitward is in it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::people::{READER, WRITER};

use super::Seen;
use super::shapes::{Login, Shape};

/// What a client gets.
pub(crate) fn answer(root: &Path, shape: &Shape) -> Seen {
    let output = run(root, shape);
    let (head, body) = split_head(&output);
    let mut seen = Seen { status: 200, ..Seen::default() };
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        match name {
            "Status" => seen.status = value[..3].parse().unwrap(),
            _ => seen.note(name, value),
        }
    }
    if shape.method != "HEAD" {
        seen.body = body.to_vec();
    }
    seen
}

fn run(root: &Path, shape: &Shape) -> Vec<u8> {
    let mut command = Command::new("/usr/bin/git");
    command.arg("http-backend").env_clear().current_dir(root);
    command.env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").env("LC_ALL", "C");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("SERVER_PROTOCOL", "HTTP/1.1").env("REMOTE_ADDR", "127.0.0.1");
    let (path, query) = shape.target.split_once('?').unwrap_or((&shape.target, ""));
    command.env("REQUEST_METHOD", shape.method).env("PATH_INFO", decoded(path)).env("QUERY_STRING", query);
    match shape.login {
        Login::Writer => command.env("REMOTE_USER", WRITER.name),
        Login::Reader => command.env("REMOTE_USER", READER.name),
        Login::Nobody | Login::WrongPassword => &mut command,
    };
    for (name, value) in joined(&shape.headers) {
        let variable = name.to_ascii_uppercase().replace('-', "_");
        match &*variable {
            "CONTENT_TYPE" => command.env(variable, value),
            "GIT_PROTOCOL" => command.env(variable, value),
            _ => command.env(format!("HTTP_{variable}"), value),
        };
    }
    if !shape.chunked && shape.method == "POST" {
        command.env("CONTENT_LENGTH", shape.body.len().to_string());
    }
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = streams.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // It need not read all of it.
        scope.spawn(move || stdin.write_all(&shape.body));
        child.wait_with_output().unwrap().stdout
    })
}

/// A field that comes twice is one with both values to a CGI program, RFC 3875 section 4.1.18.
fn joined(headers: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let mut joined: Vec<(&str, String)> = Vec::new();
    for (name, value) in headers {
        match joined.iter_mut().find(|(known, _)| known == name) {
            Some((_, first)) => *first = format!("{first}, {value}"),
            None => joined.push((name, value.clone())),
        }
    }
    joined
}

fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(code) => bytes.extend([&[code], &part.as_bytes()[2..]].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    harness::git::text(&bytes)
}

fn split_head(output: &[u8]) -> (String, &[u8]) {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(output.len());
    (harness::git::text(&output[..end]), output.get(end + 4..).unwrap_or_default())
}
