//! Retention: the oldest entries of a room go, a slice at a time.

use super::entry;
use super::fault::Fault;
use super::number::key;
use super::work::Work;
use crate::store::{Keep, weight};
use protocol::id::{RoomId, Seq};
use rusqlite::params;

/// Entries that one change lets go: a few milliseconds of everybody's time. The rest goes with the next ones.
const SLICE: u64 = 1_000;

/// Entries that all changes of a batch let go: whoever posts meanwhile waits for all of them.
const BATCH_SLICE: u64 = 4_000;

impl Work<'_> {
    /// Keeps a room within these bounds, or brings it nearer to them.
    pub fn trim(&mut self, room: RoomId, keep: &Keep) -> Result<(), Fault> {
        let mut head = self.head(room);
        let before = head.first;
        let most = SLICE.min(BATCH_SLICE.saturating_sub(self.let_go));
        self.untrimmed.remove(&room);
        while head.len() > 1 {
            let is_over = keep.count.is_some_and(|count| head.len() > count)
                || keep.bytes.is_some_and(|bytes| head.bytes > bytes);
            if !is_over && keep.since.is_none() {
                break;
            }
            let oldest = entry::fetch(self.db, room, head.first)?;
            if !is_over && keep.since.is_none_or(|since| oldest.entry.time >= since) {
                break;
            }
            if head.first.value() - before.value() >= most {
                self.untrimmed.insert(room);
                break;
            }
            head.bytes = head.bytes.saturating_sub(weight(&oldest.entry) as u64);
            head.first = head.first.next();
            self.forget_file(room, &oldest.entry)?;
            self.forget_edits(room, oldest.entry.seq)?;
            self.revised.push((oldest, None));
        }
        let Some(last) = head.first.before().filter(|last| *last >= before) else { return Ok(()) };
        self.db
            .prepare_cached("DELETE FROM entry WHERE key BETWEEN ? AND ?")?
            .execute(params![key(room, before), key(room, last)])?;
        self.forget_mentions(room, Seq::FIRST, last)?;
        self.let_go += head.first.value() - before.value();
        self.heads.insert(room, head);
        self.trimmed.insert(room, head.first);
        Ok(())
    }
}
