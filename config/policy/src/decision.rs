//! The signed decision: what authd decided, in a form backend-runner can trust.
//!
//! One header carries base64url(JSON) `.` base64url(HMAC-SHA256). The runner builds everything git sees from it, so the two
//! daemons cannot disagree about what a request is. The clock is an argument.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::git_request::{Access, GitRequest, Mount, Service};
use crate::identity::{GroupName, UserName};
use crate::list_request::ListDecision;
use crate::repo_path::RepoPath;

/// The header that carries a decision.
pub const HEADER: &str = "X-Gitward-Decision";

/// A decision's header is shorter than this many bytes.
pub const MAX_LEN: usize = 16 * 1024;

/// How long a decision holds, in seconds.
pub const LIFETIME_SECONDS: u64 = 60;

/// How far the clocks of the two daemons may differ, in seconds.
const CLOCK_SKEW_SECONDS: u64 = 5;

/// The key both daemons share.
#[derive(Clone)]
pub struct SigningKey([u8; BLOCK]);

/// SHA-256's block, in bytes: HMAC pads a shorter key with zeros up to it (RFC 2104), as is done here beforehand.
const BLOCK: usize = 64;

/// A permitted request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The version of this format, 1.
    pub v: u8,
    /// The id that joins the logs of nginx, both daemons and the hooks.
    pub request_id: String,
    /// What git is to do.
    pub service: Service,
    /// Always the service's own access; spelt out for readers of logs.
    pub access: Access,
    /// The repository, below the project root.
    pub repo: RepoPath,
    /// `PATH_INFO` for git.
    pub path_info: String,
    /// `QUERY_STRING` for git.
    pub query: String,
    /// The caller; absent when anonymous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// The caller's groups.
    pub groups: Vec<GroupName>,
    /// What the directory says of the caller besides.
    pub info: BTreeMap<String, String>,
    /// The address of the client; empty when nginx did not tell.
    pub client: String,
    /// The generation of the policy that decided.
    pub generation: u64,
    /// When it was decided, in seconds since 1970.
    pub iat: u64,
    /// When it ends to hold, in seconds since 1970.
    pub exp: u64,
}

/// What a header may permit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Permitted {
    /// A request to one repository.
    Repository(Decision),
    /// A look at the list of repositories.
    List(ListDecision),
}

impl Permitted {
    /// The id that joins the logs.
    #[must_use]
    pub fn request_id(&self) -> &str {
        match self {
            Self::Repository(decision) => &decision.request_id,
            Self::List(decision) => &decision.request_id,
        }
    }

    /// The caller, unless anonymous.
    #[must_use]
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Self::Repository(decision) => decision.user.as_ref(),
            Self::List(decision) => decision.user.as_ref(),
        }
    }

    /// The address of the client.
    #[must_use]
    pub fn client(&self) -> &str {
        match self {
            Self::Repository(decision) => &decision.client,
            Self::List(decision) => &decision.client,
        }
    }

    /// The repository, or the directory whose repositories are listed: empty or with a slash at its end.
    #[must_use]
    pub fn place(&self) -> &str {
        match self {
            Self::Repository(decision) => decision.repo.as_str(),
            Self::List(decision) => decision.list.below(),
        }
    }

    /// What is asked for. The list is a page.
    #[must_use]
    pub fn service(&self) -> Service {
        match self {
            Self::Repository(decision) => decision.service,
            Self::List(_) => Service::Web,
        }
    }
}

/// A header that is no valid decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not of the form, too long, or not what it claims to be.
    #[error("the decision is malformed")]
    Malformed,
    /// Not signed with the shared key.
    #[error("the decision's signature is wrong")]
    BadSignature,
    /// Its time is over.
    #[error("the decision has expired")]
    Expired,
    /// Its time has not come; the clocks differ.
    #[error("the decision is from the future")]
    NotYetValid,
}

impl Decision {
    /// The decision that permits `request`, without a caller and valid from `now` on.
    #[must_use]
    pub fn permitting(request: &GitRequest, request_id: String, now: u64) -> Self {
        Self {
            v: 1,
            request_id,
            service: request.service,
            access: request.service.access(),
            repo: request.repo.clone(),
            path_info: request.path_info(),
            query: request.query().to_owned(),
            user: None,
            groups: Vec::new(),
            info: BTreeMap::new(),
            client: String::new(),
            generation: 0,
            iat: now,
            exp: now + LIFETIME_SECONDS,
        }
    }

    /// The parts agree with each other: what git would be told is a request of the grammar, for this repository and service.
    fn is_coherent(&self) -> bool {
        let mark = if self.query.is_empty() { "" } else { "?" };
        let target = format!("{}{mark}{}", self.path_info, self.query);
        let request = GitRequest::parse_with_web(&Mount::root(), self.service.method(), target.as_bytes());
        self.v == 1
            && request.is_ok_and(|request| request.repo == self.repo && request.service == self.service)
            && self.access == self.service.access()
    }
}

impl SigningKey {
    /// The key made of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut block = [0; BLOCK];
        block[..bytes.len()].copy_from_slice(&bytes);
        Self(block)
    }

    fn mac(&self, payload: &str) -> Hmac<Sha256> {
        Hmac::new(&self.0.into()).chain_update(payload.as_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// The value of the header for this decision; the caller checks it against [`MAX_LEN`].
#[must_use]
pub fn sign(key: &SigningKey, decision: &Decision) -> String {
    seal(key, decision)
}

/// The same for a list.
#[must_use]
pub fn sign_list(key: &SigningKey, decision: &ListDecision) -> String {
    seal(key, decision)
}

fn seal(key: &SigningKey, decision: &impl Serialize) -> String {
    // Strings, numbers and maps with string keys: there is nothing here that JSON cannot hold.
    let json = serde_json::to_vec(decision).unwrap_or_default();
    let mut header = URL_SAFE_NO_PAD.encode(json);
    let tag = key.mac(&header).finalize().into_bytes();
    header.push('.');
    URL_SAFE_NO_PAD.encode_string(tag, &mut header);
    header
}

/// The decision in this header, if it is one about a repository; see [`verify_any`].
///
/// # Errors
/// For every header that is not such a decision.
pub fn verify(key: &SigningKey, header: &str, now: u64) -> Result<Decision, VerifyError> {
    match verify_any(key, header, now)? {
        Permitted::Repository(decision) => Ok(decision),
        Permitted::List(_) => Err(VerifyError::Malformed),
    }
}

/// What this header permits, if it was signed with `key` and holds at `now` (seconds since 1970).
///
/// The signature is compared in constant time, and nothing is parsed before it is found right.
///
/// # Errors
/// For every header that is not a valid decision.
pub fn verify_any(key: &SigningKey, header: &str, now: u64) -> Result<Permitted, VerifyError> {
    if header.len() >= MAX_LEN {
        return Err(VerifyError::Malformed);
    }
    let (payload, tag) = header.split_once('.').ok_or(VerifyError::Malformed)?;
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| VerifyError::Malformed)?;
    key.mac(payload).verify_slice(&tag).map_err(|_| VerifyError::BadSignature)?;
    let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| VerifyError::Malformed)?;
    let permitted: Permitted = serde_json::from_slice(&json).map_err(|_| VerifyError::Malformed)?;
    let (coherent, iat, exp) = match &permitted {
        Permitted::Repository(decision) => (decision.is_coherent(), decision.iat, decision.exp),
        Permitted::List(decision) => (decision.is_coherent(), decision.iat, decision.exp),
    };
    match () {
        () if !coherent || exp < iat || exp - iat > LIFETIME_SECONDS => Err(VerifyError::Malformed),
        () if iat > now + CLOCK_SKEW_SECONDS => Err(VerifyError::NotYetValid),
        () if exp < now => Err(VerifyError::Expired),
        () => Ok(permitted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000;

    fn key() -> SigningKey {
        SigningKey::from_bytes([7; 32])
    }

    fn decision() -> Decision {
        let request =
            GitRequest::parse(&Mount::default(), "POST", b"/git/team/test.git/git-receive-pack").unwrap();
        Decision {
            user: Some(UserName::parse("joe").unwrap()),
            groups: vec![GroupName::parse("Domain Users").unwrap()],
            info: BTreeMap::from([("email".to_owned(), "joe@example.org".to_owned())]),
            client: "192.0.2.7".to_owned(),
            generation: 3,
            ..Decision::permitting(&request, "id-1".to_owned(), NOW)
        }
    }

    #[test]
    fn a_signed_decision_comes_back_as_it_was() {
        assert_eq!(verify(&key(), &sign(&key(), &decision()), NOW), Ok(decision()));
    }

    #[test]
    fn the_format_is_the_documented_one() {
        let header = sign(&key(), &decision());
        let (payload, _) = header.split_once('.').unwrap();
        let json = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"v":1,"request_id":"id-1","service":"receive-pack","access":"write","repo":"team/test.git","path_info":"/team/test.git/git-receive-pack","query":"","user":"joe","groups":["Domain Users"],"info":{"email":"joe@example.org"},"client":"192.0.2.7","generation":3,"iat":1800000000,"exp":1800000060}"#
        );
    }

    #[test]
    fn a_decision_holds_for_sixty_seconds() {
        let header = sign(&key(), &decision());
        assert!(verify(&key(), &header, NOW + 60).is_ok());
        assert_eq!(verify(&key(), &header, NOW + 61), Err(VerifyError::Expired));
        assert!(verify(&key(), &header, NOW - 5).is_ok());
        assert_eq!(verify(&key(), &header, NOW - 6), Err(VerifyError::NotYetValid));
    }

    #[test]
    fn another_key_is_refused() {
        let other = SigningKey::from_bytes([8; 32]);
        assert_eq!(verify(&key(), &sign(&other, &decision()), NOW), Err(VerifyError::BadSignature));
    }

    #[test]
    fn a_signed_decision_that_contradicts_itself_is_refused() {
        for wrong in [
            Decision { access: Access::Read, ..decision() },
            Decision { path_info: "/team/other.git/git-receive-pack".to_owned(), ..decision() },
            Decision { path_info: "/team/test.gitx".to_owned(), ..decision() },
            Decision { path_info: "/team/test.git/../other.git/git-receive-pack".to_owned(), ..decision() },
            Decision { path_info: "/team/test.git/git-upload-pack".to_owned(), ..decision() },
            Decision { query: "service=git-receive-pack".to_owned(), ..decision() },
            Decision { exp: NOW + 3600, ..decision() },
            Decision { v: 2, ..decision() },
        ] {
            assert_eq!(verify(&key(), &sign(&key(), &wrong), NOW), Err(VerifyError::Malformed));
        }
    }

    #[test]
    fn the_key_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", key()), "SigningKey(…)");
    }

    proptest! {
        #[test]
        fn any_altered_byte_is_noticed(at in 0usize..500, byte in 0x20u8..0x7f) {
            let header = sign(&key(), &decision());
            let at = at % header.len();
            let mut altered = header.clone().into_bytes();
            prop_assume!(altered[at] != byte);
            altered[at] = byte;
            prop_assert!(verify(&key(), std::str::from_utf8(&altered).unwrap(), NOW).is_err());
        }

        #[test]
        fn no_header_panics(text in "\\PC{0,200}") {
            prop_assert!(verify(&key(), &text, NOW).is_err());
        }
    }
}
