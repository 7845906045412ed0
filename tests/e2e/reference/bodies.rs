//! What is posted: requests of both generations of the protocol, whole, broken and empty.

use std::io::Write as _;
use std::process::{Command, Stdio};

use harness::pkt::{EMPTY_PACK, FLUSH, ZERO, line};

/// What the bodies and the plain files are about, in the repository `full.git`.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    pub(crate) tip: String,
    pub(crate) old: String,
    /// A commit that git's own checks find fault with, as a pack, and its id.
    pub(crate) faulty: (String, Vec<u8>),
    /// An object in a file of its own.
    pub(crate) loose: String,
    /// Paths of a pack and its index.
    pub(crate) pack: String,
    pub(crate) index: String,
}

/// Each is sent in every version of the protocol, so most are wrong in some.
pub(crate) fn fetches(ids: &Ids) -> Vec<Vec<u8>> {
    let v2 = |command: &str, arguments: &str| {
        format!(
            "{}{}0001{arguments}{FLUSH}",
            line(&format!("command={command}\n")),
            line("object-format=sha1")
        )
    };
    let want = line(&format!("want {}\n", ids.tip));
    let have = line(&format!("have {}\n", ids.old));
    let first = line(&format!("want {} side-band-64k ofs-delta no-progress agent=test\n", ids.tip));
    let (done, quiet) = (line("done\n"), line("no-progress\n"));
    let stranger = line(&format!("want {}\n", "1".repeat(40)));
    let bodies = [
        v2("ls-refs", &[line("peel\n"), line("symrefs\n"), line("ref-prefix refs/heads/\n")].concat()),
        v2("fetch", &format!("{quiet}{want}{done}")),
        v2("ls-refs", ""),
        v2("fetch", &format!("{quiet}{want}{have}")),
        v2("fetch", &format!("{quiet}{want}{}{done}", line("deepen 1\n"))),
        v2("fetch", &format!("{quiet}{want}{}{done}", line("filter blob:none\n"))),
        format!("{first}{FLUSH}{done}"),
        format!("{first}{FLUSH}{have}{FLUSH}"),
        format!("{first}{FLUSH}{have}{done}"),
        format!("{first}{}{FLUSH}{done}", line("deepen 2\n")),
        format!("{stranger}{FLUSH}{done}"),
        v2("fetch", &format!("{quiet}{stranger}{done}")),
        v2("nonsense", ""),
        v2("object-info", &line("size")),
        FLUSH.into(),
        String::new(),
        "no packet line".into(),
        "ffff".into(),
        line("want \n"),
    ];
    bodies.map(String::into_bytes).into()
}

/// Pushes of objects that are there already, and of some that are not.
pub(crate) fn pushes(ids: &Ids) -> Vec<Vec<u8>> {
    let (tip, old) = (&*ids.tip, &*ids.old);
    let command = |from: &str, to: &str, name: &str, capabilities: &str| {
        let line = line(&format!("{from} {to} {name}\0 report-status {capabilities} agent=test"));
        (line + FLUSH).into_bytes()
    };
    let push = |from: &str, to: &str, name: &str, pack: &[u8]| {
        [&command(from, to, name, "side-band-64k")[..], pack].concat()
    };
    let (faulty, faulty_pack) = &ids.faulty;
    vec![
        push(ZERO, tip, "refs/heads/new", EMPTY_PACK),
        FLUSH.into(),
        Vec::new(),
        push(tip, old, "refs/heads/main", EMPTY_PACK),
        push(old, tip, "refs/heads/main", EMPTY_PACK),
        push(ZERO, tip, "refs/tags/new", EMPTY_PACK),
        push(ZERO, tip, "refs/heads/bad..name", EMPTY_PACK),
        push(ZERO, &"1".repeat(40), "refs/heads/nothing", EMPTY_PACK),
        push(tip, ZERO, "refs/tags/v1", b""),
        push(tip, ZERO, "refs/heads/main", b""),
        push(ZERO, tip, "refs/heads/cut", &EMPTY_PACK[..20]),
        push(ZERO, tip, "refs/heads/short", b""),
        push(ZERO, tip, "refs/heads/garbage", b"no pack at all, but long enough for the head of one"),
        [&command(ZERO, tip, "refs/heads/plain", "")[..], EMPTY_PACK].concat(),
        [&command(ZERO, tip, "refs/heads/whole", "atomic")[..], EMPTY_PACK].concat(),
        [&command(ZERO, tip, "refs/heads/options", "push-options")[..], EMPTY_PACK].concat(),
        b"0010not a command".to_vec(),
        push(ZERO, tip, "refs/meta/config", EMPTY_PACK),
        push(ZERO, tip, "refs/notes/new", EMPTY_PACK),
        push(ZERO, faulty, "refs/heads/faulty", faulty_pack),
    ]
}

/// As gzip(1) does it.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut command = Command::new("gzip");
    let mut child = command.arg("-nc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}
