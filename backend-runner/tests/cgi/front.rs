//! `Front`: what nginx and authd do, in few lines, for a real git client. Everything the grammar knows is permitted.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::stage;

/// Listens on a port of its own for as long as the test process lives.
pub(crate) struct Front {
    pub(crate) url: String,
}

impl Front {
    pub(crate) fn to(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/git/", listener.local_addr().unwrap());
        let socket = socket.to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let socket = socket.clone();
                std::thread::spawn(move || pass(client, &socket));
            }
        });
        Self { url }
    }
}

/// One request for each connection: its head is rewritten, the rest is passed as it is.
fn pass(client: TcpStream, socket: &PathBuf) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let decision = stage::signed(words.next()?, words.next()?);
    let mut head = format!("{line}X-Gitward-Decision: {decision}\r\nConnection: close\r\n");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        head.push_str(&line);
        if line.trim_end().is_empty() {
            break;
        }
    }
    let mut runner = UnixStream::connect(socket).ok()?;
    runner.write_all(head.as_bytes()).ok()?;
    let mut answer = runner.try_clone().ok()?;
    let mut client_writer = client.try_clone().ok()?;
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answer, &mut client_writer);
        let _ = client_writer.shutdown(Shutdown::Both);
    });
    // A client that stays connected while it reads must not look like one that left.
    if std::io::copy(&mut reader, &mut runner).is_ok() {
        let _ = runner.shutdown(Shutdown::Both);
    }
    Some(())
}
