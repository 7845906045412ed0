//! git's own report of a push, read while it passes to the client: which refs it says it has changed.
//!
//! The report is a row of packets, in the answer itself or in band 1 of its side bands, as the client asked. Nothing of the
//! answer is kept but the present line and the names of changed refs, of which a push can have no more than its commands, and
//! those are bounded. What is no packet ends the reading. See gitprotocol-pack(5), "Report Status", and
//! gitprotocol-common(5).

use std::collections::HashSet;

/// How many bytes the names may have together: more than the commands that named them, see `stream::commands`.
const NAMES: usize = 20 << 20;

/// Follows one answer.
#[derive(Debug, Default)]
pub struct Status {
    outer: Packets,
    /// Within band 1.
    inner: Packets,
    changed: HashSet<Box<[u8]>>,
    /// Whether the report has begun.
    begun: bool,
    /// What the names have together.
    size: usize,
}

impl Status {
    /// Looks at the next piece of the answer.
    pub fn follow(&mut self, piece: &[u8]) {
        let Self { outer, inner, changed, begun, size } = self;
        let mut line = |line: &[u8]| {
            *begun |= line.starts_with(b"unpack ");
            let name = line.strip_prefix(b"ok ").map(|name| name.strip_suffix(b"\n").unwrap_or(name));
            if let Some(name) = name.filter(|name| *size + name.len() <= NAMES) {
                *size += name.len();
                changed.insert(name.into());
            }
        };
        outer.follow(piece, |packet| match packet.split_first() {
            Some((1, report)) => inner.follow(report, &mut line),
            Some((2 | 3, _)) => {}
            _ => line(packet),
        });
    }

    /// Whether git reports at all.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// The full names of the refs that git reports as changed.
    #[must_use]
    pub fn changed(&self) -> &HashSet<Box<[u8]>> {
        &self.changed
    }
}

/// Packets out of pieces of any size.
#[derive(Debug, Default)]
struct Packets {
    /// The present packet, as far as it has come, with its length in front.
    packet: Vec<u8>,
    over: bool,
}

impl Packets {
    fn follow(&mut self, mut piece: &[u8], mut each: impl FnMut(&[u8])) {
        while !self.over && !piece.is_empty() {
            let wanted = self.wanted().saturating_sub(self.packet.len()).min(piece.len());
            self.packet.extend_from_slice(&piece[..wanted]);
            piece = &piece[wanted..];
            if self.packet.len() < HEADER {
                continue;
            }
            match length(&self.packet) {
                None => self.over = true,
                Some(length) if length <= self.packet.len() => {
                    each(&self.packet[HEADER..]);
                    self.packet.clear();
                }
                Some(_) => {}
            }
        }
    }

    /// How long the present packet is, as far as is known.
    fn wanted(&self) -> usize {
        if self.packet.len() < HEADER { HEADER } else { length(&self.packet).unwrap_or(HEADER) }
    }
}

/// The digits of a packet's length.
const HEADER: usize = 4;

/// What the packet's first digits say; one that only separates others is as long as they are.
fn length(packet: &[u8]) -> Option<usize> {
    let digits = packet.get(..HEADER).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    let length = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some(length.max(HEADER))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(text: &[u8]) -> Vec<u8> {
        [format!("{:04x}", text.len() + 4).as_bytes(), text].concat()
    }

    fn report(lines: &[&str]) -> Vec<u8> {
        let lines = lines.iter().map(|line| packet(format!("{line}\n").as_bytes()));
        lines.chain([b"0000".to_vec()]).collect::<Vec<_>>().concat()
    }

    fn in_bands(report: &[u8], size: usize) -> Vec<u8> {
        let mut answer = packet(b"\x02remote: ok refs/heads/said\n");
        for part in report.chunks(size) {
            answer.extend(packet(&[b"\x01", part].concat()));
            answer.extend(packet(b"\x02"));
        }
        answer.extend_from_slice(b"0000");
        answer
    }

    fn changed(answer: &[u8], size: usize) -> Vec<String> {
        let mut status = Status::default();
        answer.chunks(size).for_each(|piece| status.follow(piece));
        let names = status.changed().iter().map(|name| String::from_utf8_lossy(name).into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    const LINES: [&str; 6] = [
        "unpack ok",
        "ok refs/heads/a",
        "option refname refs/heads/x",
        "ng refs/heads/b pre-receive hook declined",
        "ok refs/heads/c d",
        "ng ok refs/heads/e",
    ];

    #[test]
    fn a_report_is_read_in_the_answer_and_in_its_first_band_in_pieces_of_any_size() {
        let plain = report(&LINES);
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(changed(&plain, size), ["refs/heads/a", "refs/heads/c d"]);
            for part in [1, 5, 999] {
                assert_eq!(changed(&in_bands(&plain, part), size), ["refs/heads/a", "refs/heads/c d"]);
            }
        }
    }

    #[test]
    fn what_is_no_report_changes_nothing_and_a_broken_one_counts_as_far_as_it_came() {
        for text in ["", "0000", "ok refs/heads/a", "zzzzok refs/heads/a\n", "0001", "+00cok refs/h"] {
            assert!(changed(text.as_bytes(), 3).is_empty(), "{text}");
        }
        for (lines, begun) in [(&LINES[..], true), (&LINES[1..], false), (&[], false)] {
            let mut status = Status::default();
            status.follow(&report(lines));
            assert_eq!(status.has_begun(), begun, "{lines:?}");
        }
        let whole = report(&["ok refs/heads/a", "ok refs/heads/b"]);
        assert_eq!(changed(&whole[..whole.len() - 5], 4), ["refs/heads/a"]);
    }

    #[test]
    fn a_report_without_end_takes_bounded_memory() {
        let line = packet(&[b"ok ", "n".repeat(60_000).as_bytes()].concat());
        let mut status = Status::default();
        (0..1000).for_each(|_| status.follow(&line));
        assert!(status.size <= NAMES && status.outer.packet.capacity() <= 1 << 17);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
            prop_assert_eq!(changed(&bytes, size), changed(&bytes, 1000));
        }
    }
}
