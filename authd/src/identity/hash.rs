//! Stored password hashes: which forms are accepted, how costly they may be, and verification.
//!
//! The cost of a hash is written in the hash, so a line in a file could order gigabytes or hours of work;
//! parsing refuses what is over the caps. Verification takes milliseconds to a second and belongs on the
//! blocking pool, never on a thread that serves requests.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policy::document;
use serde::{Deserialize, Deserializer};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use super::apr1::Apr1;
use super::argon2id::{Argon2id, Scratch};

/// A password hash that can be verified within the caps.
#[derive(Clone)]
pub struct StoredHash {
    text: Box<str>,
    form: Form,
}

/// A hash as it is written: what a file holds, until it has to be verified.
#[derive(Clone, PartialEq, Eq)]
pub struct HashText(Arc<str>);

/// How costly a hash is to verify: two hashes of the same kind take the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Unsalted SHA-1, `{SHA}`.
    Sha1,
    /// Apache's MD5.
    Apr1,
    /// bcrypt.
    Bcrypt {
        /// Its cost.
        cost: u32,
    },
    /// argon2id.
    Argon2id {
        /// KiB, passes, lanes.
        costs: (u32, u32, u32),
    },
}

/// Why a hash cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// Not a form that is accepted, or a broken one of those.
    #[error("this is no password hash that can be used: {expected}")]
    Form {
        /// The forms that are.
        expected: &'static str,
    },
    /// It would take too long to verify.
    #[error("this password hash is too costly to verify: {limit}")]
    TooCostly {
        /// What is allowed.
        limit: &'static str,
    },
}

#[derive(Clone)]
enum Form {
    Argon2id(Box<Argon2id>),
    Bcrypt { cost: u32 },
    Apr1(Apr1),
    Sha1([u8; 20]),
}

// === impl HashText ===

impl HashText {
    /// Takes a text as it is.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The hash to verify with.
    ///
    /// # Errors
    /// When it cannot be used. What stands in a file was found to be usable when that was read.
    pub fn parse(&self) -> Result<StoredHash, InvalidHash> {
        StoredHash::parse(&self.0)
    }

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HashText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashText")
    }
}

// === impl StoredHash ===

impl StoredHash {
    /// Reads a hash of any form: argon2id, bcrypt, and the legacy apr1 and `{SHA}`.
    pub fn parse(text: &str) -> Result<Self, InvalidHash> {
        let form = if text.starts_with("$argon2id$") {
            Form::Argon2id(Box::new(Argon2id::parse(text).ok_or(BAD_FORM)??))
        } else if BCRYPT_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            bcrypt(text)?
        } else if let Some(rest) = text.strip_prefix("$apr1$") {
            Form::Apr1(Apr1::parse(rest).ok_or(BAD_FORM)?)
        } else if let Some(rest) = text.strip_prefix("{SHA}") {
            sha1(rest)?
        } else {
            return Err(BAD_FORM);
        };
        Ok(Self { text: text.into(), form })
    }

    /// Whether this is the hash of `password`. Slow by design.
    pub fn verify(&self, password: &[u8], scratch: &mut Scratch) -> bool {
        match &self.form {
            Form::Argon2id(hash) => hash.verify(password, scratch),
            // bcrypt looks at 72 bytes only; a longer password would match everything that starts like it.
            // The work is done all the same, or the time would tell whose hash is bcrypt's.
            Form::Bcrypt { .. } => {
                let seen = &password[..password.len().min(BCRYPT_MAX_PASSWORD)];
                bcrypt::verify(seen, &self.text).unwrap_or(false) && seen.len() == password.len()
            }
            Form::Apr1(hash) => hash.verify(password),
            Form::Sha1(digest) => Sha1::digest(password).ct_eq(digest).into(),
        }
    }

    /// How costly verification is.
    pub fn kind(&self) -> Kind {
        match &self.form {
            Form::Argon2id(hash) => Kind::Argon2id { costs: hash.costs() },
            Form::Bcrypt { cost } => Kind::Bcrypt { cost: *cost },
            Form::Apr1(_) => Kind::Apr1,
            Form::Sha1(_) => Kind::Sha1,
        }
    }

    /// Whether whoever gets the file can guess most passwords in it.
    pub fn is_weak(&self) -> bool {
        matches!(self.form, Form::Apr1(_) | Form::Sha1(_))
    }

    /// The hash as it is written, to tell one from the next.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredHash({:?})", self.kind())
    }
}

/// In a users file only the strong forms are accepted: that file is ours, there is no legacy in it.
impl<'de> Deserialize<'de> for StoredHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        document::parsed(deserializer, |text| match Self::parse(text) {
            Ok(hash) if !hash.is_weak() => Ok(hash),
            Err(costly @ InvalidHash::TooCostly { .. }) => Err(costly),
            _ => Err(InvalidHash::Form { expected: STRONG_FORMS }),
        })
    }
}

fn bcrypt(text: &str) -> Result<Form, InvalidHash> {
    let parts = bcrypt::HashParts::from_str(text).map_err(|_| BAD_FORM)?;
    match parts.get_cost() {
        cost @ 4..=BCRYPT_MAX_COST if text.len() == BCRYPT_LENGTH => Ok(Form::Bcrypt { cost }),
        0..=BCRYPT_MAX_COST => Err(BAD_FORM),
        _ => Err(InvalidHash::TooCostly { limit: "bcrypt may have a cost of at most 14" }),
    }
}

fn sha1(encoded: &str) -> Result<Form, InvalidHash> {
    let digest = STANDARD.decode(encoded).map_err(|_| BAD_FORM)?;
    digest.try_into().map(Form::Sha1).map_err(|_| BAD_FORM)
}

const BAD_FORM: InvalidHash = InvalidHash::Form { expected: "expected argon2id, bcrypt, apr1 or {SHA}" };
const STRONG_FORMS: &str = "expected argon2id or bcrypt; `authd hash-password` makes one";

/// `$2x$` marks hashes of a broken implementation and is left out.
const BCRYPT_PREFIXES: [&str; 3] = ["$2a$", "$2b$", "$2y$"];
const BCRYPT_LENGTH: usize = 60;
const BCRYPT_MAX_PASSWORD: usize = 72;
const BCRYPT_MAX_COST: u32 = 14;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::argon2id::hash_new;

    fn verify(hash: &StoredHash, password: &[u8]) -> bool {
        hash.verify(password, &mut Scratch::default())
    }

    const BCRYPT: &str = "$2y$05$4cFMj0k2/QAcbrjw8Wbwfex.O0ibtNmbpnLyz60LyIk8Vur/erUIy";
    const SHA: &str = "{SHA}MXmmXv8lI7veU8mbKZtxnBCjUjU=";

    fn refused(text: &str) -> InvalidHash {
        StoredHash::parse(text).expect_err(text)
    }

    #[test]
    fn every_accepted_form_tells_right_from_wrong() {
        let apr1 = "$apr1$a6ugPmdb$Y5MDhaKbGBJXLC6VKsN6k0";
        let argon2id = hash_new(b"correct").unwrap();
        for (text, password) in
            [(BCRYPT, "correct"), (SHA, "correct"), (apr1, "correct horse"), (&argon2id, "correct")]
        {
            let hash = StoredHash::parse(text).unwrap();
            assert!(verify(&hash, password.as_bytes()), "{text}");
            for wrong in ["", "Correct", "correct ", "correc"] {
                assert!(!verify(&hash, wrong.as_bytes()), "{text} with {wrong:?}");
            }
        }
    }

    #[test]
    fn clear_text_and_unknown_forms_are_never_a_hash() {
        for text in [
            "",
            "plaintext",
            "wJaOLuewWZZPY",
            "$1$salt$0123456789012345678901",
            "$6$salt$x",
            "$2x$05$",
            "{SSHA}x",
            "$2y$05$tooshort",
            "{SHA}",
            "{SHA}AAAA",
            "$argon2id$",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$apr1$x",
        ] {
            assert!(matches!(refused(text), InvalidHash::Form { .. }), "{text}");
        }
        let argon2i = hash_new(b"x").unwrap().replace("$argon2id$", "$argon2i$");
        assert!(matches!(refused(&argon2i), InvalidHash::Form { .. }));
    }

    #[test]
    fn a_hash_cannot_order_more_work_than_the_caps() {
        assert!(matches!(refused(&BCRYPT.replace("$05$", "$15$")), InvalidHash::TooCostly { .. }));
        assert!(matches!(refused(&BCRYPT.replace("$05$", "$31$")), InvalidHash::TooCostly { .. }));
        assert!(StoredHash::parse(&BCRYPT.replace("$05$", "$14$")).is_ok());
        let argon2id = hash_new(b"x").unwrap();
        for costs in ["m=262145,t=2,p=1", "m=19456,t=11,p=1", "m=19456,t=2,p=9", "m=4194304,t=2,p=1"] {
            let text = argon2id.replace("m=19456,t=2,p=1", costs);
            assert!(matches!(refused(&text), InvalidHash::TooCostly { .. }), "{costs}");
        }
        assert!(StoredHash::parse(&argon2id.replace("m=19456,t=2,p=1", "m=262144,t=10,p=8")).is_ok());
    }

    #[test]
    fn bcrypt_does_not_take_a_73_byte_password_for_the_72_bytes_it_starts_with() {
        let password = [b'a'; 72];
        let hash = StoredHash::parse(&bcrypt::hash(password, 4).unwrap()).unwrap();
        assert!(verify(&hash, &password));
        assert!(!verify(&hash, &[b'a'; 73]));
    }

    #[test]
    fn only_fast_hashes_are_called_weak() {
        assert!(StoredHash::parse(SHA).unwrap().is_weak());
        assert!(!StoredHash::parse(BCRYPT).unwrap().is_weak());
    }

    #[test]
    fn a_hash_does_not_print_itself() {
        assert_eq!(format!("{:?}", StoredHash::parse(BCRYPT).unwrap()), "StoredHash(Bcrypt { cost: 5 })");
        assert_eq!(format!("{:?}", HashText::new(BCRYPT)), "HashText");
    }

    #[test]
    fn two_new_hashes_of_one_password_differ() {
        assert_ne!(hash_new(b"same").unwrap(), hash_new(b"same").unwrap());
    }
}
