//! argon2id hashes (RFC 9106) as PHC strings, verified in memory that is used again.
//!
//! A hash works in some 20 MiB. Given back to the allocator after each verification they end up
//! fragmented and are never returned to the system, so each hashing thread keeps its [`Scratch`].

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;

use super::hash::InvalidHash;

/// Working memory for one thread that verifies hashes.
#[derive(Debug, Default)]
pub struct Scratch(Vec<Block>);

/// A parsed argon2id hash within the caps.
#[derive(Clone)]
pub(super) struct Argon2id {
    hasher: Argon2<'static>,
    salt: Box<[u8]>,
    output: Box<[u8]>,
}

/// Makes the hash of a new password, with a salt of its own and the costs OWASP recommends.
pub fn hash_new(password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password)?.to_string())
}

// === impl Argon2id ===

impl Argon2id {
    /// Reads a PHC string. `None` when it is none, or not of argon2id.
    pub(super) fn parse(text: &str) -> Option<Result<Self, InvalidHash>> {
        let hash = PasswordHash::new(text).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = hash.version.map(Version::try_from).transpose().ok()?.unwrap_or_default();
        let (salt, output) = (hash.salt?, hash.hash?);
        if algorithm != Algorithm::Argon2id {
            return None;
        }
        if params.m_cost() > MAX_MEMORY || params.t_cost() > MAX_PASSES || params.p_cost() > MAX_LANES {
            return Some(Err(InvalidHash::TooCostly { limit: LIMIT }));
        }
        Some(Ok(Self {
            hasher: Argon2::new(algorithm, version, params),
            salt: salt.as_ref().into(),
            output: output.as_bytes().into(),
        }))
    }

    /// Whether this is the hash of `password`.
    pub(super) fn verify(&self, password: &[u8], scratch: &mut Scratch) -> bool {
        let mut output = vec![0; self.output.len()];
        let blocks = scratch.blocks(self.hasher.params().block_count());
        let hashed = self.hasher.hash_password_into_with_memory(password, &self.salt, &mut output, blocks);
        scratch.release_surplus();
        hashed.is_ok() && output.ct_eq(&self.output).into()
    }

    /// KiB, passes, lanes.
    pub(super) fn costs(&self) -> (u32, u32, u32) {
        let params = self.hasher.params();
        (params.m_cost(), params.t_cost(), params.p_cost())
    }
}

// === impl Scratch ===

impl Scratch {
    /// Every block is written before it is read, so what the last hash left does not matter.
    fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            // Not grown in place, which would copy: there is nothing worth keeping.
            self.0 = Vec::new();
            self.0.resize(count, Block::new());
        }
        &mut self.0[..count]
    }

    /// One uncommonly costly hash must not cost its memory for ever.
    fn release_surplus(&mut self) {
        if self.0.len() > KEPT_BLOCKS {
            self.0 = Vec::new();
        }
    }
}

const LIMIT: &str = "argon2id may use m ≤ 262144 (256 MiB), t ≤ 10 and p ≤ 8";
const MAX_MEMORY: u32 = 256 * 1024;
const MAX_PASSES: u32 = 10;
const MAX_LANES: u32 = 8;

/// 64 MiB, in blocks of 1 KiB.
const KEPT_BLOCKS: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Argon2id {
        Argon2id::parse(text).unwrap().unwrap()
    }

    #[test]
    fn a_hash_of_the_reference_implementation_verifies() {
        // From the test vectors of phc-winner-argon2: argon2 -id -t 2 -m 16 -p 1.
        let hash =
            parse("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc");
        let mut scratch = Scratch::default();
        assert!(hash.verify(b"password", &mut scratch));
        assert!(!hash.verify(b"differentpassword", &mut scratch));
    }

    #[test]
    fn memory_left_by_one_hash_does_not_change_the_next() {
        let mut scratch = Scratch::default();
        let (large, small) = (parse(&hash_new(b"large").unwrap()), {
            let params = Params::new(64, 1, 2, None).unwrap();
            let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            parse(&PasswordHasher::<PasswordHash>::hash_password(&hasher, b"small").unwrap().to_string())
        });
        for _ in 0..2 {
            assert!(small.verify(b"small", &mut scratch) && !small.verify(b"large", &mut scratch));
            assert!(large.verify(b"large", &mut scratch) && !large.verify(b"small", &mut scratch));
        }
    }

    #[test]
    fn the_memory_of_an_uncommonly_costly_hash_is_given_back() {
        let mut scratch = Scratch::default();
        assert_eq!(scratch.blocks(KEPT_BLOCKS + 1).len(), KEPT_BLOCKS + 1);
        scratch.release_surplus();
        assert!(scratch.0.is_empty());
    }
}
