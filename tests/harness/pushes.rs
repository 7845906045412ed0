//! Pushes as bytes: what git itself would refuse to send, sent anyway. See gitprotocol-pack(5).

use std::fmt::Write as _;

use anyhow::Result;

use crate::message::{Request, Response};
use crate::people::Person;
use crate::pkt::{EMPTY_PACK, FLUSH, RECEIVE_PACK};
use crate::repositories::Repository;
use crate::stack::Stack;

/// The trailer of an empty pack where objects are named by SHA-256.
const EMPTY_SHA256: &str = "7ed890d8a45760f3eecf73045b1d1047085af4776dc683d78eac82203df1993f";

/// A repository of either object format with a small history of which no ref knows: a root, two commits after it, a
/// commit beside the first of them, and a merge of both.
#[derive(Debug)]
pub struct Target<'s> {
    stack: &'s Stack,
    name: String,
    format: &'static str,
    /// The repository.
    pub repository: Repository,
    /// The id of nothing.
    pub zero: String,
    /// The first commit.
    pub root: String,
    /// After the root.
    pub next: String,
    /// After that.
    pub last: String,
    /// Also after the root.
    pub side: String,
    /// Of `next` and `side`.
    pub merge: String,
}

impl<'s> Target<'s> {
    /// Makes the repository `<folder>/<format>.git`.
    pub fn new(stack: &'s Stack, folder: &str, format: &'static str) -> Result<Self> {
        let name = format!("{folder}/{format}.git");
        let repository = stack.repositories().init(&name, format)?;
        let tree = repository.git().fed(&["mktree"], b"")?;
        let commit = |message: &str, parents: &[&str]| {
            let parents = parents.iter().flat_map(|parent| ["-p", parent]);
            let words: Vec<&str> = ["commit-tree", "-m", message].into_iter().chain(parents).collect();
            repository.git().ok(&[&words[..], &[&tree]].concat())
        };
        let root = commit("root", &[])?;
        let (next, side) = (commit("next", &[&root])?, commit("side", &[&root])?);
        let (last, merge) = (commit("last", &[&next])?, commit("merge", &[&next, &side])?);
        let zero = "0".repeat(root.len());
        Ok(Self { stack, name, format, repository, zero, root, next, last, side, merge })
    }

    /// Sets refs on the server, past all rules.
    pub fn set(&self, refs: &[(&str, &str)]) -> Result<()> {
        refs.iter().try_for_each(|(name, id)| self.repository.git().ok(&["update-ref", name, id]).map(drop))
    }

    /// Removes all refs on the server.
    pub fn clear(&self) -> Result<()> {
        let listed = self.repository.git().ok(&["for-each-ref", "--format=%(refname)"])?;
        let delete =
            |name: &str| self.repository.git().ok(&["update-ref", "--no-deref", "-d", name]).map(drop);
        listed.lines().try_for_each(delete)
    }

    /// Pushes these updates (old, new, name) without objects; what the server answers.
    pub fn push(&self, person: Person, updates: &[(&str, &str, &str)]) -> Result<Response> {
        let bytes: Vec<_> = updates.iter().map(|(old, new, name)| (*old, *new, name.as_bytes())).collect();
        self.push_bytes(person, &bytes)
    }

    /// The same with names that are no text.
    pub fn push_bytes(&self, person: Person, updates: &[(&str, &str, &[u8])]) -> Result<Response> {
        let body = self.body(updates);
        let target = format!("/git/{}/git-receive-pack", self.name);
        let request = Request::post(&target, RECEIVE_PACK, &body);
        self.stack.http(&request.basic(person.name, person.password))
    }

    fn body(&self, updates: &[(&str, &str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (number, (old, new, name)) in updates.iter().enumerate() {
            let mut line = format!("{old} {new} ").into_bytes();
            line.extend_from_slice(name);
            if number == 0 {
                let _ = write!(Text(&mut line), "\0 report-status object-format={}", self.format);
            }
            body.extend_from_slice(format!("{:04x}", line.len() + 4).as_bytes());
            body.extend_from_slice(&line);
        }
        body.extend_from_slice(FLUSH.as_bytes());
        if updates.iter().any(|(_, new, _)| new.bytes().any(|digit| digit != b'0')) {
            body.extend_from_slice(&self.empty_pack());
        }
        body
    }

    fn empty_pack(&self) -> Vec<u8> {
        if self.format == "sha1" {
            return EMPTY_PACK.to_vec();
        }
        let digits = EMPTY_SHA256.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
        let trailer = digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok());
        EMPTY_PACK[..12].iter().copied().chain(trailer).collect()
    }

    /// Every ref and what it holds.
    pub fn refs(&self) -> Result<String> {
        self.repository.refs()
    }

    /// Whether the push is refused and changes nothing; the answer otherwise.
    pub fn refuses(&self, person: Person, updates: &[(&str, &str, &str)]) -> Result<(), String> {
        let before = self.refs().map_err(|error| error.to_string())?;
        let answer = self.push(person, updates).map_err(|error| error.to_string())?;
        let after = self.refs().map_err(|error| error.to_string())?;
        let text = answer.text();
        if before == after && !text.contains("\nok ") && !text.contains("ok refs/") {
            return Ok(());
        }
        Err(format!("{}: taken: {updates:?}\n{text}\nbefore: {before}\nafter: {after}", self.name))
    }

    /// Whether the push is taken, every ref of it.
    pub fn takes(&self, person: Person, updates: &[(&str, &str, &str)]) -> Result<(), String> {
        let answer = self.push(person, updates).map_err(|error| error.to_string())?.text();
        let all = updates.iter().all(|(_, _, name)| answer.contains(&format!("ok {name}\n")));
        if all { Ok(()) } else { Err(format!("{}: refused: {updates:?}\n{answer}", self.name)) }
    }
}

/// Writes text to bytes.
struct Text<'b>(&'b mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
