//! The list of repositories: the mount itself in a browser, or a directory below it.
//!
//! Whoever asks sees what they may read and nothing else. Which repositories there are is known to backend-runner alone, so
//! authd signs who is asking, and the runner asks the policy about every repository it shows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::identity::{GroupName, Identity, User, UserName};
use crate::mount::Mount;
use crate::repo_path::{MAX_DIRECTORIES, is_name};
use crate::web_request::{is_text, unescaped_value};

/// The longest query.
const MAX_QUERY: usize = 512;

/// A request for the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRequest")]
pub struct ListRequest {
    /// The directory, empty or with a slash at its end.
    below: Box<str>,
    query: Box<str>,
}

/// A permitted look at the list; the caller's rights decide what is on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListDecision {
    /// The version of this format, 1.
    pub v: u8,
    /// The id that joins the logs of nginx and both daemons.
    pub request_id: String,
    /// What was asked for.
    pub list: ListRequest,
    /// The caller; absent when anonymous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// The caller's groups.
    pub groups: Vec<GroupName>,
    /// The address of the client; empty when nginx did not tell.
    pub client: String,
    /// The generation of the policy of authd.
    pub generation: u64,
    /// When it was decided, in seconds since 1970.
    pub iat: u64,
    /// When it ends to hold, in seconds since 1970.
    pub exp: u64,
}

impl ListRequest {
    /// Parses the client's method and raw request target: the mount, directories with a slash behind each, a query.
    #[must_use]
    pub fn parse(mount: &Mount, method: &str, target: &[u8]) -> Option<Self> {
        let below = std::str::from_utf8(target).ok()?.strip_prefix(mount.as_str())?;
        let (below, query) = match below.split_once('?') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (below, ""),
        };
        let below = format!("{}{below}", mount.directory());
        matches!(method, "GET" | "HEAD").then(|| Self::new(&below, query)).flatten()
    }

    fn new(below: &str, query: &str) -> Option<Self> {
        let names = || below.strip_suffix('/').unwrap_or_default().split('/');
        let is_directory = below.is_empty() || (names().count() <= MAX_DIRECTORIES && names().all(is_name));
        (is_directory && is_query(query)).then(|| Self { below: below.into(), query: query.into() })
    }

    /// The directory, empty or with a slash at its end.
    #[must_use]
    pub fn below(&self) -> &str {
        &self.below
    }

    /// Whether the caller wants to be asked who they are.
    #[must_use]
    pub fn wants_login(&self) -> bool {
        &*self.query == LOGIN
    }

    /// What names or descriptions shall contain.
    #[must_use]
    pub fn search(&self) -> Option<String> {
        self.raw_search().map(unescaped_value)
    }

    /// The same as it was written, fit for another URL.
    #[must_use]
    pub fn raw_search(&self) -> Option<&str> {
        self.value("s").filter(|text| !text.is_empty())
    }

    /// Which page, from 0 on.
    #[must_use]
    pub fn page(&self) -> usize {
        self.value("pg").and_then(|page| page.parse().ok()).unwrap_or(0)
    }

    fn value(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.split(['&', ';']).filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(known, value)| (known == name).then_some(value))
    }
}

/// The query that asks for a login. Browsers send a password unasked only where they were asked before.
pub const LOGIN: &str = "login";

/// `login`, or `s` and `pg` with values.
fn is_query(query: &str) -> bool {
    let known = |pair: &str| match pair.split_once('=') {
        Some(("s", text)) => is_text(text, |_| false),
        Some(("pg", page)) => page.len() <= 6 && page.bytes().all(|byte| byte.is_ascii_digit()),
        _ => false,
    };
    query.len() <= MAX_QUERY && (query.is_empty() || query == LOGIN || query.split(['&', ';']).all(known))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    below: String,
    query: String,
}

impl TryFrom<RawRequest> for ListRequest {
    type Error = &'static str;

    fn try_from(raw: RawRequest) -> Result<Self, Self::Error> {
        Self::new(&raw.below, &raw.query).ok_or("not a request for the list")
    }
}

impl ListDecision {
    /// The decision that permits `list` to nobody in particular, valid from `now` on.
    #[must_use]
    pub fn permitting(list: ListRequest, request_id: String, now: u64) -> Self {
        Self {
            v: 1,
            request_id,
            list,
            user: None,
            groups: Vec::new(),
            client: String::new(),
            generation: 0,
            iat: now,
            exp: now + crate::decision::LIFETIME_SECONDS,
        }
    }

    /// Who is asking, as the policy wants to know it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        match &self.user {
            None => Identity::Anonymous,
            Some(name) => Identity::User(Arc::new(User::new(name.clone(), self.groups.iter().cloned()))),
        }
    }

    pub(crate) fn is_coherent(&self) -> bool {
        self.v == 1 && (self.user.is_some() || self.groups.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Permitted, SigningKey, VerifyError, sign_list, verify, verify_any};

    fn list(target: &str) -> Option<ListRequest> {
        ListRequest::parse(&Mount::default(), "GET", target.as_bytes())
    }

    #[test]
    fn the_mount_and_directories_below_it_are_lists() {
        for (target, below) in
            [("/git/", ""), ("/git/team/", "team/"), ("/git/team/a.b/", "team/a.b/"), ("/git/?login", "")]
        {
            let request = list(target).unwrap_or_else(|| panic!("{target}"));
            assert_eq!((request.below(), request.wants_login()), (below, target.ends_with("login")));
        }
        let request = list("/git/?s=caf%C3%A9+x&pg=3").unwrap();
        assert_eq!((request.search().as_deref(), request.page()), (Some("caf\u{e9} x"), 3));
        assert!(ListRequest::parse(&Mount::default(), "HEAD", b"/git/").is_some());
        assert!(ListRequest::parse(&Mount::root(), "GET", b"/").is_some());
    }

    #[test]
    fn nothing_else_is_a_list() {
        for target in [
            "/git",
            "/",
            "/git/team",
            "/git/team/app.git/",
            "/git//",
            "/git/../",
            "/git/./",
            "/git/%74eam/",
            "/git/.team/",
            "/git/a/b/c/d/e/f/g/h/i/",
            "/git/?",
            "/git/?a=project_list",
            "/git/?login=1",
            "/git/?login&s=x",
            "/git/?s=%00",
            "/git/?s=<",
            "/git/?pg=-1",
            "/git/?pg=99999999999999999999",
        ] {
            assert_eq!(list(target), None, "{target}");
        }
        for method in ["POST", "OPTIONS", "get"] {
            assert_eq!(ListRequest::parse(&Mount::default(), method, b"/git/"), None, "{method}");
        }
    }

    #[test]
    fn a_signed_list_comes_back_and_is_no_decision_about_a_repository() {
        let key = SigningKey::from_bytes([7; 32]);
        let mut decision = ListDecision::permitting(list("/git/team/?s=x").unwrap(), "id".to_owned(), 1000);
        decision.user = Some(UserName::parse("joe").unwrap());
        decision.groups = vec![GroupName::parse("developers").unwrap()];
        let header = sign_list(&key, &decision);
        assert_eq!(verify_any(&key, &header, 1000), Ok(Permitted::List(decision.clone())));
        assert_eq!(verify(&key, &header, 1000), Err(VerifyError::Malformed));
        assert_eq!(verify_any(&key, &header, 1061), Err(VerifyError::Expired));
        for wrong in [
            ListDecision { v: 2, ..decision.clone() },
            ListDecision { user: None, ..decision.clone() },
            ListDecision { exp: 9999, ..decision },
        ] {
            assert_eq!(verify_any(&key, &sign_list(&key, &wrong), 1000), Err(VerifyError::Malformed));
        }
        assert!(serde_json::from_str::<ListRequest>(r#"{"below":"../","query":""}"#).is_err());
    }
}
