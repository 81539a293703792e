//! Changing lines and taking them back.

use super::super::event::{Event, Said};
use super::super::*;
use super::scripted::{LOBBY, Scripted, entry, seq};
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind, Revision};

fn said(events: &[Event]) -> Vec<&Said> {
    let said = events.iter().filter_map(|event| match event {
        Event::Said(said) => Some(said),
        _ => None,
    });
    said.collect()
}

fn hint(events: &[Event]) -> &str {
    match events {
        [Event::Mistake { hint, .. }] => hint,
        other => panic!("one mistake, not {other:?}"),
    }
}

fn change(at: u64, kind: EntryKind, target: u64, text: &str) -> Entry {
    Entry { kind, reply_to: Some(seq(target)), ..entry(at, text, None) }
}

/// A client that has said line 2 between two lines of eve's.
fn spoken() -> Scripted {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=1);
    client.line("mine");
    client.comes_back(2, 1, "mine");
    client.entries(LOBBY, 3..=3);
    client.events();
    client.sent();
    client
}

#[test]
fn my_last_line_is_changed_and_taken_back() {
    let mut client = spoken();
    client.line("/edit better");
    assert_eq!(client.whole_posts(), [(2, EntryKind::Edit, Some(2), "better".into())]);
    let edit = Entry { kind: EntryKind::Edit, reply_to: Some(seq(2)), ..entry(4, "better", Some(2)) };
    client.ack(2);
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![edit] });
    client.line("/delete");
    assert_eq!(client.whole_posts(), [(3, EntryKind::Delete, Some(2), String::new())]);
    let delete = Entry { kind: EntryKind::Delete, reply_to: Some(seq(2)), ..entry(5, "", Some(3)) };
    client.ack(3);
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![delete] });
    client.events();
    client.line("/delete");
    assert!(hint(&client.events()).contains("/history"), "there is none left");
}

#[test]
fn a_line_is_named_by_its_number() {
    let mut client = spoken();
    client.line("/edit #2 better");
    assert_eq!(client.whole_posts(), [(2, EntryKind::Edit, Some(2), "better".into())]);
    client.line("/delete #1");
    assert_eq!(client.posts(), []);
    assert!(hint(&client.events()).contains("only the author"));
    client.line("/delete #900");
    assert_eq!(client.whole_posts(), [(3, EntryKind::Delete, Some(900), String::new())], "the server judges");
}

#[test]
fn the_last_line_is_the_one_that_is_on_its_way() {
    let mut client = spoken();
    client.line("teh end");
    client.sent();
    client.line("/edit the end");
    assert!(!client.session.wants_input());
    assert_eq!(client.whole_posts(), []);
    client.ack(2);
    assert_eq!(client.whole_posts(), [], "its number is not known yet");
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry(4, "teh end", Some(2))] });
    assert_eq!(client.whole_posts(), [(3, EntryKind::Edit, Some(4), "the end".into())]);
    assert!(client.session.wants_input());
}

#[test]
fn an_earlier_line_never_stands_in_for_one_that_is_still_to_come() {
    for interactive in [false, true] {
        let mut client = Scripted::with(interactive, Kept::default());
        client.enter();
        client.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry(1, "first", Some(1))] });
        client.disconnect();
        client.connect();
        client.log_in(Some(2));
        client.line("/delete");
        client.opened(LOBBY, Some(3), 2);
        assert_eq!(client.whole_posts(), [], "what was said meanwhile is not here yet");
        client.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry(2, "second", Some(2))] });
        client.entries(LOBBY, 3..=3);
        assert_eq!(client.whole_posts(), [(3, EntryKind::Delete, Some(2), String::new())]);
    }
}

#[test]
fn a_person_is_not_kept_waiting_for_what_was_said_before() {
    let mut client = Scripted::with(true, Kept::default());
    client.enter();
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry(1, "first", Some(1))] });
    client.disconnect();
    client.connect();
    client.log_in(None);
    client.opened(LOBBY, Some(900), 2);
    client.events();
    client.line("/delete");
    assert!(!client.session.wants_input());
    client.pass(1_999);
    assert_eq!(client.session.timeout(), Some(Millis(2_000)));
    client.pass(1);
    assert!(hint(&client.events()).contains("name the number"));
    assert!(client.session.wants_input());
    client.entries(LOBBY, 2..=900);
    assert_eq!(client.whole_posts(), []);
}

#[test]
fn a_login_may_take_long_and_still_nothing_is_typed_before_what_was_said_is_shown() {
    let mut client = Scripted::new();
    client.now.steady = Millis(60_000);
    client.pass(0);
    client.pass(8_000);
    client.connect();
    client.log_in(None);
    client.opened(LOBBY, Some(2), 1);
    client.pass(100);
    assert!(!client.session.wants_input());
    client.entries(LOBBY, 1..=2);
    assert!(client.session.wants_input());
}

#[test]
fn an_earlier_line_never_stands_in_for_one_that_was_refused() {
    let mut client = spoken();
    client.line("bad");
    client.line("/delete");
    client.sent();
    client.refuse_post(2, Code::TooFast, 1);
    assert!(!client.session.wants_input(), "it is sent again");
    client.pass(100);
    client.refuse_post(2, Code::BadText, 0);
    assert_eq!(client.posts(), [(2, "bad".into())]);
    assert!(client.events().iter().any(|event| matches!(event, Event::Mistake { .. })));
    assert_eq!(client.session.pending().count(), 0);
}

#[test]
fn an_earlier_line_never_stands_in_for_one_that_does_not_come_back() {
    let mut client = spoken();
    client.line("where are you");
    client.sent();
    client.line("/delete");
    client.ack(2);
    client.pass(2_000);
    assert_eq!(client.whole_posts(), []);
    assert!(client.events().iter().any(|event| matches!(event, Event::Mistake { .. })));
}

#[test]
fn a_line_typed_offline_is_changed_before_it_is_sent() {
    let mut client = spoken();
    client.disconnect();
    client.line("one");
    client.line("/me wavs");
    client.line("/edit waves");
    client.line("two");
    client.line("/delete");
    let withdrawn = |text: &str| Event::Withdrawn { place: Place::Room("lobby".into()), text: text.into() };
    let events = client.events();
    assert!(events.contains(&withdrawn("/me wavs")) && events.contains(&withdrawn("two")), "{events:?}");
    client.connect();
    client.log_in(Some(1));
    let sent = [(2, EntryKind::Text, None, "one".into()), (3, EntryKind::Action, None, "waves".into())];
    assert_eq!(client.whole_posts(), sent);
}

#[test]
fn a_change_typed_offline_is_sent_once_when_the_connection_is_back() {
    let mut client = spoken();
    client.disconnect();
    client.line("/edit better");
    let pending = |event: &Event| matches!(event, Event::Pending { text, .. } if text == "/edit #2 better");
    assert!(client.events().iter().any(pending));
    client.connect();
    client.log_in(Some(1));
    assert_eq!(client.whole_posts(), [(2, EntryKind::Edit, Some(2), "better".into())]);
    client.disconnect();
    client.connect();
    client.log_in(Some(2));
    assert_eq!(client.whole_posts(), []);
}

#[test]
fn what_may_have_arrived_is_not_changed_blindly_by_a_person_and_a_script_waits() {
    for interactive in [true, false] {
        let mut client = Scripted::with(interactive, Kept::default());
        client.connect();
        client.log_in(None);
        client.opened(LOBBY, None, 1);
        client.line("said");
        client.disconnect();
        client.events();
        client.line("/delete");
        let told = client.events().iter().any(|event| matches!(event, Event::Mistake { .. }));
        assert_eq!(told, interactive);
        client.connect();
        client.log_in(Some(1));
        client.opened(LOBBY, Some(1), 1);
        client.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry(1, "said", Some(1))] });
        let deleted = vec![(2, EntryKind::Delete, Some(1), String::new())];
        assert_eq!(client.whole_posts(), if interactive { Vec::new() } else { deleted });
    }
}

#[test]
fn a_person_waits_for_space_and_a_script_is_told() {
    for interactive in [true, false] {
        let mut client = Scripted::with(interactive, Kept::default());
        client.connect();
        client.log_in(None);
        client.opened(LOBBY, None, 1);
        client.events();
        for line in ["one", "two"] {
            client.line(line);
        }
        client.sent();
        for _ in 0..3 {
            client.refuse_post(1, Code::DiskFull, 0);
            client.refuse_post(2, Code::OutOfOrder, 1);
            client.pass(2_000);
        }
        let events = client.events();
        let told = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
        let notices = told(|event| matches!(event, Event::Notice { .. }));
        let refused = told(|event| matches!(event, Event::Refused { .. }));
        let left = client.session.pending().count();
        assert_eq!((notices, refused, left), if interactive { (1, 0, 2) } else { (0, 2, 0) });
    }
}

#[test]
fn a_change_never_reaches_another_history() {
    let mut client = spoken();
    client.disconnect();
    client.line("/delete #2");
    client.line("/reply #1 yes");
    client.epoch = protocol::id::Epoch([7; 16]);
    client.connect();
    client.events();
    client.log_in(None);
    assert_eq!(client.whole_posts(), [(1, EntryKind::Text, None, "yes".into())]);
    let void = Event::Void { place: Place::Room("lobby".into()), text: "/delete #2".into() };
    assert!(client.events().contains(&void));
}

#[test]
fn a_change_that_comes_says_what_was_there() {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=2);
    client.events();
    let entries = vec![change(3, EntryKind::Edit, 1, "new"), change(4, EntryKind::Delete, 1, "")];
    client.say(ServerMsg::Entries { room: LOBBY, entries });
    let events = client.events();
    let was = |said: &Said| said.reply.as_ref().and_then(|quote| quote.said.clone()).map(|said| said.text);
    assert_eq!(
        said(&events).into_iter().map(was).collect::<Vec<_>>(),
        [Some("line 1".into()), Some("new".into())]
    );
    let answer = Entry { reply_to: Some(seq(1)), ..entry(5, "what?", None) };
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![answer] });
    assert_eq!(was(said(&client.events())[0]), Some("(deleted)".into()));
}

#[test]
fn who_comes_later_reads_a_line_as_it_is_and_no_changes() {
    let mut client = Scripted::new();
    client.connect();
    client.log_in(None);
    client.opened(LOBBY, Some(4), 1);
    let line = Entry { revision: Revision::Edited, ..entry(1, "third", None) };
    let changes = [(2, "second"), (3, "third")].map(|(at, text)| change(at, EntryKind::Edit, 1, text));
    let deleted = change(4, EntryKind::Edit, 0x7000, "");
    let deleted = Entry { revision: Revision::Deleted, ..deleted };
    let entries = std::iter::once(line).chain(changes).chain([deleted]).collect();
    client.say(ServerMsg::Entries { room: LOBBY, entries });
    let events = client.events();
    assert_eq!(said(&events).len(), 1, "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::Gap { .. })));
}

#[test]
fn a_correction_that_names_me_is_an_alert_once() {
    let mut client = Scripted::ready();
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry(1, "alcie: look", None)] });
    let edits = vec![
        change(2, EntryKind::Edit, 1, "alice: look"),
        change(3, EntryKind::Edit, 1, "alice: look there"),
    ];
    client.say(ServerMsg::Entries { room: LOBBY, entries: edits });
    let events = client.events();
    assert_eq!(said(&events).iter().map(|said| said.mention).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn only_what_is_addressed_to_me_is_an_alert() {
    let lines = ["alice, look", "so said alice", "hi @Alice!", "malice: no", "@alice-2: no"];
    let mut client = Scripted::ready();
    let entries = lines.iter().enumerate().map(|(at, text)| entry(at as u64 + 1, text, None)).collect();
    client.say(ServerMsg::Entries { room: LOBBY, entries });
    let events = client.events();
    let mentions: Vec<_> = said(&events).iter().map(|said| said.mention).collect();
    assert_eq!(mentions, [true, false, true, false, true]);
}
