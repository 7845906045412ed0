//! `gitweb:` of `backend-runner.yaml`: what browsers are shown and what a page may cost, each with its default.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use daemon::units::{ByteSize, Seconds};
use policy::document;
use policy::git_request::Mount;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use super::seconds;
use crate::limits::Sizes;
use crate::stream::Patience;

/// What browsers are shown, and what a page may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gitweb {
    /// The CGI program.
    pub program: PathBuf,
    /// Where browsers find the repositories.
    pub url: WebUrl,
    /// The URL path of the style sheet and pictures.
    pub statics: Mount,
    /// The name of the site.
    pub title: String,
    /// In which formats a tree can be had as an archive.
    pub snapshots: Vec<Snapshot>,
    /// What can be searched.
    pub search: Vec<Search>,
    /// Whether lines can be traced to commits.
    pub blame: bool,
    /// Pages at once, of their own.
    pub sizes: Sizes,
    /// How long one page may take.
    pub patience: Patience,
    /// How much processor time each of its processes may take.
    pub processor: Duration,
    /// How much memory each of its processes may allocate.
    pub memory: u64,
    /// How long an answer may be.
    pub size: u64,
}

/// A format of archives, as gitweb names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Snapshot {
    /// tar.gz
    Tgz,
    /// tar.bz2
    Tbz2,
    /// tar.xz
    Txz,
    /// zip
    Zip,
}

/// A kind of search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Search {
    /// Messages, authors and committers.
    Commits,
    /// The content of one tree.
    Files,
    /// Every change there was: the most expensive.
    Changes,
}

/// `https://git.example.org/git/`, or only `/git/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUrl {
    /// Scheme and host; may be empty.
    pub origin: String,
    /// The mount, as in authd.yaml.
    pub mount: Mount,
}

/// The text is not such a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a URL is /path/ or http(s)://host/path/ and ends with a slash; the path is `mount` of authd.yaml")]
pub struct InvalidUrl;

impl WebUrl {
    /// Accepts a path, or a whole URL without anything unusual.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let schemes = ["http://", "https://"];
        let host = schemes.into_iter().find_map(|scheme| text.strip_prefix(scheme));
        let length = host.map_or(0, |host| text.len() - host.len() + host.find('/').unwrap_or(host.len()));
        let (origin, path) = text.split_at(length);
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
        let named = host.is_none_or(|host| host.bytes().next().is_some_and(|first| first != b'/'));
        let plain = origin.split_once("://").is_none_or(|(_, host)| host.bytes().all(is_host));
        let mount = Mount::parse(path).map_err(|_| InvalidUrl)?;
        if named && plain { Ok(Self { origin: origin.to_owned(), mount }) } else { Err(InvalidUrl) }
    }
}

impl<'de> Deserialize<'de> for WebUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, Self::parse)
    }
}

impl Default for Gitweb {
    fn default() -> Self {
        RawGitweb::default().into()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawGitweb {
    program: PathBuf,
    url: WebUrl,
    #[serde(rename = "static")]
    statics: Mount,
    title: String,
    snapshots: Vec<Snapshot>,
    search: Vec<Search>,
    blame: bool,
    running: NonZeroUsize,
    per_user: NonZeroUsize,
    time: Seconds,
    processor: Seconds,
    memory: ByteSize,
    size: ByteSize,
}

impl Default for RawGitweb {
    fn default() -> Self {
        Self {
            program: "/usr/share/gitweb/gitweb.cgi".into(),
            url: WebUrl { origin: String::new(), mount: Mount::default() },
            statics: Mount::parse("/gitweb-static/").unwrap_or_else(|_| Mount::root()),
            title: "git".to_owned(),
            snapshots: Vec::new(),
            search: vec![Search::Commits, Search::Files],
            blame: false,
            running: at_least(4),
            per_user: at_least(2),
            time: seconds(30),
            processor: seconds(10),
            memory: ByteSize(512 << 20),
            size: ByteSize(64 << 20),
        }
    }
}

impl From<RawGitweb> for Gitweb {
    fn from(raw: RawGitweb) -> Self {
        let (running, per_user, time) = (raw.running.get(), raw.per_user.get(), raw.time.duration());
        Self {
            program: raw.program,
            url: raw.url,
            statics: raw.statics,
            title: raw.title,
            snapshots: raw.snapshots,
            search: raw.search,
            blame: raw.blame,
            // A page is looked at by one person: whoever waits longer for a place than for the page has left.
            sizes: Sizes { running, per_repository: running, per_user, queue: time },
            patience: Patience { idle: time, request: time },
            processor: raw.processor.duration(),
            memory: raw.memory.bytes(),
            size: raw.size.bytes(),
        }
    }
}

fn at_least(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_the_mount_with_or_without_a_host() {
        for (text, origin, mount) in [
            ("/git/", "", "/git/"),
            ("/", "", "/"),
            ("https://git.example.org/", "https://git.example.org", "/"),
            ("http://[::1]:8080/a/b/", "http://[::1]:8080", "/a/b/"),
        ] {
            let url = WebUrl::parse(text).unwrap();
            assert_eq!((url.origin.as_str(), url.mount.as_str()), (origin, mount));
        }
        for text in [
            "",
            "git",
            "/git",
            "https://",
            "https:///git/",
            "https://a b/",
            "ftp://a/",
            "https://a/x",
            "https://a@b/\"/",
            "https://git.example.org//git/",
            "//git.example.org/git/",
        ] {
            assert!(WebUrl::parse(text).is_err(), "{text}");
        }
    }
}
