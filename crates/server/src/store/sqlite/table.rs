//! Small tables whose rows have checksums, and a seal over all of them that a lost row breaks.

use super::checksum::Fields;
use super::fault::{Fault, unless_damaged};
use super::raw::{Raw, RawRow};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

/// A table: a few key columns, others, and the checksum of the row at the end.
#[derive(Debug)]
pub(super) struct Table {
    /// Sets the checksums of its rows apart from those of other tables.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// What follows from a row that is lost.
    pub loss: &'static str,
    keys: usize,
    columns: usize,
    put: &'static str,
    find: &'static str,
    remove: &'static str,
    scan: &'static str,
}

macro_rules! table {
    ($number:literal, $name:literal, [$($key:literal),*], [$($rest:literal),*], $loss:literal) => {
        Table {
            number: $number,
            name: $name,
            loss: $loss,
            keys: [$($key),*].len(),
            columns: [$($key,)* $($rest),*].len(),
            put: concat!(
                "INSERT INTO ", $name, " (", $($key, ", ",)* $($rest, ", ",)* "sum) VALUES (",
                $(table!(@hole $key), ", ",)* $(table!(@hole $rest), ", ",)* "?) ",
                "ON CONFLICT DO UPDATE SET ", $($rest, " = excluded.", $rest, ", ",)* "sum = excluded.sum"
            ),
            find: concat!(
                "SELECT ", $($key, ", ",)* $($rest, ", ",)* "sum FROM ", $name,
                " WHERE ", $($key, " = ? AND ",)* "TRUE"
            ),
            remove: concat!(
                "DELETE FROM ", $name, " WHERE ", $($key, " = ? AND ",)* "TRUE RETURNING ",
                $($key, ", ",)* $($rest, ", ",)* "sum"
            ),
            scan: concat!("SELECT ", $($key, ", ",)* $($rest, ", ",)* "sum FROM ", $name),
        }
    };
    (@hole $column:literal) => { "?" };
}

/// People.
pub(super) static PERSON: Table = table!(
    1,
    "person",
    ["person"],
    ["name", "credential"],
    "whoever it is can't log in, and nobody else gets the name"
);
/// Devices and their counters.
pub(super) static DEVICE: Table =
    table!(2, "device", ["device"], ["id", "person", "counter", "seen"], "it can't log in");
/// Rooms. `low` and `high` are the two people of a direct one, which has no name.
pub(super) static ROOM: Table = table!(3, "room", ["room"], ["name", "low", "high", "topic"], "it is closed");
/// Where the log of each room begins and ends, and how many bytes it holds.
pub(super) static HEAD: Table = table!(
    4,
    "head",
    ["room"],
    ["first", "last", "time", "bytes"],
    "where the log of the room begins and ends is found out from its messages"
);
/// Who is in which room, and what they have read.
pub(super) static MEMBER: Table =
    table!(5, "member", ["room", "person"], ["read"], "the person is not in the room");
/// Entries that name somebody who has not read them.
pub(super) static MENTION: Table =
    table!(6, "mention", ["room", "person", "seq"], [], "the person is not told of that message");
/// Entries that name a content.
pub(super) static FILE: Table =
    table!(7, "file", ["hash", "room", "seq"], [], "the file of that message is not known");
/// Edits, by what they change.
pub(super) static EDIT: Table =
    table!(8, "edit", ["room", "target", "seq"], [], "the edit stays when its message is deleted");
/// Entries that offer a file whose upload is not complete.
pub(super) static OFFER: Table = table!(9, "offer", ["room", "seq"], ["transfer"], "the offer has ended");
/// Who has fetched which file.
pub(super) static FETCHED: Table =
    table!(10, "fetched", ["room", "seq", "person"], [], "nobody is told that the file was fetched");
/// Who has spoken in a room.
pub(super) static SPOKE: Table =
    table!(12, "spoke", ["room", "person"], [], "everybody is taken for somebody who has posted");
/// Whom somebody has blocked.
pub(super) static BLOCK: Table =
    table!(13, "block", ["person", "other"], [], "the one is not blocked any more");
/// Single numbers, by what they mean.
pub(super) static MARK: Table =
    table!(11, "mark", ["kind"], ["value"], "numbers are left out, so that none is given out twice");

/// How many rows all tables have, and the sum of their checksums. It stands in the log's own row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Seal {
    /// Rows.
    pub rows: i64,
    /// The wrapping sum of their checksums.
    pub sums: i64,
}

impl Seal {
    /// A row more.
    pub fn add(&mut self, sum: i64) {
        self.rows += 1;
        self.sums = self.sums.wrapping_add(sum);
    }

    fn take(&mut self, sum: i64) {
        self.rows -= 1;
        self.sums = self.sums.wrapping_sub(sum);
    }
}

impl Table {
    /// Writes a row in the place of one that may be there.
    pub fn put(&self, db: &Connection, seal: &mut Seal, row: &[&dyn ToSql]) -> Result<(), Fault> {
        if let Some(old) = self.sum_at(db, &row[..self.keys])? {
            seal.take(old);
        }
        let sum = self.sum_of(row)?;
        let values = row.iter().copied().chain([&sum as &dyn ToSql]);
        db.prepare_cached(self.put)?.execute(params_from_iter(values))?;
        seal.add(sum);
        Ok(())
    }

    /// Takes a row away; false if there is none.
    pub fn remove(&self, db: &Connection, seal: &mut Seal, key: &[&dyn ToSql]) -> Result<bool, Fault> {
        let mut statement = db.prepare_cached(self.remove)?;
        let mut rows = statement.query(key)?;
        let Some(row) = rows.next()? else { return Ok(false) };
        seal.take(self.sealed(row, key)?);
        // Only when it has run to its end is the row sure to be gone.
        while rows.next()?.is_some() {}
        Ok(true)
    }

    /// Reads a row and its checksum, and checks the one by the other. A bit of it that is turned around is turned back.
    pub fn find<T>(
        &self,
        db: &Connection,
        key: &[&dyn ToSql],
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<(T, i64)>, Fault> {
        let mut statement = db.prepare_cached(self.find)?;
        let mut rows = statement.query(key)?;
        let Some(row) = rows.next()? else { return Ok(None) };
        match self.check(row) {
            Ok(sum) => Ok(Some((read(row)?, sum))),
            Err(fault) if fault.is_damage() => {
                let right = self.corrected(row, key)?.ok_or(fault)?;
                let sum = right.stored_sum().unwrap_or_default();
                Ok(Some((right.parse(|row| Ok(read(row)?))?, sum)))
            }
            Err(fault) => Err(fault),
        }
    }

    /// The checksum of the row with this key that the seal has, if there is one.
    fn sum_at(&self, db: &Connection, key: &[&dyn ToSql]) -> Result<Option<i64>, Fault> {
        let mut statement = db.prepare_cached(self.find)?;
        let mut rows = statement.query(key)?;
        rows.next()?.map(|row| self.sealed(row, key)).transpose()
    }

    /// The checksum of a row with this key that the seal has: its own, if it is what was written.
    fn sealed(&self, row: &Row<'_>, key: &[&dyn ToSql]) -> Result<i64, Fault> {
        match self.check(row) {
            Err(fault) if fault.is_damage() => {}
            result => return result,
        }
        if self.keys == self.columns {
            // There is nothing in it but what was asked for.
            return self.sum_of(key);
        }
        if let Some(right) = self.corrected(row, key)? {
            return Ok(right.stored_sum().unwrap_or_default());
        }
        Ok(RawRow::of(self.number, row)?.stored_sum().unwrap_or_default())
    }

    /// A damaged row as it was, if that has this key.
    fn corrected(&self, row: &Row<'_>, key: &[&dyn ToSql]) -> Result<Option<RawRow>, Fault> {
        let mut right = RawRow::of(self.number, row)?;
        if !right.correct() {
            return Ok(None);
        }
        let found: Vec<&dyn ToSql> = right.columns[..self.keys].iter().map(|raw| raw as &dyn ToSql).collect();
        let is_asked_for = self.sum_of(&found)? == self.sum_of(key)?;
        Ok(Some(right).filter(|_| is_asked_for))
    }

    fn sum_of(&self, values: &[&dyn ToSql]) -> Result<i64, Fault> {
        let mut fields = Fields::of(self.number);
        for value in values {
            fields.parameter(*value)?;
        }
        Ok(fields.sum())
    }

    /// Reads all rows in the order of their keys, checks each, and adds them to a seal.
    pub fn scan(
        &self,
        db: &Connection,
        seal: &mut Seal,
        mut read: impl FnMut(&Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut statement = db.prepare_cached(self.scan)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            seal.add(self.check(row)?);
            read(row)?;
        }
        Ok(())
    }

    /// Visits all rows in the order of their keys, each with its checksum if that fits it.
    pub fn walk(
        &self,
        db: &Connection,
        mut visit: impl FnMut(&Row<'_>, Option<i64>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut statement = db.prepare_cached(self.scan)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            visit(row, unless_damaged(self.check(row))?)?;
        }
        Ok(())
    }

    /// Writes a row in the place of another one, which may have another key. Both have the same checksum in the seal.
    pub fn replace_raw(&self, db: &Connection, old: &RawRow, new: &RawRow) -> Result<(), Fault> {
        let mut unsealed = Seal::default();
        let key: Vec<&dyn ToSql> = old.columns[..self.keys].iter().map(|raw| raw as &dyn ToSql).collect();
        let mut statement = db.prepare_cached(self.remove)?;
        let mut rows = statement.query(key.as_slice())?;
        let mut gone = 0;
        while rows.next()?.is_some() {
            gone += 1;
        }
        drop(rows);
        let key: Vec<&dyn ToSql> = new.columns[..self.keys].iter().map(|raw| raw as &dyn ToSql).collect();
        let is_free = self.sum_at(db, &key)?.is_none();
        if gone != 1 || !is_free {
            return Err(Fault::damaged(format!("{} is not found by its key", self.words(old))));
        }
        self.put_raw(db, &mut unsealed, new)
    }

    /// All rows that can be read, right or wrong.
    pub fn raw_rows(&self, db: &Connection, order: &str) -> Result<Vec<RawRow>, Fault> {
        RawRow::read_all(self.number, db, &format!("{}{order}", self.scan), [])
    }

    /// Writes a sound row as it is.
    pub fn put_raw(&self, db: &Connection, seal: &mut Seal, row: &RawRow) -> Result<(), Fault> {
        let values: Vec<&dyn ToSql> =
            row.columns[..self.columns].iter().map(|raw| raw as &dyn ToSql).collect();
        self.put(db, seal, &values)
    }

    /// Takes all rows of a room away, from a table whose first column is one.
    pub fn remove_room(&self, db: &Connection, seal: &mut Seal, room: i64) -> Result<(), Fault> {
        for row in self.raw_rows(db, "")? {
            if row.columns[0] == Raw::Int(room) {
                let key: Vec<&dyn ToSql> =
                    row.columns[..self.keys].iter().map(|raw| raw as &dyn ToSql).collect();
                self.remove(db, seal, &key)?;
            }
        }
        Ok(())
    }

    /// A row in words: its table and its key.
    pub fn words(&self, row: &RawRow) -> String {
        let key: Vec<_> = row.columns[..self.keys].iter().map(Raw::words).collect();
        format!("row ({}) of table '{}'", key.join(", "), self.name)
    }

    fn check(&self, row: &Row<'_>) -> Result<i64, Fault> {
        let mut fields = Fields::of(self.number);
        for column in 0..self.columns {
            fields.value(row.get_ref(column)?);
        }
        let sum: i64 = row.get(self.columns)?;
        if sum != fields.sum() {
            let what = self.words(&RawRow::of(self.number, row)?);
            return Err(Fault::damaged(format!("{what} does not fit its checksum")));
        }
        Ok(sum)
    }
}
