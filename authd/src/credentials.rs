//! HTTP Basic credentials (RFC 7617) as a client sent them, and the password that must not leak.
//!
//! Parsing is strict and says nothing about why it refused: every fault is the same 401. No lookup and no
//! comparison happens here.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// A user name and a password, neither of them checked against anything yet.
#[derive(Debug)]
pub struct Credentials {
    /// The name as presented; it may not be one any directory could hold.
    pub user: String,
    /// The password as presented.
    pub password: Password,
}

/// A clear password: erased from memory when dropped, and never printed.
pub struct Password(Zeroizing<String>);

/// The `Authorization` header holds no acceptable Basic credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authorization header holds no acceptable basic credentials")]
pub struct MalformedCredentials;

/// The text cannot be anybody's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has 1 to {MAX_PASSWORD} bytes and no control characters")]
pub struct InvalidPassword;

// === impl Credentials ===

impl Credentials {
    /// Reads the value of an `Authorization` header.
    pub fn parse(header: &[u8]) -> Result<Self, MalformedCredentials> {
        let encoded = basic_token(header).ok_or(MalformedCredentials)?;
        let mut buffer = Zeroizing::new([0; DECODED_SPACE]);
        let length =
            STANDARD.decode_slice(encoded, buffer.as_mut_slice()).map_err(|_| MalformedCredentials)?;
        let decoded = std::str::from_utf8(&buffer[..length]).map_err(|_| MalformedCredentials)?;
        let (user, password) = decoded.split_once(':').ok_or(MalformedCredentials)?;
        if user.is_empty() || user.len() > MAX_USER || user.chars().any(char::is_control) {
            return Err(MalformedCredentials);
        }
        let password = Password::new(password).map_err(|_| MalformedCredentials)?;
        Ok(Self { user: user.to_owned(), password })
    }
}

/// The token after the scheme, whose name may be in any case, and one or more spaces.
fn basic_token(header: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = header.split_at_checked(SCHEME.len())?;
    let token = rest.trim_ascii_start();
    let spaces = &rest[..rest.len() - token.len()];
    let separated = !spaces.is_empty() && spaces.iter().all(|&byte| byte == b' ');
    (scheme.eq_ignore_ascii_case(SCHEME) && separated && token.len() <= ENCODED_SPACE).then_some(token)
}

// === impl Password ===

impl Password {
    /// Accepts a password that a client could send: not empty, not too long, nothing unprintable.
    pub fn new(text: &str) -> Result<Self, InvalidPassword> {
        if text.is_empty() || text.len() > MAX_PASSWORD || text.chars().any(char::is_control) {
            return Err(InvalidPassword);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself, for the one comparison it is there for.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The secret itself, for a server that takes text.
    pub fn expose_text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

const SCHEME: &[u8] = b"basic";
const MAX_USER: usize = 128;
const MAX_PASSWORD: usize = 1024;

/// What the longest user name, the colon and the longest password take, in base64 and decoded.
const ENCODED_SPACE: usize = (MAX_USER + 1 + MAX_PASSWORD).div_ceil(3) * 4;
const DECODED_SPACE: usize = ENCODED_SPACE / 4 * 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(credentials: &[u8]) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(credentials)).into_bytes()
    }

    fn parse(credentials: &[u8]) -> Result<(String, Vec<u8>), MalformedCredentials> {
        Credentials::parse(&header(credentials))
            .map(|parsed| (parsed.user, parsed.password.expose().to_vec()))
    }

    fn accepted(header: &[u8]) -> bool {
        Credentials::parse(header).is_ok()
    }

    #[test]
    fn user_and_password_split_at_the_first_colon() {
        assert_eq!(parse(b"joe:secret"), Ok(("joe".into(), b"secret".to_vec())));
        assert_eq!(parse(b"joe:a:b:"), Ok(("joe".into(), b"a:b:".to_vec())));
        assert_eq!(parse("jörg:pässwörd".as_bytes()), Ok(("jörg".into(), "pässwörd".as_bytes().to_vec())));
    }

    #[test]
    fn the_scheme_is_basic_in_any_case_and_nothing_else() {
        for header in ["Basic am9lOng=", "basic am9lOng=", "BASIC  am9lOng="] {
            assert!(accepted(header.as_bytes()), "{header}");
        }
        for header in
            ["", "Basic", "Basic ", "Basicam9lOng=", "Bearer am9lOng=", "Basic\tam9lOng=", " Basic am9lOng="]
        {
            assert!(!accepted(header.as_bytes()), "{header}");
        }
    }

    #[test]
    fn base64_is_taken_only_in_its_one_strict_form() {
        // Missing padding, surplus padding, trailing bits, white space, the URL alphabet, other characters.
        for token in
            ["am9lOng", "am9lOng==", "am9lOnh=", "am9l Ong=", "am9lOng= ", "am9lOj__", "am9lOj!!", "===="]
        {
            assert!(!accepted(format!("Basic {token}").as_bytes()), "{token}");
        }
    }

    #[test]
    fn an_empty_user_or_an_empty_password_is_refused_before_any_lookup() {
        for credentials in [&b":secret"[..], b"joe:", b":", b"joe", b""] {
            assert_eq!(parse(credentials), Err(MalformedCredentials));
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert_eq!(parse(b"joe:\xff\xfe"), Err(MalformedCredentials));
        assert_eq!(parse(b"j\xc3:secret"), Err(MalformedCredentials));
    }

    #[test]
    fn control_characters_are_refused_on_both_sides() {
        for credentials in ["jo\0e:x", "joe:x\0", "joe\n:x", "joe:a\rb", "joe:\u{7f}", "joe:\u{85}"] {
            assert_eq!(parse(credentials.as_bytes()), Err(MalformedCredentials), "{credentials:?}");
        }
    }

    #[test]
    fn the_limits_hold_to_the_byte() {
        let long = |user: usize, password: usize| [b"u".repeat(user), b"p".repeat(password)].join(&b':');
        assert!(parse(&long(128, 1024)).is_ok());
        assert!(parse(&long(129, 10)).is_err());
        assert!(parse(&long(10, 1025)).is_err());
        assert!(parse(&b"x".repeat(100_000)).is_err());
    }

    #[test]
    fn a_password_is_never_printed() {
        let credentials = Credentials::parse(&header(b"joe:hunter2")).unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials { user: \"joe\", password: Password(..) }");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(header: Vec<u8>) {
            let _ = Credentials::parse(&header);
        }

        #[test]
        fn parsing_never_panics_after_a_good_scheme(token in "[A-Za-z0-9+/=]{0,80}") {
            let _ = Credentials::parse(format!("Basic {token}").as_bytes());
        }

        #[test]
        fn what_is_accepted_comes_back_unchanged(user in "[a-z@. äé]{1,20}", password in "[ -~äé]{1,40}") {
            let parsed = parse(format!("{user}:{password}").as_bytes()).unwrap();
            prop_assert_eq!(parsed, (user, password.into_bytes()));
        }
    }
}
