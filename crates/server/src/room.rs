//! Rooms: who is in them, who reads them, and where their logs end.

use crate::clock::{Now, Steady};
use crate::conn::{Conn, ConnId};
use crate::limits::Portions;
use crate::log::RoomLog;
use crate::mentions::Mentions;
use crate::roster::Roster;
use crate::store::{ClosedRoom, NewEntry, RoomShape, StoredMember, StoredRoom};
use crate::voice::Label;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Millis, PersonId, RoomId, Seq};
use protocol::name::{NameKey, RoomName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A room.
#[derive(Debug)]
pub struct Room {
    /// Its number.
    pub id: RoomId,
    /// What it is.
    pub shape: RoomShape,
    /// Its topic; may be empty.
    pub topic: String,
    /// Its members and the last entry that each has read.
    pub members: BTreeMap<PersonId, Option<Seq>>,
    /// Entries that name members who have not read them.
    pub mentions: Mentions,
    /// Who of two has written in it or opened it; nobody in a public one.
    pub spoke: BTreeSet<PersonId>,
    /// Entries that were accepted for it and are not stored or refused yet.
    pub under_way: usize,
    /// When it was made, if that was since the start.
    pub made: Millis,
    /// The connections with a cursor in it.
    pub readers: BTreeMap<ConnId, Arc<Conn>>,
    /// Who of the members is online, and what was told of them.
    pub roster: Roster,
    /// Who types, and until when that holds.
    pub typing: BTreeMap<PersonId, Steady>,
    /// The end of its log.
    pub log: Arc<RoomLog>,
    /// The time of its newest entry; only grows.
    pub time: Millis,
    /// When something was last said in it.
    pub busy: Steady,
    /// When it was last kept within its bounds.
    pub kept: Kept,
}

/// When a room was last kept within its bounds.
#[derive(Debug, Default)]
pub struct Kept {
    /// The newest entry at that time.
    pub head: Option<Seq>,
    /// When it is looked at again though nothing was added.
    pub due: Steady,
    /// Its oldest entries are hidden.
    pub is_hidden: bool,
    /// It waits for its turn to be trimmed.
    pub is_waiting: bool,
    /// Who waits until all of its history is gone but the newest entry.
    pub ended: Option<oneshot::Sender<Result<(), Code>>>,
}

impl Room {
    fn new(stored: StoredRoom, portions: Portions) -> Self {
        let label = match &stored.shape {
            RoomShape::Public { name } => Label::Room(name.clone()),
            RoomShape::Direct(..) => Label::Direct,
        };
        let mut mentions = Mentions::default();
        let members = stored.members.into_iter().map(|StoredMember { person, read, mentions: unread }| {
            mentions.restore(person, unread);
            (person, read)
        });
        Self {
            id: stored.room,
            shape: stored.shape,
            topic: stored.topic,
            members: members.collect(),
            mentions,
            spoke: BTreeSet::new(),
            under_way: 0,
            made: Millis(0),
            kept: Kept::default(),
            readers: BTreeMap::new(),
            roster: Roster::default(),
            typing: BTreeMap::new(),
            log: Arc::new(RoomLog::new(stored.room, label, stored.head, portions)),
            time: stored.time,
            busy: Steady::default(),
        }
    }

    /// Whether anyone may find and join it.
    pub fn is_public(&self) -> bool {
        matches!(self.shape, RoomShape::Public { .. })
    }

    /// The other one of two; oneself in the room of one.
    pub fn peer(&self, me: PersonId) -> Option<PersonId> {
        match self.shape {
            RoomShape::Direct(a, b) => Some(if a == me { b } else { a }),
            RoomShape::Public { .. } => None,
        }
    }

    /// The name of a public room.
    pub fn name(&self) -> Option<&str> {
        match &self.shape {
            RoomShape::Public { name } => Some(name),
            RoomShape::Direct(..) => None,
        }
    }

    /// When something was last said in it, or when it was made.
    pub fn last_said(&self) -> Millis {
        self.time.max(self.made)
    }

    /// Whether it waits for a first word of this person, whom somebody else has written to.
    pub fn is_unanswered_by(&self, person: PersonId) -> bool {
        !self.is_public() && !self.spoke.contains(&person)
    }

    /// Takes note of whom a stored entry names, for those who have not read it.
    pub fn mention(&mut self, seq: Seq, entry: &NewEntry) {
        let named = if entry.revises() { entry.reply_to.unwrap_or(seq) } else { seq };
        if entry.revises() {
            self.mentions.remove(named);
        }
        let people = entry.mentions.iter().filter(|_| entry.kind != EntryKind::Delete);
        for person in people {
            if self.members.get(person).is_some_and(|read| *read < Some(named)) {
                self.mentions.add(*person, named);
            }
        }
    }

    /// The time of the next entry: now, but never before the one before it.
    pub fn next_time(&mut self, now: Now) -> Millis {
        self.busy = now.steady;
        self.time = self.time.max(now.wall);
        self.time
    }
}

/// All rooms.
#[derive(Debug, Default)]
pub struct Rooms {
    by_id: BTreeMap<RoomId, Room>,
    by_name: BTreeMap<NameKey, RoomId>,
    direct: BTreeMap<(PersonId, PersonId), RoomId>,
    /// Public rooms that are shown: those of `by_name` that somebody is in, and the lobby.
    listed: BTreeMap<NameKey, RoomId>,
    /// Rooms that nobody is in, but the lobby.
    deserted: BTreeSet<RoomId>,
    last: Option<RoomId>,
    /// Rooms of which what is stored is damaged.
    closed: BTreeMap<RoomId, ClosedRoom>,
    portions: Portions,
    /// How often one was looked at.
    #[cfg(test)]
    pub looks: std::sync::atomic::AtomicUsize,
}

impl Rooms {
    /// None yet; numbers up to `last` were given out before, and these rooms are closed.
    pub fn new(last: Option<RoomId>, closed: BTreeMap<RoomId, ClosedRoom>, portions: Portions) -> Self {
        Self { last, closed, portions, ..Self::default() }
    }

    /// Whether a room is closed because it is damaged, for one of its members. Others are told nothing of it.
    pub fn is_closed_to(&self, person: PersonId, room: RoomId) -> bool {
        self.closed.get(&room).is_some_and(|closed| closed.members.contains(&person))
    }

    /// Whether a room that is closed has this name.
    pub fn is_closed(&self, name: &RoomName) -> bool {
        let is_it = |shape: &RoomShape| match shape {
            RoomShape::Public { name: closed } => NameKey::of(closed) == name.key(),
            RoomShape::Direct(..) => false,
        };
        self.closed.values().filter_map(|closed| closed.shape.as_ref()).any(is_it)
    }

    /// Whether the room of these two is closed.
    pub fn is_direct_closed(&self, a: PersonId, b: PersonId) -> bool {
        let shape = RoomShape::Direct(a.min(b), a.max(b));
        self.closed.values().any(|closed| closed.shape.as_ref() == Some(&shape))
    }

    /// The largest number that was given out.
    pub fn last(&self) -> Option<RoomId> {
        self.last
    }

    /// Takes in a stored room.
    pub fn restore(&mut self, stored: StoredRoom) -> RoomId {
        let id = stored.room;
        self.last = self.last.max(Some(id));
        match &stored.shape {
            RoomShape::Public { name } => drop(self.by_name.insert(NameKey::of(name), id)),
            RoomShape::Direct(a, b) => drop(self.direct.insert((*a, *b), id)),
        }
        let room = Room::new(stored, self.portions);
        if is_deserted(&room) {
            self.deserted.insert(id);
        } else if let Some(name) = room.name() {
            self.listed.insert(NameKey::of(name), id);
        }
        self.by_id.insert(id, room);
        id
    }

    /// Takes note of whether somebody is in a room. Call it when a member comes or goes.
    pub fn settle_members(&mut self, id: RoomId) {
        let Some(room) = self.by_id.get(&id) else { return };
        let is_deserted = is_deserted(room);
        if self.deserted.contains(&id) == is_deserted {
            return;
        }
        let key = room.name().map(NameKey::of);
        if is_deserted {
            self.deserted.insert(id);
            if let Some(key) = key {
                self.listed.remove(&key);
            }
        } else {
            self.deserted.remove(&id);
            self.listed.extend(key.map(|key| (key, id)));
        }
    }

    /// Forgets a room.
    pub fn remove(&mut self, id: RoomId) -> Option<Room> {
        let room = self.by_id.remove(&id)?;
        self.deserted.remove(&id);
        match &room.shape {
            RoomShape::Public { name } => {
                let key = NameKey::of(name);
                for names in [&mut self.by_name, &mut self.listed] {
                    if names.get(&key) == Some(&id) {
                        names.remove(&key);
                    }
                }
            }
            RoomShape::Direct(a, b) => drop(self.direct.remove(&(*a, *b))),
        }
        Some(room)
    }

    /// How many rooms somebody is in.
    pub fn inhabited(&self) -> usize {
        self.by_id.len() - self.deserted.len()
    }

    /// Whether nobody is in a room.
    pub fn is_deserted(&self, id: RoomId) -> bool {
        self.deserted.contains(&id)
    }

    /// Rooms that nobody is in, by number, after one of them.
    pub fn deserted_after(&self, after: Option<RoomId>) -> impl Iterator<Item = RoomId> {
        self.deserted.range(RoomId::after(after)..).copied()
    }

    /// Makes a room.
    pub fn add(&mut self, shape: RoomShape, now: Millis) -> RoomId {
        let room = RoomId::after(self.last);
        let topic = String::new();
        self.restore(StoredRoom { room, shape, topic, head: None, time: Millis(0), members: Vec::new() });
        if let Some(made) = self.find_mut(room) {
            made.made = now;
        }
        room
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The room with this number.
    pub fn find(&self, id: RoomId) -> Option<&Room> {
        #[cfg(test)]
        self.looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.by_id.get(&id)
    }

    /// The same, to change it.
    pub fn find_mut(&mut self, id: RoomId) -> Option<&mut Room> {
        self.by_id.get_mut(&id)
    }

    /// All rooms, by number, after one of them.
    pub fn after(&self, after: Option<RoomId>) -> impl Iterator<Item = &Room> {
        self.by_id.range(RoomId::after(after)..).map(|(_, room)| room)
    }

    /// All rooms, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Room> {
        self.by_id.values_mut()
    }

    /// The public room of this name.
    pub fn named(&self, name: &RoomName) -> Option<RoomId> {
        self.by_name.get(&name.key()).copied()
    }

    /// The room of these two.
    pub fn direct(&self, a: PersonId, b: PersonId) -> Option<RoomId> {
        self.direct.get(&(a.min(b), a.max(b))).copied()
    }

    /// Public rooms that somebody is in, and the lobby, by name, after this one.
    pub fn public_after<'a>(&'a self, after: &str) -> impl Iterator<Item = &'a Room> + use<'a> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = if after.is_empty() { Unbounded } else { Excluded(NameKey::of(after)) };
        self.listed.range((from, Unbounded)).filter_map(|(_, id)| self.find(*id))
    }
}

/// Whether nobody is in a room that is not the lobby, which is always there.
fn is_deserted(room: &Room) -> bool {
    room.members.is_empty() && room.name() != Some(RoomName::lobby().as_str())
}
