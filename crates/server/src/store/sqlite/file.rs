//! What the small tables know of files: contents that entries name, offers, and who has fetched what.

use super::entry::Kept;
use super::fault::Fault;
use super::number::int;
use super::table::{FETCHED, FILE, OFFER, Seal};
use super::work::Work;
use crate::store::{StoredFile, StoredOffer};
use protocol::entry::{Entry, EntryKind};
use protocol::id::{PersonId, RoomId, Seq};
use rusqlite::{Connection, params};

/// Takes down what a new entry says of files.
pub(super) fn note(db: &Connection, seal: &mut Seal, kept: &Kept) -> Result<(), Fault> {
    let (room, seq) = (int(kept.room.value()), int(kept.entry.seq.value()));
    if let Some(file) = StoredFile::of(kept.room, &kept.entry) {
        FILE.put(db, seal, &[&file.hash.0, &room, &seq])?;
    }
    if let Some(offer) = StoredOffer::of(kept.room, &kept.entry) {
        OFFER.put(db, seal, &[&room, &seq, &offer.transfer.0])?;
    }
    if let Some(offer) = ended_offer(&kept.entry) {
        OFFER.remove(db, seal, &[&room, &int(offer.value())])?;
    }
    Ok(())
}

/// The offer that an entry ends.
pub(super) fn ended_offer(entry: &Entry) -> Option<Seq> {
    entry.reply_to.filter(|_| entry.kind == EntryKind::File)
}

impl Work<'_> {
    pub fn note_file(&mut self, kept: &Kept) -> Result<(), Fault> {
        let (db, seal) = self.seal();
        note(db, seal, kept)
    }

    /// An entry says nothing of files any more.
    pub fn forget_file(&mut self, room: RoomId, entry: &Entry) -> Result<(), Fault> {
        let (db, seal) = self.seal();
        let key = (int(room.value()), int(entry.seq.value()));
        if let Some(file) = StoredFile::of(room, entry) {
            FILE.remove(db, seal, &[&file.hash.0, &key.0, &key.1])?;
            forget_fetched(db, seal, key)?;
        }
        if entry.kind == EntryKind::FileOffer {
            OFFER.remove(db, seal, &[&key.0, &key.1])?;
        }
        Ok(())
    }

    /// The same for an entry that is damaged, so that nobody knows what it said.
    pub fn forget_damaged_file(&mut self, room: RoomId, seq: Seq) -> Result<(), Fault> {
        let (db, seal) = self.seal();
        let key = (int(room.value()), int(seq.value()));
        let mut statement = db.prepare_cached("SELECT hash FROM file WHERE room = ? AND seq = ?")?;
        let rows = statement.query_map(params![key.0, key.1], |row| row.get::<_, Vec<u8>>(0))?;
        for hash in rows.collect::<Result<Vec<_>, _>>()? {
            FILE.remove(db, seal, &[&hash, &key.0, &key.1])?;
        }
        forget_fetched(db, seal, key)?;
        OFFER.remove(db, seal, &[&key.0, &key.1]).map(drop)
    }

    /// A person has fetched a file, if that is kept.
    pub fn fetch(&mut self, room: RoomId, seq: Seq, person: PersonId) -> Result<(), Fault> {
        let kept = self.find(room, Some(seq))?;
        if kept.is_some_and(|kept| StoredFile::of(room, &kept.entry).is_some()) {
            let (db, seal) = self.seal();
            FETCHED.put(db, seal, &[&int(room.value()), &int(seq.value()), &int(person.value())])?;
        }
        Ok(())
    }
}

/// Nobody has fetched the file of this room and entry any more.
fn forget_fetched(db: &Connection, seal: &mut Seal, (room, seq): (i64, i64)) -> Result<(), Fault> {
    let mut statement = db.prepare_cached("SELECT person FROM fetched WHERE room = ? AND seq = ?")?;
    let rows = statement.query_map(params![room, seq], |row| row.get::<_, i64>(0))?;
    for person in rows.collect::<Result<Vec<_>, _>>()? {
        FETCHED.remove(db, seal, &[&room, &seq, &person])?;
    }
    Ok(())
}
