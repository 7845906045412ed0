//! What a request of protocol version 2 asks for, when the answer may be somebody else's too: gitprotocol-v2(5).
//!
//! A request becomes its canonical text: every line that can matter to the answer, in order, without who is asking. A line that
//! is not known here may matter in ways that are not known either, so the request is git's alone then.

use super::digest::{Digest, Parts};
use super::framing::{Packet, packets};

/// A question that has one answer, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which refs there are; the answer holds until they change.
    LsRefs(Digest),
    /// A pack; the answer stays right, since objects never change.
    Fetch(Digest),
}

/// The question in the plain body of a request to `git-upload-pack`.
#[must_use]
pub fn question(body: &[u8]) -> Option<Question> {
    let packets = packets(body)?;
    let (&Packet::Flush, packets) = packets.split_last()? else { return None };
    let (&Packet::Line(command), packets) = packets.split_first()? else { return None };
    let mut sections = packets.split(|packet| *packet == Packet::Delimiter);
    let capabilities = lines(sections.next()?)?;
    let arguments = sections.next().map_or(Some(Vec::new()), lines)?;
    if sections.next().is_some() {
        return None;
    }
    let capabilities = capabilities.into_iter().filter(|line| !tells_who(line));
    let capabilities: Vec<_> = capabilities.collect();
    if capabilities.iter().any(|line| !line.starts_with(b"object-format=")) {
        return None;
    }
    let key = || {
        let parts = Parts::of("question").and(chomped(command));
        let parts = capabilities.iter().fold(parts, |parts, line| parts.and(line)).and(b"");
        arguments.iter().fold(parts, |parts, line| parts.and(line)).digest()
    };
    match chomped(command) {
        b"command=ls-refs" => {
            arguments.iter().all(|line| is_of(line, &LS_REFS)).then(|| Question::LsRefs(key()))
        }
        b"command=fetch" => is_settled(&arguments).then(|| Question::Fetch(key())),
        _ => None,
    }
}

/// Whether the plain body of a v2 request is for a shallow clone: the last commit, by somebody who has nothing.
#[must_use]
pub fn is_shallow_clone(body: &[u8]) -> bool {
    let Some(packets) = packets(body) else { return false };
    let is = |wanted: &[u8]| {
        packets.iter().any(|packet| matches!(packet, Packet::Line(line) if chomped(line) == wanted))
    };
    let begins = |start: &[u8]| {
        packets.iter().any(|packet| matches!(packet, Packet::Line(line) if line.starts_with(start)))
    };
    is(b"command=fetch") && is(b"deepen 1") && !begins(b"have ") && !begins(b"shallow ")
}

/// The client's name: the only line that does not matter. Whatever git might not take instead would end the answer for
/// everybody who asks the same meanwhile: a session id that nobody asked for, a line that is too long for a packet.
fn tells_who(line: &[u8]) -> bool {
    line.starts_with(b"agent=") && line.len() <= LONGEST_AGENT
}

const LONGEST_AGENT: usize = 1024;

/// A fetch whose answer is a pack made from objects alone: no ref is named, and nothing is left to negotiate.
fn is_settled(arguments: &[&[u8]]) -> bool {
    let has = |start: &[u8]| arguments.iter().any(|line| line.starts_with(start));
    let is_done = arguments.contains(&&b"done"[..]);
    // `sparse:oid` can name a file on a branch, also in escapes.
    let names_a_ref = |line: &[u8]| {
        line.starts_with(b"filter ")
            && (line.contains(&b'%') || line.windows(6).any(|part| part == b"sparse"))
    };
    arguments.iter().all(|line| is_of(line, &FETCH) && !names_a_ref(line))
        && has(b"want ")
        && (is_done || !has(b"have "))
}

/// Arguments that are a word, or start with one and a space.
const LS_REFS: [&str; 4] = ["peel", "symrefs", "unborn", "ref-prefix "];
const FETCH: [&str; 12] = [
    "want ",
    "have ",
    "done",
    "thin-pack",
    "no-progress",
    "include-tag",
    "ofs-delta",
    "shallow ",
    "deepen ",
    "deepen-since ",
    "deepen-relative",
    "filter ",
];

fn is_of(line: &[u8], known: &[&str]) -> bool {
    known.iter().any(|word| match word.ends_with(' ') {
        true => line.starts_with(word.as_bytes()),
        false => line == word.as_bytes(),
    })
}

fn lines<'a>(packets: &[Packet<'a>]) -> Option<Vec<&'a [u8]>> {
    let line = |packet: &Packet<'a>| match *packet {
        Packet::Line(line) => Some(chomped(line)),
        Packet::Flush | Packet::Delimiter => None,
    };
    packets.iter().map(line).collect()
}

/// git takes a line with and without its end.
fn chomped(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of lines; `|` stands for the delimiter.
    fn body(lines: &[&str]) -> Vec<u8> {
        let packet = |line: &&str| match *line {
            "|" => "0001".to_owned(),
            line => format!("{:04x}{line}\n", line.len() + 5),
        };
        (lines.iter().map(packet).collect::<String>() + "0000").into_bytes()
    }

    const WANT: &str = "want 0123456789012345678901234567890123456789";

    #[test]
    fn who_asks_does_not_matter_and_what_is_asked_does() {
        let asked = |lines: &[&str]| question(&body(lines)).unwrap();
        let plain = asked(&["command=fetch", "object-format=sha1", "|", WANT, "done"]);
        for agent in ["agent=git/2.47", "agent=JGit"] {
            assert_eq!(asked(&["command=fetch", agent, "object-format=sha1", "|", WANT, "done"]), plain);
        }
        for other in [
            &["command=fetch", "|", WANT, "done"][..],
            &["command=fetch", "object-format=sha1", "|", WANT],
            &["command=fetch", "object-format=sha1", "|", WANT, "deepen 1", "done"],
            &["command=fetch", "object-format=sha1", "|", WANT, "filter blob:none", "done"],
        ] {
            assert_ne!(asked(other), plain);
        }
        let refs = asked(&["command=ls-refs", "|", "peel", "ref-prefix refs/heads/"]);
        assert_ne!(refs, asked(&["command=ls-refs", "|", "peel", "ref-prefix refs/tags/"]));
        assert_ne!(refs, asked(&["command=ls-refs", "|", "peel", "symrefs", "ref-prefix refs/heads/"]));
        assert_eq!(question(b"0013command=ls-refs0000"), question(b"0014command=ls-refs\n0000"));
    }

    #[test]
    fn a_shallow_clone_is_of_one_commit_and_has_nothing() {
        let asked = |lines: &[&str]| is_shallow_clone(&body(lines));
        assert!(asked(&["command=fetch", "|", "deepen 1", WANT, "done"]));
        for other in [
            &["command=fetch", "|", WANT, "done"][..],
            &["command=fetch", "|", "deepen 10", WANT, "done"],
            &[
                "command=fetch",
                "|",
                "deepen 1",
                WANT,
                "have 0123456789012345678901234567890123456789",
                "done",
            ],
            &[
                "command=fetch",
                "|",
                "deepen 1",
                WANT,
                "shallow 0123456789012345678901234567890123456789",
                "done",
            ],
            &["command=ls-refs", "|", "deepen 1"],
        ] {
            assert!(!asked(other), "{other:?}");
        }
    }

    #[test]
    fn a_question_about_refs_options_or_the_unknown_is_gits_alone() {
        for lines in [
            &["command=fetch", "|", "want-ref refs/heads/main", "done"][..],
            &["command=fetch", "|", WANT, "deepen-not refs/heads/old", "done"],
            &["command=fetch", "|", WANT, "have 0123456789012345678901234567890123456789"],
            &["command=fetch", "|", WANT, "packfile-uris https", "done"],
            &["command=fetch", "|", WANT, "filter sparse:oid=main:cone", "done"],
            &["command=fetch", "|", WANT, "filter combine:tree:3+sparse:oid=main:cone", "done"],
            &["command=fetch", "|", WANT, "filter combine:%73parse:oid=main:cone", "done"],
            &["command=fetch", "|", WANT, "sideband-all", "done"],
            &["command=fetch", "|", WANT, "wait-for-done"],
            &["command=fetch", "|", WANT, "brand-new", "done"],
            &["command=fetch", "server-option=x", "|", WANT, "done"],
            &["command=fetch", "promisor-remote=x", "|", WANT, "done"],
            &["command=fetch", "session-id=x", "|", WANT, "done"],
            &["command=fetch", &format!("agent={}", "x".repeat(65_520)), "|", WANT, "done"],
            &["command=fetch", "|", WANT, "|", "done"],
            &["command=fetch", "|", "done"],
            &["command=ls-refs", "server-option=x"],
            &["command=ls-refs", "|", "brand-new"],
            &["command=object-info", "|", "size"],
            &["command=bundle-uri"],
            &["agent=git/2.47", "command=ls-refs"],
        ] {
            assert_eq!(question(&body(lines)), None, "{lines:?}");
        }
        let two = [body(&["command=ls-refs"]), body(&["command=ls-refs"])].concat();
        for body in [&b""[..], b"0000", b"0014command=ls-refs\n", &two] {
            assert_eq!(question(body), None);
        }
    }
}
