//! Commands in a private conversation, reactions, and what is answered without a connection.

use super::scripted::{LOBBY, Scripted, entry, info, seq};
use crate::session::Place;
use crate::session::event::{Event, Rest};
use protocol::entry::{Entry, EntryKind};
use protocol::id::{Millis, PersonId, Req, RoomId};
use protocol::message::{ClientMsg, Presence, Question, RoomsChange, RosterItem, ServerMsg};

fn room(value: u64) -> RoomId {
    RoomId::new(value).expect("tests count from 1")
}

fn mistake(client: &mut Scripted) -> Option<String> {
    client.events().into_iter().find_map(|event| match event {
        Event::Mistake { text, .. } => Some(text),
        _ => None,
    })
}

#[test]
fn who_in_a_private_conversation_tells_whether_the_other_is_there() {
    let mut client = Scripted::ready();
    client.line("/query eve");
    client.whois("eve", 6);
    client.events();
    client.sent();
    client.line("/who");
    let asked = client.sent().into_iter().find_map(|message| match message {
        ClientMsg::Ask { question, .. } => Some(question),
        _ => None,
    });
    assert_eq!(asked, Some(Question::Whois { name: "eve".into() }), "there is no room of two yet");
    assert_eq!(mistake(&mut client), None);
    client.added_direct(room(5), "eve", 6);
    client.opened(room(5), None, 1);
    client.sent();
    client.line("/who");
    let asked = client.sent().into_iter().find_map(|message| match message {
        ClientMsg::Ask { question, .. } => Some(question),
        _ => None,
    });
    assert_eq!(asked, Some(Question::People { room: Some(room(5)), after: None }));
}

#[test]
fn whoever_left_their_last_room_is_told_so_whatever_they_ask_of_it() {
    let mut client = Scripted::ready();
    let rooms = vec![info(LOBBY, "lobby")];
    client.say(ServerMsg::Rooms { req: Req(0), change: RoomsChange::Removed, more: false, rooms });
    client.events();
    for command in ["/who", "/history", "/search tea", "/jump #1"] {
        client.line(command);
        assert_eq!(mistake(&mut client).as_deref(), Some("you are not in #lobby"), "{command}");
    }
}

#[test]
fn part_of_a_private_conversation_goes_to_a_room_that_is_still_mine() {
    for command in ["/part", "/query"] {
        let mut client = Scripted::ready();
        client.line("/join dev");
        client.added(room(2), "dev");
        client.line("/query eve");
        client.whois("eve", 6);
        let rooms = vec![info(room(2), "dev")];
        client.say(ServerMsg::Rooms { req: Req(0), change: RoomsChange::Removed, more: false, rooms });
        client.line(command);
        assert_eq!(client.session.view().place, Place::Room("lobby".into()), "{command}");
        let rooms = vec![info(LOBBY, "lobby")];
        client.line("/query eve");
        client.whois("eve", 6);
        client.say(ServerMsg::Rooms { req: Req(0), change: RoomsChange::Removed, more: false, rooms });
        client.events();
        client.line(command);
        assert_eq!(mistake(&mut client).as_deref(), Some("you are in no room"));
        assert_eq!(client.session.view().place, Place::Person("eve".into()));
    }
}

#[test]
fn the_way_back_from_a_conversation_follows_a_room_that_was_renamed() {
    let mut client = Scripted::ready();
    client.line("/query eve");
    client.whois("eve", 6);
    let rooms = vec![info(LOBBY, "hall")];
    client.say(ServerMsg::Rooms { req: Req(0), change: RoomsChange::Changed, more: false, rooms });
    client.line("/part");
    assert_eq!(client.session.view().place, Place::Room("hall".into()));
}

#[test]
fn a_reaction_is_about_a_message_of_somebody_else() {
    let mut client = Scripted::ready();
    client.line("/react +1");
    assert_eq!(mistake(&mut client).as_deref(), Some("nobody else has said anything here yet"));
    client.entries(LOBBY, 1..=3);
    client.line("/react 👍");
    client.line("/react #2 well said");
    let expected = [
        (1, EntryKind::Reaction, Some(3), "👍".to_owned()),
        (2, EntryKind::Reaction, Some(2), "well said".to_owned()),
    ];
    assert_eq!(client.whole_posts(), expected);
}

/// A client that has read some lines of two rooms and lost its connection.
fn offline() -> Scripted {
    let mut client = Scripted::ready();
    client.line("/join dev");
    client.added(room(2), "dev");
    client.opened(room(2), None, 1);
    let at = |time, id, text: &str| Entry { time: Millis(time), ..entry(id, text, None) };
    let entries = vec![at(10, 1, "a cake for all"), at(30, 2, "日本語を話す"), at(50, 3, "no cake left")];
    client.say(ServerMsg::Entries { room: room(2), entries });
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![at(40, 1, "caketime"), at(60, 2, "tea")] });
    client.events();
    client.disconnect();
    client
}

fn found(client: &mut Scripted) -> Option<(Vec<String>, bool)> {
    client.events().into_iter().find_map(|event| match event {
        Event::Found { hits, offline, .. } => {
            Some((hits.into_iter().map(|said| said.text).collect(), offline))
        }
        _ => None,
    })
}

#[test]
fn without_a_connection_a_search_looks_through_what_came() {
    let mut client = offline();
    let mut search = |line: &str| {
        client.line(line);
        found(&mut client)
    };
    let texts = |texts: &[&str]| Some((texts.iter().map(ToString::to_string).collect::<Vec<_>>(), true));
    assert_eq!(search("/search cak"), texts(&["no cake left", "a cake for all"]));
    assert_eq!(search("/search -a cak"), texts(&["no cake left", "caketime", "a cake for all"]));
    assert_eq!(search("/search 本語"), texts(&["日本語を話す"]));
    assert_eq!(search("/search tea"), texts(&[]), "it is in another room");
    assert_eq!(search("/search"), Some((vec![], false)), "there is no more of that");
}

#[test]
fn a_search_without_a_connection_sees_edits_and_deletes_and_goes_on() {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=15);
    let change =
        |at, kind, target, text: &str| Entry { kind, reply_to: Some(seq(target)), ..entry(at, text, None) };
    let entries = vec![change(16, EntryKind::Edit, 1, "tea"), change(17, EntryKind::Delete, 2, "")];
    client.say(ServerMsg::Entries { room: LOBBY, entries });
    client.events();
    client.disconnect();
    let mut hits = Vec::new();
    for line in ["/search line", "/search", "/search"] {
        client.line(line);
        hits.extend(found(&mut client).expect("an answer").0);
    }
    let expected: Vec<_> = (3..=15).rev().map(|n| format!("line {n}")).collect();
    assert_eq!(hits, expected);
    client.line("/search tea");
    assert_eq!(found(&mut client).expect("an answer").0, ["tea"]);
}

/// The lines of the last part that was shown, and whether it says that there is no connection.
fn part(client: &mut Scripted) -> Option<(Vec<String>, bool)> {
    client.events().into_iter().find_map(|event| {
        let (entries, offline) = match event {
            Event::Around { entries, offline, .. } => (entries, offline),
            Event::History { entries, rest, .. } => (entries, rest == Rest::Offline),
            _ => return None,
        };
        Some((entries.into_iter().map(|said| said.text).collect(), offline))
    })
}

#[test]
fn without_a_connection_a_jump_and_a_history_show_what_came() {
    let mut client = Scripted::ready();
    client.entries(LOBBY, 1..=30);
    client.events();
    client.disconnect();
    let lines = |numbers: std::ops::RangeInclusive<u64>| {
        Some((numbers.map(|n| format!("line {n}")).collect::<Vec<_>>(), true))
    };
    client.line("/search 12");
    client.line("/jump 1");
    assert_eq!(part(&mut client), lines(7..=17));
    client.line("/jump #29");
    assert_eq!(part(&mut client), lines(24..=30));
    client.line("/history 3");
    assert_eq!(part(&mut client), lines(28..=30));
    client.line("/ignore eve");
    client.line("/history");
    assert_eq!(part(&mut client), Some((vec![], true)), "a hidden person is hidden here as well");
    assert_eq!(client.session.mistakes(), 0);
    client.line("/jump #31");
    let events = client.events();
    assert!(matches!(&events[..], [Event::Mistake { text, .. }] if text.contains("#31")), "{events:?}");
}

#[test]
fn without_a_connection_who_tells_who_was_there() {
    let mut client = Scripted::ready();
    let eve = RosterItem {
        person: PersonId::new(6).expect("a number"),
        name: "eve".into(),
        presence: Presence { online: true, ..Presence::default() },
        away: String::new(),
    };
    let (room, people) = (LOBBY, vec![eve.clone()]);
    client.say(ServerMsg::Roster {
        room,
        version: 2,
        snapshot: false,
        more: false,
        online: 2,
        members: 2,
        people,
    });
    client.events();
    client.disconnect();
    client.events();
    client.line("/who");
    let place = Place::Room("lobby".into());
    assert_eq!(client.events(), [Event::People { place, people: vec![eve], offline: true }]);
    assert_eq!(client.session.mistakes(), 0);
}
