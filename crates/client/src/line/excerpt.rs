//! The part of a text that was searched for, with the words that were found.

use protocol::search_terms::Words;
use protocol::text::sanitize_line;

/// Characters of an excerpt.
const LONG: usize = 160;

/// Characters that stand in front of the first word that was found.
const BEFORE: usize = 40;

/// One safe line of the text from a little before the first word that was found, each found word passed through
/// `mark`.
pub(super) fn excerpt(text: &str, words: &Words, mark: impl Fn(&str) -> String) -> String {
    let text = sanitize_line(text);
    let found = words.find(&text);
    let first = found.first().map_or(0, |range| range.start);
    let (start, end) = window(&text, first);
    let (mut marked, mut at) = (String::new(), start);
    for range in found.into_iter().filter(|range| start <= range.start && range.end <= end) {
        marked += &text[at..range.start];
        marked += &mark(&text[range.clone()]);
        at = range.end;
    }
    marked += &text[at..end];
    let dots = |cut: bool| if cut { "…" } else { "" };
    format!("{}{marked}{}", dots(start > 0), dots(end < text.len()))
}

/// Where the part of the text that is shown begins and ends, in bytes; it begins with a word where it can.
fn window(text: &str, first: usize) -> (usize, usize) {
    if text.chars().count() <= LONG {
        return (0, text.len());
    }
    let before = text[..first].char_indices().rev().nth(BEFORE).map_or(0, |(at, _)| at);
    let start =
        text[before..first].find(' ').filter(|_| before > 0).map_or(before, |space| before + space + 1);
    let end = text[start..].char_indices().nth(LONG).map_or(text.len(), |(at, _)| start + at);
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, query: &str, expected: &str) {
        assert_eq!(excerpt(text, &Words::parse(query), |found| format!("[{found}]")), expected, "{query}");
    }

    #[test]
    fn words_are_found_as_the_server_finds_them() {
        check("Tea, teapot and TÉA", "tea", "[Tea], [teapot] and [TÉA]");
        check("Tea, teapot and TÉA", "tea and", "[Tea], teapot [and] [TÉA]");
        check("日本語を話す", "本語", "日[本語]を話す");
        check("Tea, teapot and tee", "tea*", "[Tea], [teapot] and tee");
        check("foo-bar foo", "foo-bar", "[foo]-[bar] [foo]");
        check("nothing here", "\"x\" * -", "nothing here");
        check("Straße", "STRASSE", "Straße");
    }

    #[test]
    fn an_excerpt_is_one_safe_line() {
        check("one\ntwo\u{1b}[31m\n12:00 eve: hi", "two", "one ⏎ [two]�[31m ⏎ 12:00 eve: hi");
    }

    #[test]
    fn a_long_text_is_cut_around_the_first_word() {
        let text = format!("{} needle {}", "hay ".repeat(200), "straw ".repeat(200));
        let cut = excerpt(&text, &Words::parse("needle"), str::to_uppercase);
        assert!(cut.starts_with("…hay ") && cut.ends_with('…') && cut.contains(" NEEDLE "), "{cut}");
        assert!(cut.chars().count() <= LONG + 2, "{cut}");
        let wide = excerpt(&"漢".repeat(500), &Words::parse("x"), str::to_owned);
        assert_eq!(wide.chars().count(), LONG + 1);
    }
}
