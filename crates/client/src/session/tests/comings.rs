//! Comings and goings are folded, and told only of people who spoke lately.

use super::scripted::*;
use crate::session::event::Event;
use protocol::id::{Millis, PersonId};
use protocol::message::{Presence, RosterItem, ServerMsg};

const ONLINE: Presence = Presence { online: true, away: false, typing: false, guest: false, errand: false };
const ERRAND: Presence = Presence { errand: true, ..ONLINE };
const GONE: Presence = Presence { online: false, ..ONLINE };

fn item(person: u64, name: &str, presence: Presence) -> RosterItem {
    let person = PersonId::new(person).expect("tests count from 1");
    RosterItem { person, name: name.into(), presence, away: String::new() }
}

impl Scripted {
    fn roster(&mut self, snapshot: bool, people: &[(u64, &str, Presence)]) {
        let people: Vec<_> =
            people.iter().map(|(person, name, presence)| item(*person, name, *presence)).collect();
        let online = people.iter().filter(|item| item.presence.online).count();
        let online = u32::try_from(online).expect("few");
        let (room, version, more) = (LOBBY, 1, false);
        self.say(ServerMsg::Roster { room, version, snapshot, more, online, members: online, people });
    }

    /// Somebody says something, by the server's clock now.
    fn hears(&mut self, at: u64, person: u64, name: &str) {
        let time = Millis(1_000_000 + self.now.steady.0);
        let mut entry = entry(at, "hello", None);
        (entry.person, entry.name, entry.time) = (PersonId::new(person), name.into(), time);
        self.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry] });
    }

    /// Who came and left by now, as it was told.
    fn comings(&mut self) -> Vec<(Vec<String>, Vec<String>)> {
        let comings = |event| match event {
            Event::Comings { came, left } => Some((came, left)),
            Event::Person { name, change } => panic!("{name}: {change:?}"),
            _ => None,
        };
        self.events().into_iter().filter_map(comings).collect()
    }
}

/// A lobby where bob (2) and carol (3) have spoken, and dan (4) is silent.
fn lobby() -> Scripted {
    let mut client = Scripted::ready();
    client.roster(true, &[(2, "bob", ONLINE), (3, "carol", ONLINE), (4, "dan", ONLINE)]);
    client.hears(1, 2, "bob");
    client.hears(2, 3, "carol");
    client.pass(60_000);
    client.events();
    client
}

fn left(names: &[&str]) -> (Vec<String>, Vec<String>) {
    (Vec::new(), names.iter().map(|name| (*name).to_owned()).collect())
}

fn came(names: &[&str]) -> (Vec<String>, Vec<String>) {
    let (came, left) = left(names);
    (left, came)
}

#[test]
fn who_spoke_lately_is_told_of_in_one_line_and_nobody_else() {
    let mut client = lobby();
    client.roster(false, &[(2, "bob", GONE)]);
    client.pass(1_000);
    client.roster(false, &[(3, "carol", GONE), (4, "dan", GONE), (5, "eve", ONLINE)]);
    assert_eq!(client.comings(), [], "what comes together is told together");
    client.pass(1_000);
    assert_eq!(client.comings(), [left(&["bob", "carol"])]);
    client.roster(false, &[(2, "bob", ONLINE), (4, "dan", ONLINE)]);
    client.pass(2_000);
    assert_eq!(client.comings(), [came(&["bob"])]);
    // Half an hour later nobody misses carol.
    client.pass(31 * 60 * 1_000);
    client.roster(false, &[(2, "bob", GONE), (3, "carol", ONLINE)]);
    client.pass(2_000);
    assert_eq!(client.comings(), []);
}

#[test]
fn who_says_something_when_they_come_is_seen_without_a_line() {
    let mut client = lobby();
    client.roster(false, &[(2, "bob", GONE)]);
    client.pass(2_000);
    client.roster(false, &[(2, "bob", ONLINE), (5, "eve", ONLINE)]);
    client.pass(500);
    client.hears(3, 2, "bob");
    client.hears(4, 5, "eve");
    client.pass(5_000);
    assert_eq!(client.comings(), [left(&["bob"])]);
    // A snapshot in the same connection is no reconnection.
    client.roster(true, &[(3, "carol", ONLINE)]);
    client.pass(2_000);
    assert_eq!(client.comings(), [left(&["bob", "eve"])]);
}

#[test]
fn who_is_back_at_once_never_left() {
    let mut client = lobby();
    for presence in [GONE, ONLINE, GONE, ONLINE] {
        client.roster(false, &[(2, "bob", presence)]);
        client.pass(400);
    }
    client.pass(10_000);
    assert_eq!(client.comings(), []);
}

#[test]
fn a_script_comes_and_goes_unseen_even_if_its_person_spoke() {
    let mut client = lobby();
    for presence in [ERRAND, GONE, ERRAND, GONE] {
        client.roster(false, &[(6, "ci", presence)]);
        client.hears(3, 6, "ci");
        client.pass(5_000);
    }
    assert_eq!(client.comings(), []);
    // Somebody whose chat ends and whose script goes on has left.
    client.roster(false, &[(2, "bob", ERRAND)]);
    client.pass(5_000);
    assert_eq!(client.comings(), [left(&["bob"])]);
    client.roster(false, &[(2, "bob", GONE)]);
    client.pass(5_000);
    client.roster(false, &[(2, "bob", ERRAND)]);
    client.pass(5_000);
    client.roster(false, &[(2, "bob", ONLINE)]);
    client.pass(5_000);
    assert_eq!(client.comings(), [came(&["bob"])]);
}

#[test]
fn after_a_restart_of_the_server_only_who_does_not_come_back_has_left() {
    let mut client = lobby();
    client.disconnect();
    client.pass(500);
    client.connect();
    client.log_in(None);
    client.opened(LOBBY, Some(2), 3);
    client.roster(true, &[(1, "alice", ONLINE)]);
    client.pass(3_000);
    client.roster(false, &[(2, "bob", ONLINE)]);
    client.pass(3_000);
    assert_eq!(client.comings(), [], "the others may still be on their way");
    client.pass(9_000);
    assert_eq!(client.comings(), [left(&["carol"])]);
}

#[test]
fn a_room_that_becomes_too_large_for_names_tells_of_nobody() {
    let mut client = lobby();
    let (room, people) = (LOBBY, Vec::new());
    client.say(ServerMsg::Roster {
        room,
        version: 9,
        snapshot: true,
        more: false,
        online: 300,
        members: 300,
        people,
    });
    client.pass(60_000);
    client.roster(true, &[(3, "carol", ONLINE)]);
    client.pass(60_000);
    assert_eq!(client.comings(), []);
    client.roster(false, &[(3, "carol", GONE)]);
    client.pass(2_000);
    assert_eq!(client.comings(), [left(&["carol"])], "names are known again");
}
