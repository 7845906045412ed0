//! A compressed request body, decoded as it comes (RFC 1952): what `http-backend` does for its children.
//!
//! Deflate can grow a thousandfold, so the input is fed in slices whose result stays small in memory.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzDecoder;

/// Input decoded at once; at deflate's worst this becomes 1 MiB.
const SLICE: usize = 1024;

/// Decodes one body.
#[derive(Debug)]
pub(super) struct Inflate(GzDecoder<Vec<u8>>);

impl Inflate {
    pub(super) fn new() -> Self {
        Self(GzDecoder::new(Vec::new()))
    }

    /// Takes some of `input` and gives back what it stands for, which may be nothing yet. Bytes after the end of the
    /// compressed data are dropped, as git does.
    pub(super) fn take(&mut self, input: &mut Bytes) -> io::Result<Vec<u8>> {
        let slice = input.split_to(input.len().min(SLICE));
        let taken = self.0.write(&slice)?;
        if taken == 0 {
            input.clear();
        } else if taken < slice.len() {
            let mut rest = slice.slice(taken..).to_vec();
            rest.extend_from_slice(input);
            *input = rest.into();
        }
        self.0.flush()?;
        Ok(std::mem::take(self.0.get_mut()))
    }

    /// What is left at the end of the body; an error when it ends in the middle.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.0.try_finish()?;
        Ok(std::mem::take(self.0.get_mut()))
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(input: &[u8], chunk: usize) -> io::Result<Vec<u8>> {
        let mut inflate = Inflate::new();
        let mut output = Vec::new();
        for part in input.chunks(chunk) {
            let mut part = Bytes::copy_from_slice(part);
            while !part.is_empty() {
                output.extend(inflate.take(&mut part)?);
            }
        }
        output.extend(inflate.finish()?);
        Ok(output)
    }

    #[test]
    fn a_body_is_decoded_whatever_pieces_it_comes_in() {
        let body: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = gzip(&body);
        for chunk in [1, 7, 1024, 5000, packed.len()] {
            assert!(inflate(&packed, chunk).unwrap() == body, "{chunk}");
        }
        assert_eq!(inflate(&gzip(b""), 3).unwrap(), b"");
    }

    #[test]
    fn a_body_that_ends_early_or_is_not_gzip_is_an_error() {
        let packed = gzip(b"0000 some more");
        for end in 0..packed.len() {
            assert!(inflate(&packed[..end], 4).is_err(), "{end}");
        }
        assert!(inflate(b"0014command=ls-refs\n", 4).is_err());
        let mut damaged = packed.clone();
        damaged[14] ^= 0xff;
        assert!(inflate(&damaged, 4).is_err());
    }

    #[test]
    fn what_follows_the_compressed_data_is_dropped() {
        assert_eq!(inflate(&[gzip(b"0000"), b"trailing".to_vec()].concat(), 5).unwrap(), b"0000");
    }

    #[test]
    fn a_bomb_is_decoded_in_small_pieces() {
        let packed = gzip(&vec![0; 64 << 20]);
        let mut inflate = Inflate::new();
        let mut input = Bytes::from(packed);
        let mut total = 0;
        while !input.is_empty() {
            let piece = inflate.take(&mut input).unwrap();
            assert!(piece.len() <= 2 << 20, "{}", piece.len());
            total += piece.len();
        }
        assert_eq!(total, 64 << 20);
    }
}
