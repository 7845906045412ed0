//! `GitRequest`: what a client asks of git, parsed once from the raw request target.
//!
//! This is the only parser of client URLs in Gitward, and the table `ENDPOINTS` below is all of smart HTTP it knows. It follows
//! git's `http-protocol` manual page, but never decodes: a target outside the grammar is refused, whatever a lenient reader
//! might make of it. Printing a request gives back the bytes it was parsed from.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use crate::mount::{InvalidMount, Mount, Mounts};
use crate::repo_path::{self, RepoPath};
use crate::web_request;

/// What is asked of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Clone, fetch, list.
    Read,
    /// Push, and the advertisement that precedes one.
    Write,
}

/// One of the things git, or a browser, can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// `GET /info/refs?service=git-upload-pack`
    AdvertiseUploadPack,
    /// `POST /git-upload-pack`
    UploadPack,
    /// `GET /info/refs?service=git-receive-pack`
    AdvertiseReceivePack,
    /// `POST /git-receive-pack`
    ReceivePack,
    /// A plain file of the dumb protocol.
    Dumb,
    /// A page about the repository.
    Web,
}

/// A request inside the grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitRequest {
    /// The repository asked for.
    pub repo: RepoPath,
    /// What is asked of it.
    pub service: Service,
    /// The path below the repository, with its leading slash.
    endpoint: Box<str>,
    query: Box<str>,
}

/// A target outside the grammar. Both mean no; they differ in what a caller without credentials is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Every component could be part of a repository's path: git should be asked for credentials first.
    #[error("not a git request, though the path could be a repository")]
    CouldBeRepository,
    /// No credential could make this a git request.
    #[error("not a git request")]
    NotARepository,
}

struct Endpoint {
    method: &'static str,
    path: &'static str,
    query: &'static str,
    service: Service,
}

/// Smart HTTP, whole: method, path below the repository, exact query, and what it is.
const ENDPOINTS: [Endpoint; 4] = [
    Endpoint {
        method: "GET",
        path: "/info/refs",
        query: "service=git-upload-pack",
        service: Service::AdvertiseUploadPack,
    },
    Endpoint {
        method: "GET",
        path: "/info/refs",
        query: "service=git-receive-pack",
        service: Service::AdvertiseReceivePack,
    },
    Endpoint { method: "POST", path: "/git-upload-pack", query: "", service: Service::UploadPack },
    Endpoint { method: "POST", path: "/git-receive-pack", query: "", service: Service::ReceivePack },
];

impl GitRequest {
    /// Parses the client's method and raw request target (nginx's `$request_method` and `$request_uri`).
    ///
    /// # Errors
    /// Everything outside the grammar is a [`Refusal`].
    pub fn parse(mount: &Mount, method: &str, target: &[u8]) -> Result<Self, Refusal> {
        let target = std::str::from_utf8(target).map_err(|_| Refusal::NotARepository)?;
        let below = target.strip_prefix(mount.as_str()).ok_or(Refusal::NotARepository)?;
        let (path, query) = match below.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (below, None),
        };
        let refusal = refusal_of(path);
        let (repo, endpoint) = split_repository(mount, path).ok_or(refusal)?;
        let (service, query) = service_of(method, endpoint, query).ok_or(refusal)?;
        Ok(Self { repo, service, endpoint: endpoint.into(), query: query.into() })
    }

    /// The same where pages about repositories are offered too. What is git's stays git's, rightly spelt or not.
    ///
    /// # Errors
    /// Everything outside the grammar is a [`Refusal`].
    pub fn parse_with_web(mount: &Mount, method: &str, target: &[u8]) -> Result<Self, Refusal> {
        Self::parse(mount, method, target).or_else(|refusal| {
            let (repo, endpoint, query) = web_request::parse(mount, method, target).ok_or(refusal)?;
            Ok(Self { repo, service: Service::Web, endpoint: endpoint.into(), query: query.into() })
        })
    }

    /// `PATH_INFO` for git: the repository and the endpoint, for example `/team/test.git/info/refs`.
    #[must_use]
    pub fn path_info(&self) -> String {
        format!("/{}{}", self.repo, self.endpoint)
    }

    /// `QUERY_STRING` for git; empty where the request has none.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The request target this request was parsed from.
    #[must_use]
    pub fn target(&self, mount: &Mount) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        let repo = self.repo.as_str();
        let below = repo.strip_prefix(mount.directory()).unwrap_or(repo);
        format!("{mount}{below}{}{mark}{}", self.endpoint, self.query)
    }
}

/// The repository ends at the first component that has the suffix; what follows is the endpoint.
fn split_repository<'p>(mount: &Mount, path: &'p str) -> Option<(RepoPath, &'p str)> {
    let end = path.find(".git/")? + repo_path::SUFFIX.len();
    let repo = mount.repository(&path[..end]).ok()?;
    Some((repo, &path[end..]))
}

fn service_of(method: &str, endpoint: &str, query: Option<&str>) -> Option<(Service, &'static str)> {
    let smart = ENDPOINTS.iter().find(|known| {
        known.method == method
            && known.path == endpoint
            && query == (!known.query.is_empty()).then_some(known.query)
    });
    match smart {
        Some(known) => Some((known.service, known.query)),
        None if method == "GET" && query.is_none() && is_dumb_file(endpoint) => Some((Service::Dumb, "")),
        None => None,
    }
}

/// The files a dumb client fetches, and nothing else of a repository; `alternates` is left out on purpose.
fn is_dumb_file(endpoint: &str) -> bool {
    match endpoint {
        "/info/refs" | "/HEAD" | "/objects/info/packs" => true,
        _ => {
            endpoint.strip_prefix("/objects/").is_some_and(|name| is_pack_file(name) || is_loose_object(name))
        }
    }
}

/// `pack/pack-<40 or 64 hex digits>.pack` or `.idx`
fn is_pack_file(name: &str) -> bool {
    let hash = name
        .strip_prefix("pack/pack-")
        .and_then(|name| name.strip_suffix(".pack").or_else(|| name.strip_suffix(".idx")));
    hash.is_some_and(|hash| is_lower_hex(hash) && matches!(hash.len(), 40 | 64))
}

/// `<2 hex digits>/<38 or 62 hex digits>`
fn is_loose_object(name: &str) -> bool {
    name.split_once('/').is_some_and(|(directory, rest)| {
        directory.len() == 2 && is_lower_hex(directory) && is_lower_hex(rest) && matches!(rest.len(), 38 | 62)
    })
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A person who mistypes a clone URL still gets git's password prompt, an attack shape does not.
fn refusal_of(path: &str) -> Refusal {
    let plain = |component: &str| {
        !component.is_empty()
            && !component.starts_with('.')
            && !component.contains("..")
            && component.bytes().all(repo_path::is_name_byte)
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.split('/').all(plain) { Refusal::CouldBeRepository } else { Refusal::NotARepository }
}

impl Access {
    /// `read` or `write`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl Service {
    /// The name in decisions, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AdvertiseUploadPack => "advertise-upload-pack",
            Self::UploadPack => "upload-pack",
            Self::AdvertiseReceivePack => "advertise-receive-pack",
            Self::ReceivePack => "receive-pack",
            Self::Dumb => "dumb",
            Self::Web => "web",
        }
    }

    /// What the caller must be allowed. The advertisement of a push is a write, so that git asks for credentials there.
    #[must_use]
    pub fn access(self) -> Access {
        match self {
            Self::AdvertiseReceivePack | Self::ReceivePack => Access::Write,
            Self::AdvertiseUploadPack | Self::UploadPack | Self::Dumb | Self::Web => Access::Read,
        }
    }

    /// The only method this service has.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::UploadPack | Self::ReceivePack => "POST",
            Self::AdvertiseUploadPack | Self::AdvertiseReceivePack | Self::Dumb | Self::Web => "GET",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(method: &str, target: &str) -> Result<GitRequest, Refusal> {
        GitRequest::parse(&Mount::default(), method, target.as_bytes())
    }

    #[test]
    fn the_four_smart_endpoints_are_recognised_with_their_access() {
        for (method, target, service, access) in [
            (
                "GET",
                "/git/a.git/info/refs?service=git-upload-pack",
                Service::AdvertiseUploadPack,
                Access::Read,
            ),
            ("POST", "/git/t/a.git/git-upload-pack", Service::UploadPack, Access::Read),
            (
                "GET",
                "/git/a.git/info/refs?service=git-receive-pack",
                Service::AdvertiseReceivePack,
                Access::Write,
            ),
            ("POST", "/git/t/u/a.git/git-receive-pack", Service::ReceivePack, Access::Write),
        ] {
            let request = parse(method, target).unwrap();
            assert_eq!((request.service, request.service.access()), (service, access));
            assert_eq!(request.service.method(), method);
            assert_eq!(request.target(&Mount::default()), target);
        }
    }

    #[test]
    fn path_info_and_query_come_from_the_parsed_request() {
        let request = parse("GET", "/git/team/test.git/info/refs?service=git-receive-pack").unwrap();
        assert_eq!(request.path_info(), "/team/test.git/info/refs");
        assert_eq!(request.query(), "service=git-receive-pack");
    }

    #[test]
    fn dumb_files_are_reads() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        for endpoint in [
            "/info/refs".to_owned(),
            "/HEAD".to_owned(),
            "/objects/info/packs".to_owned(),
            format!("/objects/pack/pack-{hash}.pack"),
            format!("/objects/pack/pack-{hash}.idx"),
            format!("/objects/pack/pack-{hash}{}.idx", &hash[..24]),
            format!("/objects/{}/{}", &hash[..2], &hash[2..]),
        ] {
            let request = parse("GET", &format!("/git/a.git{endpoint}")).unwrap();
            assert_eq!(request.service, Service::Dumb, "{endpoint}");
        }
    }

    #[test]
    fn nothing_else_of_a_repository_is_a_dumb_file() {
        for endpoint in [
            "/config",
            "/objects/info/alternates",
            "/objects/info/http-alternates",
            "/packed-refs",
            "/index",
            "/objects/pack/pack-0.pack",
            "/objects/00/11",
            "/refs/heads/main",
            "/info/refs/",
            "/hooks/update",
            "/objects/pack/pack-0123456789ABCDEF0123456789abcdef01234567.pack",
        ] {
            assert!(parse("GET", &format!("/git/a.git{endpoint}")).is_err(), "{endpoint}");
        }
    }

    #[test]
    fn the_query_is_exact_and_a_post_has_none() {
        for (method, rest) in [
            ("POST", "git-receive-pack?service=git-upload-pack"),
            ("POST", "git-upload-pack?"),
            ("GET", "info/refs?"),
            ("GET", "info/refs?service=git-upload-archive"),
            ("GET", "info/refs?service=git-upload-pack&service=git-receive-pack"),
            ("GET", "info/refs?service=git-upload-pack#&service=git-receive-pack"),
            ("GET", "info/refs?%73ervice=git-upload-pack"),
            ("GET", "info/refs?SERVICE=git-upload-pack"),
            ("GET", "info/refs?service=git-upload-pack&x=1"),
            ("GET", "HEAD?x"),
            ("POST", "git-upload-archive"),
        ] {
            assert!(parse(method, &format!("/git/a.git/{rest}")).is_err(), "{method} {rest}");
        }
    }

    #[test]
    fn the_method_must_be_the_endpoints_own() {
        for method in ["get", "HEAD", "PUT", "P_ST", "OPTIONS", "", "POST"] {
            assert!(parse(method, "/git/a.git/info/refs?service=git-upload-pack").is_err(), "{method}");
        }
        assert!(parse("GET", "/git/a.git/git-receive-pack").is_err());
    }

    #[test]
    fn aliases_of_a_neighbouring_repository_are_refused() {
        for path in [
            "/git//team/app.git/",
            "/git/team/../app.git/",
            "/git/team/./app.git/",
            "/git/team%2fapp.git/",
            "/git/team/app.git/..;/x.git/",
            "/git/team/app.git\\",
            "/git/team/app/",
            "/git/team/app.git.git/",
            "/git/app.git/.git/",
            "/git/app.git/worktrees/x/",
            "/git/app.git/b.git/",
            "/x/../git/app.git/",
            "/git/.git/",
            "/git/",
            "/gitx/app.git/",
            "http://h/git/app.git/",
        ] {
            assert!(parse("POST", &format!("{path}git-receive-pack")).is_err(), "{path}");
        }
    }

    #[test]
    fn only_a_path_of_plain_names_lets_an_anonymous_caller_be_asked_for_credentials() {
        for (target, expected) in [
            ("/git/team/test", Refusal::CouldBeRepository),
            ("/git/team/test.git", Refusal::CouldBeRepository),
            ("/git/team/test.git/", Refusal::CouldBeRepository),
            ("/git/team/test/info/refs?service=git-upload-pack", Refusal::CouldBeRepository),
            ("/git/team/test.git/config", Refusal::CouldBeRepository),
            ("/git/", Refusal::NotARepository),
            ("/git/../etc/passwd", Refusal::NotARepository),
            ("/git/a%2eb.git/info/refs", Refusal::NotARepository),
            ("/git//a.git/info/refs", Refusal::NotARepository),
            ("/other/a.git", Refusal::NotARepository),
            ("*", Refusal::NotARepository),
        ] {
            assert_eq!(parse("GET", target), Err(expected), "{target}");
        }
        assert_eq!(
            GitRequest::parse(&Mount::default(), "GET", b"/git/\xff.git"),
            Err(Refusal::NotARepository)
        );
    }

    fn near_targets() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "/git/",
            "a.git",
            "team",
            "/",
            "//",
            "..",
            ".",
            "%2e",
            "%",
            "\\",
            ";",
            "#",
            "?",
            "&",
            "info/refs",
            "git-upload-pack",
            "git-receive-pack",
            "service=",
            "HEAD",
            "objects",
            ".git",
            "\u{7f}",
            "\n",
            "\u{e9}",
        ]);
        let near = prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat().into_bytes());
        prop_oneof![near, prop::collection::vec(any::<u8>(), 0..60)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn what_is_accepted_is_plain_and_prints_as_it_came(
            method in prop::sample::select(vec!["GET", "POST", "HEAD"]), target in near_targets(),
        ) {
            let mount = Mount::default();
            if let Ok(request) = GitRequest::parse(&mount, method, &target) {
                let text = std::str::from_utf8(&target).unwrap();
                for forbidden in ["%", "..", "//", "\\", ";", "#"] {
                    prop_assert!(!text.contains(forbidden));
                }
                prop_assert!(text.bytes().all(|byte| (0x21..0x7f).contains(&byte)));
                prop_assert_eq!(request.target(&mount), text);
                prop_assert_eq!(request.service.method(), method);
            }
        }

        #[test]
        fn every_request_in_the_grammar_is_accepted(
            directories in prop::collection::vec("[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", 0..8),
            name in "[A-Za-z0-9_]{1,64}",
            endpoint in 0..ENDPOINTS.len(),
        ) {
            let Endpoint { method, path, query, service } = &ENDPOINTS[endpoint];
            let directories: String = directories.iter().map(|name| format!("{name}/")).collect();
            let mark = if query.is_empty() { "" } else { "?" };
            let target = format!("/git/{directories}{name}.git{path}{mark}{query}");
            let request = GitRequest::parse(&Mount::default(), method, target.as_bytes()).unwrap();
            prop_assert_eq!(request.service, *service);
            prop_assert_eq!(request.target(&Mount::default()), target);
        }
    }
}
