//! Who was in which room when, and on whose wish: it says what a person may be given of a room.

use protocol::id::{PersonId, RoomId};
use server::store::{Change, RoomShape};
use std::collections::{BTreeMap, BTreeSet};

/// The terms of all people in all rooms, as they became durable.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// By room and person, the oldest first. Invariant: only the last one may go on.
    terms: BTreeMap<(RoomId, PersonId), Vec<Term>>,
    shapes: BTreeMap<RoomId, RoomShape>,
    /// Who is stored and has a credential.
    people: BTreeSet<PersonId>,
    /// Who ends with their connection.
    guests: BTreeSet<PersonId>,
    /// The public rooms that people asked to be let into, and those that they asked to be let out of.
    wishes: Wishes,
}

/// What people asked for on any of their connections.
#[derive(Debug, Default)]
struct Wishes {
    joins: BTreeSet<(PersonId, String)>,
    /// With the time of the newest, in simulated microseconds.
    parts: BTreeMap<(PersonId, RoomId), u64>,
}

/// From when to when somebody was in a room, in simulated microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Term {
    since: u64,
    until: Option<u64>,
}

impl Members {
    /// A person asks to be let into a room.
    pub(crate) fn wish_in(&mut self, person: PersonId, name: &str) {
        self.wishes.joins.insert((person, name.to_owned()));
    }

    /// A person asks to be let out of a room.
    pub(crate) fn wish_out(&mut self, person: PersonId, room: RoomId, at: u64) {
        self.wishes.parts.insert((person, room), at);
    }

    /// A change became durable: what is wrong with that, if something is.
    pub(crate) fn take(&mut self, change: &Change, at: u64) -> Option<String> {
        match change {
            Change::Person { person, credential, .. } => {
                let is_guest = credential.is_none();
                if is_guest { &mut self.guests } else { &mut self.people }.insert(*person);
            }
            Change::Room { room, shape, .. } => drop(self.shapes.insert(*room, shape.clone())),
            Change::Member { room, person, joined: true } => return self.begin(*room, *person, at),
            Change::Member { room, person, joined: false } => {
                self.end(at, |key| key == (*room, *person));
                if !self.wishes.parts.contains_key(&(*person, *room)) && !self.ends_by_itself(*room, *person)
                {
                    return Some(format!("person {person} is put out of {room} unasked"));
                }
            }
            Change::PersonGone { person } => {
                self.people.remove(person);
                self.end(at, |(_, other)| other == *person);
            }
            Change::RoomGone { room } => {
                let is_in = |((other, person), terms): (&(RoomId, PersonId), &Vec<Term>)| {
                    let stays = terms.last().is_some_and(|term| term.until.is_none());
                    other == room && stays && !self.ends_by_itself(*room, *person)
                };
                if self.terms.iter().any(is_in) {
                    return Some(format!("{room} ends, and somebody is in it"));
                }
                self.shapes.remove(room);
                self.end(at, |(other, _)| other == *room);
            }
            _ => {}
        }
        None
    }

    fn begin(&mut self, room: RoomId, person: PersonId, at: u64) -> Option<String> {
        let terms = self.terms.entry((room, person)).or_default();
        if terms.last().is_none_or(|term| term.until.is_some()) {
            terms.push(Term { since: at, until: None });
        }
        let is_theirs = match self.shapes.get(&room) {
            Some(RoomShape::Public { name }) => self.wishes.joins.contains(&(person, name.clone())),
            Some(RoomShape::Direct(one, other)) => [*one, *other].contains(&person),
            None => false,
        };
        (room != RoomId::FIRST && !is_theirs).then(|| format!("person {person} is let into {room} unasked"))
    }

    /// Whether somebody may be put out unasked: guests, and whoever talked with one.
    fn ends_by_itself(&self, room: RoomId, person: PersonId) -> bool {
        let with_guest = match self.shapes.get(&room) {
            Some(RoomShape::Direct(one, other)) => self.guests.contains(one) || self.guests.contains(other),
            _ => false,
        };
        with_guest || self.guests.contains(&person)
    }

    /// Whether a room is there.
    pub(crate) fn has_room(&self, room: RoomId) -> bool {
        self.shapes.contains_key(&room)
    }

    /// Whether somebody is stored and stays.
    pub(crate) fn is_known(&self, person: PersonId) -> bool {
        self.people.contains(&person)
    }

    fn end(&mut self, at: u64, is_it: impl Fn((RoomId, PersonId)) -> bool) {
        let theirs = self.terms.iter_mut().filter(|(key, _)| is_it(**key));
        theirs.filter_map(|(_, terms)| terms.last_mut()).for_each(|term| {
            term.until.get_or_insert(at);
        });
    }

    /// Whether a person may be given an entry that was stored then: while they are in the room, any; else only what was
    /// said there before they left. Who never did anything that lasts is in the first room, which is stored nowhere.
    pub(crate) fn may_read(&self, person: PersonId, room: RoomId, stored: u64) -> bool {
        match self.terms.get(&(room, person)) {
            Some(terms) => terms.iter().any(|term| term.until.is_none_or(|until| stored <= until)),
            None => room == RoomId::FIRST,
        }
    }

    /// Whether a person was in a room all the time since then, and has not asked to be let out.
    pub(crate) fn was_in_since(&self, person: PersonId, room: RoomId, since: u64) -> bool {
        let parted = self.wishes.parts.get(&(person, room)).copied();
        let began = self.term_since(person, room);
        began.is_some_and(|began| began <= since && parted.is_none_or(|parted| parted < began))
    }

    /// Since when a person is in a room.
    pub(crate) fn term_since(&self, person: PersonId, room: RoomId) -> Option<u64> {
        let last = self.terms.get(&(room, person)).and_then(|terms| terms.last());
        last.filter(|term| term.until.is_none()).map(|term| term.since)
    }

    /// The history is another one. What was asked for may come about in it.
    pub(crate) fn forget(&mut self) {
        *self = Self { wishes: std::mem::take(&mut self.wishes), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomId = RoomId::FIRST.next();

    fn person(number: u64) -> PersonId {
        PersonId::new(number).expect("not zero")
    }

    fn member(number: u64, joined: bool) -> Change {
        Change::Member { room: ROOM, person: person(number), joined }
    }

    fn room(shape: RoomShape) -> Change {
        Change::Room { room: ROOM, shape, topic: String::new() }
    }

    fn with_room() -> Members {
        let mut members = Members::default();
        assert_eq!(members.take(&room(RoomShape::Public { name: "tea".to_owned() }), 1), None);
        members.wish_in(person(1), "tea");
        assert_eq!(members.take(&member(1, true), 10), None);
        members
    }

    #[test]
    fn who_left_may_read_what_was_said_before() {
        let mut members = with_room();
        assert!(members.may_read(person(1), ROOM, 5) && !members.may_read(person(2), ROOM, 5));
        assert!(members.was_in_since(person(1), ROOM, 10) && !members.was_in_since(person(1), ROOM, 9));
        members.wish_out(person(1), ROOM, 15);
        assert!(!members.was_in_since(person(1), ROOM, 10));
        assert_eq!(members.take(&member(1, false), 20), None);
        assert!(members.may_read(person(1), ROOM, 20) && !members.may_read(person(1), ROOM, 21));
        assert_eq!(members.take(&member(1, true), 30), None);
        assert!(members.may_read(person(1), ROOM, 25) && members.may_read(person(1), ROOM, 40));
        assert!(members.may_read(person(9), RoomId::FIRST, 40));
    }

    #[test]
    fn nobody_comes_or_goes_unasked() {
        let mut members = with_room();
        assert!(members.take(&member(2, true), 11).is_some_and(|wrong| wrong.contains("let into")));
        assert!(members.take(&member(1, false), 12).is_some_and(|wrong| wrong.contains("put out")));
        assert_eq!(members.take(&room(RoomShape::Direct(person(3), person(4))), 13), None);
        assert_eq!(members.take(&member(4, true), 14), None);
        assert!(members.take(&member(5, true), 15).is_some());
        members.forget();
        assert!(!members.may_read(person(1), ROOM, 5));
    }
}
