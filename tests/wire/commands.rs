//! Slash commands: the table, the parser and the help say the same.

use super::arbitrary::text;
use super::cases;
use proptest::prelude::*;
use protocol::command::{
    Argument, COMMANDS, Command, CommandError, HistorySpan, Jump, Line, Search, Shelved, Spec, find, nearest,
};
use protocol::id::Seq;
use protocol::limits::{MAX_FETCH, MAX_QUERY};
use protocol::name::{NameError, PersonName, RoomName};
use protocol::text::is_blank;

/// The least that can stand behind a command: one word for each argument that is not in brackets.
fn minimal(spec: &Spec) -> String {
    let words = spec.usage.split_whitespace().filter(|word| !word.starts_with('['));
    words.fold(format!("/{}", spec.name), |line, word| format!("{line} {}", word.to_lowercase()))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_line_is_read_or_refused_with_a_hint(text in text(), slashes in 0..3_usize) {
        if let Err(error) = Line::parse(&format!("{}{text}", "/".repeat(slashes))) {
            prop_assert!(!error.to_string().is_empty());
            prop_assert!(!error.hint().is_empty());
        }
    }

    #[test]
    fn a_line_without_a_slash_is_said_as_it_is(text in "[^/\r\n][^\r\n]{0,40}") {
        let expected = if is_blank(&text) { Line::Empty } else { Line::Say(text.clone()) };
        prop_assert_eq!(Line::parse(&text), Ok(expected));
    }

    #[test]
    fn two_slashes_say_one(text in "[^\r\n]{0,40}") {
        prop_assert_eq!(Line::parse(&format!("//{text}")), Ok(Line::Say(format!("/{text}"))));
    }

    #[test]
    fn an_unknown_command_is_never_said(name in "[a-z0-9é]{1,12}", rest in "[^\r\n]{0,20}") {
        if find(&name).is_none() {
            let error = Line::parse(&format!("/{name} {rest}")).unwrap_err();
            prop_assert_eq!(error, CommandError::Unknown { nearest: nearest(&name), name });
        }
    }

    #[test]
    fn the_nearest_name_is_a_known_one(name in ".{0,12}") {
        if let Some(near) = nearest(&name) {
            prop_assert!(find(near).is_some());
        }
    }

    #[test]
    fn a_history_is_bounded(count in prop_oneof![0..3_000_u64, any::<u64>()], unit in "[smhdx]?") {
        match Line::parse(&format!("/history {count}{unit}")) {
            Ok(Line::Command(Command::History(Some(HistorySpan::Count(n))))) => {
                prop_assert_eq!(u64::from(n), count.min(MAX_FETCH.into()));
                prop_assert!(n > 0 && unit.is_empty());
            }
            Ok(Line::Command(Command::History(Some(HistorySpan::Ms(ms))))) => {
                prop_assert_eq!(ms % count, 0);
                prop_assert!(ms / count >= 1_000);
            }
            other => prop_assert!(matches!(other, Err(CommandError::Span(_))), "{:?}", other),
        }
    }
}

#[test]
fn every_command_parses_with_its_least_arguments_and_not_with_fewer() {
    for spec in COMMANDS {
        let line = minimal(spec);
        assert!(matches!(Line::parse(&line), Ok(Line::Command(_))), "{line}: {:?}", Line::parse(&line));
        if let Some((fewer, _)) = line.rsplit_once(' ') {
            assert_eq!(Line::parse(fewer), Err(CommandError::Missing(spec)), "{fewer}");
        }
    }
}

#[test]
fn every_name_and_alias_finds_its_command_in_any_case() {
    for spec in COMMANDS {
        for name in spec.names() {
            assert_eq!(find(name), Some(spec), "/{name}");
            assert_eq!(find(&name.to_uppercase()), Some(spec), "/{name} in capitals");
            assert_eq!(nearest(name), Some(name), "/{name}");
        }
    }
}

#[test]
fn an_alias_does_what_its_command_does() {
    for spec in COMMANDS {
        let line = minimal(spec);
        let arguments = &line[1 + spec.name.len()..];
        for alias in spec.aliases {
            assert_eq!(Line::parse(&format!("/{alias}{arguments}")), Line::parse(&line), "/{alias}");
        }
    }
}

#[test]
fn no_name_stands_for_two_commands() {
    let mut names: Vec<_> = COMMANDS.iter().flat_map(Spec::names).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn the_help_of_a_command_is_one_line() {
    for spec in COMMANDS {
        assert!(!spec.help.is_empty() && !spec.help.contains('\n'), "/{}", spec.name);
        assert_eq!(spec.usage.is_empty(), spec.argument == Argument::None, "/{}", spec.name);
    }
}

#[test]
fn a_typing_mistake_finds_what_was_meant() {
    let near = [
        ("jion", Some("join")),
        ("hepl", Some("help")),
        ("user", Some("users")),
        ("mgs", Some("msg")),
        ("topci", Some("topic")),
        ("xyzzy", None),
        ("", None),
    ];
    for (typed, meant) in near {
        assert_eq!(nearest(typed), meant, "/{typed}");
    }
    assert_eq!(nearest(&"join".repeat(10_000)), None);
}

#[test]
fn lines_are_read_as_people_mean_them() {
    let person = |name| PersonName::parse(name).unwrap();
    let room = |name| RoomName::parse(name).unwrap();
    let text = |text: &str| text.to_owned();
    let line = |number| Seq::new(number).unwrap();
    let get = |file, executables, again| Command::Get { file, executables, again };
    let table = [
        ("/join #dev", Command::Join(room("dev"))),
        ("/JOIN dev", Command::Join(room("dev"))),
        ("/part", Command::Part(None)),
        ("/leave dev", Command::Part(Some(room("dev")))),
        ("/msg @bob  hi  there", Command::Msg { to: person("bob"), text: text("hi  there") }),
        ("/query", Command::Query(None)),
        ("/reply #7 yes", Command::Reply { to: Seq::new(7), text: text("yes") }),
        ("/reply yes", Command::Reply { to: None, text: text("yes") }),
        ("/reply #0 yes", Command::Reply { to: None, text: text("#0 yes") }),
        ("/me waves", Command::Me(text("waves"))),
        ("/away", Command::Away(text(""))),
        ("/topic", Command::Topic(None)),
        ("/topic new things", Command::Topic(Some(text("new things")))),
        ("/users", Command::Who(None)),
        ("/edit #7 no", Command::Edit { to: Seq::new(7), text: text("no") }),
        ("/edit no, 7", Command::Edit { to: None, text: text("no, 7") }),
        ("/edit #7th street", Command::Edit { to: None, text: text("#7th street") }),
        ("/delete", Command::Delete(None)),
        ("/del #7", Command::Delete(Seq::new(7))),
        ("/delete 7", Command::Delete(Seq::new(7))),
        ("/history", Command::History(None)),
        ("/history 30m", Command::History(Some(HistorySpan::Ms(1_800_000)))),
        ("/history 2d", Command::History(Some(HistorySpan::Ms(172_800_000)))),
        ("/search", Command::Search(Search::More)),
        ("/search tea  cups", Command::Search(Search::Words { everywhere: false, words: text("tea  cups") })),
        ("/search -a tea", Command::Search(Search::Words { everywhere: true, words: text("tea") })),
        ("/search -answer", Command::Search(Search::Words { everywhere: false, words: text("-answer") })),
        ("/jump", Command::Jump(Jump::Next)),
        ("/jump 3", Command::Jump(Jump::Found(3))),
        ("/jump #3", Command::Jump(Jump::Line(Seq::new(3).unwrap()))),
        ("/send  my cat.png ", Command::Send(text("my cat.png"))),
        ("/upload ~/a b", Command::Send(text("~/a b"))),
        ("/files", Command::Files { all: false, room: None }),
        ("/files -a #dev", Command::Files { all: true, room: Some(room("dev")) }),
        ("/get", get(Shelved::Newest, false, false)),
        ("/get 3", get(Shelved::NameOrLine(text("3"), line(3)), false, false)),
        ("/get 0", get(Shelved::Name(text("0")), false, false)),
        ("/get -x #17", get(Shelved::Line(line(17)), true, false)),
        ("/get my cat.png --exec", get(Shelved::Name(text("my cat.png")), true, false)),
        ("/get -f -x my cat.png", get(Shelved::Name(text("my cat.png")), true, true)),
        ("/get -x my cat.png -f", get(Shelved::Name(text("my cat.png")), true, true)),
        ("/get -x -f #17", get(Shelved::Line(line(17)), true, true)),
        ("/get ./3", get(Shelved::Name(text("3")), false, false)),
        ("/get ./#3", get(Shelved::Name(text("#3")), false, false)),
        ("/get #three", get(Shelved::Name(text("#three")), false, false)),
        ("/accept", Command::Accept { file: Shelved::Newest, executables: false }),
        ("/accept #4 -x", Command::Accept { file: Shelved::Line(line(4)), executables: true }),
        ("/decline cat.png", Command::Decline(Shelved::Name(text("cat.png")))),
        ("/look", Command::Look(Shelved::Newest)),
        ("/cancel 2", Command::Cancel(Shelved::NameOrLine(text("2"), line(2)))),
        ("/help /join", Command::Help(Some(text("join")))),
        ("/quit\r\n", Command::Quit),
    ];
    for (line, command) in table {
        assert_eq!(Line::parse(line), Ok(Line::Command(command)), "{line}");
    }
    for empty in ["", " ", "\t\r\n"] {
        assert_eq!(Line::parse(empty), Ok(Line::Empty), "{empty:?}");
    }
}

#[test]
fn a_number_alone_changes_no_line() {
    for name in ["edit", "reply"] {
        let missing = CommandError::Missing(find(name).unwrap());
        for rest in ["", " ", " #7", " #7  "] {
            assert_eq!(Line::parse(&format!("/{name}{rest}")), Err(missing.clone()), "/{name}{rest}");
        }
    }
    for line in ["/delete last", "/delete #0", "/jump 0", "/jump #", "/jump -1"] {
        assert!(matches!(Line::parse(line), Err(CommandError::Number(_))), "{line}");
    }
}

#[test]
fn a_search_has_words_and_not_too_many() {
    assert_eq!(Line::parse("/search -a"), Err(CommandError::Missing(find("search").unwrap())));
    let words = "x".repeat(MAX_QUERY);
    assert!(matches!(Line::parse(&format!("/search {words}")), Ok(Line::Command(Command::Search(_)))));
    assert_eq!(Line::parse(&format!("/search -a {words}y")), Err(CommandError::Query(MAX_QUERY + 1)));
}

#[test]
fn a_bad_name_is_told_with_its_rule() {
    let error = Line::parse("/join a b").unwrap_err();
    let expected = CommandError::Name { text: "a b".into(), error: NameError::Character(' ') };
    assert_eq!(error, expected);
    assert_eq!(error.to_string(), "bad name 'a b': it can't contain a space");
}
