//! The updates of a push, from git's lines: all of them, and none that could be read in two ways.

use std::io::{BufRead, Read};

use policy::ref_update::RefUpdate;
use policy::rule::Rule;

use super::super::{Context, Refused};

/// How long a line may be. git takes no longer ref names than its packet lines, which are shorter.
const LINE: u64 = 128 * 1024;

/// What git said on standard input.
pub(super) struct Input {
    /// Its bytes, for hooks that come later.
    pub(super) bytes: Vec<u8>,
    /// Its meaning.
    pub(super) updates: Vec<RefUpdate>,
}

impl Input {
    /// Reads standard input to its end.
    pub(super) fn read(context: &Context) -> Result<Self, Refused> {
        parse(std::io::stdin().lock()).map_err(|(number, error)| {
            context.refuse(Rule::Malformed, &format!("update {number} of this push is refused: {error}"))
        })
    }
}

fn parse(mut input: impl BufRead) -> Result<Input, (usize, String)> {
    let (mut bytes, mut updates) = (Vec::new(), Vec::new());
    loop {
        let start = bytes.len();
        let number = updates.len() + 1;
        let read = input.by_ref().take(LINE).read_until(b'\n', &mut bytes);
        if read.map_err(|error| (number, error.to_string()))? == 0 {
            return Ok(Input { bytes, updates });
        }
        let line =
            bytes[start..].strip_suffix(b"\n").ok_or_else(|| (number, "malformed ref update".to_owned()))?;
        updates.push(RefUpdate::parse(line).map_err(|error| (number, error.to_string()))?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn one_bad_line_anywhere_refuses_all() {
        let good = format!("{ID} {ID} refs/heads/a\n");
        assert_eq!(parse(good.repeat(3).as_bytes()).unwrap().updates.len(), 3);
        for bad in ["\n", "x\n", &good[..good.len() - 1], &format!("{ID} {ID} HEAD\n"), &"x".repeat(1 << 20)]
        {
            let text = format!("{good}{bad}");
            assert_eq!(parse(text.as_bytes()).err().unwrap().0, 2, "{bad:.40?}");
        }
    }

    #[test]
    fn a_long_name_and_many_lines_are_read_like_any_other() {
        let long = format!("{ID} {ID} refs/heads/{}\n", "n".repeat(60_000));
        let text = long + &format!("{ID} {ID} refs/heads/a\n").repeat(50_000);
        assert_eq!(parse(text.as_bytes()).unwrap().updates.len(), 50_001);
    }
}
