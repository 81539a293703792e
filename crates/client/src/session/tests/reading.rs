//! Reading what was said before: history, searches, what is new and what was read elsewhere.

use super::super::event::{Event, Rest, Said};
use super::super::*;
use super::scripted::{EPOCH, LOBBY, Scripted, entry, info, seq};
use protocol::entry::{Entry, EntryKind};
use protocol::id::{Millis, RoomId};
use protocol::message::{OpenFrom, Range, RoomInfo, RoomsChange};

const DEV: RoomId = LOBBY.next();

fn lobby() -> Place {
    Place::Room("lobby".into())
}

/// The numbers of the lines of the last history that was shown, and how it ends.
fn history(client: &mut Scripted) -> Option<(Vec<u64>, Rest)> {
    client.events().into_iter().rev().find_map(|event| match event {
        Event::History { entries, rest, .. } => {
            Some((entries.iter().map(|said| said.seq.value()).collect(), rest))
        }
        _ => None,
    })
}

fn found(client: &mut Scripted) -> Option<(usize, Vec<u64>, bool)> {
    client.events().into_iter().rev().find_map(|event| match event {
        Event::Found { first, hits, more, .. } => {
            Some((first, hits.iter().map(|said| said.seq.value()).collect(), more))
        }
        _ => None,
    })
}

#[test]
fn history_goes_further_back_each_time() {
    let mut client = Scripted::ready();
    client.line("/history 3");
    assert!(!client.session.wants_input(), "what is typed next may build on it");
    client.lobby_page(true, 98..=100);
    assert_eq!(history(&mut client), Some((vec![98, 99, 100], Rest::Older)));
    client.line("/history");
    client.lobby_page(false, 95..=97);
    assert_eq!(history(&mut client), Some((vec![95, 96, 97], Rest::Begins(Some(seq(95))))));
    assert_eq!(client.fetches(), [(Range::Latest, 3), (Range::Before { seq: seq(98) }, 3)]);
}

#[test]
fn what_is_said_ends_the_reading_of_history() {
    let mut client = Scripted::ready();
    client.line("/history");
    client.lobby_page(true, 81..=100);
    client.line("I see");
    client.comes_back(101, 1, "I see");
    client.line("/history");
    assert_eq!(client.fetches(), [(Range::Latest, 20), (Range::Latest, 20)]);
}

#[test]
fn a_history_is_gathered_from_pages_until_it_is_whole() {
    let mut client = Scripted::ready();
    client.line("/history 100");
    client.lobby_page(true, 61..=100);
    assert_eq!(history(&mut client), None);
    client.lobby_page(true, 1..=60);
    assert_eq!(history(&mut client), Some(((1..=100).collect(), Rest::Older)));
    assert_eq!(client.fetches(), [(Range::Latest, 100), (Range::Before { seq: seq(61) }, 60)]);
}

#[test]
fn the_history_of_an_hour_goes_up_to_now_and_then_further_back() {
    let mut client = Scripted::ready();
    client.pass(600);
    client.line("/history 1m");
    client.lobby_page(true, 61..=80);
    client.lobby_page(false, 81..=90);
    assert_eq!(history(&mut client), Some(((61..=90).collect(), Rest::Now)));
    client.line("/history");
    let asked = [
        (Range::SinceTime { time: Millis(1_000_600 - 60_000) }, 1_000),
        (Range::After { seq: Some(seq(80)) }, 980),
        (Range::Before { seq: seq(61) }, 20),
    ];
    assert_eq!(client.fetches(), asked);
}

#[test]
fn a_page_without_entries_ends_a_history() {
    let mut client = Scripted::ready();
    client.line("/history 5");
    client.page(true, Vec::new());
    assert_eq!(history(&mut client), Some((Vec::new(), Rest::Older)));
}

#[test]
fn a_search_is_numbered_goes_on_and_leads_to_its_lines() {
    let mut client = Scripted::ready();
    client.line("/search tea");
    let hits = [40, 30].map(|at| (LOBBY, entry(at, "tea", None)));
    client.page(true, hits.to_vec());
    assert_eq!(found(&mut client), Some((1, vec![40, 30], true)));
    client.line("/search");
    client.page(false, vec![(LOBBY, entry(20, "tea", None))]);
    assert_eq!(found(&mut client), Some((3, vec![20], false)));
    client.line("/search");
    assert_eq!(found(&mut client), Some((4, Vec::new(), false)), "that was all");
    client.sent();
    client.line("/jump 2");
    client.lobby_page(true, 25..=35);
    client.line("/jump");
    client.lobby_page(true, 15..=25);
    let asked = [30, 20].map(|at| (Range::Around { seq: seq(at) }, 11));
    assert_eq!(client.fetches(), asked);
    let around = |event: &Event| matches!(event, Event::Around { seq, .. } if seq.value() == 20);
    assert!(client.events().iter().any(around));
    client.line("/history");
    assert_eq!(client.fetches().last(), Some(&(Range::Before { seq: seq(15) }, 20)));
}

#[test]
fn changes_and_hidden_people_and_strange_rooms_are_not_found() {
    let mut client = Scripted::ready();
    client.line("/search tea");
    let edit = Entry { kind: EntryKind::Edit, reply_to: Some(seq(1)), ..entry(9, "tea", None) };
    client.page(true, vec![(LOBBY, edit), (DEV, entry(3, "tea", None))]);
    assert_eq!(found(&mut client), None, "it goes on by itself");
    client.line("/ignore eve");
    client.page(false, vec![(LOBBY, entry(2, "tea", None))]);
    assert_eq!(found(&mut client), Some((1, Vec::new(), false)));
    client.line("/jump 1");
    let events = client.events();
    assert!(matches!(&events[..], [Event::Mistake { hint, .. }] if hint.contains("/search")), "{events:?}");
}

#[test]
fn a_script_that_asks_what_was_said_means_its_own_lines_too() {
    let mut client = Scripted::ready();
    client.line("tea");
    client.line("/history 5");
    assert_eq!(client.fetches(), []);
    assert!(!client.session.wants_input());
    client.disconnect();
    client.connect();
    client.log_in(None);
    client.opened(LOBBY, None, 1);
    assert_eq!(client.fetches(), [], "not yet, and not forgotten");
    client.comes_back(1, 1, "tea");
    assert_eq!(client.fetches(), [(Range::Latest, 5)]);
}

#[test]
fn a_jump_to_what_is_not_there_is_told() {
    let mut client = Scripted::ready();
    client.line("/jump #900");
    client.lobby_page(false, 1..=5);
    assert!(matches!(&client.events()[..], [Event::Mistake { text, .. }] if text.contains("#900")));
    for line in ["/search", "/search ?!", "/jump", "/jump 3"] {
        client.line(line);
        assert!(matches!(&client.events()[..], [Event::Mistake { .. }]), "{line}");
    }
    assert_eq!(client.fetches().len(), 1);
}

#[test]
fn what_was_shown_is_told_as_read_after_a_while() {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=3);
    client.pass(2_000);
    assert_eq!(client.marks(), [], "it came, and nobody has seen it");
    client.show_all();
    client.pass(500);
    client.entries(LOBBY, 4..=5);
    client.show_all();
    client.pass(600);
    assert_eq!(client.marks(), [(LOBBY, 5)]);
    client.entries(LOBBY, 6..=6);
    client.show_all();
    client.pass(2_000);
    assert_eq!(client.marks(), [(LOBBY, 5)], "not all the time");
    client.pass(4_000);
    assert_eq!(client.marks(), [(LOBBY, 5), (LOBBY, 6)]);
}

#[test]
fn what_another_device_has_told_is_not_told_again() {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=3);
    let read = RoomInfo { read: Some(seq(3)), newest: Some(seq(3)), ..info(LOBBY, "lobby") };
    let req = protocol::id::Req(0);
    client.say(ServerMsg::Rooms { req, change: RoomsChange::Changed, more: false, rooms: vec![read] });
    client.show_all();
    client.pass(2_000);
    assert_eq!(client.marks(), []);
}

#[test]
fn what_was_read_and_not_told_is_told_at_the_end_and_after_a_cut() {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=3);
    client.show_all();
    client.disconnect();
    client.connect();
    client.log_in(None);
    client.opened(LOBBY, Some(3), 4);
    client.pass(1_000);
    client.pass(1_000);
    assert_eq!(client.marks(), [(LOBBY, 3)]);
    client.entries(LOBBY, 4..=4);
    client.show_all();
    client.line("/quit");
    assert_eq!(client.marks(), [(LOBBY, 3), (LOBBY, 4)]);
    assert!(matches!(client.sent().last(), Some(ClientMsg::Bye {})));
}

/// A client that had seen the first `seen` lines, comes back to a lobby of 100 lines of which it has read `read`
/// elsewhere.
fn returning(interactive: bool, seen: u64, read: u64) -> Scripted {
    let room = KeptRoom { room: LOBBY, place: lobby(), seen: Some(seq(seen)) };
    let kept = Kept { name: "alice".into(), epoch: Some(EPOCH), rooms: vec![room], ..Kept::default() };
    let mut client = Scripted::with(interactive, kept);
    client.connect();
    let rooms = vec![RoomInfo {
        read: Some(seq(read)),
        newest: Some(seq(100)),
        unread: 3,
        mentions: 2,
        ..info(LOBBY, "lobby")
    }];
    client.log_in_with(None, rooms);
    client
}

#[test]
fn a_person_is_not_shown_again_what_they_read_on_another_device() {
    let mut client = returning(true, 10, 97);
    assert_eq!(client.fetches(), [(Range::Before { seq: seq(98) }, 20)]);
    client.lobby_page(true, 78..=97);
    assert_eq!(client.opens(), [(LOBBY, OpenFrom::After { epoch: EPOCH, seq: Some(seq(97)) })]);
    client.opened(LOBBY, Some(100), 98);
    client.entries(LOBBY, 98..=100);
    let events = client.events();
    assert!(events.contains(&Event::Elsewhere { place: lobby(), count: 67 }), "{events:?}");
    let context = |event: &Event| matches!(event, Event::Context { entries, .. } if entries.len() == 20);
    assert!(events.iter().any(context), "{events:?}");
    assert!(events.contains(&Event::Unread { place: lobby(), count: 3 }), "{events:?}");
    let tally = Event::Resumed(Tally { missed: 3, lost: 0, doubled: 0 });
    assert!(events.contains(&tally), "{events:?}");
}

#[test]
fn a_script_is_given_every_line_whoever_has_read_it() {
    let mut client = returning(false, 10, 97);
    assert_eq!(client.opens(), [(LOBBY, OpenFrom::After { epoch: EPOCH, seq: Some(seq(10)) })]);
    client.opened(LOBBY, Some(100), 11);
    client.entries(LOBBY, 11..=100);
    let events = client.events();
    let news = events.iter().position(|event| *event == Event::Unread { place: lobby(), count: 3 });
    let first =
        events.iter().position(|event| matches!(event, Event::Said(Said { seq, .. }) if seq.value() == 98));
    assert_eq!(news.map(|at| at + 1), first, "what is new begins behind what was read");
}

#[test]
fn what_i_said_myself_is_not_announced_as_new() {
    let mut client = returning(true, 97, 97);
    client.opened(LOBBY, Some(100), 98);
    let entries =
        vec![entry(98, "mine", Some(1)), entry(99, "yours", None), entry(100, "mine again", Some(2))];
    client.say(ServerMsg::Entries { room: LOBBY, entries });
    let events = client.events();
    let at = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted);
    let news = at(&|event| *event == Event::Unread { place: lobby(), count: 2 });
    let theirs = at(&|event| matches!(event, Event::Said(Said { mine: false, .. })));
    assert!(news.is_some(), "{events:?}");
    assert_eq!(news.map(|at| at + 1), theirs, "what is new begins with what somebody else said");
}

#[test]
fn what_names_me_is_counted_when_i_come_in() {
    let mut client = returning(true, 97, 10);
    let events = client.events();
    let news = events.iter().find_map(|event| match event {
        Event::News { rooms } => rooms.first(),
        _ => None,
    });
    assert_eq!(news.map(|unread| (unread.count, unread.mentions)), Some((3, 2)), "{events:?}");
}

#[test]
fn a_new_device_is_shown_all_that_nobody_has_read() {
    let mut client = Scripted::new();
    client.connect();
    let room = RoomInfo { read: Some(seq(40)), newest: Some(seq(100)), ..info(LOBBY, "lobby") };
    client.log_in_with(None, vec![room]);
    assert_eq!(client.opens(), [(LOBBY, OpenFrom::Last { count: 60 })]);
    client.opened(LOBBY, Some(100), 41);
    client.entries(LOBBY, 41..=100);
    assert!(client.events().contains(&Event::Unread { place: lobby(), count: 60 }));
}

#[test]
fn a_room_that_lost_its_beginning_before_anything_was_read_is_told_to_begin_later() {
    let mut client = Scripted::ready();
    client.disconnect();
    client.connect();
    client.log_in(None);
    assert!(matches!(client.opens().last(), Some((LOBBY, OpenFrom::After { seq: None, .. }))));
    client.opened(LOBBY, Some(18), 16);
    client.entries(LOBBY, 16..=18);
    let events = client.events();
    let place = Place::Room("lobby".into());
    assert!(events.contains(&Event::Trimmed { place, first: seq(16), gone: 15 }), "{events:?}");
    assert!(events.contains(&Event::Resumed(Tally { missed: 3, lost: 0, doubled: 0 })), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::Gap { .. })), "{events:?}");
}
