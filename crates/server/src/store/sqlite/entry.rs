//! The rows of entries.

use super::checksum::Fields;
use super::fault::{Fault, unless_damaged};
use super::number::{count, int, key, maybe, place_of};
use super::raw::RawRow;
use bytes::Bytes;
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{Counter, DeviceNo, Millis, PersonId, RoomId, Seq};
use protocol::message::FileBody;
use rusqlite::{Connection, Row, params, params_from_iter};

/// Sets the checksums apart from those of the tables.
pub(super) const NUMBER: u8 = 255;

/// The columns, in the order in which [`read`] wants them.
macro_rules! columns {
    () => {
        "key, place, time, written, person, name, device, counter, kind, revision, reply_to, body, sum"
    };
}

const INSERT: &str =
    concat!("INSERT INTO entry (", columns!(), ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

const UPDATE: &str = "UPDATE entry SET revision = ?, body = ?, sum = ? WHERE key = ?";

const FIND: &str = concat!("SELECT ", columns!(), " FROM entry WHERE key = ?");

/// All of them.
pub(super) const ALL: &str = concat!("SELECT ", columns!(), " FROM entry");

/// The entries between two keys.
pub(super) const OLDEST_FIRST: &str =
    concat!("SELECT ", columns!(), " FROM entry WHERE key BETWEEN ? AND ? ORDER BY key");

/// The same, but the last one first.
pub(super) const NEWEST_FIRST: &str =
    concat!("SELECT ", columns!(), " FROM entry WHERE key BETWEEN ? AND ? ORDER BY key DESC");

/// The rows from a key on, however far they go.
pub(super) const OLDEST_AFTER: &str =
    concat!("SELECT ", columns!(), " FROM entry WHERE key >= ? ORDER BY key LIMIT ?");

/// The rows up to a key, however far they go, the last one first.
pub(super) const NEWEST_BEFORE: &str =
    concat!("SELECT ", columns!(), " FROM entry WHERE key <= ? ORDER BY key DESC LIMIT ?");

/// What stands in the place of an entry that is not what was written.
const DAMAGED: &str = "This message is damaged on the server and can't be read";

/// A hole: an entry that says that the one with its number is damaged. It is nobody's, so nobody can change it.
pub(super) fn hole(seq: Seq, time: Millis) -> Entry {
    Entry {
        seq,
        time,
        written: Millis(0),
        person: None,
        name: String::new(),
        device: None,
        counter: None,
        kind: EntryKind::System,
        revision: Revision::Original,
        reply_to: None,
        body: Bytes::from_static(DAMAGED.as_bytes()),
    }
}

/// What stands in the place of a file whose content is damaged: the same, and which file it was.
pub(super) fn lost_file(entry: &Entry) -> Entry {
    let name = FileBody::decode(&entry.body).map(|file| file.name).unwrap_or_default();
    let text = format!("The file '{name}' is damaged on the server and is lost");
    Entry { body: text.into(), ..hole(entry.seq, entry.time) }
}

/// An entry as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    /// The room.
    pub room: RoomId,
    /// Its place among the entries of all rooms.
    pub place: u64,
    /// The entry.
    pub entry: Entry,
}

impl Kept {
    /// Adds its row.
    pub fn insert(&self, db: &Connection) -> Result<(), Fault> {
        let entry = &self.entry;
        db.prepare_cached(INSERT)?.execute(params![
            key(self.room, entry.seq),
            int(self.place),
            int(entry.time.0),
            int(entry.written.0),
            entry.person.map(|person| int(person.value())),
            entry.name,
            entry.device.map(|device| int(device.value())),
            entry.counter.map(|counter| int(counter.value())),
            entry.kind.number(),
            entry.revision as u8,
            entry.reply_to.map(|seq| int(seq.value())),
            &entry.body[..],
            self.sum(),
        ])?;
        Ok(())
    }

    /// Writes what a revision changes of its row.
    pub fn update(&self, db: &Connection) -> Result<(), Fault> {
        let entry = &self.entry;
        let key = key(self.room, entry.seq);
        let values = params![entry.revision as u8, &entry.body[..], self.sum(), key];
        match db.prepare_cached(UPDATE)?.execute(values)? {
            1 => Ok(()),
            _ => Err(Fault::damaged(format!("entry {} of room {} is gone", entry.seq, self.room))),
        }
    }

    /// Writes its place.
    pub fn move_to_place(&self, db: &Connection) -> Result<(), Fault> {
        let values = params![int(self.place), self.sum(), key(self.room, self.entry.seq)];
        db.prepare_cached("UPDATE entry SET place = ?, sum = ? WHERE key = ?")?.execute(values)?;
        Ok(())
    }

    /// Writes its time.
    pub fn move_to_time(&self, db: &Connection) -> Result<(), Fault> {
        let values = params![int(self.entry.time.0), self.sum(), key(self.room, self.entry.seq)];
        db.prepare_cached("UPDATE entry SET time = ?, sum = ? WHERE key = ?")?.execute(values)?;
        Ok(())
    }

    fn sum(&self) -> i64 {
        let entry = &self.entry;
        let mut fields = Fields::of(NUMBER);
        fields.int(key(self.room, entry.seq));
        fields.int(int(self.place));
        fields.int(int(entry.time.0));
        fields.int(int(entry.written.0));
        fields.maybe(entry.person.map(|person| int(person.value())));
        fields.text(entry.name.as_bytes());
        fields.maybe(entry.device.map(|device| int(device.value())));
        fields.maybe(entry.counter.map(|counter| int(counter.value())));
        fields.int(i64::from(entry.kind.number()));
        fields.int(i64::from(entry.revision as u8));
        fields.maybe(entry.reply_to.map(|seq| int(seq.value())));
        fields.blob(&entry.body);
        fields.sum()
    }
}

/// Reads a row and checks it.
pub(super) fn read(row: &Row<'_>) -> Result<Kept, Fault> {
    let (room, seq) = place_of(row.get(0)?)?;
    let damaged = || Fault::damaged(format!("entry {seq} of room {room} does not fit its checksum"));
    let parsed = parse(row, room, seq).map_err(|_| damaged())?;
    if parsed.sum() == row.get::<_, i64>(12)? { Ok(parsed) } else { Err(damaged()) }
}

fn parse(row: &Row<'_>, room: RoomId, seq: Seq) -> Result<Kept, Fault> {
    let revision = match row.get::<_, u8>(9)? {
        0 => Revision::Original,
        1 => Revision::Edited,
        2 => Revision::Deleted,
        other => return Err(Fault::damaged(format!("the revision {other} is unknown"))),
    };
    let entry = Entry {
        seq,
        time: Millis(count(row, 2)?),
        written: Millis(count(row, 3)?),
        person: maybe(row, 4, PersonId::new)?,
        name: row.get(5)?,
        device: maybe(row, 6, DeviceNo::new)?,
        counter: maybe(row, 7, Counter::new)?,
        kind: EntryKind::from_number(row.get(8)?),
        revision,
        reply_to: maybe(row, 10, Seq::new)?,
        body: Bytes::copy_from_slice(row.get_ref(11)?.as_blob().map_err(rusqlite::Error::from)?),
    };
    Ok(Kept { room, place: count(row, 1)?, entry })
}

/// Reads one entry, if it is there.
pub(super) fn find(db: &Connection, room: RoomId, seq: Seq) -> Result<Option<Kept>, Fault> {
    let mut statement = db.prepare_cached(FIND)?;
    let mut rows = statement.query([key(room, seq)])?;
    rows.next()?.map(read).transpose()
}

/// Takes the text out of the row of a damaged entry, which does not fit its checksum afterwards either.
pub(super) fn blank(db: &Connection, room: RoomId, seq: Seq) -> Result<(), Fault> {
    let mut statement = db.prepare_cached("UPDATE entry SET body = x'' WHERE key = ?")?;
    unless_damaged(statement.execute([key(room, seq)]).map_err(Fault::from)).map(drop)
}

/// A damaged entry as it was, if only one bit of it was turned around. `bench` is an empty log to try it in.
pub(super) fn correct(
    db: &Connection,
    bench: &Connection,
    room: RoomId,
    seq: Seq,
) -> Result<Option<Kept>, Fault> {
    let Some(mut row) = RawRow::read_all(NUMBER, db, FIND, [key(room, seq)])?.pop() else { return Ok(None) };
    if !row.correct() {
        return Ok(None);
    }
    let values = params_from_iter(&row.columns);
    let Some(1) = unless_damaged(bench.prepare_cached(INSERT)?.execute(values).map_err(Fault::from))? else {
        return Ok(None);
    };
    let found = unless_damaged(find(bench, room, seq))?.flatten();
    bench.execute("DELETE FROM entry", [])?;
    Ok(found)
}

/// Reads an entry that must be there.
pub(super) fn fetch(db: &Connection, room: RoomId, seq: Seq) -> Result<Kept, Fault> {
    let found = find(db, room, seq)?;
    found.ok_or_else(|| Fault::damaged(format!("entry {seq} of room {room} is missing")))
}
