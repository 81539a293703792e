//! Names: what is parsed is good for ever, and what people would take for one name is one.

use super::arbitrary::text;
use super::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::limits::MAX_NAME_CHARS;
use protocol::name::{NameError, NameKey, PersonName, RoomName};
use protocol::text::check_line;

/// Texts near the border of what a name may be.
fn nearly_a_name() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        8 => proptest::char::range('a', 'z'),
        2 => proptest::sample::select(vec![
            ':', '：', '[', '~', '#', '/', '@', ',', ' ', '-', '\u{301}', '\u{200b}', '\u{202e}', 'İ', 'ß', 'ﬁ',
            'Å', 'ａ', '\u{345}', '⁈', 'ϓ', '\u{1d15e}', '～', '，', 'ﷺ', '*', '│', '\u{e000}', '⑴',
        ]),
        1 => any::<char>(),
    ];
    prop_oneof![
        4 => vec(character, 0..40).prop_map(String::from_iter),
        1 => text(),
        1 => "(?i)ser(ver|vеr|ｖｅｒ)",
    ]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_parsed_name_parses_to_itself(text in nearly_a_name()) {
        if let Ok(name) = PersonName::parse(&text) {
            prop_assert_eq!(PersonName::parse(name.as_str()), Ok(name));
        }
    }

    #[test]
    fn people_and_rooms_have_the_same_rules(text in nearly_a_name()) {
        let person = PersonName::parse(&text).map(|name| name.to_string());
        prop_assert_eq!(person, RoomName::parse(&text).map(|name| name.to_string()));
    }

    #[test]
    fn a_parsed_name_can_be_shown_anywhere(text in nearly_a_name()) {
        if let Ok(name) = PersonName::parse(&text) {
            let shown = name.as_str();
            prop_assert!((1..=MAX_NAME_CHARS).contains(&shown.chars().count()));
            prop_assert_eq!(check_line(shown), Ok(()));
            prop_assert!(!shown.contains(char::is_whitespace) && !shown.contains(','));
            prop_assert!(!shown.starts_with(['[', '~', '#', '/', '@']));
            let line = format!("{shown}::text");
            prop_assert_eq!(line.split_once("::"), Some((shown, "text")));
        }
    }

    #[test]
    fn a_key_is_its_own_key(text in nearly_a_name()) {
        let key = NameKey::of(&text);
        prop_assert_eq!(&NameKey::of(key.as_str()), &key);
    }

    #[test]
    fn case_and_width_make_no_other_name(name in "[a-zA-Z0-9_.-]{1,20}") {
        let wide: String = name.chars().map(|c| match c {
            '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).expect("the wide forms of ASCII are assigned"),
            other => other,
        }).collect();
        let key = NameKey::of(&name);
        for other in [name.to_uppercase(), name.to_lowercase(), wide] {
            prop_assert_eq!(&NameKey::of(&other), &key, "{} and {}", name, other);
        }
    }

    #[test]
    fn composed_and_decomposed_are_one_name(text in nearly_a_name()) {
        use unicode_normalization::UnicodeNormalization;
        let (composed, decomposed): (String, String) = (text.nfc().collect(), text.nfd().collect());
        prop_assert_eq!(PersonName::parse(&composed), PersonName::parse(&decomposed));
        prop_assert_eq!(NameKey::of(&composed), NameKey::of(&decomposed));
    }

    #[test]
    fn a_name_made_safe_is_a_name(text in nearly_a_name(), n in any::<u32>()) {
        let safe = PersonName::made_safe(&text);
        prop_assert_eq!(&PersonName::parse(safe.as_str()), &Ok(safe.clone()));
        let numbered = safe.numbered(n);
        prop_assert_eq!(&PersonName::parse(numbered.as_str()), &Ok(numbered.clone()));
        let suffix = format!("-{n}");
        prop_assert!(numbered.as_str().ends_with(&suffix));
        prop_assert_ne!(numbered.key(), safe.numbered(n.wrapping_add(1)).key());
    }

    #[test]
    fn a_new_name_made_safe_is_a_new_name(text in nearly_a_name(), n in any::<u32>()) {
        let safe = PersonName::made_safe_new(&text);
        prop_assert_eq!(&PersonName::parse_new(safe.as_str()), &Ok(safe.clone()));
        let numbered = safe.numbered(n);
        prop_assert_eq!(&PersonName::parse_new(numbered.as_str()), &Ok(numbered.clone()));
        if let Ok(name) = PersonName::parse_new(&text) {
            prop_assert_eq!(PersonName::made_safe_new(&text), name.clone());
            prop_assert_eq!(PersonName::parse(&text), Ok(name));
        }
    }

    #[test]
    fn a_good_name_is_safe_as_it_is(text in nearly_a_name()) {
        if let Ok(name) = PersonName::parse(&text) {
            prop_assert_eq!(PersonName::made_safe(&text), name);
        }
    }
}

#[test]
fn names_are_allowed_or_refused_by_these_rules() {
    let long = "x".repeat(MAX_NAME_CHARS);
    let longer = "x".repeat(MAX_NAME_CHARS + 1);
    let table: &[(&str, Result<&str, NameError>)] = &[
        ("alice", Ok("alice")),
        ("Ælfgifu", Ok("Ælfgifu")),
        ("名前", Ok("名前")),
        ("a", Ok("a")),
        (&long, Ok(&long)),
        ("e\u{301}ric", Ok("éric")),
        ("a:b", Ok("a:b")),
        ("a#b~c/d@e[f]", Ok("a#b~c/d@e[f]")),
        ("-", Ok("-")),
        ("server2", Ok("server2")),
        ("", Err(NameError::Empty)),
        (&longer, Err(NameError::TooLong)),
        ("a b", Err(NameError::Character(' '))),
        ("a\u{3000}b", Err(NameError::Character('\u{3000}'))),
        ("a,b", Err(NameError::Character(','))),
        ("a\nb", Err(NameError::Character('\n'))),
        ("a\u{1b}b", Err(NameError::Character('\u{1b}'))),
        ("a\u{202e}b", Err(NameError::Character('\u{202e}'))),
        ("a\u{200b}b", Err(NameError::Character('\u{200b}'))),
        ("a\u{feff}", Err(NameError::Character('\u{feff}'))),
        ("a，b", Err(NameError::Character(','))),
        ("e::vil", Err(NameError::Separator)),
        ("e：：vil", Err(NameError::Separator)),
        ("alice:", Err(NameError::Separator)),
        ("alice：", Err(NameError::Separator)),
        ("[Server]", Err(NameError::Beginning('['))),
        ("［Server］", Err(NameError::Beginning('['))),
        ("~x", Err(NameError::Beginning('~'))),
        ("#dev", Err(NameError::Beginning('#'))),
        ("/quit", Err(NameError::Beginning('/'))),
        ("@bob", Err(NameError::Beginning('@'))),
        ("Server", Err(NameError::Reserved)),
        ("SERVER", Err(NameError::Reserved)),
        ("ｓｅｒｖｅｒ", Err(NameError::Reserved)),
    ];
    for (text, expected) in table {
        let parsed = PersonName::parse(text);
        assert_eq!(parsed.as_ref().map(PersonName::as_str).map_err(|error| *error), *expected, "{text:?}");
    }
}

#[test]
fn a_new_name_looks_like_nothing_else_on_a_screen() {
    let refused: &[(&str, NameError)] = &[
        ("\u{301}", NameError::Beginning('\u{301}')),
        ("\u{301}a", NameError::Beginning('\u{301}')),
        ("\u{e31}", NameError::Beginning('\u{e31}')),
        ("\u{20dd}", NameError::Beginning('\u{20dd}')),
        ("*", NameError::Beginning('*')),
        ("**bob", NameError::Beginning('*')),
        ("＊bob", NameError::Beginning('＊')),
        ("∗bob", NameError::Beginning('∗')),
        ("-", NameError::Beginning('-')),
        ("--", NameError::Beginning('-')),
        ("—", NameError::Beginning('—')),
        ("|", NameError::Beginning('|')),
        ("|bob", NameError::Beginning('|')),
        (">bob", NameError::Beginning('>')),
        ("<bob>", NameError::Beginning('<')),
        ("…", NameError::Beginning('…')),
        ("↪bob", NameError::Beginning('↪')),
        ("⑴", NameError::Beginning('(')),
        ("│", NameError::Character('│')),
        ("bob│12:00", NameError::Character('│')),
        ("bob█", NameError::Character('█')),
        ("\u{e000}", NameError::Character('\u{e000}')),
        ("bob\u{f8ff}", NameError::Character('\u{f8ff}')),
        ("bob\u{10fffd}", NameError::Character('\u{10fffd}')),
        ("bob\u{fffd}", NameError::Character('\u{fffd}')),
        ("bo\u{5b0}\u{5b1}\u{5b2}\u{5b3}\u{5b4}b", NameError::Marks),
        ("natter", NameError::Reserved),
        ("Ｈｉｎｔ", NameError::Reserved),
        ("Server", NameError::Reserved),
        ("a b", NameError::Character(' ')),
        ("", NameError::Empty),
    ];
    for (text, error) in refused {
        assert_eq!(PersonName::parse_new(text), Err(*error), "{text:?}");
        if *error != NameError::Reserved {
            assert_eq!(RoomName::parse_new(text).map(|name| name.to_string()), Err(*error), "{text:?}");
        }
    }
    assert_eq!(RoomName::parse_new("natter").map(|name| name.to_string()).as_deref(), Ok("natter"));
    for good in [
        "alice",
        "Ælfgifu",
        "名前",
        "éric",
        "_",
        "_bob_",
        "2fast",
        "bob|away",
        "a-b",
        "a.b",
        "natter-2",
        "🦊fox",
        "สมชาย",
        "ที่นี่",
        "नमस्ते",
        "שָׁלוֹם",
        "مُحَمَّد",
        "ǃXam",
    ] {
        assert_eq!(PersonName::parse_new(good).map(|name| name.to_string()).as_deref(), Ok(good));
    }
}

#[test]
fn a_new_name_is_made_safe_with_as_little_change_as_can_be() {
    for (text, safe) in [
        ("alice", "alice"),
        ("bob│12:00", "bob-12:00"),
        ("*bob*", "bob*"),
        ("\u{301}\u{302}éa", "éa"),
        ("\u{301}", "guest"),
        ("*", "guest"),
        ("│", "guest"),
        ("\u{e000}", "guest"),
        ("bob\u{e000}", "bob"),
        ("--", "guest"),
        ("natter", "natter-2"),
        ("*natter", "natter-2"),
        ("Server", "guest"),
        ("e::vil", "e-vil"),
        ("⑴", "guest"),
    ] {
        assert_eq!(PersonName::made_safe_new(text).as_str(), safe, "{text:?}");
    }
}

#[test]
fn the_key_of_every_character_is_its_own_key() {
    for c in '\0'..=char::MAX {
        let key = NameKey::of(&c.to_string());
        assert_eq!(NameKey::of(key.as_str()), key, "U+{:04X}", u32::from(c));
    }
}

#[test]
fn these_are_one_name() {
    for (one, other) in [
        ("alice", "ALICE"),
        ("alice", "ａｌｉｃｅ"),
        ("straße", "STRASSE"),
        ("éric", "e\u{301}ric"),
        ("ﬁn", "fin"),
        ("Σίσυφος", "σίσυφοσ"),
    ] {
        assert_eq!(NameKey::of(one), NameKey::of(other), "{one} and {other}");
    }
    for (one, other) in [("alice", "alice-2"), ("a:b", "a-b"), ("o", "0")] {
        assert_ne!(NameKey::of(one), NameKey::of(other), "{one} and {other}");
    }
}

#[test]
fn a_name_is_made_safe_with_as_little_change_as_can_be() {
    for (text, safe) in [
        ("alice", "alice"),
        ("e::vil", "e-vil"),
        ("alice smith", "alice-smith"),
        ("  bob ", "bob"),
        ("[Server]", "Server]"),
        ("[-[x", "x"),
        ("#dev", "dev"),
        ("bob:", "bob"),
        ("::::", "guest"),
        ("", "guest"),
        ("Server", "guest"),
        ("\u{202e}\u{200b}", "guest"),
        ("a\u{1b}[31mb", "a-[31mb"),
    ] {
        assert_eq!(PersonName::made_safe(text).as_str(), safe, "{text:?}");
    }
    let long = PersonName::made_safe(&"ab:".repeat(40));
    assert_eq!(long.as_str(), "ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab");
}

#[test]
fn a_numbered_name_keeps_what_fits_of_the_stem() {
    let name = PersonName::parse(&"x".repeat(MAX_NAME_CHARS)).unwrap();
    assert_eq!(name.numbered(2).as_str(), format!("{}-2", "x".repeat(MAX_NAME_CHARS - 2)));
    assert_eq!(name.numbered(u32::MAX).as_str().len(), MAX_NAME_CHARS);
}

#[test]
fn why_a_name_is_refused_is_a_sentence_with_the_name_in_it() {
    for (name, sentence) in [
        ("a b", "bad name 'a b': it can't contain a space"),
        ("a,b", "bad name 'a,b': it can't contain a comma"),
        ("a\nb", "bad name 'a\\nb': it can't contain a line break"),
        ("a\u{3000}b", "bad name 'a\\u{3000}b': it can't contain a space (U+3000)"),
        ("a\u{7}b", "bad name 'a\\u{7}b': it can't contain U+0007"),
        ("", "bad name '': it is empty"),
        ("Server", "bad name 'Server': it is reserved"),
    ] {
        let error = PersonName::parse(name).expect_err("a bad name");
        assert_eq!(error.sentence(name), sentence);
    }
}

#[test]
fn the_lobby_is_a_name() {
    assert_eq!(RoomName::parse("lobby"), Ok(RoomName::lobby()));
}
