//! The rooms that I am in, and what was said in them lately.

use super::cursors::Cursor;
use super::place::Place;
use super::roster::Roster;
use protocol::entry::{Entry, EntryKind};
use protocol::id::{PersonId, RoomId, Seq};
use protocol::message::{RoomInfo, RoomKind, RosterItem};
use std::collections::{BTreeMap, VecDeque};

/// Entries of each room that are remembered, so that replies can quote them.
const RECENT: usize = 200;

/// Characters of a quote.
const QUOTE: usize = 40;

/// A room of mine.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) info: RoomInfo,
    pub(crate) cursor: Cursor,
    pub(crate) roster: Roster,
    /// Shown once in this process, so that a reconnection does not introduce it again.
    pub(crate) entered: bool,
    /// The line in front of what is new has been shown, or nothing was new.
    pub(crate) unread: Option<u64>,
    /// It is being opened for this profile's first time.
    pub(crate) first_look: bool,
    /// The last entry that was there when this profile first came: what is up to it is history.
    pub(crate) history: Option<Seq>,
    recent: VecDeque<(Seq, PersonId, String, String)>,
}

impl Room {
    pub(crate) fn new(info: RoomInfo, cursor: Cursor) -> Self {
        Self {
            info,
            cursor,
            roster: Roster::default(),
            entered: false,
            unread: None,
            first_look: false,
            history: None,
            recent: VecDeque::new(),
        }
    }

    /// Its name, with its sign.
    pub(crate) fn place(&self) -> Place {
        match self.info.kind {
            RoomKind::Public => Place::Room(self.info.name.clone()),
            RoomKind::Direct { .. } => Place::Person(self.info.name.clone()),
        }
    }

    /// The other one, if this is the room of two.
    pub(crate) fn peer(&self) -> Option<PersonId> {
        match self.info.kind {
            RoomKind::Public => None,
            RoomKind::Direct { peer } => Some(peer),
        }
    }

    /// Keeps the beginning of an entry for quotes, and takes a new topic.
    pub(crate) fn remember(&mut self, entry: &Entry) {
        if entry.kind == EntryKind::Topic {
            self.info.topic = entry.text().into_owned();
        }
        let Some(person) = entry.person.filter(|_| matches!(entry.kind, EntryKind::Text | EntryKind::Action))
        else {
            return;
        };
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((entry.seq, person, entry.name.clone(), shorten(&entry.text())));
    }

    /// Who said this entry, and how it began.
    pub(crate) fn quote(&self, seq: Seq) -> Option<(String, String)> {
        let found = self.recent.iter().find(|(known, ..)| *known == seq)?;
        Some((found.2.clone(), found.3.clone()))
    }

    /// The last thing that somebody else said.
    pub(crate) fn last_of_others(&self, me: Option<PersonId>) -> Option<Seq> {
        self.recent.iter().rev().find(|(_, person, ..)| Some(*person) != me).map(|(seq, ..)| *seq)
    }
}

fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(QUOTE) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None if line.len() < text.len() => format!("{line}…"),
        None => line.to_owned(),
    }
}

/// All rooms of mine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rooms {
    rooms: BTreeMap<RoomId, Room>,
}

impl Rooms {
    /// Takes what the server says about a room.
    pub(crate) fn take(&mut self, info: RoomInfo, cursor: Cursor) -> &mut Room {
        let id = info.room;
        let room = self.rooms.entry(id).or_insert_with(|| Room::new(info.clone(), cursor));
        room.info = info;
        room
    }

    /// The room with this number.
    pub(crate) fn by_id(&mut self, id: RoomId) -> Option<&mut Room> {
        self.rooms.get_mut(&id)
    }

    /// The room with this name, or the one with this person.
    pub(crate) fn by_place(&self, place: &Place) -> Option<&Room> {
        self.rooms.values().find(|room| room.place().is(place))
    }

    /// No longer in this room.
    pub(crate) fn remove(&mut self, id: RoomId) -> Option<Room> {
        self.rooms.remove(&id)
    }

    /// Keeps only these.
    pub(crate) fn retain(&mut self, keep: impl Fn(RoomId) -> bool) {
        self.rooms.retain(|id, _| keep(*id));
    }

    /// All, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values()
    }

    /// Everybody that can be seen in a roster, and those whom I talk with.
    pub(crate) fn people(&self) -> impl Iterator<Item = (PersonId, &str)> {
        let seen = self.rooms.values().flat_map(|room| room.roster.people());
        let seen = seen.map(|item: &RosterItem| (item.person, item.name.as_str()));
        let direct = self.rooms.values().filter_map(|room| Some((room.peer()?, room.info.name.as_str())));
        seen.chain(direct)
    }
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn a_quote_is_short_and_says_that_it_is_cut() {
        assert_eq!(shorten("hi"), "hi");
        assert_eq!(shorten("one\ntwo"), "one…");
        assert_eq!(shorten(&"ä".repeat(50)).chars().count(), 41);
    }
}
