//! The requests that are tried: every route with every way to say it, generated.

use super::bodies::{self, Ids};
use super::posts;

pub(crate) const UPLOAD: &str = harness::pkt::UPLOAD_PACK;
pub(crate) const RECEIVE: &str = harness::pkt::RECEIVE_PACK;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) method: &'static str,
    /// Path and query below the mount, with the leading slash.
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) chunked: bool,
    pub(crate) login: Login,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    Nobody,
    Reader,
    Writer,
    WrongPassword,
}

/// Which part of the generator made it; the decided differences are about these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Advertisement,
    Protocol,
    Service,
    Method,
    Fetch,
    Push,
    Encoding,
    ContentType,
    Size,
    Dumb,
    Spelling,
    Header,
    Caller,
}

/// Repositories and what is special about each; see `repositories`.
pub(crate) const REPOSITORIES: [&str; 11] = [
    "noted.git",
    "full.git",
    "public/full.git",
    "empty.git",
    "sha256.git",
    "hidden.git",
    "unwritten.git",
    "unread.git",
    "generous.git",
    "nofiles.git",
    "absent.git",
];

pub(super) const READ: &str = "git-upload-pack";
pub(super) const WRITE: &str = "git-receive-pack";
pub(super) const PROTOCOLS: [Option<&str>; 4] =
    [None, Some("version=0"), Some("version=1"), Some("version=2")];

impl Shape {
    pub(super) fn get(kind: Kind, target: impl Into<String>) -> Self {
        let (method, login) = ("GET", Login::Writer);
        Self { kind, method, target: target.into(), headers: vec![], body: vec![], chunked: false, login }
    }

    pub(super) fn post(kind: Kind, repository: &str, service: &str, body: &[u8]) -> Self {
        let content_type = if service == READ { UPLOAD } else { RECEIVE };
        let get = Self::get(kind, format!("/{repository}/{service}"));
        Self { method: "POST", body: body.to_vec(), ..get }.with("Content-Type", content_type)
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn protocol(self, protocol: Option<&str>) -> Self {
        match protocol {
            Some(protocol) => self.with("Git-Protocol", protocol),
            None => self,
        }
    }

    /// Whether it may change the repository.
    pub(crate) fn writes(&self) -> bool {
        self.method == "POST" && self.target.ends_with(WRITE)
    }
}

/// All of them.
pub(crate) fn all(ids: &Ids) -> Vec<Shape> {
    let parts = [
        advertisements(),
        methods(),
        posts::fetches(ids),
        posts::pushes(ids),
        posts::encodings(ids),
        posts::content_types(ids),
        dumb(ids),
        spellings(),
        headers(ids),
        callers(ids),
    ];
    parts.concat()
}

fn advertisement(repository: &str, service: &str) -> String {
    format!("/{repository}/info/refs?service={service}")
}

fn advertisements() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for repository in REPOSITORIES {
        for service in [READ, WRITE] {
            for protocol in PROTOCOLS {
                let shape = Shape::get(Kind::Advertisement, advertisement(repository, service));
                shapes.push(shape.protocol(protocol));
            }
        }
    }
    for protocol in
        ["version=3", "version=2:x", "x:version=1", "VERSION=2", "version", "2", "", "version=2, version=2"]
    {
        for service in [READ, WRITE] {
            let shape = Shape::get(Kind::Protocol, advertisement("full.git", service));
            shapes.push(shape.protocol(Some(protocol)));
        }
    }
    for service in
        ["git-upload-archive", "git-evil", "upload-pack", "git-", "", "git-upload-pack%20", "git_upload_pack"]
    {
        shapes.push(Shape::get(Kind::Service, advertisement("full.git", service)));
    }
    shapes
}

fn methods() -> Vec<Shape> {
    let targets = [
        advertisement("full.git", READ),
        advertisement("full.git", WRITE),
        "/full.git/info/refs".into(),
        "/full.git/git-upload-pack".into(),
        "/full.git/git-receive-pack".into(),
        "/full.git/git-upload-archive".into(),
        "/full.git/HEAD".into(),
        "/full.git/".into(),
        "/full.git".into(),
        "/".into(),
    ];
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"];
    let shapes = targets.iter().flat_map(|target| {
        methods.map(|method| Shape { method, ..Shape::get(Kind::Method, target.clone()) })
    });
    // These are tried as what they are elsewhere.
    shapes.filter(|shape| shape.method != "GET" || !shape.target.contains("service=")).collect()
}

fn dumb(ids: &Ids) -> Vec<Shape> {
    let object = format!("objects/{}/{}", &ids.loose[..2], &ids.loose[2..]);
    let files = [
        "HEAD",
        "info/refs",
        "objects/info/packs",
        "objects/info/alternates",
        "objects/info/http-alternates",
        "objects/info/none",
        "objects/00/none",
        "objects/pack/none",
        "config",
        "description",
        "hooks/",
        "packed-refs",
        "refs/heads/main",
        "logs/HEAD",
        "index",
        "FETCH_HEAD",
        "objects",
        "objects/",
        &object,
        &ids.pack,
        &ids.index,
    ];
    let repositories = ["full.git", "nofiles.git", "absent.git"];
    let get = |repository: &str, file: &str| Shape::get(Kind::Dumb, format!("/{repository}/{file}"));
    repositories.iter().flat_map(|repository| files.iter().map(move |file| get(repository, file))).collect()
}

fn spellings() -> Vec<Shape> {
    let query = "service=git-upload-pack";
    let targets = [
        "/full/info/refs?@",
        "//full.git/info/refs?@",
        "/full.git//info/refs?@",
        "/./full.git/info/refs?@",
        "/full.git/./info/refs?@",
        "/public/../full.git/info/refs?@",
        "/public/%2e%2e/full.git/info/refs?@",
        "/full%2egit/info/refs?@",
        "/full.git/info%2frefs?@",
        "/full.git/info/refs/?@",
        "/full.git/info/refs/x?@",
        "/FULL.git/info/refs?@",
        "/full.GIT/info/refs?@",
        "/link.git/info/refs?@",
        "/file.git/info/refs?@",
        "/full.git/objects/info/refs?@",
        "/full.git/info/refs?x=y&@",
        "/full.git/info/refs?@&x=y",
        "/full.git/info/refs?service=x&@",
        "/full.git/info/refs?@&service=git-receive-pack",
        "/full.git/info/refs?@;x",
        "/full.git/info/refs?Service=git-upload-pack",
        "/full.git/info/refs?service=git%2dupload-pack",
        "/full.git/info/refs?@#x",
        "/full.git/info/refs??@",
        "/full.git/info/refs?",
        "/full.git/info/refs?&@",
        "/plain/info/refs?@",
        "/plain/.git/info/refs?@",
        "/~root/full.git/info/refs?@",
        "/full.git/refs?@",
        "/absent/full.git/info/refs?@",
        "/public/info/refs?@",
        "/info/refs?@",
        "/.git/info/refs?@",
    ];
    let get = |target: &&str| Shape::get(Kind::Spelling, target.replace('@', query));
    let posts = [
        "/full/git-upload-pack",
        "/full.git//git-upload-pack",
        "/full.git/git-upload-pack?x=y",
        "/full.git/git-upload-pack/",
        "/full.git/info/refs/git-upload-pack",
        "/full.git/git-upload-pack?",
    ];
    let post = |target: &&str| {
        let shape = Shape::post(Kind::Spelling, "full.git", READ, b"0000");
        Shape { target: (*target).to_owned(), ..shape }
    };
    targets.iter().map(get).chain(posts.iter().map(post)).collect()
}

fn headers(ids: &Ids) -> Vec<Shape> {
    let extra = [
        ("Accept-Encoding", "gzip, deflate"),
        ("Accept-Language", "de"),
        ("Accept", "text/html"),
        ("User-Agent", "git/1.0"),
        ("X-Http-Method-Override", "DELETE"),
        ("Range", "bytes=0-9"),
        ("If-None-Match", "*"),
        ("Cookie", "a=b"),
        ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ("Origin", "https://evil.example"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("Te", "trailers"),
        ("Pragma", "no-cache"),
        ("Proxy", "http://evil.example"),
        ("Remote-User", "root"),
        ("Git-Dir", "/"),
        ("Referer", "https://evil.example"),
        ("X-Git-Protocol", "version=2"),
    ];
    let mut shapes = Vec::new();
    for (name, value) in extra {
        shapes.push(Shape::get(Kind::Header, advertisement("full.git", READ)).with(name, value));
        shapes.push(Shape::post(Kind::Header, "full.git", READ, &bodies::fetches(ids)[6]).with(name, value));
        shapes.push(Shape::post(Kind::Header, "full.git", WRITE, &bodies::pushes(ids)[0]).with(name, value));
    }
    shapes
}

fn callers(ids: &Ids) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for login in [Login::Nobody, Login::Reader, Login::WrongPassword] {
        for repository in ["full.git", "public/full.git", "generous.git", "absent.git", "public/absent.git"] {
            for service in [READ, WRITE] {
                let body = if service == READ { &bodies::fetches(ids)[6] } else { &bodies::pushes(ids)[0] };
                let get = Shape::get(Kind::Caller, advertisement(repository, service));
                shapes.push(Shape { login, ..get });
                shapes.push(Shape { login, ..Shape::post(Kind::Caller, repository, service, body) });
            }
        }
    }
    shapes
}
