//! Pages of a room's log.

use super::entry::{self, Kept, NEWEST_FIRST, OLDEST_FIRST};
use super::fault::Fault;
use super::head::Head;
use super::number::key_of;
use crate::store::{Read, nearest, weight};
use protocol::entry::Entry;
use protocol::id::{Millis, RoomId, Seq};
use protocol::message::Range;
use rusqlite::{Connection, params};

/// A room's log as one transaction sees it. Index i is the entry `first + i`.
struct Log<'a> {
    db: &'a Connection,
    room: RoomId,
    head: Head,
}

/// Reads entries, as [`Store::read`](crate::store::Store::read) says.
pub(super) fn read(
    db: &Connection,
    room: RoomId,
    range: &Range,
    limit: usize,
    bytes: usize,
) -> Result<Read, Fault> {
    let transaction = db.unchecked_transaction()?;
    let Some(head) = Head::find(&transaction, room)? else {
        return Ok(Read { entries: Vec::new(), oldest: Seq::FIRST, more: false });
    };
    Log { db: &transaction, room, head }.read(range, limit, bytes)
}

/// Entries of a room from one number to before another, newest first.
pub(super) fn newest_first(db: &Connection, room: RoomId, from: u64, to: u64) -> Result<Vec<Kept>, Fault> {
    let mut statement = db.prepare_cached(NEWEST_FIRST)?;
    let mut rows = statement.query(params![key_of(room, from), key_of(room, to) - 1])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry::read(row)?);
    }
    Ok(entries)
}

impl Log<'_> {
    fn read(&self, range: &Range, limit: usize, bytes: usize) -> Result<Read, Fault> {
        let len = self.head.len();
        // Where the entries may lie, and whether those at the end are wanted first.
        let (from, to, backward) = match range {
            Range::Latest => (0, len, true),
            Range::Before { seq } => (0, self.index(*seq), true),
            Range::After { seq } => (self.index(Seq::after(*seq)), len, false),
            Range::Around { seq } => return self.around(self.index(*seq), limit, bytes),
            Range::Between { first, last } => (self.index(*first), self.index(last.next()), false),
            Range::BeforeTime { time } => (0, self.since(*time)?, true),
            Range::SinceTime { time } => (self.since(*time)?, len, false),
        };
        let from = from.min(to);
        let mut entries = self.take(from, to, backward, limit, bytes)?;
        if backward {
            entries.reverse();
        }
        let more = (entries.len() as u64) < to - from;
        Ok(Read { entries, oldest: self.head.first, more })
    }

    fn around(&self, at: u64, limit: usize, bytes: usize) -> Result<Read, Fault> {
        let half = (limit / 2).min(usize::try_from(at).unwrap_or(usize::MAX));
        let mut older = self.take(0, at, true, half, bytes)?;
        let newer = self.take(at, self.head.len(), false, limit - half, bytes)?;
        let (before, after) = nearest(older.iter().map(weight), newer.iter().map(weight), bytes);
        older.truncate(before);
        let entries: Vec<_> = older.into_iter().rev().chain(newer.into_iter().take(after)).collect();
        let more = (entries.len() as u64) < self.head.len();
        Ok(Read { entries, oldest: self.head.first, more })
    }

    /// The index of the first entry with at least this number, at most that of the end.
    fn index(&self, seq: Seq) -> u64 {
        seq.value().saturating_sub(self.head.first.value()).min(self.head.len())
    }

    /// The index of the first entry of at least this time: times never fall.
    fn since(&self, time: Millis) -> Result<u64, Fault> {
        let (mut low, mut high) = (0, self.head.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let seq = Seq::new(self.head.first.value() + middle);
            let seq = seq.ok_or_else(|| Fault::damaged("the numbers of a room ran out"))?;
            if entry::fetch(self.db, self.room, seq)?.entry.time < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Entries between two indexes, from the one end or the other: at most `limit`, of at most so many bytes, at
    /// least one. None of them may be missing.
    fn take(
        &self,
        from: u64,
        to: u64,
        backward: bool,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Entry>, Fault> {
        let wanted = limit.min(usize::try_from(to - from).unwrap_or(usize::MAX));
        let (first, last) = self.head.keys(self.room, from, to);
        let mut statement = self.db.prepare_cached(if backward { NEWEST_FIRST } else { OLDEST_FIRST })?;
        let mut rows = statement.query(params![first, last])?;
        let mut entries = Vec::new();
        let mut total = 0;
        while entries.len() < wanted
            && let Some(row) = rows.next()?
        {
            let Kept { entry, .. } = entry::read(row)?;
            let index = entries.len() as u64;
            let expected = self.head.first.value() + if backward { to - 1 - index } else { from + index };
            if entry.seq.value() != expected {
                return Err(Fault::damaged(format!("entry {expected} of room {} is missing", self.room)));
            }
            total += weight(&entry);
            if !entries.is_empty() && total > bytes {
                return Ok(entries);
            }
            entries.push(entry);
        }
        if entries.len() < wanted {
            let head = &self.head;
            return Err(Fault::damaged(format!("entries of room {} are missing: {head:?}", self.room)));
        }
        Ok(entries)
    }
}
