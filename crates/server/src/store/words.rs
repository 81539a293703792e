//! Words: what a search looks for, and what of an entry it looks at.

use protocol::entry::{Entry, EntryKind, Revision};
use protocol::message::FileBody;
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// What of an entry searches look at: text, what somebody does, topics, and names of files.
///
/// An edit is not looked at: what it changes has its words. Nor is what was deleted.
pub fn searchable(entry: &Entry) -> Option<Cow<'_, str>> {
    match entry.kind {
        _ if entry.revision == Revision::Deleted => None,
        EntryKind::Text | EntryKind::Action | EntryKind::Topic => Some(entry.text()),
        EntryKind::File => FileBody::decode(&entry.body).ok().map(|file| Cow::Owned(file.name)),
        _ => None,
    }
}

/// The words of a search: all of them must be found, in any order.
///
/// They stand between white space, and are compared without case and diacritics. A word matches a whole word
/// (a run of letters and digits); one that ends in `*` also its beginning. One with punctuation in it, such as
/// `foo-bar`, is several words, which must follow each other. What has no letter or digit matches nothing
/// and is left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words(Vec<Word>);

/// Invariant: `parts` is not empty.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Word {
    parts: Vec<String>,
    /// Whether the last part may be the beginning of a word.
    open: bool,
}

impl Words {
    /// The words that a person typed.
    pub fn parse(text: &str) -> Self {
        let word = |text: &str| {
            let parts: Vec<_> = parts(text).collect();
            let open = text.ends_with('*');
            (!parts.is_empty()).then_some(Word { parts, open })
        };
        Self(text.split_whitespace().filter_map(word).collect())
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same as an expression of FTS5 over what [`folded`] made. Each word is quoted and has letters and digits
    /// only, so nothing of what a person types is syntax.
    pub fn expression(&self) -> String {
        let word = |word: &Word| {
            let star = if word.open { " *" } else { "" };
            format!("\"{}\"{star}", word.parts.join(" "))
        };
        self.0.iter().map(word).collect::<Vec<_>>().join(" AND ")
    }

    /// Whether a text has all of them; never if there are none.
    pub fn match_text(&self, text: &str) -> bool {
        !self.is_empty() && self.0.iter().all(|word| word.is_in(text))
    }
}

impl Word {
    fn is_in(&self, text: &str) -> bool {
        let (last, before) = self.parts.split_last().expect("a word has parts");
        if before.is_empty() {
            return pieces(text).any(|piece| is_same(piece, last, self.open));
        }
        let text: Vec<_> = pieces(text).collect();
        text.windows(self.parts.len()).any(|window| {
            let (end, start) = window.split_last().expect("as long as the word");
            is_same(end, last, self.open)
                && start.iter().zip(before).all(|(piece, part)| is_same(piece, part, false))
        })
    }
}

/// Whether a piece of a text is this part of a word, or (if that is open) begins with it.
fn is_same(piece: &str, part: &str, open: bool) -> bool {
    if piece.is_ascii() {
        // Nearly all are: nothing is allocated for them.
        let begin = if open { piece.as_bytes().get(..part.len()) } else { Some(piece.as_bytes()) };
        return begin.is_some_and(|begin| begin.eq_ignore_ascii_case(part.as_bytes()));
    }
    let piece = fold(piece);
    if open { piece.starts_with(part) } else { piece == part }
}

/// The words of a text as they are compared, with a space between them: what an index takes in.
pub fn folded(text: &str) -> String {
    parts(text).collect::<Vec<_>>().join(" ")
}

/// Runs of letters and digits, as they are compared.
fn parts(text: &str) -> impl Iterator<Item = String> {
    pieces(text).map(fold)
}

/// Runs of letters and digits, as they stand there.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    // Marks alone are no word.
    text.split(move |c| !is_part(c)).filter(|piece| piece.contains(char::is_alphanumeric))
}

fn fold(part: &str) -> String {
    if part.is_ascii() {
        return part.to_ascii_lowercase();
    }
    part.chars().flat_map(char::to_lowercase).nfd().filter(|c| !is_combining_mark(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, text: &str, expected: bool) {
        assert_eq!(Words::parse(words).match_text(text), expected, "{words:?} in {text:?}");
    }

    #[test]
    fn all_words_must_be_there_in_any_order() {
        check("lunch noon", "At noon: LUNCH!", true);
        check("lunch noon", "lunch at one", false);
        check("LÜNCH", "lunch", true);
        check("straße", "Die Strasse", false);
        check("", "anything", false);
        check("!? --", "anything!? --", false);
    }

    #[test]
    fn a_word_is_whole_unless_it_ends_in_a_star() {
        check("lun", "lunch", false);
        check("lun*", "lunch", true);
        check("*", "lunch", false);
        check("foo-b*", "a foo bar", true);
        check("foo-bar", "foo, bar", true);
        check("foo-bar", "bar foo", false);
        check("foo-bar", "foo and bar", false);
    }

    #[test]
    fn an_index_is_asked_for_quoted_words_only() {
        let expression = |text| Words::parse(text).expression();
        assert_eq!(expression("Lunch NOT (near* \"x"), r#""lunch" AND "not" AND "near" * AND "x""#);
        assert_eq!(expression("foo-b* \u{0}\""), r#""foo b" *"#);
        assert_eq!(folded("LÜNCH, at\tnoon!"), "lunch at noon");
    }

    #[test]
    fn what_is_syntax_elsewhere_is_nothing_here() {
        check("a OR b", "a", false);
        check("\"a\"", "a", true);
        check("NOT (a)", "a not", true);
        check("body:a", "body a", true);
    }
}
