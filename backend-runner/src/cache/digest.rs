//! Keys: SHA-256 over parts whose borders cannot be confused.

use sha2::{Digest as _, Sha256};

/// A key.
pub type Digest = [u8; 32];

/// A key in the making.
#[derive(Clone, Debug)]
pub struct Parts(Sha256);

impl Parts {
    /// Begins a key for `purpose`; keys for different purposes are never the same.
    #[must_use]
    pub fn of(purpose: &str) -> Self {
        Self(Sha256::new()).and(purpose.as_bytes())
    }

    /// Adds a part, with its length before it.
    #[must_use]
    pub fn and(mut self, part: &[u8]) -> Self {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// The key.
    #[must_use]
    pub fn digest(self) -> Digest {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_with_other_borders_are_another_key() {
        let key = |parts: &[&[u8]]| parts.iter().fold(Parts::of("x"), |key, part| key.and(part)).digest();
        assert_eq!(key(&[b"ab", b"c"]), key(&[b"ab", b"c"]));
        for other in [&[&b"a"[..], b"bc"][..], &[b"abc"], &[b"ab", b"c", b""], &[b"c", b"ab"]] {
            assert_ne!(key(&[b"ab", b"c"]), key(other));
        }
        assert_ne!(Parts::of("x").and(b"y").digest(), Parts::of("y").and(b"x").digest());
    }
}
