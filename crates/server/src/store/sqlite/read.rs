//! Pages of a room's log. An entry that is damaged keeps its number, and says that it is.

use super::entry::{self, Kept, NEWEST_FIRST, OLDEST_FIRST, hole};
use super::fault::{Fault, unless_damaged};
use super::head::Head;
use super::slots::{slots, time_of_damaged};
use crate::store::{Read, nearest, weight};
use protocol::entry::Entry;
use protocol::id::{Millis, RoomId, Seq};
use protocol::message::Range;
use rusqlite::{Connection, params};
use std::cell::RefCell;

/// Entries that are looked at in one go where some are damaged.
const CHUNK: u64 = 256;

/// A room's log as one transaction sees it. Index i is the entry `first + i`.
struct Log<'a> {
    db: &'a Connection,
    room: RoomId,
    head: Head,
    /// Entries of the page that turned out to be damaged.
    damaged: RefCell<Vec<Seq>>,
}

/// Reads entries, as [`Store::read`](crate::store::Store::read) says, and which of them are holes.
pub(super) fn read(
    db: &Connection,
    room: RoomId,
    range: &Range,
    limit: usize,
    bytes: usize,
) -> Result<(Read, Vec<Seq>), Fault> {
    let transaction = db.unchecked_transaction()?;
    let Some(head) = Head::find(&transaction, room)? else {
        return Ok((Read { entries: Vec::new(), oldest: Seq::FIRST, more: false }, Vec::new()));
    };
    let log = Log { db: &transaction, room, head, damaged: RefCell::default() };
    let read = log.read(range, limit, bytes)?;
    Ok((read, log.damaged.into_inner()))
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
            if self.time(middle)? < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The time with which an entry is shown.
    fn time(&self, index: u64) -> Result<Millis, Fault> {
        let number = self.head.first.value() + index;
        let seq = Seq::new(number).ok_or_else(|| Fault::damaged("the numbers of a room ran out"))?;
        match unless_damaged(entry::fetch(self.db, self.room, seq))? {
            Some(kept) => Ok(kept.entry.time),
            None => self.time_of_damaged(number),
        }
    }

    fn time_of_damaged(&self, number: u64) -> Result<Millis, Fault> {
        let first = self.head.first.value();
        let near = time_of_damaged(self.db, self.room, number, first, first + self.head.len())?;
        Ok(near.unwrap_or(self.head.time))
    }

    /// Entries between two indexes, from the one end or the other: at most `limit`, of at most so many bytes, at
    /// least one.
    fn take(
        &self,
        from: u64,
        to: u64,
        backward: bool,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Entry>, Fault> {
        match self.take_sound(from, to, backward, limit, bytes) {
            Err(fault) if fault.is_damage() => self.take_any(from, to, backward, limit, bytes),
            result => result,
        }
    }

    /// The same where some may be damaged: more work, and the same numbers.
    fn take_any(
        &self,
        mut from: u64,
        mut to: u64,
        backward: bool,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Entry>, Fault> {
        let (mut entries, mut total) = (Vec::new(), 0);
        while from < to {
            let n = CHUNK.min(to - from);
            let mut chunk = if backward { self.chunk(to - n, to)? } else { self.chunk(from, from + n)? };
            if backward {
                chunk.reverse();
                to -= n;
            } else {
                from += n;
            }
            for (entry, is_sound) in chunk {
                total += weight(&entry);
                if entries.len() >= limit || !entries.is_empty() && total > bytes {
                    return Ok(entries);
                }
                if !is_sound {
                    self.damaged.borrow_mut().push(entry.seq);
                }
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// The entries between two indexes, with holes for those that are damaged.
    fn chunk(&self, from: u64, to: u64) -> Result<Vec<(Entry, bool)>, Fault> {
        let first = self.head.first.value();
        let mut chunk: Vec<(Entry, bool)> = Vec::new();
        for (number, slot) in (first + from..).zip(slots(self.db, self.room, first + from, first + to)?) {
            if let Some(kept) = slot {
                chunk.push((kept.entry, true));
                continue;
            }
            let seq = Seq::new(number).ok_or_else(|| Fault::damaged("the numbers of a room ran out"))?;
            let time = match chunk.last() {
                Some((before, _)) => before.time,
                None => self.time_of_damaged(number)?,
            };
            chunk.push((hole(seq, time), false));
        }
        Ok(chunk)
    }

    /// The same if none of them is damaged.
    fn take_sound(
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
