//! The rooms that I am in, and what was said in them lately.

use super::comings::Comings;
use super::cursors::Cursor;
use super::place::Place;
use super::recent::{News, Recent};
use super::roster::Roster;
use protocol::entry::{Entry, EntryKind};
use protocol::id::{PersonId, RoomId, Seq};
use protocol::mention;
use protocol::message::{RoomInfo, RoomKind, RosterItem};
use protocol::name::NameKey;
use std::collections::BTreeMap;

/// A room of mine.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) info: RoomInfo,
    pub(crate) cursor: Cursor,
    pub(crate) roster: Roster,
    pub(crate) comings: Comings,
    /// Shown once in this process, so that a reconnection does not introduce it again.
    pub(crate) entered: bool,
    /// The first entry that is new to me, and the newest, until that is told.
    pub(crate) unread: Option<(Seq, Seq)>,
    /// It is being opened for this profile's first time.
    pub(crate) first_look: bool,
    /// The last entry that was there when this profile first came: what is up to it is history.
    pub(crate) history: Option<Seq>,
    /// How far the server was told that I have read.
    pub(crate) marked: Option<Seq>,
    pub(crate) recent: Recent,
}

impl Room {
    pub(crate) fn new(info: RoomInfo, cursor: Cursor) -> Self {
        Self {
            info,
            cursor,
            roster: Roster::default(),
            comings: Comings::default(),
            entered: false,
            unread: None,
            first_look: false,
            history: None,
            marked: None,
            recent: Recent::default(),
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

    /// The first entry behind all that I have read, here (`kept`: the cursor goes on from there) or on another
    /// device, and the newest; nothing if I have never been here, or nothing is new. All that I have not read of
    /// what somebody says to me alone is new.
    pub(crate) fn what_is_new(&self, kept: bool) -> Option<(Seq, Seq)> {
        let here = self.cursor.position().filter(|_| kept);
        let read = here.flatten().max(self.info.read);
        let first = Seq::after(read).max(self.info.oldest);
        let known = here.is_some() || self.info.read.is_some() || self.peer().is_some();
        let newest = self.info.newest.filter(|newest| known && *newest >= first)?;
        Some((first, newest))
    }

    /// How many entries are behind what I have read; 0 if I have never read here.
    pub(crate) fn unread_count(&self) -> u16 {
        let new = self.what_is_new(false);
        let count = new.map_or(0, |(first, newest)| newest.value() - first.value() + 1);
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// Whether an entry names me, who goes by `name`.
    pub(crate) fn names_me(&self, entry: &Entry, name: &str) -> bool {
        let is_other = |key: &NameKey| {
            let mut others = self.roster.people().filter(|other| Some(other.person) != entry.person);
            others.any(|other| NameKey::of(&other.name) == *key)
        };
        mention::names_people(entry.kind) && mention::names(&entry.text(), name, is_other)
    }

    /// Takes a new topic, and remembers what was said. `mention` tells whether it names me.
    pub(crate) fn remember(&mut self, entry: &Entry, mention: bool) -> News {
        if entry.kind == EntryKind::Topic {
            self.info.topic = entry.text().into_owned();
        }
        if let Some(person) = entry.person {
            self.comings.handle_said(person, entry.time);
        }
        let head = self.info.newest.max(self.cursor.position().flatten());
        self.recent.handle_entry(entry, head, mention)
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

    /// The room with this number, to look at.
    pub(crate) fn find(&self, id: RoomId) -> Option<&Room> {
        self.rooms.get(&id)
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

    /// All, by number, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Room> {
        self.rooms.values_mut()
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
