//! What a search looks for and what it looks at: the server's index, both programs and the tests share these rules.
//!
//! A text is cut into **tokens**, and a word of a search is a row of tokens that must follow each other. In scripts with
//! spaces a token is a run of letters and digits. Scripts without spaces have no words that could be found, so there
//! each two neighbouring characters are a token, and a row of these is any part of the text. A run of them ends with a
//! token of its own, so that what follows it directly can be found together with it:
//!
//! | text | tokens |
//! |---|---|
//! | `Tea, at noon` | `tea` `at` `noon` |
//! | `日本語で` | `日本` `本語` `語で` `で0` |
//! | `日` | `日1` `日0` |
//! | `iPhone用` | `iphone` `用1` `用0` |

use crate::entry::{Entry, EntryKind, Revision};
use crate::limits::{MAX_WORD_PARTS, MAX_WORDS, MIN_PREFIX, MIN_SPACELESS_PREFIX};
use crate::message::FileBody;
use std::borrow::Cow;
use std::ops::Range;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The text of an entry that searches look at: what somebody said or did, a topic, the name of a file.
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
/// They stand between white space, and are compared without case and diacritics. A word matches a whole word; the last
/// one, and one that ends in `*`, also its beginning. The last one must have [`MIN_PREFIX`] letters for that. In scripts
/// without spaces a word of two characters or more matches any part of a text. One with punctuation in it, such as
/// `foo-bar`, is several words, which must follow each other. What has no letter or digit matches nothing and is left
/// out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words(Vec<Word>);

/// Why a search would find too much, and cost as much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TooBroad {
    /// It has more than [`MAX_WORDS`] words, or more than [`MAX_WORD_PARTS`] parts of words.
    Words,
    /// A word has fewer letters than this in front of its `*`.
    Prefix(usize),
}

/// Invariant: `tokens` is not empty.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Word {
    tokens: Vec<String>,
    /// Whether the last token may be the beginning of one.
    open: bool,
    /// The letters that it would need in front of its `*`, if it has fewer.
    lacks: Option<usize>,
    /// Its segments as they are compared, and whether each has no spaces.
    segments: Vec<(String, bool)>,
}

impl Words {
    /// The words that a person typed.
    pub fn parse(text: &str) -> Self {
        let words: Vec<_> = text.split_whitespace().filter(|word| segments(word).next().is_some()).collect();
        let last = words.len().saturating_sub(1);
        let mut found = Vec::new();
        for word in words.iter().enumerate().filter_map(|(at, word)| Word::parse(word, at == last)) {
            // One that comes again is looked for once.
            if !found.contains(&word) {
                found.push(word);
            }
        }
        Self(found)
    }

    /// Whether a server looks for them.
    ///
    /// # Errors
    /// [`TooBroad`]
    pub fn check(&self) -> Result<(), TooBroad> {
        let parts: usize = self.0.iter().map(|word| word.tokens.len()).sum();
        if self.0.len() > MAX_WORDS || parts > MAX_WORD_PARTS {
            return Err(TooBroad::Words);
        }
        self.0.iter().find_map(|word| word.lacks).map_or(Ok(()), |least| Err(TooBroad::Prefix(least)))
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
            format!("\"{}\"{star}", word.tokens.join(" "))
        };
        self.0.iter().map(word).collect::<Vec<_>>().join(" AND ")
    }

    /// Whether a text has all of them; never if there are none.
    pub fn match_text(&self, text: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        if text.is_ascii() {
            // Nearly all are: nothing is allocated for their tokens.
            let tokens: Vec<_> = segments(text).map(|segment| segment.text).collect();
            return self.0.iter().all(|word| word.is_in(&tokens));
        }
        let tokens: Vec<_> = tokens(text).collect();
        let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
        self.0.iter().all(|word| word.is_in(&tokens))
    }

    /// Where parts of the words stand in a text, in bytes, in order and apart from each other.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        let wanted: Vec<_> = self.0.iter().flat_map(Word::wanted).collect();
        let mut found = Vec::new();
        for segment in segments(text) {
            let end = segment.start + segment.text.len();
            if segment.spaceless {
                let parts = wanted.iter().filter(|(_, spaceless, _)| *spaceless).map(|(part, ..)| *part);
                found.extend(parts_in(segment, &parts.collect::<Vec<_>>()));
            } else {
                let word = fold(segment.text);
                let is_found = wanted.iter().any(|(part, spaceless, open)| {
                    !spaceless && if *open { word.starts_with(part) } else { word == *part }
                });
                found.extend(is_found.then_some(segment.start..end));
            }
        }
        found
    }
}

impl Word {
    fn parse(text: &str, is_last_word: bool) -> Option<Self> {
        let segments: Vec<_> = segments(text)
            .map(|segment| (segment.folded(), segment.spaceless))
            .filter(|(text, _)| !text.is_empty())
            .collect();
        let (last, spaceless) = segments.last()?;
        let star = text.ends_with('*');
        let letters = last.chars().count();
        let least = if *spaceless { MIN_SPACELESS_PREFIX } else { MIN_PREFIX };
        let lacks = (star && letters < least).then_some(least);
        let open = match (spaceless, letters) {
            (false, letters) => star || is_last_word && letters >= MIN_PREFIX,
            // One character behind something else begins a run; alone it is a whole one, unless it is said otherwise.
            (true, 1) => star || segments.len() > 1,
            (true, _) => false,
        };
        let end = segments.len() - 1;
        let tokens = segments.iter().enumerate().flat_map(|(at, (text, spaceless))| {
            if *spaceless { wanted_tokens(text, at > 0, at == end, open) } else { vec![text.clone()] }
        });
        Some(Self { tokens: tokens.collect(), open, lacks, segments: segments.clone() })
    }

    fn is_in(&self, text: &[&str]) -> bool {
        let (last, before) = self.tokens.split_last().expect("a word has tokens");
        text.windows(self.tokens.len()).any(|window| {
            let (end, start) = window.split_last().expect("as long as the word");
            is_same(end, last, self.open)
                && start.iter().zip(before).all(|(token, wanted)| is_same(token, wanted, false))
        })
    }

    /// Its segments, whether each has no spaces, and whether it may be the beginning of one.
    fn wanted(&self) -> impl Iterator<Item = (&str, bool, bool)> {
        let end = self.segments.len() - 1;
        let segments = self.segments.iter().enumerate();
        segments.map(move |(at, (text, spaceless))| (text.as_str(), *spaceless, self.open && at == end))
    }
}

/// Whether a token of a text is this one, or (if that is open) begins with it.
fn is_same(token: &str, wanted: &str, open: bool) -> bool {
    let begin = if open { token.as_bytes().get(..wanted.len()) } else { Some(token.as_bytes()) };
    // Tokens of ASCII are compared as they stand in the text; all others are folded, and have no capitals.
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// The tokens of a text with a space between them: what an index takes in.
pub fn folded(text: &str) -> String {
    tokens(text).collect::<Vec<_>>().join(" ")
}

fn tokens(text: &str) -> impl Iterator<Item = String> {
    segments(text).flat_map(|segment| {
        let folded = segment.folded();
        if segment.spaceless { run_tokens(&folded) } else { vec![folded] }
    })
}

/// The tokens of a run without spaces: each two characters, then its end. A single character is a token, too.
fn run_tokens(run: &str) -> Vec<String> {
    let chars: Vec<_> = run.chars().collect();
    let end = chars.last().map(|c| format!("{c}0"));
    match chars[..] {
        [one] => [format!("{one}1")].into_iter().chain(end).collect(),
        _ => chars.windows(2).map(String::from_iter).chain(end).collect(),
    }
}

/// The tokens of a part of a word that has no spaces: the end of a run if something follows it, its beginning if
/// something stands in front of it, any part of one otherwise.
fn wanted_tokens(run: &str, follows: bool, is_end: bool, open: bool) -> Vec<String> {
    let mut tokens = run_tokens(run);
    let is_single = run.chars().nth(1).is_none();
    match (is_single, follows, is_end) {
        // The beginning of whatever stands there.
        (true, _, true) if open => tokens = vec![run.to_owned()],
        // A whole run.
        (true, false, true) => tokens.truncate(1),
        (true, false, false) => drop(tokens.remove(0)),
        (false, _, true) => drop(tokens.pop()),
        (_, _, false) | (true, true, true) => {}
    }
    tokens
}

/// Where these parts stand in a segment, in bytes of the text.
fn parts_in(segment: Segment<'_>, parts: &[&str]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let chars: Vec<_> = segment.text.char_indices().collect();
    let mut at = 0;
    while at < chars.len() {
        let begin = chars[at].0;
        let ends = chars[at..].iter().map(|(start, c)| start + c.len_utf8());
        // A character may have marks behind it, so a part can be longer here than as it is compared.
        let mut ends = ends.take(4 * parts.iter().map(|part| part.chars().count()).max().unwrap_or(0));
        let end = ends.rfind(|end| parts.contains(&folded_run(&segment.text[begin..*end]).as_str()));
        match end {
            Some(end) => {
                found.push(segment.start + begin..segment.start + end);
                at = chars.partition_point(|(start, _)| *start < end);
            }
            None => at += 1,
        }
    }
    found
}

/// A run of letters and digits of scripts with spaces, or of such without.
#[derive(Clone, Copy, Debug)]
struct Segment<'a> {
    /// Where it begins in the text, in bytes.
    start: usize,
    text: &'a str,
    spaceless: bool,
}

impl Segment<'_> {
    fn folded(&self) -> String {
        if self.spaceless { folded_run(self.text) } else { fold(self.text) }
    }
}

fn segments(text: &str) -> impl Iterator<Item = Segment<'_>> {
    let is_part = |c: char| c.is_alphanumeric() || is_mark(c);
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find(is_part)?;
            let rest = &text[start..];
            let first = rest.chars().next()?;
            let spaceless = is_spaceless(first);
            // A mark belongs to what it stands on.
            let ends = |c: char| !is_part(c) || !is_mark(c) && is_spaceless(c) != spaceless;
            let end = rest.find(ends).unwrap_or(rest.len());
            at = start + end;
            let text = &rest[..end];
            // Marks alone are no word.
            if text.contains(char::is_alphanumeric) {
                return Some(Segment { start, text, spaceless });
            }
        }
    })
}

/// A combining mark. Most text has none, so the table is asked only where there can be one.
fn is_mark(c: char) -> bool {
    c >= '\u{300}' && is_combining_mark(c)
}

/// Without case and diacritics.
fn fold(part: &str) -> String {
    if part.is_ascii() {
        return part.to_ascii_lowercase();
    }
    part.chars().flat_map(char::to_lowercase).nfd().filter(|c| !is_diacritic(*c)).collect()
}

/// The same for a run without spaces, in which each character is one again: `が` is not `か` with a mark.
fn folded_run(run: &str) -> String {
    fold(run).nfc().collect()
}

/// A mark that a word can be read without. In the scripts of India and of south-east Asia, and in kana, marks are
/// vowels and other letters.
fn is_diacritic(c: char) -> bool {
    let general = matches!(c, '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}');
    is_mark(c) && (c < '\u{900}' || general)
}

/// Whether a character belongs to a script that is written without spaces between words (Unicode TR #29 leaves these to
/// dictionaries).
fn is_spaceless(c: char) -> bool {
    if c < '\u{e00}' {
        return false;
    }
    // Thai and Lao, Myanmar, Khmer, Tai Le and New Tai Lue, Tai Tham, Balinese, Javanese, Tai Viet.
    let south_east = matches!(
        c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1950}'..='\u{19df}'
            | '\u{1a20}'..='\u{1aaf}' | '\u{1b00}'..='\u{1b7f}' | '\u{a980}'..='\u{a9ff}' | '\u{aa60}'..='\u{aadf}'
    );
    // Han with its radicals and marks, kana, Bopomofo, Yi.
    let east = matches!(
        c,
        '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3031}'..='\u{303c}'
            | '\u{3041}'..='\u{312f}' | '\u{31a0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
            | '\u{a000}'..='\u{a4cf}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}'
            | '\u{1aff0}'..='\u{1b16f}' | '\u{20000}'..='\u{3fffd}'
    );
    south_east || east
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, text: &str, expected: bool) {
        assert_eq!(Words::parse(words).match_text(text), expected, "{words:?} in {text:?}");
        assert_eq!(indexed(words, text), expected, "an index: {words:?} in {text:?}");
    }

    /// What an index of tokens finds, which knows nothing but their order.
    fn indexed(words: &str, text: &str) -> bool {
        let folded = folded(text);
        let tokens: Vec<_> = folded.split(' ').filter(|token| !token.is_empty()).collect();
        let words = Words::parse(words);
        !words.is_empty() && words.0.iter().all(|word| word.is_in(&tokens))
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
    fn the_last_word_of_a_search_is_a_beginning() {
        check("cak", "a cake", true);
        check("a cak", "a cake", true);
        check("cak a", "a cake", false);
        check("lun noo", "lunch at noon", false);
        check("lun* noo", "lunch at noon", true);
        check("lun*", "lunch", true);
        check("*", "lunch", false);
        check("unch", "lunch", false);
        check("foo-bar", "a foo, barn", true);
        check("foo-b*", "a foo bar", true);
        check("foo-bar", "bar foo", false);
        check("foo-bar", "foo and bar", false);
        check("Über", "ubersetzt", true);
        check("क", "कि", false);
        check("한국", "한국어를", true);
    }

    #[test]
    fn what_has_no_letter_is_not_the_last_word() {
        check("cak !?", "a cake", true);
    }

    #[test]
    fn under_three_letters_the_last_word_is_whole() {
        check("ca", "a cake", false);
        check("ca", "ca va", true);
        check("ca*", "a cake", true);
        check("foo-b", "a foo bar", false);
        check("4", "42", false);
    }

    fn check_breadth(words: &str, expected: Result<(), TooBroad>) {
        assert_eq!(Words::parse(words).check(), expected, "{words}");
    }

    #[test]
    fn a_search_has_at_most_eight_different_words() {
        let words = |n: usize| (0..n).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ");
        check_breadth(&words(MAX_WORDS), Ok(()));
        check_breadth(&words(MAX_WORDS + 1), Err(TooBroad::Words));
        check_breadth(&"tea ".repeat(100), Ok(()));
        check_breadth(&"a-".repeat(MAX_WORD_PARTS), Ok(()));
        check_breadth(&"a-".repeat(MAX_WORD_PARTS + 1), Err(TooBroad::Words));
        check_breadth(&"日".repeat(MAX_WORD_PARTS + 1), Ok(()));
        check_breadth(&"日".repeat(MAX_WORD_PARTS + 2), Err(TooBroad::Words));
        // Both forms of a word are words.
        check_breadth("a b c d e f tea tea", Ok(()));
        assert_eq!(Words::parse("tea tea tea").expression(), r#""tea" AND "tea" *"#);
    }

    #[test]
    fn a_star_needs_three_letters_in_front_of_it_and_two_in_scripts_without_spaces() {
        check_breadth("tea* ab", Ok(()));
        check_breadth("te*", Err(TooBroad::Prefix(3)));
        check_breadth("a* cake", Err(TooBroad::Prefix(3)));
        check_breadth("foo-b*", Err(TooBroad::Prefix(3)));
        check_breadth("foo-bar*", Ok(()));
        check_breadth("te", Ok(()));
        check_breadth("*", Ok(()));
        check_breadth("日*", Err(TooBroad::Prefix(2)));
        check_breadth("日本*", Ok(()));
        check_breadth("iphone用", Ok(()));
        check_breadth("iphone用*", Err(TooBroad::Prefix(2)));
    }

    #[test]
    fn a_script_without_spaces_is_found_by_any_two_characters() {
        let text = "昨日は日本語を話す人とケーキを食べた。";
        for part in ["日本", "本語", "語を", "日本語", "日本語を話す", "ケーキ", "食べた", "昨日"]
        {
            check(part, text, true);
            check(&format!("{part} ケーキ"), text, true);
        }
        for part in ["日語", "本日", "た。昨", "話した", "ケキ"] {
            check(part, text, false);
        }
        check("ภาษา", "ฉันพูดภาษาไทย", true);
        check("ไท", "ฉันพูดภาษาไทย", true);
        check("ยไ", "ฉันพูดภาษาไทย", false);
        check("မြန်", "ကျွန်တော်မြန်မာ", true);
    }

    #[test]
    fn one_character_of_a_script_without_spaces_is_whole() {
        check("日", "日本", false);
        check("日", "昨日", false);
        check("日", "この 日 だけ", true);
        check("日", "日, 月", true);
        check("日*", "毎日本", true);
    }

    #[test]
    fn marks_that_are_letters_tell_words_apart() {
        check("かき", "かぎを買う", false);
        check("がき", "か\u{3099}きの本", true);
        check("कल", "किल", false);
        check("creme", "crème", true);
    }

    #[test]
    fn scripts_are_found_together_where_they_stand_together() {
        let text = "新iPhone用ケース、用iPhone";
        for part in
            ["iphone用", "iPhone用ケ", "新iphone", "用ケース", "新iPhone用ケース", "用iPhone", "iphone"]
        {
            check(part, text, true);
        }
        for part in ["iphoneケ", "用新", "ケース用iphone", "本iphone"] {
            check(part, text, false);
        }
        check("第3回", "第3回の会", true);
        check("第3会", "第3回の会", false);
    }

    #[test]
    fn what_was_found_is_marked_where_it_stands() {
        let marked = |words: &str, text: &str| {
            let found = Words::parse(words).find(text);
            found.into_iter().map(|range| text[range].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(marked("tea", "Tea, teapot and TÉA"), ["Tea", "teapot", "TÉA"]);
        assert_eq!(marked("te", "Tea, te"), ["te"]);
        assert_eq!(marked("日本 iphone用", "日本でiPhone用、日本"), ["日本", "iPhone", "用", "日本"]);
        assert_eq!(marked("がき", "いか\u{3099}き"), ["か\u{3099}き"]);
    }

    #[test]
    fn an_index_is_asked_for_quoted_words_only() {
        let expression = |text| Words::parse(text).expression();
        assert_eq!(expression("Lunch NOT (near* \"x"), r#""lunch" AND "not" AND "near" * AND "x""#);
        assert_eq!(expression("foo-b* \u{0}\""), r#""foo b" *"#);
        assert_eq!(expression("日本語"), r#""日本 本語""#);
        assert_eq!(folded("LÜNCH, at\tnoon!"), "lunch at noon");
        assert_eq!(folded("日本語"), "日本 本語 語0");
    }

    #[test]
    fn what_is_syntax_elsewhere_is_nothing_here() {
        check("a OR b", "a", false);
        check("\"a\"", "a", true);
        check("NOT (a)", "a not", true);
        check("body:a", "body a", true);
    }
}
