//! How wide text is on a terminal: the one place that counts columns.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Blanks that stand for a tab.
pub(crate) const TAB: &str = "    ";

/// The characters that a person sees, as UAX #29 cuts them: an emoji that is joined of several is one.
pub(crate) fn graphemes(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.graphemes(true)
}

/// The columns of one of them. Control characters have none.
pub(crate) fn grapheme_width(grapheme: &str) -> usize {
    match grapheme {
        "\t" => TAB.len(),
        control if control.chars().all(char::is_control) => 0,
        // Terminals draw at most two columns for what is one character.
        seen => seen.width().min(2),
    }
}

/// The columns of a text of one line, which has no escape sequences.
pub(crate) fn width(text: &str) -> usize {
    graphemes(text).map(grapheme_width).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_emoji_are_as_wide_as_one() {
        for (text, columns) in [
            ("a", 1),
            ("", 0),
            ("漢字", 4),
            ("e\u{301}", 1),
            ("👩\u{200d}🚀", 2),
            ("👨\u{200d}👩\u{200d}👧\u{200d}👦", 2),
            ("👋🏿", 2),
            ("🇩🇪", 2),
            ("\u{200d}", 0),
            ("a\tb", 6),
        ] {
            assert_eq!(width(text), columns, "{text:?}");
        }
    }
}
