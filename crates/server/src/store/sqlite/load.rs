//! What a start needs to know: read as a whole, and checked against the seal. Rows that are damaged are left out.

use super::closed;
use super::entry;
use super::fault::{Fault, unless_damaged};
use super::head::Head;
use super::mark::{self, Marks};
use super::number::{count, maybe, number};
use super::record::Record;
use super::schema;
use super::spoke;
use super::survey::Survey;
use super::table::{
    BLOCK, DEVICE, EDIT, FETCHED, FILE, HEAD, MARK, MEMBER, MENTION, OFFER, PERSON, ROOM, SPOKE, Table,
};
use crate::store::{
    Closed, CredentialHash, Reserved, RoomShape, Snapshot, StoredDevice, StoredFile, StoredMember,
    StoredOffer, StoredRoom,
};
use protocol::entry::Entry;
use protocol::id::{ContentHash, Counter, DeviceId, DeviceNo, Millis, PersonId, RoomId, Seq};
use rusqlite::{Connection, Row};
use std::collections::{BTreeMap, BTreeSet};

/// Everything but the entries.
#[derive(Debug)]
pub(super) struct Loaded {
    pub record: Record,
    pub heads: BTreeMap<RoomId, Head>,
    pub marks: Marks,
    pub snapshot: Snapshot,
    /// The rows of which this was made, and those that are damaged.
    pub rows: Survey,
}

pub(super) type Members = BTreeMap<RoomId, BTreeMap<PersonId, StoredMember>>;

/// Reads it in one transaction.
pub(super) fn load(db: &Connection) -> Result<Loaded, Fault> {
    load_in(&*db.unchecked_transaction()?)
}

/// The same in a transaction that is open.
pub(super) fn load_in(db: &Connection) -> Result<Loaded, Fault> {
    let mut rows = Survey::default();
    let record = Record::read_or_correct(db, &mut rows)?;
    let people = read_all(&PERSON, db, &mut rows, person)?;
    let devices = read_all(&DEVICE, db, &mut rows, device)?;
    let rooms = read_all(&ROOM, db, &mut rows, room)?;
    let mut heads: BTreeMap<_, _> = read_all(&HEAD, db, &mut rows, Head::parse)?.into_iter().collect();
    let mut members = members(db, &mut rows)?;
    let files = read_all(&FILE, db, &mut rows, file)?;
    // A backup may have been written by an earlier version, without the newest tables.
    let layout = schema::layout_of(db)?;
    let (mut offers, mut fetches, mut marks) = (Vec::new(), Vec::new(), Marks::default());
    if layout >= 2 {
        offers = read_all(&OFFER, db, &mut rows, place)?;
        fetches = read_all(&FETCHED, db, &mut rows, fetched)?;
    }
    if layout >= 3 {
        marks = Marks::load(db, &mut rows)?;
    }
    let (mut said, mut blocks) = (spoke::Spoke::new(), BTreeSet::new());
    if layout >= schema::TELLS_SPOKEN {
        said = spoke::load(db, &mut rows)?;
        blocks = read_all(&BLOCK, db, &mut rows, block)?.into_iter().collect();
    }
    EDIT.survey(db, &mut rows, |_| Ok(()))?;
    if !rows.fits(record.seal) {
        return Err(Fault::damaged("rows are missing, or there are some that were never committed"));
    }
    if layout < schema::TELLS_SPOKEN {
        said = spoke::derive(db)?;
    }
    if rows.lacks(&SPOKE) {
        spoke::add_all(&mut said, people.iter().map(|(person, ..)| *person));
    }
    let known: BTreeSet<_> = rooms.iter().map(|(room, ..)| *room).collect();
    let mut closed = closed::find(&rows, &known, &heads, &members);
    let unknown =
        closed::find_heads(db, &rows, record.places.saturating_sub(marks.ended), &known, &mut heads)?;
    if rows.lacks(&MARK) {
        marks.reserved = mark::leave_out(&last(&record, &marks, &known, &closed), false);
    }
    let last = last(&record, &marks, &known, &closed);
    let mut assembled = assemble(rooms, &heads, &mut members);
    closed::close_rooms(&mut closed, &mut assembled, &unknown);
    let snapshot = Snapshot {
        epoch: record.epoch,
        server: schema::server_of(db, &record, &mut rows)?,
        people,
        devices,
        rooms: assembled,
        files: entries(db, files, StoredFile::of)?,
        offers: entries(db, offers, StoredOffer::of)?,
        fetched: fetches,
        spoke: said,
        blocks,
        last,
        clock: marks.clock,
        closed,
    };
    Ok(Loaded { record, heads, marks, snapshot, rows })
}

/// The largest numbers that are in use or may have been told.
fn last(record: &Record, marks: &Marks, rooms: &BTreeSet<RoomId>, closed: &Closed) -> Reserved {
    let Reserved { person, device, room } = marks.reserved;
    let closed = closed.rooms.keys().next_back().copied();
    Reserved {
        person: record.last_person.max(person),
        device: record.last_device.max(device),
        room: rooms.last().copied().max(closed).max(room),
    }
}

/// All contents that entries name.
pub(super) fn contents(db: &Connection) -> Result<BTreeSet<ContentHash>, Fault> {
    let mut statement = db.prepare_cached("SELECT DISTINCT hash FROM file")?;
    let hashes = statement.query_map([], |row| row.get(0).map(ContentHash))?;
    Ok(hashes.collect::<Result<_, _>>()?)
}

fn read_all<T>(
    table: &'static Table,
    db: &Connection,
    rows: &mut Survey,
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut all = Vec::new();
    table.survey(db, rows, |row| {
        all.push(read(row)?);
        Ok(())
    })?;
    Ok(all)
}

fn person(row: &Row<'_>) -> Result<(PersonId, String, Option<CredentialHash>), Fault> {
    let credential = row.get::<_, Option<[u8; 32]>>(2)?.map(CredentialHash);
    Ok((number(row, 0, PersonId::new)?, row.get(1)?, credential))
}

fn device(row: &Row<'_>) -> Result<StoredDevice, Fault> {
    Ok(StoredDevice {
        device: number(row, 0, DeviceNo::new)?,
        id: DeviceId(row.get(1)?),
        person: number(row, 2, PersonId::new)?,
        counter: maybe(row, 3, Counter::new)?,
        seen: Millis(count(row, 4)?),
    })
}

fn room(row: &Row<'_>) -> Result<(RoomId, RoomShape, String), Fault> {
    let shape = match row.get(1)? {
        Some(name) => RoomShape::Public { name },
        None => RoomShape::Direct(number(row, 2, PersonId::new)?, number(row, 3, PersonId::new)?),
    };
    Ok((number(row, 0, RoomId::new)?, shape, row.get(4)?))
}

fn block(row: &Row<'_>) -> Result<(PersonId, PersonId), Fault> {
    Ok((number(row, 0, PersonId::new)?, number(row, 1, PersonId::new)?))
}

fn file(row: &Row<'_>) -> Result<(RoomId, Seq), Fault> {
    Ok((number(row, 1, RoomId::new)?, number(row, 2, Seq::new)?))
}

fn place(row: &Row<'_>) -> Result<(RoomId, Seq), Fault> {
    Ok((number(row, 0, RoomId::new)?, number(row, 1, Seq::new)?))
}

fn fetched(row: &Row<'_>) -> Result<(RoomId, Seq, PersonId), Fault> {
    let (room, seq) = place(row)?;
    Ok((room, seq, number(row, 2, PersonId::new)?))
}

/// What the entries at these places say, in their order. One that is damaged says nothing.
fn entries<T: Ord>(
    db: &Connection,
    places: Vec<(RoomId, Seq)>,
    read: impl Fn(RoomId, &Entry) -> Option<T>,
) -> Result<Vec<T>, Fault> {
    let mut said = Vec::with_capacity(places.len());
    for (room, seq) in places {
        let Some(kept) = unless_damaged(entry::fetch(db, room, seq))? else {
            tracing::error!(%room, %seq, "the entry of a file is damaged: run natterd verify");
            continue;
        };
        let read = read(room, &kept.entry);
        said.push(read.ok_or_else(|| {
            Fault::damaged(format!("entry {seq} of room {room} is known to be of a file, and is not"))
        })?);
    }
    said.sort();
    Ok(said)
}

fn members(db: &Connection, rows: &mut Survey) -> Result<Members, Fault> {
    let mut members = Members::new();
    MEMBER.survey(db, rows, |row| {
        let (room, person) = (number(row, 0, RoomId::new)?, number(row, 1, PersonId::new)?);
        let member = StoredMember { person, read: maybe(row, 2, Seq::new)?, mentions: Vec::new() };
        members.entry(room).or_default().insert(person, member);
        Ok(())
    })?;
    MENTION.survey(db, rows, |row| {
        let (room, person) = (number(row, 0, RoomId::new)?, number(row, 1, PersonId::new)?);
        let seq = number(row, 2, Seq::new)?;
        if let Some(member) = members.get_mut(&room).and_then(|members| members.get_mut(&person)) {
            member.mentions.push(seq);
        }
        Ok(())
    })?;
    Ok(members)
}

fn assemble(
    rooms: Vec<(RoomId, RoomShape, String)>,
    heads: &BTreeMap<RoomId, Head>,
    members: &mut Members,
) -> Vec<StoredRoom> {
    let assemble = |(room, shape, topic)| {
        let head = heads.get(&room).copied().unwrap_or_default();
        let members = members.remove(&room).unwrap_or_default().into_values().collect();
        StoredRoom { room, shape, topic, head: head.last, time: head.time, members }
    };
    rooms.into_iter().map(assemble).collect()
}
