//! Text of strangers that a terminal shows and does not obey.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a terminal may take the character for something other than a letter to show: control characters but the line
/// feed and the tab, and those that turn the direction of what follows.
fn is_order(character: char) -> bool {
    let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (character.is_control() && !matches!(character, '\n' | '\t'))
}

/// `text` with its control characters written out: `\x1b` for the one that begins orders to a terminal.
///
/// Registries, images and containers say what they like: their names, labels, commands and errors are shown by this.
///
/// ```
/// assert_eq!(dhow_terminal::harmless("a\u{1b}[2Jb\n"), "a\\x1b[2Jb\n");
/// ```
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_order) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            // The end of a line, as some systems write it.
            '\r' if rest.peek() == Some(&'\n') => {}
            order if is_order(order) && u32::from(order) < 0x100 => {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\x{:02x}", u32::from(order));
            }
            order if is_order(order) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(order));
            }
            letter => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_written_out() {
        for (text, expected) in [
            ("plain\ttext\n", "plain\ttext\n"),
            ("größe 日本", "größe 日本"),
            ("\u{1b}]0;title\u{7}", "\\x1b]0;title\\x07"),
            ("a\rb", "a\\x0db"),
            ("a\r\nb", "a\nb"),
            ("\u{9b}31m", "\\x9b31m"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("\u{7f}\0", "\\x7f\\x00"),
        ] {
            assert_eq!(harmless(text), expected);
        }
    }
}
