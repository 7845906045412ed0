//! What the front server is told. The only place in this crate where a reason becomes a status.
//!
//! Traefik, Caddy and Envoy pass on what authd says. nginx's `auth_request` knows 2xx, 401 and 403 and takes everything else for a fault of authd (500). The
//! true status of a throttled or postponed request travels in `X-Gitward-Status`. A dependency that is
//! down must never look like wrong credentials: git forgets a stored password on 401.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use policy::identity::UserName;

use crate::identity::IdentifyError;
use crate::identity::login::LoginError;
use crate::request::UnreadableRequest;

/// A yes.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// The signed decision.
    pub decision: String,
    /// For nginx's access log.
    pub user: Option<UserName>,
}

/// A no, and why. The reason is for the log; clients learn nothing from it but the status.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refused {
    /// The subrequest makes no sense.
    #[error(transparent)]
    Unreadable(#[from] UnreadableRequest),
    /// Not a git request, but the path could be a repository, and there were no credentials.
    #[error("not a git request; credentials are asked for first")]
    NotGitYet,
    /// Not a git request.
    #[error("not a git request")]
    NotGit,
    /// Nobody has said who asks, and anonymous callers may not.
    #[error("credentials are needed")]
    NoCredentials,
    /// Nobody has vouched for the caller, or the caller cannot be known.
    #[error(transparent)]
    Identify(#[from] IdentifyError),
    /// No rule of the policy grants it.
    #[error("no rule grants it")]
    NoGrant,
    /// A rule forbids writing there.
    #[error("frozen by {0:?}")]
    Frozen(String),
    /// Groups and info of the user do not fit into a header.
    #[error("the signed decision is too large for a header")]
    DecisionTooLarge,
}

/// The kinds of refusal a front server can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unauthenticated,
    Denied,
    Throttled(Duration),
    Unavailable(&'static str),
}

impl Refused {
    fn kind(&self) -> Kind {
        match self {
            Self::NotGitYet | Self::NoCredentials => Kind::Unauthenticated,
            Self::Unreadable(_) | Self::NotGit | Self::NoGrant | Self::Frozen(_) => Kind::Denied,
            Self::DecisionTooLarge => Kind::Unavailable(TOO_LARGE),
            Self::Identify(error) => match error {
                IdentifyError::WrongCredentials => Kind::Unauthenticated,
                IdentifyError::UntrustedPeer | IdentifyError::UnknownToGroups => Kind::Denied,
                IdentifyError::Login(LoginError::Throttled(throttled)) => {
                    Kind::Throttled(throttled.retry_after)
                }
                IdentifyError::Login(LoginError::Unavailable(_)) => Kind::Unavailable(NOT_NOW),
            },
        }
    }

    /// A word for metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self.kind() {
            Kind::Unauthenticated => "unauthenticated",
            Kind::Denied => "denied",
            Kind::Throttled(_) => "throttled",
            Kind::Unavailable(_) => "unavailable",
        }
    }

    /// The status the client gets in the end.
    pub fn status(&self) -> u16 {
        match self.kind() {
            Kind::Unauthenticated => 401,
            Kind::Denied => 403,
            Kind::Throttled(_) => 429,
            Kind::Unavailable(_) => 503,
        }
    }

    /// The answer; `challenge` is the whole `WWW-Authenticate`. A front server that passes answers on gets the true status and
    /// the words for the client; to another one every word would be lost and every other status a fault.
    pub fn into_response(self, challenge: &HeaderValue, passed_on: bool) -> HttpResponse {
        let status = if passed_on { self.status() } else { self.status().min(FORBIDDEN) };
        let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN));
        let kind = self.kind();
        if kind == Kind::Unauthenticated {
            response.insert_header((header::WWW_AUTHENTICATE, challenge.clone()));
        }
        if let Some(seconds) = kind.retry_after() {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if passed_on {
            response
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .content_type("text/plain; charset=utf-8");
            return response.body(format!("{}\n", kind.text()));
        }
        if self.status() != status {
            response.insert_header((STATUS, self.status().to_string()));
            response.insert_header((MESSAGE, kind.text().as_ref()));
        }
        response.finish()
    }
}

impl Kind {
    /// Whole seconds until another try makes sense.
    fn retry_after(self) -> Option<u64> {
        match self {
            Self::Unauthenticated | Self::Denied => None,
            // Rounded up: whoever comes back at that second must not find the door still shut.
            Self::Throttled(wait) => Some((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)),
            Self::Unavailable(_) => Some(UNAVAILABLE_RETRY_SECONDS),
        }
    }

    /// One line for the person at the other end.
    fn text(self) -> Cow<'static, str> {
        match self {
            Self::Unauthenticated => daemon::refusals::UNAUTHENTICATED.into(),
            Self::Denied => daemon::refusals::DENIED.into(),
            Self::Throttled(_) => {
                let seconds = self.retry_after().unwrap_or_default();
                format!("too many failed logins; try again in {seconds} s").into()
            }
            Self::Unavailable(message) => message.into(),
        }
    }
}

impl Allowed {
    /// The answer, 200 and no body: a body would cost nginx its upstream connection, and Envoy takes nothing else for a yes.
    pub fn into_response(self) -> HttpResponse {
        let mut response = HttpResponse::build(StatusCode::OK);
        response.insert_header((&DECISION, self.decision));
        if let Some(user) = self.user {
            response.insert_header((&USER, user.as_str()));
        }
        response.finish()
    }
}

const FORBIDDEN: u16 = 403;

/// `policy::decision::HEADER` and the name for the access log, parsed once: every yes carries them.
static DECISION: HeaderName = HeaderName::from_static("x-gitward-decision");
static USER: HeaderName = HeaderName::from_static("x-gitward-user");
const STATUS: &str = "X-Gitward-Status";
const MESSAGE: &str = "X-Gitward-Message";

const NOT_NOW: &str = "logins cannot be checked at the moment; your password may be right, try again";
const TOO_LARGE: &str = "you are in more groups than a request can carry; the administrator must help";

/// A queue is worked off, and an outage noticed, in about this time.
const UNAVAILABLE_RETRY_SECONDS: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failures::{Scope, Throttled};
    use crate::identity::pool::PoolError;

    const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"git\", charset=\"UTF-8\"");

    fn refuse(refused: impl Into<Refused>) -> HttpResponse {
        refused.into().into_response(&CHALLENGE, false)
    }

    fn text<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn the_decision_is_in_its_header() {
        assert!(DECISION.as_str().eq_ignore_ascii_case(policy::decision::HEADER));
    }

    #[test]
    fn wrong_and_missing_credentials_get_the_same_challenge() {
        for refused in [Refused::NoCredentials, Refused::NotGitYet, IdentifyError::WrongCredentials.into()] {
            let response = refuse(refused);
            assert_eq!(response.status(), 401);
            assert_eq!(text(&response, "www-authenticate"), Some("Basic realm=\"git\", charset=\"UTF-8\""));
            assert_eq!(response.headers().len(), 1);
        }
    }

    #[test]
    fn every_way_of_being_denied_looks_the_same() {
        for refused in [
            Refused::NoGrant,
            Refused::NotGit,
            Refused::Frozen("old/".into()),
            UnreadableRequest::Missing("x").into(),
            IdentifyError::UntrustedPeer.into(),
            IdentifyError::UnknownToGroups.into(),
        ] {
            let response = refuse(refused);
            assert_eq!(response.status(), 403);
            assert_eq!(response.headers().len(), 0);
        }
    }

    #[test]
    fn an_outage_is_never_a_401() {
        let response = refuse(IdentifyError::Login(LoginError::Unavailable(PoolError::Full.into())));
        assert_eq!(response.status(), 403);
        assert_eq!(text(&response, "x-gitward-status"), Some("503"));
        assert_eq!(text(&response, "retry-after"), Some("5"));
    }

    #[test]
    fn a_front_server_that_passes_answers_on_gets_the_true_status_and_words() {
        let outage = || IdentifyError::Login(LoginError::Unavailable(PoolError::Full.into()));
        for (refused, status, retry) in [
            (Refused::NoCredentials, 401, None),
            (Refused::NoGrant, 403, None),
            (outage().into(), 503, Some("5")),
        ] {
            let response = refused.into_response(&CHALLENGE, true);
            assert_eq!(response.status(), status);
            assert_eq!(text(&response, "retry-after"), retry);
            assert_eq!(text(&response, "www-authenticate").is_some(), status == 401);
            assert_eq!(text(&response, "content-type"), Some("text/plain; charset=utf-8"));
            assert_eq!(text(&response, "x-gitward-status"), None);
        }
    }

    #[test]
    fn a_throttled_client_is_told_when_to_come_back() {
        let throttled =
            Throttled { scope: Scope::Client([0; 8]), retry_after: Duration::from_millis(12_300) };
        let response = refuse(IdentifyError::Login(LoginError::Throttled(throttled)));
        assert_eq!(response.status(), 403);
        assert_eq!(text(&response, "x-gitward-status"), Some("429"));
        assert_eq!(text(&response, "retry-after"), Some("13"));
        assert_eq!(text(&response, "x-gitward-message"), Some("too many failed logins; try again in 13 s"));
    }
}
