//! Single numbers beside the rows: what may have been told to anybody, and what time it was.

use super::fault::Fault;
use super::number::{count, int};
use super::survey::Survey;
use super::table::{MARK, Seal};
use crate::store::{Reserved, StoredClock};
use protocol::id::{DeviceNo, Millis, PersonId, RoomId};
use protocol::limits::{MAX_NUMBER, MAX_ROOMS, NUMBERS_LEFT_OUT};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// What a number means. These stand in the database.
#[derive(Clone, Copy)]
enum Kind {
    Person = 1,
    Device = 2,
    Room = 3,
    /// The time that the server trusted.
    Trusted = 4,
    /// What the wall clock said.
    Wall = 5,
    /// For how long it was doubted in ms, and one more; 0 if it was not.
    Doubted = 6,
    /// Entries that were ever stored in rooms that have ended.
    Ended = 7,
}

/// All of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Marks {
    pub reserved: Reserved,
    pub clock: Option<StoredClock>,
    /// Entries that were ever stored in rooms that have ended.
    pub ended: u64,
}

impl Marks {
    /// Reads them.
    pub fn load(db: &Connection, rows: &mut Survey) -> Result<Self, Fault> {
        let mut values = BTreeMap::new();
        MARK.survey(db, rows, |row| {
            values.insert(row.get::<_, i64>(0)?, count(row, 1)?);
            Ok(())
        })?;
        let value = |kind: Kind| values.get(&(kind as i64)).copied().unwrap_or_default();
        let reserved = Reserved {
            person: PersonId::new(value(Kind::Person)),
            device: DeviceNo::new(value(Kind::Device)),
            room: RoomId::new(value(Kind::Room)),
        };
        let has = |kind: Kind| values.contains_key(&(kind as i64));
        let has_clock = has(Kind::Trusted) && has(Kind::Wall) && has(Kind::Doubted);
        let clock = has_clock.then(|| StoredClock {
            trusted: Millis(value(Kind::Trusted)),
            wall: Millis(value(Kind::Wall)),
            doubted_ms: value(Kind::Doubted).checked_sub(1),
        });
        Ok(Self { reserved, clock, ended: value(Kind::Ended) })
    }

    /// Writes all of them.
    pub fn write(&self, db: &Connection, seal: &mut Seal) -> Result<(), Fault> {
        write_reserved(db, seal, &self.reserved)?;
        add_ended(db, seal, self.ended)?;
        self.clock.map_or(Ok(()), |clock| write_clock(db, seal, &clock))
    }
}

/// Writes which numbers may have been told.
pub(super) fn write_reserved(db: &Connection, seal: &mut Seal, numbers: &Reserved) -> Result<(), Fault> {
    let Reserved { person, device, room } = numbers;
    put(db, seal, Kind::Person, person.map_or(0, PersonId::value))?;
    put(db, seal, Kind::Device, device.map_or(0, DeviceNo::value))?;
    put(db, seal, Kind::Room, room.map_or(0, RoomId::value))
}

/// How many rooms a machine that crashes can have lost that were told: those of its last moments.
const ROOMS_OF_A_CRASH: u64 = 1_000;

/// The numbers that a new history leaves out behind these: they may have been told in the part of the old one that is
/// gone, and direct messages would go to a stranger. Nobody knows how long that part was, unless it was lost in a
/// crash.
pub(super) fn leave_out(last: &Reserved, in_a_crash: bool) -> Reserved {
    // Rooms have few numbers, so not more are left out than a server may have.
    let rooms = if in_a_crash { ROOMS_OF_A_CRASH } else { MAX_ROOMS as u64 };
    let past = |last: u64, many: u64| last.saturating_add(many).min(MAX_NUMBER);
    Reserved {
        person: PersonId::new(past(last.person.map_or(0, PersonId::value), NUMBERS_LEFT_OUT)),
        device: DeviceNo::new(past(last.device.map_or(0, DeviceNo::value), NUMBERS_LEFT_OUT)),
        room: RoomId::new(past(last.room.map_or(0, RoomId::value), rooms)),
    }
}

/// Writes what time it is.
pub(super) fn write_clock(db: &Connection, seal: &mut Seal, clock: &StoredClock) -> Result<(), Fault> {
    put(db, seal, Kind::Trusted, clock.trusted.0)?;
    put(db, seal, Kind::Wall, clock.wall.0)?;
    put(db, seal, Kind::Doubted, clock.doubted_ms.map_or(0, |ms| ms + 1))
}

/// A room with so many entries has ended.
pub(super) fn add_ended(db: &Connection, seal: &mut Seal, entries: u64) -> Result<(), Fault> {
    if entries == 0 {
        return Ok(());
    }
    let before = MARK.find(db, &[&(Kind::Ended as i64)], |row| row.get::<_, i64>(1))?;
    let before = before.map_or(0, |(value, _)| u64::try_from(value).unwrap_or_default());
    put(db, seal, Kind::Ended, before.saturating_add(entries))
}

fn put(db: &Connection, seal: &mut Seal, kind: Kind, value: u64) -> Result<(), Fault> {
    MARK.put(db, seal, &[&(kind as i64), &int(value)])
}
