//! Who has spoken where, as far as that decides what may be forgotten.

use super::fault::{Fault, unless_damaged};
use super::number::{count, int, number};
use super::record::Record;
use super::survey::Survey;
use super::table::{SPOKE, Seal};
use protocol::id::{PersonId, RoomId};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Rooms of two with those who wrote there or opened them; the first room of all with everybody who ever posted.
pub(super) type Spoke = BTreeSet<(RoomId, PersonId)>;

/// Reads all rows.
pub(super) fn load(db: &Connection, rows: &mut Survey) -> Result<Spoke, Fault> {
    let mut spoke = Spoke::new();
    SPOKE.survey(db, rows, |row| {
        spoke.insert((number(row, 0, RoomId::new)?, number(row, 1, PersonId::new)?));
        Ok(())
    })?;
    Ok(spoke)
}

/// Writes all rows.
pub(super) fn write(db: &Connection, seal: &mut Seal, spoke: &Spoke) -> Result<(), Fault> {
    let mut rows = spoke.iter();
    rows.try_for_each(|(room, person)| SPOKE.put(db, seal, &[&int(room.value()), &int(person.value())]))
}

/// Takes all people for somebody who has posted: nobody is forgotten for want of a row.
pub(super) fn add_all(spoke: &mut Spoke, people: impl Iterator<Item = PersonId>) {
    spoke.extend(people.map(|person| (RoomId::FIRST, person)));
}

/// Finds it out from the entries and the counters of devices: a database of an older layout does not tell it. Reads
/// all entries. Where they can't be read, everybody is taken for somebody who has posted.
pub(super) fn derive(db: &Connection) -> Result<Spoke, Fault> {
    let first = int(RoomId::FIRST.value());
    let of_entries = pairs(
        db,
        "SELECT room, person FROM (SELECT DISTINCT key >> 40 AS room, person FROM entry WHERE person > 0) \
         WHERE room IN (SELECT room FROM room WHERE low IS NOT NULL) \
         UNION SELECT ?1, person FROM entry WHERE person > 0 \
         UNION SELECT ?1, person FROM device WHERE counter > 0",
        first,
    );
    match unless_damaged(of_entries)? {
        Some(spoke) => Ok(spoke),
        None => pairs(db, "SELECT ?1, person FROM person", first),
    }
}

fn pairs(db: &Connection, sql: &str, first: i64) -> Result<Spoke, Fault> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([first])?;
    let mut spoke = Spoke::new();
    while let Some(row) = rows.next()? {
        spoke.extend(RoomId::new(count(row, 0)?).zip(PersonId::new(count(row, 1)?)));
    }
    Ok(spoke)
}

/// Writes what is found out into a database that has just got the table for it.
pub(super) fn fill(db: &Connection) -> Result<(), Fault> {
    let mut record = Record::read(db)?;
    write(db, &mut record.seal, &derive(db)?)?;
    record.write(db)
}
