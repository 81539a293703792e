//! Edits and deletes: judged by what they refer to, which changes in place.

use super::entry;
use super::fault::{Fault, unless_damaged};
use super::number::{int, number};
use super::table::EDIT;
use super::work::Work;
use crate::store::NewEntry;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{RoomId, Seq};
use rusqlite::params;

impl Work<'_> {
    /// Changes what an edit or a delete refers to, if it may.
    pub fn revise(&mut self, post: &NewEntry) -> Result<Result<(), Code>, Fault> {
        let Some(mut target) = self.find(post.room, post.reply_to)? else {
            return Ok(Err(Code::NoSuchEntry));
        };
        if let Err(code) = post.check_target(&target.entry) {
            return Ok(Err(code));
        }
        let seq = target.entry.seq;
        self.change_entry(&mut target, |entry| post.revise(entry))?;
        if post.kind == EntryKind::Edit {
            let (room, own) = (int(post.room.value()), Seq::after(self.head(post.room).last));
            let (db, seal) = self.seal();
            EDIT.put(db, seal, &[&room, &int(seq.value()), &int(own.value())])?;
            return Ok(Ok(()));
        }
        for edit in self.edits(post.room, seq)? {
            let Some(mut kept) = unless_damaged(entry::fetch(self.db, post.room, edit))? else {
                // It stays a hole, but what it said must be in no file any more.
                entry::blank(self.db, post.room, edit)?;
                continue;
            };
            self.change_entry(&mut kept, |entry| post.revise(entry))?;
        }
        self.forget_edits(post.room, seq)?;
        Ok(Ok(()))
    }

    fn edits(&self, room: RoomId, target: Seq) -> Result<Vec<Seq>, Fault> {
        let mut statement =
            self.db.prepare_cached("SELECT seq FROM edit WHERE room = ? AND target = ? ORDER BY seq")?;
        let mut rows = statement.query(params![int(room.value()), int(target.value())])?;
        let mut edits = Vec::new();
        while let Some(row) = rows.next()? {
            edits.push(number(row, 0, Seq::new)?);
        }
        Ok(edits)
    }

    /// Nothing can refer to this entry any more.
    pub fn forget_edits(&mut self, room: RoomId, target: Seq) -> Result<(), Fault> {
        for seq in self.edits(room, target)? {
            let key = (int(room.value()), int(target.value()), int(seq.value()));
            let (db, seal) = self.seal();
            EDIT.remove(db, seal, &[&key.0, &key.1, &key.2])?;
        }
        Ok(())
    }
}
