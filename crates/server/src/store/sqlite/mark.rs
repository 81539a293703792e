//! Single numbers beside the rows: what may have been told to anybody.

use super::fault::Fault;
use super::number::{count, int};
use super::table::{MARK, Seal};
use crate::store::Reserved;
use protocol::id::{DeviceNo, PersonId, RoomId};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// What a number means. These stand in the database.
#[derive(Clone, Copy)]
enum Kind {
    Person = 1,
    Device = 2,
    Room = 3,
}

/// All of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Marks {
    pub reserved: Reserved,
}

impl Marks {
    /// Reads them, and adds them to a seal.
    pub fn load(db: &Connection, seal: &mut Seal) -> Result<Self, Fault> {
        let mut values = BTreeMap::new();
        MARK.scan(db, seal, |row| {
            values.insert(row.get::<_, i64>(0)?, count(row, 1)?);
            Ok(())
        })?;
        let value = |kind: Kind| values.get(&(kind as i64)).copied().unwrap_or_default();
        let reserved = Reserved {
            person: PersonId::new(value(Kind::Person)),
            device: DeviceNo::new(value(Kind::Device)),
            room: RoomId::new(value(Kind::Room)),
        };
        Ok(Self { reserved })
    }

    /// Writes all of them.
    pub fn write(&self, db: &Connection, seal: &mut Seal) -> Result<(), Fault> {
        write_reserved(db, seal, &self.reserved)
    }
}

/// Writes which numbers may have been told.
pub(super) fn write_reserved(db: &Connection, seal: &mut Seal, numbers: &Reserved) -> Result<(), Fault> {
    let Reserved { person, device, room } = numbers;
    put(db, seal, Kind::Person, person.map_or(0, PersonId::value))?;
    put(db, seal, Kind::Device, device.map_or(0, DeviceNo::value))?;
    put(db, seal, Kind::Room, room.map_or(0, RoomId::value))
}

fn put(db: &Connection, seal: &mut Seal, kind: Kind, value: u64) -> Result<(), Fault> {
    MARK.put(db, seal, &[&(kind as i64), &int(value)])
}
