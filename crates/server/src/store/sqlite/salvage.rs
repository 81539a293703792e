//! What is left of the small tables of a damaged database, and what of the rest can be found out.

use super::closed::head_of;
use super::entry::{self, Kept};
use super::fault::{Fault, unless_damaged};
use super::head::Head;
use super::load::{Loaded, load};
use super::mark::{self, Marks};
use super::number::{count, int};
use super::record::Record;
use super::schema;
use super::server;
use super::spoke;
use super::survey::Survey;
use super::table::{BLOCK, DEVICE, FETCHED, HEAD, MARK, MEMBER, MENTION, PERSON, ROOM, SPOKE, Seal, Table};
use crate::store::server_id;
use protocol::id::{DeviceNo, Epoch, PersonId, RoomId, Seq};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// The tables that are not made anew from the entries, of all layouts.
static TABLES: [&Table; 8] = [&PERSON, &DEVICE, &ROOM, &HEAD, &MEMBER, &MENTION, &FETCHED, &MARK];

/// What was found.
#[derive(Debug)]
pub(super) struct Salvaged {
    pub loaded: Loaded,
    /// Whether entries that somebody has may be gone, or their numbers given out again: it is a new history then.
    pub is_new_history: bool,
    /// What was done and what is lost, in sentences.
    pub notes: Vec<String>,
}

/// Reads everything but the entries of a database in which anything may be wrong.
pub(super) fn salvage(db: &Connection, epoch: Epoch) -> Result<Salvaged, Fault> {
    let mut bench = Connection::open_in_memory()?;
    schema::migrate(&mut bench, epoch)
        .map_err(|_| Fault::damaged("a new database is not what it should be"))?;
    let (mut seal, mut notes) = (Seal::default(), Vec::new());
    let (mut is_marked, mut tells_spoken) = (true, schema::layout_of(db)? >= schema::TELLS_SPOKEN);
    let later: &[&Table] = if tells_spoken { &[&SPOKE, &BLOCK] } else { &[] };
    for table in TABLES.iter().chain(later) {
        let is_whole = take_rows(table, db, &bench, &mut seal, &mut notes)?;
        is_marked &= is_whole || table.name != MARK.name;
        tells_spoken &= is_whole || table.name != SPOKE.name;
    }
    let found = Record::salvage(db)?;
    let is_known = found.is_some();
    let mut is_new_history = !is_known;
    let mut record = found.unwrap_or_else(|| Record::new(epoch));
    if !is_known {
        notes.push("the row that tells which history it is can't be read: it is a new one".to_owned());
        raise_numbers(db, &bench, &mut record)?;
    }
    let server =
        unless_damaged(schema::server_of(db, &record, &mut Survey::default()))?.unwrap_or_else(|| {
            notes.push("the row that tells which server this is can't be read: it is made anew".to_owned());
            server_id(record.epoch)
        });
    server::write(&bench, server)?;
    let rooms: BTreeSet<_> = numbers(&bench, "SELECT room FROM room")?;
    is_new_history |= close_rooms(&bench, &mut seal, &rooms, &mut notes)?;
    let places = if is_new_history { 0 } else { record.places };
    is_new_history |= rebuild_heads(db, &bench, &mut seal, &rooms, places, &mut notes)?;
    if is_new_history {
        record.epoch = epoch;
    }
    record.seal = seal;
    record.write(&bench)?;
    let mut loaded = load(&bench)?;
    if !is_marked || is_new_history {
        // How far numbers were told is lost.
        loaded.marks.reserved = mark::leave_out(&loaded.snapshot.last, false);
    }
    if !tells_spoken {
        spoke::add_all(&mut loaded.snapshot.spoke, loaded.snapshot.people.iter().map(|(person, ..)| *person));
    }
    Ok(Salvaged { loaded, is_new_history, notes })
}

/// Takes over the rows of a table that are sound, or were but for one bit. False if there are others.
fn take_rows(
    table: &Table,
    db: &Connection,
    bench: &Connection,
    seal: &mut Seal,
    notes: &mut Vec<String>,
) -> Result<bool, Fault> {
    let (mut corrected, mut lost) = (BTreeSet::new(), BTreeSet::new());
    // A page that can't be read ends a walk: what is behind it is found from the other end.
    for order in ["", " ORDER BY 1 DESC, 2 DESC"] {
        for mut row in table.raw_rows(db, order)? {
            let what = table.words(&row);
            if row.is_sound() {
                table.put_raw(bench, seal, &row)?;
            } else if row.correct() {
                table.put_raw(bench, seal, &row)?;
                corrected.insert(table.words(&row));
            } else {
                lost.insert(what);
            }
        }
    }
    notes.extend(corrected.into_iter().map(|what| format!("{what} is what it was again")));
    let is_whole = lost.is_empty();
    notes.extend(lost.into_iter().map(|what| format!("{what} is lost")));
    Ok(is_whole)
}

/// Nobody knows who may read a room without a row of its own: it is closed. True if there is one.
fn close_rooms(
    bench: &Connection,
    seal: &mut Seal,
    rooms: &BTreeSet<RoomId>,
    notes: &mut Vec<String>,
) -> Result<bool, Fault> {
    let known = numbers(bench, "SELECT room FROM head UNION SELECT room FROM member")?;
    let closed: Vec<_> = known.difference(rooms).collect();
    for room in &closed {
        notes.push(format!("room {room} is closed: who may read it is lost"));
        for table in [&HEAD, &MEMBER, &MENTION, &FETCHED, &SPOKE] {
            table.remove_room(bench, seal, int(room.value()))?;
        }
    }
    Ok(!closed.is_empty())
}

/// Finds out where the logs of rooms without a head begin and end, if all rooms had so many entries together. True if
/// some may be gone.
fn rebuild_heads(
    db: &Connection,
    bench: &Connection,
    seal: &mut Seal,
    rooms: &BTreeSet<RoomId>,
    places: u64,
    notes: &mut Vec<String>,
) -> Result<bool, Fault> {
    let mut heads = BTreeMap::new();
    HEAD.scan(bench, &mut Seal::default(), |row| {
        heads.extend([Head::parse(row)?]);
        Ok(())
    })?;
    // The numbers of each room have no gap, so the entries that were ever stored are those of all heads together.
    let known: u64 = heads.values().map(|head| head.last.map_or(0, Seq::value)).sum();
    let ended = Marks::load(bench, &mut Survey::default())?.ended;
    let mut left = places.saturating_sub(known).saturating_sub(ended);
    let missing: Vec<_> = rooms.iter().filter(|room| !heads.contains_key(room)).copied().collect();
    let mut found = Vec::new();
    for room in &missing {
        if let Some(mut head) = head_of(db, *room)? {
            if let (1, Some(last)) = (missing.len(), Seq::new(left)) {
                head.last = head.last.max(Some(last));
            }
            left = left.saturating_sub(head.last.map_or(0, Seq::value));
            found.push((*room, head));
        }
    }
    for (room, head) in &found {
        head.write(bench, seal, *room)?;
        notes.push(format!("where the log of room {room} begins and ends was found out from its messages"));
    }
    if left > 0 {
        notes.push(format!("{left} messages at the ends of rooms may be gone"));
    }
    Ok(left > 0)
}

/// Numbers that were given out must not be given out again: they are at least those that something bears.
fn raise_numbers(db: &Connection, bench: &Connection, record: &mut Record) -> Result<(), Fault> {
    let people: BTreeSet<u64> = plain(bench, "SELECT person FROM person UNION SELECT person FROM member")?;
    let devices: BTreeSet<u64> = plain(bench, "SELECT device FROM device")?;
    let (mut person, mut device) = (people.last().copied(), devices.last().copied());
    for order in ["", " ORDER BY key DESC"] {
        let mut statement = db.prepare(&format!("{}{order}", entry::ALL))?;
        let mut rows = statement.query([])?;
        while let Some(Some(row)) = unless_damaged(rows.next().map_err(Fault::from))? {
            let Some(Kept { place, entry, .. }) = unless_damaged(entry::read(row))? else { continue };
            record.places = record.places.max(place + 1);
            person = person.max(entry.person.map(PersonId::value));
            device = device.max(entry.device.map(DeviceNo::value));
        }
    }
    record.last_person = record.last_person.max(person.and_then(PersonId::new));
    record.last_device = record.last_device.max(device.and_then(DeviceNo::new));
    Ok(())
}

fn numbers(db: &Connection, sql: &str) -> Result<BTreeSet<RoomId>, Fault> {
    Ok(plain(db, sql)?.into_iter().filter_map(RoomId::new).collect())
}

fn plain(db: &Connection, sql: &str) -> Result<BTreeSet<u64>, Fault> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut all = BTreeSet::new();
    while let Some(row) = rows.next()? {
        all.insert(count(row, 0)?);
    }
    Ok(all)
}
