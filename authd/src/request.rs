//! The question of a front server, reduced to what a decision needs.
//!
//! Every header authd reads must be there at most once: where a request says something twice, two readers
//! can believe different things. The original method and target must be there, where the dialect has them. Values stay raw
//! here; the grammar of git requests is `policy`'s, that of credentials is in `credentials`.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::credentials::{Credentials, MalformedCredentials};
use crate::dialect::{self, Dialect, Original};
use crate::network::{Client, Network, Peer};

/// A request on the data listener.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The endpoint it came to.
    pub dialect: Dialect,
    /// Its own method.
    pub method: &'a str,
    /// Its own target, as it was on the wire.
    pub target: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Who sent it.
    pub peer: Peer,
}

/// One question of the front server.
#[derive(Clone, Copy, Debug)]
pub struct AuthRequest<'a> {
    /// The client's method, not the subrequest's.
    pub method: &'a str,
    /// The client's request target, as it was on the wire.
    pub target: &'a [u8],
    /// Whose request it is, by address.
    pub client: Client,
    /// The server of the front that the request came to, when it says so.
    pub host: Option<&'a str>,
    /// Who sent the subrequest.
    pub peer: Peer,
    dialect: Dialect,
    headers: &'a HeaderMap,
}

/// A question no decision can be made about: the front server is set up wrongly, or it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableRequest {
    /// The endpoint does not answer.
    #[error("the endpoint {0} is not among `endpoints` in the configuration")]
    SwitchedOff(&'static str),
    /// A header that must be there is not.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header is there more than once.
    #[error("the header {0} is there more than once")]
    Repeated(&'static str),
    /// A header holds what it cannot hold.
    #[error("the header {0} is not text")]
    NotText(&'static str),
    /// A header that should hold a URL holds something else.
    #[error("the header {0} is not a URL")]
    NotUrl(&'static str),
    /// The target does not begin as the endpoint's do.
    #[error("the target is not below {0}")]
    Elsewhere(&'static str),
}

// === impl AuthRequest ===

impl<'a> AuthRequest<'a> {
    /// Reads a question; what `trusted` say about the client's address is believed.
    pub fn read(asked: Asked<'a>, trusted: &[Network]) -> Result<Self, UnreadableRequest> {
        let Asked { dialect, headers, peer, .. } = asked;
        let (method, target) = original(asked)?;
        let said = dialect.client().map(|name| once(headers, name)).transpose()?.flatten();
        let client = Client::behind(peer, trusted, said.map(HeaderValue::as_bytes));
        let host = dialect.host().map(|name| optional(headers, name)).transpose()?.flatten();
        Ok(Self { method, target, host, client, peer, dialect, headers })
    }

    /// The client's credentials, when it sent any. Two `Authorization` headers are as bad as a broken one.
    pub fn credentials(&self) -> Option<Result<Credentials, MalformedCredentials>> {
        match once(self.headers, AUTHORIZATION) {
            Ok(value) => value.map(|value| Credentials::parse(value.as_bytes())),
            Err(_) => Some(Err(MalformedCredentials)),
        }
    }

    /// Whether the client sent credentials, good or bad.
    pub fn has_credentials(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION)
    }

    /// The values of a header that names a user the front server vouches for.
    pub fn vouched_in(&self, header: &HeaderName) -> Vouched<'a> {
        if !self.dialect.sends_own_headers_only() {
            return Vouched::Nobody;
        }
        let mut values = self.headers.get_all(header);
        match (values.next(), values.next()) {
            (None, _) => Vouched::Nobody,
            (Some(value), None) => value.to_str().map_or(Vouched::Unreadable, Vouched::For),
            (Some(_), Some(_)) => Vouched::Unreadable,
        }
    }
}

/// What a header says that names a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouched<'a> {
    /// It is not there.
    Nobody,
    /// Exactly one value.
    For(&'a str),
    /// Not text, or more than one.
    Unreadable,
}

/// The client's method and target.
fn original(asked: Asked<'_>) -> Result<(&str, &[u8]), UnreadableRequest> {
    match asked.dialect.original() {
        Original::Headers(method, target) => {
            Ok((text(asked.headers, method)?, needed(asked.headers, target)?.as_bytes()))
        }
        Original::Url(method, url) => {
            let target = target_of(text(asked.headers, url)?).ok_or(UnreadableRequest::NotUrl(url))?;
            Ok((text(asked.headers, method)?, target.as_bytes()))
        }
        Original::RequestLine(prefix) => {
            let target = asked.target.strip_prefix(prefix).ok_or(UnreadableRequest::Elsewhere(prefix))?;
            Ok((asked.method, target.as_bytes()))
        }
    }
}

/// What comes after the host, which is the client's word and must not be able to hold the beginning of another target.
fn target_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (host, target) = rest.split_at(rest.find('/')?);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:[]".contains(&byte);
    (!host.is_empty() && host.bytes().all(plain)).then_some(target)
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, UnreadableRequest> {
    needed(headers, name)?.to_str().map_err(|_| UnreadableRequest::NotText(name))
}

fn optional<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, UnreadableRequest> {
    let text = |value: &'a HeaderValue| value.to_str().map_err(|_| UnreadableRequest::NotText(name));
    once(headers, name)?.map(text).transpose()
}

fn needed<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a HeaderValue, UnreadableRequest> {
    once(headers, name)?.ok_or(UnreadableRequest::Missing(name))
}

/// The id that the front server gave the request, or a new one where it gave none that could go into a log as it is.
pub fn request_id(dialect: Dialect, headers: &HeaderMap) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let given = dialect.request_id().and_then(|name| once(headers, name).ok().flatten());
    let given = given.and_then(|value| value.to_str().ok());
    match given.filter(|id| (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(plain)) {
        Some(id) => id.to_owned(),
        None => new_request_id(),
    }
}

/// Ids need only differ; without random bytes there is still a time.
fn new_request_id() -> String {
    let random = getrandom::u64().unwrap_or_else(|_| {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since_epoch.map_or(0, |elapsed| elapsed.as_nanos() as u64)
    });
    format!("authd-{random:016x}")
}

fn once<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<&'a HeaderValue>, UnreadableRequest> {
    let mut values = headers.get_all(name);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(UnreadableRequest::Repeated(name)),
        (value, None) => Ok(value),
    }
}

/// Whether a header has a meaning here already, so that no configuration may give it another.
pub fn is_read(name: &str) -> bool {
    let framing = ["host", "connection", "content-length", "transfer-encoding"];
    name == AUTHORIZATION || framing.contains(&name) || dialect::HEADERS.contains(&name)
}

const AUTHORIZATION: &str = "authorization";
const MAX_REQUEST_ID: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn asked<'a>(dialect: Dialect, headers: &'a HeaderMap, target: &'a str) -> Asked<'a> {
        Asked { dialect, method: "GET", target, headers, peer: Peer::Unix }
    }

    fn read(headers: &HeaderMap) -> Result<AuthRequest<'_>, UnreadableRequest> {
        AuthRequest::read(asked(Dialect::Nginx, headers, "/auth/nginx"), &[])
    }

    const METHOD: &str = "x-original-method";
    const TARGET: &str = "x-original-uri";
    const CLIENT: &str = "x-real-ip";
    const REQUEST_ID: &str = "x-request-id";
    const COMPLETE: [(&str, &str); 3] =
        [(METHOD, "GET"), (TARGET, "/git/a.git/info/refs"), (CLIENT, "192.0.2.1")];

    #[test]
    fn a_complete_subrequest_is_read() {
        let headers = headers(&COMPLETE);
        let request = read(&headers).unwrap();
        assert_eq!((request.method, request.target), ("GET", &b"/git/a.git/info/refs"[..]));
        assert_eq!(request.client.to_string(), "192.0.2.1");
        assert!(request.credentials().is_none() && !request.has_credentials());
    }

    #[test]
    fn a_missing_or_repeated_original_request_is_unreadable() {
        for (pairs, error) in [
            (&COMPLETE[1..], UnreadableRequest::Missing(METHOD)),
            (&COMPLETE[..1], UnreadableRequest::Missing(TARGET)),
            (&[COMPLETE[0], COMPLETE[1], (TARGET, "/x")], UnreadableRequest::Repeated(TARGET)),
            (&[COMPLETE[0], COMPLETE[1], (METHOD, "GET")], UnreadableRequest::Repeated(METHOD)),
            (&[COMPLETE[0], COMPLETE[1], COMPLETE[2], COMPLETE[2]], UnreadableRequest::Repeated(CLIENT)),
        ] {
            assert_eq!(read(&headers(pairs)).unwrap_err(), error);
        }
    }

    /// What each dialect makes of a request in which every dialect's headers are, each with a method and target of its own.
    #[test]
    fn every_dialect_reads_its_own_headers_and_no_others() {
        let pairs = [
            ("x-original-method", "ORIGINAL"),
            ("x-original-uri", "/uri"),
            ("x-original-url", "https://git.example.org/url?a=b//c"),
            ("x-forwarded-method", "FORWARDED"),
            ("x-forwarded-uri", "/forwarded"),
            ("x-forwarded-for", "203.0.113.9, 192.0.2.2"),
            ("method", "PLAIN"),
            ("path", "/plain"),
            ("x-real-ip", "192.0.2.1"),
            ("x-request-id", "given"),
            ("x-user", "admin"),
        ];
        let user = HeaderName::from_static("x-user");
        let seen = |dialect: Dialect| {
            let headers = headers(&pairs);
            let request = AuthRequest::read(asked(dialect, &headers, "/auth/envoy/line?q"), &[]).unwrap();
            let vouched = request.vouched_in(&user) != Vouched::Nobody;
            let given = request_id(dialect, &headers) == "given";
            let target = String::from_utf8(request.target.to_vec()).unwrap();
            (request.method.to_owned(), target, request.client.to_string(), given, vouched)
        };
        let expected = |method: &str, target: &str, client: &str, given, vouched| {
            (method.to_owned(), target.to_owned(), client.to_owned(), given, vouched)
        };
        assert_eq!(seen(Dialect::Nginx), expected("ORIGINAL", "/uri", "192.0.2.1", true, true));
        assert_eq!(
            seen(Dialect::IngressNginx),
            expected("ORIGINAL", "/url?a=b//c", "192.0.2.1", true, false)
        );
        assert_eq!(seen(Dialect::GatewayFabric), expected("PLAIN", "/plain", "", false, false));
        assert_eq!(seen(Dialect::Forward), expected("FORWARDED", "/forwarded", "192.0.2.2", false, false));
        assert_eq!(seen(Dialect::Envoy), expected("GET", "/line?q", "192.0.2.2", true, false));
    }

    #[test]
    fn no_dialect_falls_back_on_what_another_one_says() {
        for dialect in Dialect::ALL {
            let others = Dialect::ALL.iter().filter(|other| **other != dialect);
            let names = others.flat_map(|other| match other.original() {
                Original::Headers(method, target) | Original::Url(method, target) => vec![method, target],
                Original::RequestLine(_) => Vec::new(),
            });
            let mut pairs: Vec<_> = names.map(|name| (name, "GET")).collect();
            pairs.sort_unstable();
            pairs.dedup();
            let headers = headers(&pairs);
            let read = AuthRequest::read(asked(dialect, &headers, "/auth/nginx"), &[]);
            assert!(read.is_err(), "{dialect:?}: {read:?}");
        }
    }

    #[test]
    fn a_url_gives_what_comes_after_a_plain_host() {
        for (url, target) in [
            ("https://git.example.org/git/a.git/HEAD", Some("/git/a.git/HEAD")),
            ("http://[::1]:8080/", Some("/")),
            ("http://a//b?c=http://d/", Some("//b?c=http://d/")),
            ("http:///git", None),
            ("https://git.example.org", None),
            ("https://a?x=/git", None),
            ("https://a#/git", None),
            ("https://a@b/git", None),
            ("ftp://a/git", None),
            ("/git/a.git", None),
            ("", None),
        ] {
            assert_eq!(target_of(url), target, "{url}");
        }
    }

    #[test]
    fn two_authorizations_are_wrong_credentials_even_if_both_were_right() {
        let mut pairs = COMPLETE.to_vec();
        pairs.extend([(AUTHORIZATION, "Basic am9lOng="); 2]);
        let headers = headers(&pairs);
        let request = read(&headers).unwrap();
        assert!(matches!(request.credentials(), Some(Err(MalformedCredentials))));
    }

    #[test]
    fn a_request_id_is_taken_over_only_if_it_is_plain() {
        let request_id = |headers: &HeaderMap| request_id(Dialect::Nginx, headers);
        assert_eq!(request_id(&headers(&[(REQUEST_ID, "0123abc-DEF_")])), "0123abc-DEF_");
        for odd in
            ["", "a b", "a\"b", "0123456789012345678901234567890123456789012345678901234567890123456789"]
        {
            assert!(request_id(&headers(&[(REQUEST_ID, odd)])).starts_with("authd-"), "{odd:?}");
        }
        assert!(request_id(&headers(&[])).starts_with("authd-"));
    }

    #[test]
    fn a_user_named_twice_is_nobody_in_particular() {
        let user = HeaderName::from_static("x-user");
        let vouched = |pairs: &[(&'static str, &'static str)]| {
            let headers = headers(&[&COMPLETE[..], pairs].concat());
            let request = read(&headers).unwrap();
            match request.vouched_in(&user) {
                Vouched::For(name) => name.to_owned(),
                other => format!("{other:?}"),
            }
        };
        assert_eq!(vouched(&[]), "Nobody");
        assert_eq!(vouched(&[("x-user", "joe")]), "joe");
        assert_eq!(vouched(&[("x-user", "joe"), ("x-user", "admin")]), "Unreadable");
    }
}
