//! Where the log of each room begins and ends.

use super::fault::Fault;
use super::number::{count, int, key_of, maybe, number};
use super::table::{HEAD, Seal};
use protocol::id::{Millis, RoomId, Seq};
use rusqlite::{Connection, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The ends of one room's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// The oldest entry that is kept; one more than the newest if there is none.
    pub first: Seq,
    /// The newest entry. Invariant: first <= last + 1.
    pub last: Option<Seq>,
    /// The time of the newest entry.
    pub time: Millis,
    /// The sum of the kept entries' weights.
    pub bytes: u64,
}

impl Default for Head {
    fn default() -> Self {
        Self { first: Seq::FIRST, last: None, time: Millis(0), bytes: 0 }
    }
}

impl Head {
    /// How many entries are kept.
    pub fn len(&self) -> u64 {
        (self.last.map_or(0, Seq::value) + 1).saturating_sub(self.first.value())
    }

    /// Whether an entry is kept.
    pub fn keeps(&self, seq: Seq) -> bool {
        self.first <= seq && Some(seq) <= self.last
    }

    /// The keys of the kept entries from index `from` to before index `to`.
    pub fn keys(&self, room: RoomId, from: u64, to: u64) -> (i64, i64) {
        let first = self.first.value();
        (key_of(room, first + from), key_of(room, first + to) - 1)
    }

    /// Reads that of a room; `None` if it never had an entry.
    pub fn find(db: &Connection, room: RoomId) -> Result<Option<Self>, Fault> {
        let found = HEAD.find(db, &[&int(room.value())], |row| Ok(Self::parse(row)))?;
        found.map(|(parsed, _)| parsed.map(|(_, head)| head)).transpose()
    }

    /// Reads a row.
    pub fn parse(row: &Row<'_>) -> Result<(RoomId, Self), Fault> {
        let room = number(row, 0, RoomId::new)?;
        let first = number(row, 1, Seq::new)?;
        let last = maybe(row, 2, Seq::new)?;
        if first > Seq::after(last) {
            return Err(Fault::damaged(format!("the log of room {room} begins behind its end")));
        }
        Ok((room, Self { first, last, time: Millis(count(row, 3)?), bytes: count(row, 4)? }))
    }

    /// Writes it.
    pub fn write(&self, db: &Connection, seal: &mut Seal, room: RoomId) -> Result<(), Fault> {
        let last = self.last.map_or(0, |last| int(last.value()));
        let values = (int(room.value()), int(self.first.value()), int(self.time.0), int(self.bytes));
        HEAD.put(db, seal, &[&values.0, &values.1, &last, &values.2, &values.3])
    }
}

/// The ends of all logs as they were committed: known without waiting.
#[derive(Debug, Default)]
pub(super) struct Heads(RwLock<BTreeMap<RoomId, Head>>);

impl Heads {
    /// All of them.
    pub fn read(&self) -> RwLockReadGuard<'_, BTreeMap<RoomId, Head>> {
        // No code panics while it holds the lock, and if one did, each head would still be whole.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, to change them.
    pub fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<RoomId, Head>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in those of a commit, and that rooms have ended.
    pub fn change(&self, heads: BTreeMap<RoomId, Head>, ended: &BTreeSet<RoomId>) {
        let mut all = self.write();
        all.extend(heads);
        for room in ended {
            all.remove(room);
        }
    }

    /// That of a room.
    pub fn of(&self, room: RoomId) -> Head {
        self.read().get(&room).copied().unwrap_or_default()
    }
}
