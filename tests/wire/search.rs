//! What a search finds: the examples of `WIRE.md` are true.

use protocol::limits::MIN_PREFIX;
use protocol::search_terms::Words;

const WIRE: &str = include_str!("../../crates/protocol/WIRE.md");

#[test]
fn the_examples_of_searches_in_the_document_hold() {
    for (words, text) in [("CREME", "crème"), ("cak", "cake"), ("本語", "日本語を話す")] {
        let told = format!("`{words}` finds \"{text}\"");
        assert!(WIRE.contains(&told), "{told}");
        assert!(Words::parse(words).match_text(text), "{told}");
    }
    for part in ["`foo-bar`", "`iphone用`"] {
        assert!(WIRE.contains(part), "{part}");
    }
    assert!(Words::parse("foo-bar").match_text("foo, bar") && !Words::parse("foo-bar").match_text("bar foo"));
    assert!(Words::parse("iphone用").match_text("新しいiPhone用ケース"));
}

#[test]
fn a_last_word_that_is_shorter_than_the_limit_is_whole() {
    let word = "abcdefgh";
    for letters in 1..word.len() {
        let open = Words::parse(&word[..letters]).match_text(word);
        assert_eq!(open, letters >= MIN_PREFIX, "{letters} letters");
    }
}
