//! What outlives the process: cursors as far as they were shown, and the outbox's journal.

use super::outbox::{JournalSave, Record};
use super::place::Place;
use crate::clock::{after, since};
use protocol::id::{Epoch, Millis, RoomId, Seq, ServerId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Cursors are kept at most so often, in ms: being behind only shows lines again after a crash.
const KEEP_EVERY_MS: u64 = 250;

/// Something to keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Save {
    /// Add to the journal; it must be on the disk before anything else is sent.
    Append(Vec<Record>),
    /// Replace the journal; it must be on the disk before anything else is sent.
    Replace(Vec<Record>),
    /// Replace the rest; need not be on the disk.
    Kept(Kept),
}

impl From<JournalSave> for Save {
    fn from(save: JournalSave) -> Self {
        match save {
            JournalSave::Append(records) => Self::Append(records),
            JournalSave::Replace(records) => Self::Replace(records),
        }
    }
}

/// What is kept beside the journal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// The name that the server gave.
    pub name: String,
    /// The history of the cursors.
    pub epoch: Option<Epoch>,
    /// The rooms that were read.
    pub rooms: Vec<KeptRoom>,
    /// Names of the people that are hidden.
    pub ignored: Vec<String>,
    /// The server that the last login was at, if it said so.
    pub server: Option<ServerId>,
}

/// How far a room was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptRoom {
    /// Its number in this history.
    pub room: RoomId,
    /// Its name.
    pub place: Place,
    /// The last entry that was shown.
    pub seen: Option<Seq>,
}

/// Moves the kept cursors as events are shown.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    rooms: BTreeMap<RoomId, (Place, Option<Seq>)>,
    /// Positions that count once so many events have been shown, in order.
    waiting: VecDeque<(u64, RoomId, Option<Seq>)>,
    shown: u64,
    /// Rooms whose position was moved.
    moved: BTreeSet<RoomId>,
    name: String,
    server: Option<ServerId>,
    dirty: bool,
    due: bool,
    kept_at: Option<Millis>,
}

impl Keeper {
    pub(super) fn new(kept: Kept) -> Self {
        let rooms = kept.rooms.into_iter().map(|room| (room.room, (room.place, room.seen)));
        Self { rooms: rooms.collect(), name: kept.name, server: kept.server, ..Self::default() }
    }

    /// How far this room was shown, if it ever was.
    pub(super) fn position(&self, room: RoomId) -> Option<Option<Seq>> {
        self.rooms.get(&room).map(|(_, seen)| *seen)
    }

    /// Names of the public rooms.
    pub(super) fn public_rooms(&self) -> Vec<String> {
        let places = self.rooms.values().map(|(place, _)| place);
        places.filter(|place| matches!(place, Place::Room(_))).map(|place| place.name().to_owned()).collect()
    }

    pub(super) fn forget_history(&mut self) {
        self.rooms.clear();
        self.waiting.clear();
        self.dirty = true;
    }

    pub(super) fn note_name(&mut self, name: &str) {
        self.dirty |= self.name != name;
        name.clone_into(&mut self.name);
    }

    pub(super) fn note_server(&mut self, server: Option<ServerId>) {
        self.dirty |= self.server != server;
        self.server = server;
    }

    /// The server of the last login.
    pub(super) fn server(&self) -> Option<ServerId> {
        self.server
    }

    pub(super) fn note_change(&mut self) {
        self.dirty = true;
    }

    /// Keeps only these rooms, and tells which it kept before.
    pub(super) fn retain(&mut self, keep: impl Fn(RoomId) -> bool) -> Vec<Place> {
        let gone = self.rooms.extract_if(.., |room, _| !keep(*room));
        let gone: Vec<_> = gone.map(|(_, (place, _))| place).collect();
        self.dirty |= !gone.is_empty();
        gone
    }

    /// A room has this name.
    pub(super) fn note_room(&mut self, room: RoomId, place: Place) {
        if let Some((known, _)) = self.rooms.get_mut(&room) {
            self.dirty |= *known != place;
            *known = place;
        }
    }

    /// The cursor of a room stands here once the first `queued` events have been shown.
    pub(super) fn note_position(&mut self, queued: u64, room: RoomId, place: &Place, seen: Option<Seq>) {
        self.rooms.entry(room).or_insert_with(|| {
            self.dirty = true;
            (place.clone(), seen)
        });
        self.waiting.push_back((queued, room, seen));
        self.move_cursors();
    }

    /// Gives the rooms of which more was shown since this was called last.
    pub(super) fn handle_shown(&mut self, shown: u64) -> BTreeSet<RoomId> {
        self.shown = shown;
        self.move_cursors();
        std::mem::take(&mut self.moved)
    }

    fn move_cursors(&mut self) {
        while let Some((_, room, seen)) = self.waiting.pop_front_if(|(queued, ..)| *queued <= self.shown) {
            if let Some(kept) = self.rooms.get_mut(&room) {
                kept.1 = kept.1.max(seen);
                self.moved.insert(room);
                self.dirty = true;
            }
        }
    }

    /// Whether it is time to keep something; at once if `last`.
    pub(super) fn advance(&mut self, now: Millis, last: bool) {
        let rested = self.kept_at.is_none_or(|at| since(now, at) >= KEEP_EVERY_MS);
        if self.dirty && (rested || last) {
            self.due = true;
            self.kept_at = Some(now);
        }
    }

    pub(super) fn timeout(&self) -> Option<Millis> {
        (self.dirty && !self.due).then(|| after(self.kept_at.unwrap_or_default(), KEEP_EVERY_MS))
    }

    pub(super) fn poll(&mut self, name: &str, epoch: Option<Epoch>, ignored: Vec<String>) -> Option<Kept> {
        if !std::mem::take(&mut self.due) {
            return None;
        }
        self.dirty = false;
        let rooms = self.rooms.iter().map(|(room, (place, seen))| KeptRoom {
            room: *room,
            place: place.clone(),
            seen: *seen,
        });
        let (name, server) = (name.to_owned(), self.server);
        Some(Kept { name, epoch, rooms: rooms.collect(), ignored, server })
    }
}
