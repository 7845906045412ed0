//! The requests that are compared: every service, repositories in every state, whole and broken bodies of all versions.

use crate::stage::{Stage, feed, git};

/// One request, to be sent in every way.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) target: String,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) anonymous: bool,
    pub(crate) body: Option<Vec<u8>>,
}

const PROTOCOLS: [Option<&str>; 4] = [None, Some("version=0"), Some("version=1"), Some("version=2")];

const REPOSITORIES: [&str; 8] = [
    "full.git",
    "empty.git",
    "sha256.git",
    "hidden.git",
    "closed.git",
    "shut.git",
    "open.git",
    "session.git",
];

pub(crate) fn shapes(stage: &Stage) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for repo in REPOSITORIES {
        for protocol in PROTOCOLS {
            for service in ["git-upload-pack", "git-receive-pack"] {
                let target = format!("/git/{repo}/info/refs?service={service}");
                shapes.push(Shape { target, protocol, anonymous: false, body: None });
            }
        }
    }
    let tip = |name: &str| git(&stage.repository("full.git"), &["rev-parse", name]).trim().to_owned();
    let fetches = fetch_bodies(&tip("main"), &tip("main~5"));
    let pushes = push_bodies(stage, &tip("main"), &tip("main~1"));
    for protocol in PROTOCOLS {
        for repo in ["full.git", "empty.git", "shut.git"] {
            for body in &fetches {
                let target = format!("/git/{repo}/git-upload-pack");
                shapes.push(Shape { target, protocol, anonymous: false, body: Some(body.clone()) });
            }
        }
        for repo in ["full.git", "closed.git"] {
            for body in &pushes {
                let target = format!("/git/{repo}/git-receive-pack");
                shapes.push(Shape { target, protocol, anonymous: false, body: Some(body.clone()) });
            }
        }
    }
    let read = "/git/full.git/info/refs?service=git-upload-pack";
    shapes.push(Shape { target: read.into(), protocol: None, anonymous: true, body: None });
    shapes
}

fn line(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

/// Requests of both generations of the protocol, whole, broken and empty; each is sent under every version.
fn fetch_bodies(tip: &str, old: &str) -> Vec<Vec<u8>> {
    let v2 = |command: &str, arguments: &str| {
        format!("{}{}0001{arguments}0000", line(&format!("command={command}\n")), line("object-format=sha1"))
    };
    let wants = line(&format!("want {tip}\n"));
    let have = line(&format!("have {old}\n"));
    let first = line(&format!("want {tip} side-band-64k ofs-delta no-progress agent=test\n"));
    let done = line("done\n");
    let bodies = [
        v2(
            "ls-refs",
            &format!("{}{}{}", line("peel\n"), line("symrefs\n"), line("ref-prefix refs/heads/\n")),
        ),
        v2("ls-refs", ""),
        v2("fetch", &format!("{}{wants}{done}", line("no-progress\n"))),
        v2("fetch", &format!("{}{wants}{have}", line("no-progress\n"))),
        v2("fetch", &format!("{}{wants}{}{done}", line("no-progress\n"), line("deepen 1\n"))),
        v2("nonsense", ""),
        format!("{first}0000{done}"),
        format!("{first}0000{have}0000"),
        format!("{first}0000{have}{done}"),
        format!("{first}{}0000{done}", line("deepen 2\n")),
        line(&format!("want {}\n", "1".repeat(40))) + "0000" + &done,
        "0000".into(),
        String::new(),
        "no packet line".into(),
    ];
    bodies.map(String::into_bytes).into()
}

fn push_bodies(stage: &Stage, tip: &str, old: &str) -> Vec<Vec<u8>> {
    let zero = "0".repeat(40);
    let command = |from: &str, to: &str, name: &str| {
        line(&format!("{from} {to} {name}\0 report-status side-band-64k agent=test")) + "0000"
    };
    let bare = stage.repository("full.git");
    let pack =
        feed(&bare, &["pack-objects", "-q", "--stdout", "--revs"], format!("{tip}\n^{old}\n").as_bytes());
    let with_pack = |commands: String| [commands.as_bytes(), &pack].concat();
    vec![
        b"0000".to_vec(),
        Vec::new(),
        with_pack(command(&zero, tip, "refs/heads/new")),
        with_pack(command(tip, old, "refs/heads/main")),
        with_pack(command(&zero, tip, "refs/meta/config")),
        with_pack(command(&zero, tip, "refs/heads/bad..name")),
        command(old, &zero, "refs/heads/main").into_bytes(),
        command(tip, &zero, "refs/tags/v1").into_bytes(),
        b"0010not a command".to_vec(),
    ]
}

/// How a body is sent.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) chunked: bool,
    pub(crate) compressed: bool,
}

/// As it is, and in turn one of the other ways.
pub(crate) fn variants(shape: &Shape, number: usize) -> Vec<Variant> {
    let variant = |number: usize| Variant { chunked: number % 2 == 1, compressed: number >= 2 };
    match &shape.body {
        None => vec![variant(0)],
        Some(_) => vec![variant(0), variant(1 + number % 3)],
    }
}

impl Shape {
    pub(crate) fn described(&self) -> String {
        let body = self.body.as_deref().unwrap_or_default().escape_ascii();
        format!("{} {:?} {body}", self.target, self.protocol)
    }
}
