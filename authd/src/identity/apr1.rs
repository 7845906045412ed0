//! Apache's MD5 password hash, `$apr1$salt$digest`, as `apr_md5_encode()` of the Apache Portable Runtime
//! makes it: 1000 rounds of MD5, fast to guess by today's measure, kept for old htpasswd files.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// A parsed apr1 hash.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Apr1 {
    salt: Vec<u8>,
    digest: [u8; DIGEST_LENGTH],
}

impl Apr1 {
    /// Reads what follows `$apr1$`.
    pub(super) fn parse(rest: &str) -> Option<Self> {
        let (salt, digest) = rest.split_once('$')?;
        let digest: &[u8; DIGEST_LENGTH] = digest.as_bytes().try_into().ok()?;
        let in_alphabet = |bytes: &[u8]| bytes.iter().all(|byte| ALPHABET.contains(byte));
        let acceptable =
            (1..=MAX_SALT).contains(&salt.len()) && in_alphabet(salt.as_bytes()) && in_alphabet(digest);
        acceptable.then(|| Self { salt: salt.into(), digest: *digest })
    }

    /// Whether this is the hash of `password`.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        encode(&stretch(password, &self.salt)).ct_eq(&self.digest).into()
    }
}

/// The thousand rounds. Which pieces go in is the algorithm's definition and has no deeper sense.
fn stretch(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let mut state = first_round(password, salt);
    for round in 0..1000 {
        let mut md5 = Md5::new();
        md5.update(if round % 2 == 1 { password } else { &state });
        if round % 3 != 0 {
            md5.update(salt);
        }
        if round % 7 != 0 {
            md5.update(password);
        }
        md5.update(if round % 2 == 1 { &state } else { password });
        state = md5.finalize().into();
    }
    state
}

fn first_round(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let inner: [u8; 16] =
        Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize().into();
    let mut md5 = Md5::new().chain_update(password).chain_update(MAGIC).chain_update(salt);
    for piece in password.chunks(inner.len()) {
        md5.update(&inner[..piece.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        md5.update(if bits & 1 == 1 { &[0] } else { &password[..1] });
        bits >>= 1;
    }
    md5.finalize().into()
}

/// The digest in the algorithm's own order of bytes and base 64, least significant bits first.
fn encode(state: &[u8; 16]) -> [u8; DIGEST_LENGTH] {
    let mut digest = [0; DIGEST_LENGTH];
    for (indices, symbols) in BYTE_ORDER.iter().zip(digest.chunks_mut(4)) {
        let mut bits = indices.iter().fold(0, |bits, &index| bits << 8 | u32::from(state[index]));
        for symbol in symbols {
            *symbol = ALPHABET[(bits & 0x3f) as usize];
            bits >>= 6;
        }
    }
    digest
}

const MAGIC: &[u8] = b"$apr1$";
const MAX_SALT: usize = 8;
const DIGEST_LENGTH: usize = 22;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BYTE_ORDER: [&[usize]; 6] = [&[0, 6, 12], &[1, 7, 13], &[2, 8, 14], &[3, 9, 15], &[4, 10, 5], &[11]];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_made_by_openssl_and_htpasswd_verify() {
        for (password, hash) in [
            ("password", "$apr1$xxxxxxxx$dxHfLAsjHkDRmG83UXe8K0"),
            ("a", "$apr1$s$EpqI6uEp3OR4bun9kSXHW/"),
            ("exactly16bytes!!", "$apr1$abcdefgh$rhV8fu.Ml1p5UP5KqKDi3/"),
            ("a password of more than sixteen bytes", "$apr1$./09AZaz$l9qwkd69eTcjpc6qVpKue0"),
            ("pässwörd", "$apr1$Ab1$DR92k9xB7A.yPRx9ZqMzx0"),
            ("correct horse", "$apr1$a6ugPmdb$Y5MDhaKbGBJXLC6VKsN6k0"),
        ] {
            let hash = Apr1::parse(hash.strip_prefix("$apr1$").unwrap()).unwrap();
            assert!(hash.verify(password.as_bytes()), "{password:?}");
            assert!(!hash.verify(format!("{password}x").as_bytes()), "{password:?} and one more");
            assert!(!hash.verify(b""));
        }
    }

    #[test]
    fn anything_but_a_salt_and_22_symbols_is_refused() {
        let digest = "0123456789012345678901";
        for rest in [
            "",
            "salt",
            "salt$",
            "$",
            &format!("${digest}"),
            &format!("ninechars${digest}"),
            &format!("salt${digest}x"),
            &format!("sa t${digest}"),
            "salt$012345678901234567890!",
            &format!("säl${digest}"),
        ] {
            assert!(Apr1::parse(rest).is_none(), "{rest:?}");
        }
    }
}
