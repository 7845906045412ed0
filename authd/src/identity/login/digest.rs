//! What stands for a login where its password must not: digests under a key that dies with the process.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Login, Logins, Proof};
use crate::failures::{Digest, Scope};

impl Logins {
    /// Where the answer to this login is remembered.
    pub(super) fn digest(&self, login: &Login) -> Digest {
        let (kind, of): (&[u8], &[u8]) = match &login.proof {
            Proof::Hash(hash) => (b"hash", hash.as_str().as_bytes()),
            Proof::Decoy(hash) => (b"decoy", hash.as_str().as_bytes()),
            Proof::Bind(ldap, ..) => (b"bind", &ldap.id().to_be_bytes()),
        };
        let (user, password) = (login.user.as_bytes(), login.password.expose());
        self.keyed(&[login.directory.as_bytes(), kind, of, user, password])
    }

    /// What makes two logins the same guess, wherever it is verified.
    pub(super) fn guess(&self, login: &Login) -> Digest {
        self.keyed(&[login.user.to_ascii_lowercase().as_bytes(), login.password.expose()])
    }

    /// A name is counted whether anybody has it or not, and in any case.
    pub(super) fn scopes(&self, login: &Login) -> Vec<Scope> {
        let user = Scope::User(self.keyed(&[login.user.to_ascii_lowercase().as_bytes()]));
        std::iter::once(user).chain(login.client.bucket().map(Scope::Client)).collect()
    }

    /// Each part goes in with its length before it, so that no two lists of parts look alike.
    fn keyed(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// SHA-256's block, in bytes.
pub(super) const HMAC_BLOCK: usize = 64;
