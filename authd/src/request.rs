//! The subrequest nginx sends (`auth_request`), reduced to what a decision needs.
//!
//! Every header authd reads must be there at most once: where a request says something twice, two readers
//! can believe different things. The original method and URI must be there. Values stay raw here; the
//! grammar of git requests is `policy`'s, that of credentials is in `credentials`.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::credentials::{Credentials, MalformedCredentials};
use crate::network::{Client, Peer};

/// One question of the front server.
#[derive(Clone, Copy, Debug)]
pub struct AuthRequest<'a> {
    /// The client's method, not the subrequest's.
    pub method: &'a str,
    /// The client's request target, as it was on the wire.
    pub target: &'a [u8],
    /// Whose request it is, by address.
    pub client: Client,
    /// Who sent the subrequest.
    pub peer: Peer,
    headers: &'a HeaderMap,
}

/// A subrequest no decision can be made about: the front server is set up wrongly, or it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableRequest {
    /// A header that must be there is not.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header is there more than once.
    #[error("the header {0} is there more than once")]
    Repeated(&'static str),
    /// A header holds what it cannot hold.
    #[error("the header {0} is not text")]
    NotText(&'static str),
}

// === impl AuthRequest ===

impl<'a> AuthRequest<'a> {
    /// Reads the headers of a subrequest.
    pub fn read(headers: &'a HeaderMap, peer: Peer) -> Result<Self, UnreadableRequest> {
        let method = once(headers, METHOD)?.ok_or(UnreadableRequest::Missing(METHOD))?;
        let target = once(headers, TARGET)?.ok_or(UnreadableRequest::Missing(TARGET))?;
        let client = once(headers, CLIENT)?;
        Ok(Self {
            method: method.to_str().map_err(|_| UnreadableRequest::NotText(METHOD))?,
            target: target.as_bytes(),
            client: client.map_or(Client::Unknown, |value| Client::parse(value.as_bytes())),
            peer,
            headers,
        })
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

/// The id that nginx gave the request, or a new one where it gave none that could go into a log as it is.
pub fn request_id(headers: &HeaderMap) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let given = once(headers, REQUEST_ID).ok().flatten().and_then(|value| value.to_str().ok());
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

/// Headers that have a meaning here already, so that no configuration may give them another.
pub const READ_HEADERS: [&str; 9] = [
    METHOD,
    TARGET,
    CLIENT,
    REQUEST_ID,
    AUTHORIZATION,
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
];

const METHOD: &str = "x-original-method";
const TARGET: &str = "x-original-uri";
const CLIENT: &str = "x-real-ip";
const REQUEST_ID: &str = "x-request-id";
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

    const COMPLETE: [(&str, &str); 3] =
        [(METHOD, "GET"), (TARGET, "/git/a.git/info/refs"), (CLIENT, "192.0.2.1")];

    #[test]
    fn a_complete_subrequest_is_read() {
        let headers = headers(&COMPLETE);
        let request = AuthRequest::read(&headers, Peer::Unix).unwrap();
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
            assert_eq!(AuthRequest::read(&headers(pairs), Peer::Unix).unwrap_err(), error);
        }
    }

    #[test]
    fn two_authorizations_are_wrong_credentials_even_if_both_were_right() {
        let mut pairs = COMPLETE.to_vec();
        pairs.extend([(AUTHORIZATION, "Basic am9lOng="); 2]);
        let headers = headers(&pairs);
        let request = AuthRequest::read(&headers, Peer::Unix).unwrap();
        assert!(matches!(request.credentials(), Some(Err(MalformedCredentials))));
    }

    #[test]
    fn a_request_id_is_taken_over_only_if_it_is_plain() {
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
            let request = AuthRequest::read(&headers, Peer::Unix).unwrap();
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
