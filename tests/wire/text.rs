//! Texts: nothing that could move a cursor, turn a line round or forge one gets through.

use super::arbitrary::text;
use super::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::text::{check_body, check_line, sanitize, sanitize_line};
use std::borrow::Cow;

/// Texts with many characters that are not allowed.
fn evil() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        proptest::char::range('a', 'z'),
        proptest::char::range('\0', '\u{a0}'),
        proptest::sample::select(vec![
            '\n', '\t', '\r', '\u{1b}', '\u{202e}', '\u{2066}', '\u{2028}', '\u{2029}'
        ]),
        any::<char>(),
    ];
    prop_oneof![vec(character, 0..40).prop_map(String::from_iter), text()]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_sanitised_text_may_be_said(text in evil()) {
        prop_assert_eq!(check_body(&sanitize(&text)), Ok(()));
        prop_assert_eq!(check_line(&sanitize_line(&text)), Ok(()));
    }

    #[test]
    fn sanitising_twice_changes_nothing_more(text in evil()) {
        let (once, line) = (sanitize(&text), sanitize_line(&text));
        prop_assert_eq!(sanitize(&once), once.as_ref());
        prop_assert_eq!(sanitize_line(&line), line.as_ref());
    }

    #[test]
    fn a_text_that_may_be_said_is_only_changed_in_its_white_space(text in evil()) {
        if check_line(&text).is_ok() {
            prop_assert!(matches!(sanitize(&text), Cow::Borrowed(same) if same == text));
            prop_assert!(matches!(sanitize_line(&text), Cow::Borrowed(same) if same == text));
        }
        if check_body(&text).is_ok() {
            prop_assert_eq!(sanitize(&text), text.replace('\t', " "));
            prop_assert_eq!(sanitize_line(&text), text.replace('\t', " ").replace('\n', " ⏎ "));
        }
    }

    #[test]
    fn an_error_points_at_its_character(text in evil()) {
        for error in [check_body(&text), check_line(&text)].into_iter().filter_map(Result::err) {
            prop_assert!(text[error.at..].starts_with(error.character));
            prop_assert_eq!(check_body(&text[..error.at]), Ok(()));
        }
    }

    #[test]
    fn what_a_line_may_hold_a_body_may_hold(text in evil()) {
        prop_assert!(check_line(&text).is_err() || check_body(&text).is_ok());
    }
}

#[test]
fn characters_are_allowed_or_refused_by_these_rules() {
    let table = [
        ('a', true, true),
        (' ', true, true),
        ('é', true, true),
        ('👩', true, true),
        ('\u{200d}', true, true), // Joins emoji.
        ('\u{200f}', true, true), // A mark of right-to-left text turns nothing around it.
        ('\n', true, false),
        ('\t', true, false),
        ('\r', false, false),
        ('\0', false, false),
        ('\u{7}', false, false),
        ('\u{1b}', false, false),
        ('\u{7f}', false, false),
        ('\u{85}', false, false),
        ('\u{9b}', false, false),
        ('\u{202a}', false, false),
        ('\u{202e}', false, false),
        ('\u{2066}', false, false),
        ('\u{2069}', false, false),
        ('\u{2028}', false, false),
        ('\u{2029}', false, false),
    ];
    for (character, in_a_body, in_a_line) in table {
        let text = format!("a{character}b");
        assert_eq!(check_body(&text).is_ok(), in_a_body, "U+{:04X} in a body", u32::from(character));
        assert_eq!(check_line(&text).is_ok(), in_a_line, "U+{:04X} in a line", u32::from(character));
    }
}

#[test]
fn what_is_not_allowed_is_replaced_and_seen() {
    assert_eq!(sanitize("a\u{1b}[2Jb\r\nc\td"), "a\u{fffd}[2Jb\u{fffd}\nc d");
    assert_eq!(sanitize_line("one\ntwo\u{2028}[Server] three"), "one ⏎ two\u{fffd}[Server] three");
}
