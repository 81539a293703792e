//! Retention: the oldest entries of a room go, a slice at a time.

use super::entry::{self, Kept, hole};
use super::fault::{Fault, unless_damaged};
use super::head::Head;
use super::number::{count, int, key};
use super::slots::first_sound;
use super::work::Work;
use crate::store::{Keep, weight};
use bytes::Bytes;
use protocol::entry::Entry;
use protocol::id::{RoomId, Seq};
use rusqlite::{Connection, params};

/// Entries that one change lets go: a few milliseconds of everybody's time. The rest goes with the next ones.
const SLICE: u64 = 1_000;

/// Entries that all changes of a batch let go: whoever posts meanwhile waits for all of them.
const BATCH_SLICE: u64 = 4_000;

impl Work<'_> {
    /// Keeps a room within these bounds, or brings it nearer to them. The newest entry stays.
    pub fn trim(&mut self, room: RoomId, keep: &Keep) -> Result<(), Fault> {
        self.trim_to(room, keep, 1)
    }

    /// The same, and the newest `least` entries stay.
    pub fn trim_to(&mut self, room: RoomId, keep: &Keep, least: u64) -> Result<(), Fault> {
        let mut head = self.head(room);
        let before = head.first;
        let most = SLICE.min(BATCH_SLICE.saturating_sub(self.let_go));
        self.untrimmed.remove(&room);
        let mut all_sound = true;
        while head.len() > least {
            let is_over = keep.count.is_some_and(|count| head.len() > count)
                || keep.bytes.is_some_and(|bytes| head.bytes > bytes);
            if !is_over && keep.since.is_none() {
                break;
            }
            let (oldest, is_sound) = self.oldest(room, &head)?;
            if !is_over && keep.since.is_none_or(|since| oldest.entry.time >= since) {
                break;
            }
            if head.first.value() - before.value() >= most {
                self.untrimmed.insert(room);
                break;
            }
            head.bytes = head.bytes.saturating_sub(weight(&oldest.entry) as u64);
            head.first = head.first.next();
            if is_sound {
                self.forget_file(room, &oldest.entry)?;
            } else {
                self.forget_damaged_file(room, oldest.entry.seq)?;
                all_sound = false;
            }
            self.forget_edits(room, oldest.entry.seq)?;
            self.revised.extend(is_sound.then_some((oldest, None)));
        }
        let Some(last) = head.first.before().filter(|last| *last >= before) else { return Ok(()) };
        self.db
            .prepare_cached("DELETE FROM entry WHERE key BETWEEN ? AND ?")?
            .execute(params![key(room, before), key(room, last)])?;
        self.forget_mentions(room, Seq::FIRST, last)?;
        if !all_sound {
            // How much a damaged one weighed is not known, only what is left.
            head.bytes = weigh(self.db, room, &head)?.unwrap_or(head.bytes);
        }
        self.let_go += head.first.value() - before.value();
        self.heads.insert(room, head);
        self.trimmed.insert(room, head.first);
        Ok(())
    }

    /// The oldest entry of a room, or a hole if it is damaged, which goes with those of its time.
    fn oldest(&self, room: RoomId, head: &Head) -> Result<(Kept, bool), Fault> {
        if let Some(kept) = unless_damaged(entry::fetch(self.db, room, head.first))? {
            return Ok((kept, true));
        }
        let (first, end) = (head.first.value(), head.first.value() + head.len());
        let next = first_sound(self.db, room, first + 1, end)?;
        let time = next.map_or(head.time, |kept| kept.entry.time);
        Ok((Kept { room, place: 0, entry: hole(head.first, time) }, false))
    }
}

/// What the entries of a room weigh together; `None` if some can't be read.
pub(super) fn weigh(db: &Connection, room: RoomId, head: &Head) -> Result<Option<u64>, Fault> {
    let empty = Entry { body: Bytes::new(), ..hole(head.first, head.time) };
    let (first, last) = head.keys(room, 0, head.len());
    let mut statement = db.prepare_cached(
        "SELECT coalesce(sum(? + length(body) + length(CAST(name AS BLOB))), 0) FROM entry \
         WHERE key BETWEEN ? AND ?",
    )?;
    let sum = statement.query_row(params![int(weight(&empty) as u64), first, last], |row| Ok(count(row, 0)));
    unless_damaged(sum.map_err(Fault::from).flatten())
}
