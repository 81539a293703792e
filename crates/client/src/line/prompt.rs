//! The prompt, and how the line that was typed at it is taken off the screen.

use super::said::safe;
use crate::session::Place;
use unicode_width::UnicodeWidthChar;

/// The prompt for what is typed at this place.
pub fn prompt(place: &Place) -> String {
    format!("{}> ", safe(&place.to_string()))
}

/// Takes what was typed at a prompt off a terminal of so many columns; the cursor stands on the line below it.
pub fn erase(prompt: &str, typed: &str, columns: usize) -> String {
    format!("\x1b[{}A\r\x1b[J", rows(&format!("{prompt}{typed}"), columns.max(1)))
}

/// The rows that a text takes, as the line editor lays it out: a text that ends at the margin takes one more.
fn rows(text: &str, columns: usize) -> usize {
    let (mut row, mut column) = (1, 0);
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if c == '\n' || column + width > columns {
            row += 1;
            column = 0;
        }
        column += width;
    }
    if column == columns { row + 1 } else { row }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rows_are_erased_as_the_line_took() {
        assert_eq!(erase("#a> ", "hi", 80), "\x1b[1A\r\x1b[J");
        assert_eq!(erase("#a> ", &"x".repeat(75), 80), "\x1b[1A\r\x1b[J");
        assert_eq!(erase("#a> ", &"x".repeat(76), 80), "\x1b[2A\r\x1b[J");
        assert_eq!(erase("#a> ", &"x".repeat(77), 80), "\x1b[2A\r\x1b[J");
        assert_eq!(erase("#a> ", "one\ntwo", 80), "\x1b[2A\r\x1b[J");
        assert_eq!(erase("#a> ", &"漢".repeat(40), 80), "\x1b[2A\r\x1b[J");
        assert_eq!(erase("", "", 0), "\x1b[1A\r\x1b[J");
    }
}
