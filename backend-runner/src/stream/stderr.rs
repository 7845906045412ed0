//! What a child complains about: read without end so that it never blocks, kept in bounds, and safe to log.
//!
//! git's complaints contain text that pushers choose. They go to the log with control characters escaped, never to a client
//! (what a pusher may read, git sends in its answer).

use tokio::io::AsyncReadExt;

use crate::child::Output;

/// How much of the end of the complaints is kept.
const KEPT: usize = 64 * 1024;

/// The last complaints of a child.
#[derive(Debug, Default)]
pub struct Complaints {
    tail: Vec<u8>,
    total: u64,
}

impl Complaints {
    /// Reads until every process that holds the pipe has closed it. May be dropped and begun again.
    pub async fn collect(&mut self, stderr: &mut Output) {
        let mut buffer = [0_u8; 1024];
        while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
            self.add(&buffer[..count]);
        }
    }

    /// Like `collect`, for a place where the end of the complaints means nothing.
    pub(crate) async fn collect_for_ever(&mut self, stderr: &mut Output) {
        self.collect(stderr).await;
        std::future::pending().await
    }

    fn add(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > 2 * KEPT {
            self.tail.drain(..self.tail.len() - KEPT);
        }
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// How many bytes there were in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The end of them, in one line.
    #[must_use]
    pub fn escaped(&self) -> String {
        let tail = &self.tail[self.tail.len().saturating_sub(KEPT)..];
        let mut line = String::with_capacity(tail.len());
        for character in String::from_utf8_lossy(tail.trim_ascii_end()).chars() {
            if character.is_control() {
                line.extend(character.escape_default());
            } else {
                line.push(character);
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_reach_the_log() {
        let mut complaints = Complaints::default();
        complaints.add(b"fatal: \x1b[31mred\nsecond \xff\x00line\r\n");
        assert_eq!(complaints.escaped(), "fatal: \\u{1b}[31mred\\nsecond \u{fffd}\\u{0}line");
    }

    #[test]
    fn a_flood_keeps_its_end_and_no_more_memory_than_that() {
        let mut complaints = Complaints::default();
        for number in 0..100_000_u32 {
            complaints.add(format!("{number:09}\n").as_bytes());
        }
        assert_eq!(complaints.total(), 1_000_000);
        assert!(complaints.tail.capacity() <= 4 * KEPT);
        assert!(complaints.escaped().ends_with("000099999"));
        assert!(complaints.escaped().len() <= 2 * KEPT);
    }
}
