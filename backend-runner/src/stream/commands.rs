//! The commands of a push, on their way to git: bounded, because `receive-pack` keeps every one of them in memory.
//!
//! A push starts with a list of pkt-lines (gitprotocol-common(5)) that ends with a flush packet; the pack follows. Only the
//! packets' lengths are looked at, and whether the client asks for a report, which follows a zero byte in a command. What is no packet
//! is left to git, which ends there.

/// The most a list of commands may have in bytes: some hundred thousand refs.
const LIMIT: u64 = 16 << 20;

/// The list is longer than [`LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyCommands;

/// Follows one body.
#[derive(Debug, Default)]
pub(super) struct Commands {
    seen: u64,
    /// Bytes of the present packet still to come.
    pending: usize,
    /// The digits of the next packet's length, as far as they have come.
    length: Vec<u8>,
    over: bool,
    /// The present packet, until it is known what the client can do.
    packet: Vec<u8>,
    asks_report: Option<bool>,
    in_certificate: bool,
}

/// Whether the client of a push asks git to report what became of it; `None` where its list does not come to its end. `body` is
/// all of the request.
pub(crate) fn asks_report(body: &[u8]) -> Option<bool> {
    let mut commands = Commands::default();
    // What is short enough to be here whole is no list that is too long; if it were, its end would not be known.
    let _ = commands.follow(body);
    commands.asks_report()
}

/// Two object ids and a name: nowhere else git reads what the client can do.
fn is_update(command: &[u8]) -> bool {
    let mut words = command.splitn(3, |byte| *byte == b' ');
    let mut is_id = || {
        words.next().is_some_and(|id| [40, 64].contains(&id.len()) && id.iter().all(u8::is_ascii_hexdigit))
    };
    is_id() && is_id() && words.next().is_some_and(|name| !name.is_empty())
}

impl Commands {
    /// Looks at the next piece of the body.
    pub(super) fn follow(&mut self, mut piece: &[u8]) -> Result<(), TooManyCommands> {
        while !self.over && !piece.is_empty() {
            let taken = if self.pending > 0 { self.pending.min(piece.len()) } else { 1 };
            self.seen += taken as u64;
            if self.seen > LIMIT {
                return Err(TooManyCommands);
            }
            if self.pending > 0 {
                self.pending -= taken;
                self.look(&piece[..taken]);
            } else {
                self.length.push(piece[0]);
                self.start_packet();
            }
            piece = &piece[taken..];
        }
        Ok(())
    }

    fn start_packet(&mut self) {
        if self.length.len() < 4 {
            return;
        }
        let length =
            std::str::from_utf8(&self.length).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        self.length.clear();
        match length.and_then(|length| length.checked_sub(4)) {
            Some(pending) => self.pending = pending,
            // A flush packet, or no packet at all.
            None => {
                self.over = true;
                self.asks_report.get_or_insert(false);
            }
        }
    }

    /// Whether the client asks git to report what became of its push; `None` until it has said so or its list is over.
    pub(super) fn asks_report(&self) -> Option<bool> {
        self.asks_report
    }

    /// Collects the packet and looks for what the client can do, as `receive-pack` does, and with less than its goodwill: who is
    /// taken for asking gets no post-receive, so whatever could be read in two ways is no.
    fn look(&mut self, piece: &[u8]) {
        if self.asks_report.is_some() {
            return;
        }
        self.packet.extend_from_slice(piece);
        if self.pending > 0 {
            return;
        }
        let packet = std::mem::take(&mut self.packet);
        // What follows is a text, and git reads no list in it.
        self.in_certificate |= packet.starts_with(b"push-cert");
        let mut texts = packet.split(|byte| *byte == 0);
        let (Some(command), Some(list)) = (texts.next(), texts.next()) else { return };
        let mut words = list.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        let asks = words.any(|word| matches!(word, b"report-status" | b"report-status-v2"));
        self.asks_report = Some(asks && is_update(command) && !self.in_certificate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(text: &str) -> Vec<u8> {
        format!("{:04x}{text}", text.len() + 4).into_bytes()
    }

    #[test]
    fn a_pack_of_any_size_may_follow_the_commands() {
        let mut commands = Commands::default();
        commands.follow(&[packet("0 1 refs/heads/a"), b"0000".to_vec()].concat()).unwrap();
        for _ in 0..40 {
            assert_eq!(commands.follow(&[b'x'; 1 << 20]), Ok(()));
        }
    }

    #[test]
    fn a_client_that_asks_for_a_report_is_known_before_its_list_is_over() {
        let id = "0123456789012345678901234567890123456789";
        let update = |words: &str| packet(&format!("{id} {id} refs/heads/a{words}"));
        let certificate =
            ["push-cert", "certificate version 0.1\n", "x\0 report-status\n", "push-cert-end\n"];
        let certificate = certificate.map(packet).concat();
        for (text, asks) in [
            (update("\0 report-status side-band-64k"), true),
            (update("\0report-status-v2 agent=x\n"), true),
            ([packet(&format!("shallow {id}")), update("\0 report-status")].concat(), true),
            (update("\0 side-band-64k agent=report-status"), false),
            (update(" report-status"), false),
            // What git takes for no list, or for the end of one.
            (update("\0 quiet\0 report-status"), false),
            (update("\0 quiet\x0creport-status"), false),
            ([packet(&format!("shallow {id}\0 report-status")), update("")].concat(), false),
            ([certificate.clone(), update("")].concat(), false),
            ([certificate, update("\0 report-status")].concat(), false),
        ] {
            let text = [&text[..], b"0000"].concat();
            for size in [1, 3, text.len()] {
                let mut commands = Commands::default();
                assert_eq!(commands.asks_report(), None);
                text.chunks(size).for_each(|piece| commands.follow(piece).unwrap());
                assert_eq!(commands.asks_report(), Some(asks), "{}", text.escape_ascii());
            }
        }
        let mut other = Commands::default();
        other.follow(b"\x1f\x8b\x08\x00").unwrap();
        assert_eq!(other.asks_report(), Some(false));
    }

    #[test]
    fn commands_without_end_are_refused_whatever_pieces_they_come_in() {
        let line = packet(&"y".repeat(60_000));
        for size in [1 << 10, 4093, 1 << 16] {
            let mut commands = Commands::default();
            let endless = line.iter().copied().cycle().take(17 << 20).collect::<Vec<_>>();
            assert!(endless.chunks(size).any(|piece| commands.follow(piece).is_err()), "{size}");
        }
    }

    #[test]
    fn what_is_no_packet_is_left_to_git() {
        for text in ["PACK", "zzzz", "0001", "-001", "\u{e9}\u{e9}"] {
            let mut commands = Commands::default();
            commands.follow(text.as_bytes()).unwrap();
            assert!(commands.over, "{text}");
        }
    }
}
