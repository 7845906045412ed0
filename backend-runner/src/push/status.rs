//! git's own report of a push, read while it passes to the client: which refs it says it has changed, and which not.
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
    refused: HashSet<Box<[u8]>>,
    /// Whether the report has begun, and whether all of it has come.
    begun: bool,
    ended: bool,
    /// What the names have together.
    size: usize,
}

impl Status {
    /// Looks at the next piece of the answer.
    pub fn follow(&mut self, piece: &[u8]) {
        let Self { outer, inner, .. } = self;
        let (mut outer, mut inner) = (std::mem::take(outer), std::mem::take(inner));
        outer.follow(piece, |packet| match packet.split_first() {
            Some((1, report)) => inner.follow(report, |packet| self.line(packet)),
            Some((2 | 3, _)) => {}
            _ => self.line(packet),
        });
        (self.outer, self.inner) = (outer, inner);
    }

    /// A line of the report; the flush packet at its end is an empty one.
    fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        self.begun |= line.starts_with(b"unpack ");
        self.ended |= self.begun && line.is_empty();
        let (names, name) = match (line.strip_prefix(b"ok "), line.strip_prefix(b"ng ")) {
            (Some(name), _) => (&mut self.changed, name),
            // A name has no space, and a reason follows.
            (_, Some(refusal)) => {
                (&mut self.refused, refusal.split(|byte| *byte == b' ').next().unwrap_or(refusal))
            }
            _ => return,
        };
        if self.size + name.len() <= NAMES {
            self.size += name.len();
            names.insert(name.into());
        }
    }

    /// Whether git may have changed a ref of this name without having said so: its report did not come to its end.
    #[must_use]
    pub fn leaves_open(&self, name: &[u8]) -> bool {
        !self.ended && !self.changed.contains(name) && !self.refused.contains(name)
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
        let whole = report(&["ok refs/heads/a", "ok refs/heads/b"]);
        assert_eq!(changed(&whole[..whole.len() - 5], 4), ["refs/heads/a"]);
    }

    #[test]
    fn what_a_report_does_not_come_to_is_left_open() {
        let (plain, names) = (report(&LINES), ["refs/heads/a", "refs/heads/b", "refs/heads/z"]);
        let open = |answer: &[u8]| {
            let mut status = Status::default();
            answer.chunks(7).for_each(|piece| status.follow(piece));
            names.map(|name| status.leaves_open(name.as_bytes()))
        };
        for answer in [plain.clone(), in_bands(&plain, 11)] {
            assert_eq!(open(&answer), [false; 3]);
        }
        assert_eq!(open(&plain[..plain.len() - 4]), [false, false, true]);
        assert_eq!(open(&report(&LINES[..1])[..10]), [true; 3]);
        assert_eq!(open(b""), [true; 3]);
        assert_eq!(open(b"0000"), [true; 3]);
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
