//! A whole log copied from one database to another: what backups and restores are made of.
//!
//! The small tables are read in one moment, which decides what is copied; entries follow in slices, each in a short
//! transaction, so that a running server is not kept from anything. What happens to entries meanwhile (an edit, a
//! delete, a trim) is copied as it is by then, and what the small tables know of entries is made from what was copied.
//! So the copy is whole in itself, and never knows a text that was deleted before its entry's turn came.

use super::entry::{self, Kept};
use super::fault::Fault;
use super::file;
use super::head::Head;
use super::load::Loaded;
use super::number::{int, key_of};
use super::table::{DEVICE, EDIT, FETCHED, MEMBER, MENTION, PERSON, ROOM, Seal};
use crate::store::{RoomShape, Snapshot, weight};
use protocol::entry::{EntryKind, Revision};
use protocol::id::{RoomId, Seq};
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// Entries that are copied at once.
const SLICE: u64 = 2_000;

/// Copies everything that `loaded` knows, whose seal it makes anew. `progress` is told of each slice.
pub(super) fn copy(
    from: &Connection,
    to: &mut Connection,
    loaded: &mut Loaded,
    mut progress: impl FnMut(u64),
) -> Result<(), Fault> {
    let mut seal = Seal::default();
    let transaction = to.transaction()?;
    for (room, head) in &mut loaded.heads {
        *head = copy_room(from, &transaction, &mut seal, *room, *head, &mut progress)?;
    }
    copy_fetched(&transaction, &mut seal, &loaded.snapshot)?;
    copy_people(&transaction, &mut seal, &loaded.snapshot)?;
    copy_rooms(&transaction, &mut seal, loaded)?;
    loaded.marks.write(&transaction, &mut seal)?;
    loaded.record.seal = seal;
    loaded.record.write(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Copies a room's entries, and tells where its log begins and ends by then.
fn copy_room(
    from: &Connection,
    to: &Connection,
    seal: &mut Seal,
    room: RoomId,
    head: Head,
    progress: &mut impl FnMut(u64),
) -> Result<Head, Fault> {
    let mut copied = Head { first: head.first, last: None, time: head.time, bytes: 0 };
    let end = head.first.value() + head.len();
    let mut at = head.first.value();
    let mut deleted = BTreeSet::new();
    while at < end {
        let slice = slice(from, room, at, end.min(at + SLICE))?;
        if slice.is_empty() && Head::find(from, room)?.is_some_and(|now| now.first.value() > at) {
            // It was trimmed meanwhile.
            at += SLICE;
            continue;
        }
        for kept in slice {
            let seq = kept.entry.seq;
            if copied.last.is_none() {
                copied.first = seq;
            } else if copied.last != seq.before() {
                return Err(Fault::damaged(format!("entries of room {room} before {seq} are missing")));
            }
            copied.last = Some(seq);
            copied.bytes += weight(&kept.entry) as u64;
            if kept.entry.revision == Revision::Deleted {
                deleted.insert(seq);
            }
            kept.insert(to)?;
            derive(to, seal, &kept, copied.first, &deleted)?;
        }
        progress(SLICE.min(end - at));
        at += SLICE;
    }
    if copied.last != head.last {
        return Err(Fault::damaged(format!("the last entries of room {room} are missing")));
    }
    copied.write(to, seal, room)?;
    Ok(copied)
}

fn slice(db: &Connection, room: RoomId, from: u64, to: u64) -> Result<Vec<Kept>, Fault> {
    let mut statement = db.prepare_cached(entry::OLDEST_FIRST)?;
    let mut rows = statement.query(params![key_of(room, from), key_of(room, to) - 1])?;
    let mut slice = Vec::new();
    while let Some(row) = rows.next()? {
        slice.push(entry::read(row)?);
    }
    Ok(slice)
}

/// What the small tables know of an entry.
fn derive(
    db: &Connection,
    seal: &mut Seal,
    kept: &Kept,
    first: Seq,
    deleted: &BTreeSet<Seq>,
) -> Result<(), Fault> {
    let (room, seq) = (int(kept.room.value()), int(kept.entry.seq.value()));
    file::note(db, seal, kept)?;
    let is_edit = kept.entry.kind == EntryKind::Edit && kept.entry.revision != Revision::Deleted;
    if let Some(target) =
        kept.entry.reply_to.filter(|target| is_edit && *target >= first && !deleted.contains(target))
    {
        EDIT.put(db, seal, &[&room, &int(target.value()), &seq])?;
    }
    Ok(())
}

/// Who has fetched what, of the files that were copied.
fn copy_fetched(db: &Connection, seal: &mut Seal, snapshot: &Snapshot) -> Result<(), Fault> {
    for (room, seq, person) in &snapshot.fetched {
        let (room, seq) = (int(room.value()), int(seq.value()));
        let mut statement =
            db.prepare_cached("SELECT EXISTS (SELECT 1 FROM file WHERE room = ? AND seq = ?)")?;
        if statement.query_row(params![room, seq], |row| row.get::<_, bool>(0))? {
            FETCHED.put(db, seal, &[&room, &seq, &int(person.value())])?;
        }
    }
    Ok(())
}

fn copy_people(db: &Connection, seal: &mut Seal, snapshot: &Snapshot) -> Result<(), Fault> {
    for (person, name, credential) in &snapshot.people {
        let credential = credential.map(|hash| hash.0.to_vec());
        PERSON.put(db, seal, &[&int(person.value()), name, &credential])?;
    }
    for known in &snapshot.devices {
        let counter = known.counter.map_or(0, |counter| int(counter.value()));
        let (device, person) = (int(known.device.value()), int(known.person.value()));
        DEVICE.put(db, seal, &[&device, &known.id.0, &person, &counter, &int(known.seen.0)])?;
    }
    Ok(())
}

fn copy_rooms(db: &Connection, seal: &mut Seal, loaded: &Loaded) -> Result<(), Fault> {
    for known in &loaded.snapshot.rooms {
        let room = int(known.room.value());
        let (name, low, high) = match &known.shape {
            RoomShape::Public { name } => (Some(name), None, None),
            RoomShape::Direct(low, high) => (None, Some(int(low.value())), Some(int(high.value()))),
        };
        ROOM.put(db, seal, &[&room, &name, &low, &high, &known.topic])?;
        let first = loaded.heads.get(&known.room).map_or(Seq::FIRST, |head| head.first);
        for member in &known.members {
            let person = int(member.person.value());
            let read = member.read.map_or(0, |seq| int(seq.value()));
            MEMBER.put(db, seal, &[&room, &person, &read])?;
            for seq in member.mentions.iter().filter(|seq| **seq >= first) {
                MENTION.put(db, seal, &[&room, &person, &int(seq.value())])?;
            }
        }
    }
    Ok(())
}
