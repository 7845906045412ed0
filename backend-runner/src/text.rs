//! Text from strangers, made safe for a terminal and for one line of a log.

/// The text with control characters, and those that turn the direction of writing, escaped.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_direction(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Marks that make text read in another order than it is written.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_or_turns_a_line_around_is_shown_instead_of_done() {
        assert_eq!(escape("a\x1b[31m\u{202e}b\r\n\tc\u{9b}ä"), "a\\u{1b}[31m\\u{202e}b\\r\\n\\tc\\u{9b}ä");
    }
}
