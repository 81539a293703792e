//! Times that are yet to come: what a clock that was far ahead once left in the rooms.
//!
//! The time of a room only grows, so every message gets the time of that clock until it has come. Entries that are
//! ahead of now get the time of now instead.

use super::fault::Fault;
use super::folder::Folder;
use super::head::Head;
use super::load::{Loaded, load};
use super::record::Record;
use super::slots::slots;
use super::table::Seal;
use super::{OperateError, checkpoint, mark, schema, writer};
use crate::store::StoredClock;
use protocol::id::{Epoch, Millis, RoomId};
use protocol::limits::MIN_CLOCK_JUMP_MS;
use protocol::message::Durability;
use rusqlite::Connection;
use std::path::Path;

/// Entries that are read at once.
const SLICE: u64 = 2_000;

/// Gives the time of now to entries of a sound folder that no server uses, in rooms that are ahead of it by more than
/// a clock may differ. Tells how many there were.
///
/// # Errors
/// [`OperateError`]; everything is as it was then.
pub fn mend_times(folder: &Folder, now: Millis) -> Result<u64, OperateError> {
    let path = folder.database();
    let failed = |fault| OperateError::from_fault(&path, fault);
    let db = open(&path).map_err(|unusable| OperateError::from_unusable(&path, unusable))?;
    mend(&db, now).and_then(|mended| checkpoint::truncate(&db).map(|()| mended)).map_err(failed)
}

fn open(path: &Path) -> Result<Connection, schema::Unusable> {
    let mut db = Connection::open(path)?;
    writer::prepare(&db, &Durability::Disk)?;
    // One of an older layout has no place for what time it is. It is not empty, so it keeps its epoch.
    schema::migrate(&mut db, Epoch([0; 16]))?;
    Ok(db)
}

fn mend(db: &Connection, now: Millis) -> Result<u64, Fault> {
    let Loaded { mut record, heads, marks, .. } = load(db)?;
    let latest = Millis(now.0.saturating_add(MIN_CLOCK_JUMP_MS));
    let transaction = db.unchecked_transaction()?;
    let mut mended = 0;
    for (room, head) in heads.into_iter().filter(|(_, head)| head.time > latest) {
        mended += mend_room(&transaction, &mut record.seal, room, head, now)?;
    }
    if marks.clock.is_some_and(|clock| clock.trusted > latest) {
        let clock = StoredClock { trusted: now, wall: now, doubted_ms: None };
        mark::write_clock(&transaction, &mut record.seal, &clock)?;
    }
    let record = Record { commits: record.commits + 1, ..record };
    record.write(&transaction)?;
    transaction.commit()?;
    Ok(mended)
}

fn mend_room(db: &Connection, seal: &mut Seal, room: RoomId, head: Head, now: Millis) -> Result<u64, Fault> {
    let mut end = head.first.value() + head.len();
    let mut mended = 0;
    // Times never fall, so those that are ahead are the last ones.
    while end > head.first.value() {
        let from = end.saturating_sub(SLICE).max(head.first.value());
        let newest_first = slots(db, room, from, end)?.into_iter().rev().flatten();
        let ahead: Vec<_> = newest_first.take_while(|kept| kept.entry.time > now).collect();
        for mut kept in ahead.iter().cloned() {
            kept.entry.time = now;
            kept.move_to_time(db)?;
        }
        mended += ahead.len() as u64;
        if (ahead.len() as u64) < end - from {
            break;
        }
        end = from;
    }
    Head { time: now, ..head }.write(db, seal, room)?;
    Ok(mended)
}
