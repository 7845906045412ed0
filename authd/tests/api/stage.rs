//! A running authd with its files in a temporary directory, and a client that speaks plain bytes.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use authd::server::{RunError, Server};
use authd::state::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use daemon::listen::Listen;
use policy::decision::{self, Decision};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const POLICY: &str = r#"
version: 1
access:
  "team/": { read: ["@developers"], write: [joe] }
  "public/": { read: [anonymous] }
  "members/": { read: [authenticated] }
  "old/": { read: [joe], write: [joe], frozen: true }
"#;

pub(crate) const READ_TEAM: &str = "/git/team/a.git/info/refs?service=git-upload-pack";
pub(crate) const WRITE_TEAM: &str = "/git/team/a.git/info/refs?service=git-receive-pack";
pub(crate) const READ_PUBLIC: &str = "/git/public/a.git/info/refs?service=git-upload-pack";
pub(crate) const READ_MEMBERS: &str = "/git/members/a.git/info/refs?service=git-upload-pack";
pub(crate) const READ_MISSING: &str = "/git/nowhere/a.git/info/refs?service=git-upload-pack";

/// Files for a daemon, not started yet.
pub(crate) struct Files {
    directory: TempDir,
}

/// A running daemon.
pub(crate) struct Stage {
    pub(crate) files: Files,
    pub(crate) state: Arc<State>,
    pub(crate) address: Listen,
    pub(crate) admin: Listen,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), RunError>>,
}

/// A question, built up header by header.
#[derive(Clone)]
pub(crate) struct Ask {
    headers: String,
}

/// An answer, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

// === impl Files ===

impl Files {
    /// joe may write, ann may read, bob is in no group, eve has no password.
    pub(crate) fn new() -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        let user = |name: &str, groups: &str| {
            let hash = bcrypt::hash(format!("{name}'s password"), 4).unwrap();
            format!("  {name}: {{ password: \"{hash}\", groups: [{groups}], info: {{ name: {name} }} }}\n")
        };
        let users = [user("joe", "developers"), user("ann", "developers"), user("bob", "")].concat();
        files.write("users.yaml", &format!("version: 1\nusers:\n{users}  eve: {{ groups: [developers] }}\n"));
        files.write("policy.yaml", POLICY);
        files.configure("unix", "", "  - { type: users, file: users.yaml }\n");
        files
    }

    /// `listen` is `unix` or an address; `more` are further lines.
    pub(crate) fn configure(&self, listen: &str, more: &str, directories: &str) {
        let socket = self.path("authd.sock");
        let listen = if listen == "unix" { format!("unix:{}", socket.display()) } else { listen.to_owned() };
        let text = format!(
            "version: 1\nlisten: '{listen}'\nadmin: 127.0.0.1:0\nsigning_key_file: signing.key\n{more}directories:\n{directories}"
        );
        self.write("authd.yaml", &text);
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn start(self) -> Stage {
        let server = Server::bind(&self.path("authd.yaml"), Handle::current()).unwrap();
        let (stop, stopped) = oneshot::channel();
        Stage {
            state: server.state(),
            address: server.address().unwrap(),
            admin: server.admin_address().unwrap(),
            running: tokio::spawn(server.run(async {
                let _ = stopped.await;
            })),
            stop,
            files: self,
        }
    }
}

// === impl Stage ===

impl Stage {
    pub(crate) async fn start() -> Self {
        Files::new().start().await
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Answer {
        self.raw(&format!(
            "GET /auth/nginx HTTP/1.1\r\nHost: authd\r\nConnection: close\r\n{}\r\n",
            ask.headers
        ))
        .await
    }

    pub(crate) async fn raw(&self, request: &str) -> Answer {
        send(&self.address, request).await
    }

    pub(crate) async fn metrics(&self) -> String {
        let answer = self.admin("/metrics").await;
        assert_eq!(answer.status, 200);
        answer.body
    }

    pub(crate) async fn admin(&self, path: &str) -> Answer {
        send(&self.admin, &format!("GET {path} HTTP/1.1\r\nHost: authd\r\nConnection: close\r\n\r\n")).await
    }

    /// The sum of all series that begin like this.
    pub(crate) async fn count(&self, series: &str) -> u64 {
        let metrics = self.metrics().await;
        let values = metrics.lines().filter(|line| line.starts_with(series));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// The decision in an answer, its signature checked.
    pub(crate) fn decision(&self, answer: &Answer) -> Decision {
        let bytes = fs::read(self.files.path("signing.key")).unwrap();
        let key = decision::SigningKey::from_bytes(bytes.try_into().unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        decision::verify(&key, answer.header("x-gitward-decision").unwrap(), now).unwrap()
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap().unwrap();
    }
}

async fn send(address: &Listen, request: &str) -> Answer {
    match address {
        Listen::Unix(path) => exchange(UnixStream::connect(path).await.unwrap(), request).await,
        Listen::Tcp(address) => exchange(TcpStream::connect(address).await.unwrap(), request).await,
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    Answer::parse(&response)
}

// === impl Ask ===

impl Ask {
    /// A subrequest as nginx sends it, from one client, without credentials.
    pub(crate) fn get(target: &str) -> Self {
        Self::bare().header("X-Original-Method", "GET").header("X-Original-URI", target).from("192.0.2.1")
    }

    pub(crate) fn bare() -> Self {
        Self { headers: String::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        write!(self.headers, "{name}: {value}\r\n").unwrap();
        self
    }

    pub(crate) fn from(mut self, client: &str) -> Self {
        self.headers = self
            .headers
            .lines()
            .filter(|line| !line.starts_with("X-Real-IP"))
            .fold(String::new(), |headers, line| headers + line + "\r\n");
        self.header("X-Real-IP", client)
    }

    pub(crate) fn login(self, user: &str, password: &str) -> Self {
        let token = STANDARD.encode(format!("{user}:{password}"));
        self.header("Authorization", &format!("Basic {token}"))
    }

    /// With the right password.
    pub(crate) fn user(self, user: &str) -> Self {
        self.login(user, &format!("{user}'s password"))
    }
}

// === impl Answer ===

impl Answer {
    fn parse(response: &str) -> Self {
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Self { status, headers: lines.map(header).collect(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Everything but the date.
    pub(crate) fn fixed(&self) -> Self {
        let mut headers: Vec<_> = self.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
        headers.sort();
        Self { headers, ..self.clone() }
    }
}
