//! Packets of gitprotocol-common(5): a whole body as a list of them, and an answer followed as it streams.

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0000`
    Flush,
    /// `0001`
    Delimiter,
    /// A packet with content.
    Line(&'a [u8]),
}

/// The packets of a whole body; `None` when it is anything else.
#[must_use]
pub fn packets(mut bytes: &[u8]) -> Option<Vec<Packet<'_>>> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (digits, rest) = bytes.split_at_checked(4)?;
        let length = length(digits)?;
        let (packet, rest) = match length {
            0 => (Packet::Flush, rest),
            1 => (Packet::Delimiter, rest),
            _ => {
                let (line, rest) = rest.split_at_checked(length.checked_sub(4)?)?;
                (Packet::Line(line), rest)
            }
        };
        packets.push(packet);
        bytes = rest;
    }
    Some(packets)
}

/// Follows an answer, to tell whether it is one that git finished and meant.
#[derive(Debug, Default)]
pub struct Framing {
    /// The digits of the next packet's length, as far as they have come.
    digits: Vec<u8>,
    /// Bytes of the present packet still to come.
    pending: usize,
    /// The beginning of the present packet.
    start: Vec<u8>,
    flushed: bool,
    has_pack: bool,
    unusable: bool,
}

impl Framing {
    /// Looks at the next piece of the answer.
    pub fn follow(&mut self, mut piece: &[u8]) {
        while !self.unusable && !piece.is_empty() {
            if self.pending == 0 {
                let taken = piece.len().min(4 - self.digits.len());
                self.digits.extend_from_slice(&piece[..taken]);
                piece = &piece[taken..];
                self.begin_packet();
                continue;
            }
            let taken = self.pending.min(piece.len());
            let wanted = START - self.start.len();
            self.start.extend_from_slice(&piece[..taken.min(wanted)]);
            self.pending -= taken;
            piece = &piece[taken..];
            if self.pending == 0 {
                self.end_packet();
            }
        }
    }

    /// Whether the answer is made of packets, ends with a flush packet, and none of them reports an error.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.unusable && self.flushed && self.pending == 0 && self.digits.is_empty()
    }

    /// Whether there was a pack in it.
    #[must_use]
    pub fn has_pack(&self) -> bool {
        self.has_pack
    }

    fn begin_packet(&mut self) {
        if self.digits.len() < 4 {
            return;
        }
        let length = length(&self.digits);
        self.digits.clear();
        self.flushed = length == Some(0);
        match length {
            Some(0 | 1 | 4) => {}
            Some(length @ 5..) => self.pending = length - 4,
            _ => self.unusable = true,
        }
    }

    /// `ERR ` is an error of the service, the third band one of whoever made the pack.
    fn end_packet(&mut self) {
        self.unusable |= self.start.starts_with(b"ERR ") || self.start.first() == Some(&3);
        self.has_pack |= self.start.starts_with(b"packfile");
        self.start.clear();
    }
}

/// How much of a packet says what it is.
const START: usize = 8;

fn length(digits: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    usize::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_complete(answer: &[u8], piece: usize) -> bool {
        let mut framing = Framing::default();
        answer.chunks(piece).for_each(|piece| framing.follow(piece));
        framing.is_complete()
    }

    #[test]
    fn an_answer_is_complete_when_its_last_packet_is_a_flush() {
        for piece in [1, 3, 100] {
            assert!(is_complete(b"0009a bc\n000dpackfile\n0006\x01x0000", piece));
            for answer in [
                &b""[..],
                b"0009a bc\n",
                b"0009a bc\n000",
                b"0009a bc\n00000009a",
                b"0000x",
                b"000zabc0000",
                b"0002",
                b"000dERR nope!0000",
                b"000dpackfile\n0009\x03fail0000",
                b"+00a......0000",
            ] {
                assert!(!is_complete(answer, piece), "{}", answer.escape_ascii());
            }
        }
    }

    #[test]
    fn a_body_is_packets_or_nothing() {
        let line = Packet::Line(b"a");
        assert_eq!(packets(b"0005a00010000"), Some(vec![line, Packet::Delimiter, Packet::Flush]));
        for body in [&b"000"[..], b"0009a", b"0003", b"zzzz", b"+005a"] {
            assert_eq!(packets(body), None, "{}", body.escape_ascii());
        }
    }
}
