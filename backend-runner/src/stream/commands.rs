//! The commands of a push, on their way to git: bounded, because `receive-pack` keeps every one of them in memory.
//!
//! A push starts with a list of pkt-lines (gitprotocol-common(5)) that ends with a flush packet; the pack follows. Only the
//! packets' lengths are looked at. What is no packet is left to git, which ends there.

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
            None => self.over = true,
        }
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
