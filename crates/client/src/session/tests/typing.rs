//! Typing notices: few of them, and only others' are shown.

use super::scripted::{LOBBY, Scripted};
use protocol::code::Code;
use protocol::id::{PersonId, RoomId};
use protocol::message::{ClientMsg, Presence, RosterItem, ServerMsg, StateChange, ty};

impl Scripted {
    fn types(&mut self, on: bool) {
        self.session.handle_typing(on, self.now);
        self.pass(0);
    }

    /// The notices that were sent since they were last looked at.
    fn notices(&mut self) -> Vec<(u64, bool)> {
        let notice = |message| match message {
            ClientMsg::State { change: StateChange::Typing { room, on }, .. } => Some((room.value(), on)),
            _ => None,
        };
        self.sent().into_iter().filter_map(notice).collect()
    }

    /// Who types in a room, as its roster tells it.
    fn typists(&mut self, room: RoomId, people: &[(u64, &str, bool)]) {
        let item = |(person, name, typing): &(u64, &str, bool)| RosterItem {
            person: PersonId::new(*person).expect("tests count from 1"),
            name: (*name).into(),
            presence: Presence { online: true, typing: *typing, ..Presence::default() },
            away: String::new(),
        };
        let people = people.iter().map(item).collect();
        self.say(ServerMsg::Roster {
            room,
            version: 2,
            snapshot: false,
            more: false,
            online: 3,
            members: 3,
            people,
        });
    }

    fn typing(&self) -> Vec<String> {
        self.session.view().typing.to_vec()
    }
}

#[test]
fn a_typing_notice_goes_out_at_most_every_three_seconds() {
    let mut client = Scripted::ready();
    client.types(true);
    assert_eq!(client.notices(), [(1, true)]);
    for _ in 0..29 {
        client.pass(100);
        client.types(true);
    }
    assert_eq!(client.notices(), []);
    client.pass(100);
    client.types(true);
    assert_eq!(client.notices(), [(1, true)]);
    client.types(false);
    client.types(true);
    client.types(false);
    assert_eq!(client.notices(), [(1, false)], "an empty line ends it at once, and begins nothing anew");
    client.pass(3_000);
    client.types(true);
    assert_eq!(client.notices(), [(1, true)]);
}

#[test]
fn what_is_said_ends_typing_by_itself() {
    let mut client = Scripted::ready();
    client.types(true);
    client.line("hi");
    client.types(false);
    assert_eq!(client.notices(), [(1, true)]);
}

#[test]
fn typing_notices_go_to_where_one_is_and_to_no_place_that_is_no_room_yet() {
    let mut client = Scripted::ready();
    client.types(true);
    client.added_direct(RoomId::new(5).expect("a number"), "eve", 6);
    client.opened(RoomId::new(5).expect("a number"), None, 1);
    client.line("/query eve");
    client.sent();
    client.pass(3_000);
    client.types(true);
    assert_eq!(client.notices(), [(1, false), (5, true)]);
    client.disconnect();
    client.types(true);
    client.pass(3_000);
    client.types(true);
    assert_eq!(client.notices(), []);
}

#[test]
fn whoever_turns_typing_notices_off_neither_sends_nor_sees_them() {
    let mut client = Scripted::ready();
    client.session.turn_off_typing();
    client.types(true);
    client.types(false);
    assert_eq!(client.notices(), []);
    client.typists(LOBBY, &[(6, "eve", true)]);
    assert_eq!(client.typing(), [""; 0]);
}

#[test]
fn a_refused_typing_notice_is_told_to_nobody_and_keeps_nobody_from_leaving() {
    let mut client = Scripted::ready();
    client.types(true);
    let req = client.sent().into_iter().find_map(|message| match message {
        ClientMsg::State { req, .. } => Some(req),
        _ => None,
    });
    client.refuse(Code::NotAMember, ty::STATE, u64::from(req.expect("a notice").0), false);
    assert_eq!((client.events(), client.session.refusals()), (vec![], 0));
    client.pass(3_000);
    client.types(true);
    client.line("/quit");
    client.pass(0);
    assert!(client.session.end().is_some(), "a notice has no answer to wait for");
}

#[test]
fn others_who_type_where_one_is_are_shown() {
    let mut client = Scripted::ready();
    client.typists(LOBBY, &[(1, "alice", true), (6, "eve", true), (7, "bob", false)]);
    assert_eq!(client.typing(), ["eve"]);
    client.typists(LOBBY, &[(6, "eve", false), (7, "bob", true)]);
    assert_eq!(client.typing(), ["bob"]);
    client.line("/ignore bob");
    client.typists(LOBBY, &[(6, "eve", true)]);
    assert_eq!(client.typing(), ["eve"], "a hidden person is hidden here as well");
    client.added(RoomId::new(2).expect("a number"), "dev");
    client.line("/join dev");
    assert_eq!(client.typing(), [""; 0]);
    client.line("/join lobby");
    assert_eq!(client.typing(), ["eve"]);
    client.disconnect();
    assert_eq!(client.typing(), [""; 0], "nobody knows any more");
}
