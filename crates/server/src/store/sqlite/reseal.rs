//! Sealing a database anew that SQLite finds sound, and all of whose rows are, but which does not add up: two programs
//! wrote to it, or files of different times were put together.
//!
//! What all tables say of entries is made from the entries again: where each log begins and ends, how far devices have
//! counted, which numbers were given. Nothing of what is there is lost; what may be lost is not known, so it is for
//! the operator to accept, and a new history for clients.

use super::Options;
use super::entry;
use super::fault::Fault;
use super::head::Head;
use super::load::load_in;
use super::number::{int, maybe, place_of};
use super::record::Record;
use super::table::{
    BLOCK, DEVICE, EDIT, FETCHED, FILE, HEAD, MARK, MEMBER, MENTION, OFFER, PERSON, ROOM, SPOKE, Seal, Table,
};
use crate::store::weight;
use protocol::id::{Counter, DeviceNo, PersonId, RoomId, Seq};
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet};

/// All tables that the seal is over.
const SEALED: [&Table; 13] = [
    &PERSON, &DEVICE, &ROOM, &HEAD, &MEMBER, &MENTION, &FILE, &OFFER, &FETCHED, &EDIT, &SPOKE, &BLOCK, &MARK,
];

/// What the entries say together.
#[derive(Default)]
struct Entries {
    heads: BTreeMap<RoomId, Head>,
    counters: BTreeMap<DeviceNo, Counter>,
    last_person: Option<PersonId>,
    /// The places of entries and their keys.
    places: BTreeSet<(u64, i64)>,
}

/// Seals it in one transaction, which is taken back unless that is accepted. So many commits were acknowledged.
///
/// # Errors
/// If there is more damage than that: then nothing is changed.
pub(super) fn reseal(db: &Connection, commits: u64, options: &Options) -> Result<(), Fault> {
    check_pages(db)?;
    let transaction = db.unchecked_transaction()?;
    let entries = read_entries(&transaction)?;
    // What is written passes by a seal that is thrown away: that of all tables is made at the end.
    write_heads(&transaction, &entries)?;
    write_counters(&transaction, &entries)?;
    let places = write_places(&transaction, &entries)?;
    let mut seal = Seal::default();
    SEALED.iter().try_for_each(|table| table.scan(&transaction, &mut seal, |_| Ok(())))?;
    let person = highest(&transaction, "SELECT max(person) FROM person", PersonId::new)?;
    let device = highest(&transaction, "SELECT max(device) FROM device", DeviceNo::new)?;
    let record = Record::read(&transaction).or_else(|fault| match fault.is_damage() {
        true => Ok(Record::new(options.fresh_epoch)),
        false => Err(fault),
    })?;
    let record = Record {
        seal,
        places: places.max(record.places),
        commits: record.commits.max(commits),
        last_person: record.last_person.max(entries.last_person).max(person),
        last_device: record.last_device.max(entries.counters.keys().next_back().copied()).max(device),
        ..record
    };
    record.write(&transaction)?;
    load_in(&transaction)?;
    if options.accept_loss {
        transaction.commit()?;
    }
    Ok(())
}

fn check_pages(db: &Connection) -> Result<(), Fault> {
    let said: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(Fault::damaged(said)) }
}

/// Reads all of them; each must be whole, and none missing in between.
fn read_entries(db: &Connection) -> Result<Entries, Fault> {
    let mut entries = Entries::default();
    let mut statement = db.prepare(entry::OLDEST_FIRST)?;
    let mut rows = statement.query(params![i64::MIN, i64::MAX])?;
    while let Some(row) = rows.next()? {
        let entry::Kept { room, place, entry } = entry::read(row)?;
        let head = entries.heads.entry(room).or_insert(Head { first: entry.seq, ..Head::default() });
        if head.last.is_some_and(|last| last.next() != entry.seq) {
            return Err(Fault::damaged(format!("entries of room {room} before {} are missing", entry.seq)));
        }
        head.last = Some(entry.seq);
        head.time = entry.time;
        head.bytes += weight(&entry) as u64;
        if let Some((device, counter)) = entry.device.zip(entry.counter) {
            let last = entries.counters.entry(device).or_insert(counter);
            *last = counter.max(*last);
        }
        entries.last_person = entries.last_person.max(entry.person);
        entries.places.insert((place, row.get(0)?));
    }
    Ok(entries)
}

fn write_heads(db: &Connection, entries: &Entries) -> Result<(), Fault> {
    let mut known = Vec::new();
    HEAD.scan(db, &mut Seal::default(), |row| {
        known.push(Head::parse(row)?);
        Ok(())
    })?;
    for (room, head) in known {
        if head.len() > 0 && !entries.heads.contains_key(&room) {
            // Its entries are gone: it goes on behind them.
            let empty = Head { first: Seq::after(head.last), bytes: 0, ..head };
            empty.write(db, &mut Seal::default(), room)?;
        }
    }
    let mut heads = entries.heads.iter();
    heads.try_for_each(|(room, head)| head.write(db, &mut Seal::default(), *room))
}

/// No device may have posts beyond its counter: they would be stored again.
fn write_counters(db: &Connection, entries: &Entries) -> Result<(), Fault> {
    for (device, counter) in &entries.counters {
        let key = int(device.value());
        let read = |row: &rusqlite::Row<'_>| {
            Ok((
                row.get::<_, Vec<u8>>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
                row.get::<_, i64>(4)?,
            ))
        };
        if let Some(((id, person, known, seen), _)) = DEVICE.find(db, &[&key], read)?
            && known < int(counter.value())
        {
            DEVICE.put(db, &mut Seal::default(), &[&key, &id, &person, &int(counter.value()), &seen])?;
        }
    }
    Ok(())
}

/// Gives each entry a place of its own if two have the same; one more than the last one.
fn write_places(db: &Connection, entries: &Entries) -> Result<u64, Fault> {
    let mut taken = BTreeSet::new();
    let is_unique = entries.places.iter().all(|(place, _)| taken.insert(*place));
    if is_unique {
        return Ok(taken.last().map_or(0, |last| last + 1));
    }
    // In a room the order stays: there no two are the same.
    for (place, (_, key)) in (0..).zip(&entries.places) {
        let (room, seq) = place_of(*key)?;
        entry::Kept { place, ..entry::fetch(db, room, seq)? }.move_to_place(db)?;
    }
    Ok(entries.places.len() as u64)
}

/// The highest number that a query finds.
fn highest<T>(db: &Connection, query: &str, new: fn(u64) -> Option<T>) -> Result<Option<T>, Fault> {
    let mut statement = db.prepare(query)?;
    let mut rows = statement.query([])?;
    rows.next()?.map_or(Ok(None), |row| maybe(row, 0, new))
}

#[cfg(test)]
mod tests {
    use super::super::load::load;
    use super::super::schema;
    use super::*;
    use bytes::Bytes;
    use protocol::entry::{Entry, EntryKind, Revision};
    use protocol::id::{Epoch, Millis};
    use protocol::message::Durability;

    const COMMITS: u64 = 70;

    fn reseal_if(accept_loss: bool, db: &Connection) -> Result<(), Fault> {
        let (durability, fresh_epoch) = (Durability::Disk, Epoch([9; 16]));
        reseal(db, COMMITS, &Options { durability, fresh_epoch, accept_loss })
    }

    fn insert(db: &Connection, room: u64, seq: u64, place: u64, counter: u64) {
        let entry = Entry {
            seq: Seq::new(seq).unwrap(),
            time: Millis(1_000 + place),
            written: Millis(0),
            person: PersonId::new(room),
            name: "p".to_owned(),
            device: DeviceNo::new(room),
            counter: Counter::new(counter),
            kind: EntryKind::Text,
            revision: Revision::Original,
            reply_to: None,
            body: Bytes::from(format!("{room} {seq}")),
        };
        entry::Kept { room: RoomId::new(room).unwrap(), place, entry }.insert(db).unwrap();
    }

    /// A database to which two programs wrote, each of which knew nothing of what the other did.
    fn database() -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db, Epoch([1; 16])).unwrap();
        let seal = &mut Seal::default();
        for room in 1..=2_i64 {
            DEVICE.put(&db, seal, &[&room, &[7_u8; 16], &room, &1, &5]).unwrap();
        }
        (1..=3).for_each(|seq| insert(&db, 1, seq, seq - 1, seq));
        (1..=2).for_each(|seq| insert(&db, 2, seq, seq - 1, seq));
        let first = Head { last: Some(Seq::FIRST), ..Head::default() };
        first.write(&db, seal, RoomId::FIRST).unwrap();
        assert!(load(&db).unwrap_err().is_damage());
        db
    }

    #[test]
    fn what_two_programs_wrote_adds_up_afterwards_and_nothing_of_it_is_lost() {
        let db = database();
        reseal_if(true, &db).unwrap();
        let loaded = load(&db).unwrap();
        let heads: Vec<_> =
            loaded.heads.iter().map(|(room, head)| (room.value(), head.len(), head.time.0)).collect();
        assert_eq!(heads, [(1, 3, 1_002), (2, 2, 1_001)]);
        let counters = loaded.snapshot.devices.iter().map(|device| device.counter.map(Counter::value));
        assert!(counters.eq([Some(3), Some(2)]), "what was posted is not taken for new again");
        let record = loaded.record;
        assert_eq!((record.commits, record.places), (COMMITS, 5));
        assert_eq!((record.last_person, record.last_device), (PersonId::new(2), DeviceNo::new(2)));
        let mut statement = db.prepare(entry::OLDEST_FIRST).unwrap();
        let mut rows = statement.query(params![0, i64::MAX]).unwrap();
        let mut places = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            places.push(entry::read(row).unwrap().place);
        }
        assert_eq!(places, [0, 2, 4, 1, 3], "each has its own, in the order of its room");
    }

    #[test]
    fn what_is_not_accepted_is_not_written() {
        let db = database();
        let before = load(&db).unwrap_err().words();
        reseal_if(false, &db).unwrap();
        assert_eq!(load(&db).unwrap_err().words(), before);
        let heads: i64 = db.query_row("SELECT count(*) FROM head", [], |row| row.get(0)).unwrap();
        assert_eq!(heads, 1);
    }

    #[test]
    fn a_missing_or_damaged_entry_is_more_than_can_be_sealed() {
        for damage in [
            "DELETE FROM entry WHERE key = 1099511627778",
            "UPDATE entry SET body = x'00' WHERE key = 1099511627778",
        ] {
            let db = database();
            assert_eq!(db.execute(damage, []).unwrap(), 1);
            assert!(reseal_if(true, &db).unwrap_err().is_damage());
        }
    }
}
