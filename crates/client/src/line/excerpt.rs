//! The part of a text that was searched for, with the words that were found.

use protocol::text::sanitize_line;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Characters of an excerpt.
const LONG: usize = 160;

/// Characters that stand in front of the first word that was found.
const BEFORE: usize = 40;

/// The words of a search, as the server compares them: in any case, without diacritics; one that ends in `*`
/// begins a word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Words(Vec<(String, bool)>);

impl Words {
    pub(super) fn new(query: &str) -> Self {
        let words = query.split_whitespace().flat_map(|word| {
            let begins = word.ends_with('*');
            let parts: Vec<_> = parts(word).filter(|part| part.is_word).collect();
            let last = parts.len();
            let parts = parts.into_iter().enumerate();
            parts.map(move |(at, part)| (fold(part.text), begins && at + 1 == last)).collect::<Vec<_>>()
        });
        Self(words.collect())
    }

    fn has(&self, part: &Part<'_>) -> bool {
        let word = fold(part.text);
        part.is_word
            && self.0.iter().any(
                |(known, begins)| {
                    if *begins { word.starts_with(known.as_str()) } else { word == *known }
                },
            )
    }
}

/// A word, or what stands between two.
struct Part<'a> {
    text: &'a str,
    is_word: bool,
}

fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_word = is_part_of_word(rest.chars().next()?);
        let end = rest.find(|c| is_part_of_word(c) != is_word).unwrap_or(rest.len());
        let (text, behind) = rest.split_at(end);
        rest = behind;
        Some(Part { text, is_word })
    })
}

fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

fn fold(word: &str) -> String {
    word.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}

/// One safe line of the text from a little before the first word that was found, each found word passed through
/// `mark`.
pub(super) fn excerpt(text: &str, words: &Words, mark: impl Fn(&str) -> String) -> String {
    let text = sanitize_line(text);
    let found = parts(&text).scan(0, |at, part| {
        let start = *at;
        *at += part.text.len();
        Some((start, part))
    });
    let first = found.into_iter().find(|(_, part)| words.has(part)).map_or(0, |(at, _)| at);
    let (start, end) = window(&text, first);
    let cut = &text[start..end];
    let marked = parts(cut).map(|part| if words.has(&part) { mark(part.text) } else { part.text.to_owned() });
    let marked: String = marked.collect();
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
        assert_eq!(excerpt(text, &Words::new(query), |found| format!("[{found}]")), expected, "{query}");
    }

    #[test]
    fn words_are_found_as_the_server_finds_them() {
        check("Tea, teapot and TÉA", "tea", "[Tea], teapot and [TÉA]");
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
        let cut = excerpt(&text, &Words::new("needle"), str::to_uppercase);
        assert!(cut.starts_with("…hay ") && cut.ends_with('…') && cut.contains(" NEEDLE "), "{cut}");
        assert!(cut.chars().count() <= LONG + 2, "{cut}");
        let wide = excerpt(&"漢".repeat(500), &Words::new("x"), str::to_owned);
        assert_eq!(wide.chars().count(), LONG + 1);
    }
}
