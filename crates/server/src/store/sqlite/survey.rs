//! Small tables in which rows may be damaged: one bit is turned back, and what is more than that is named and left out.
//!
//! A row's checksum proves which bit it was (see [`super::raw`]). Whether a row is missing is known by the seal: it has
//! the checksum of every row, and those of damaged ones are mostly readable.

use super::fault::Fault;
use super::raw::{Raw, RawRow};
use super::table::{Seal, Table};
use rusqlite::{Connection, Row};

/// What a walk over tables found beside rows that are what was written.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// All rows and their checksums.
    pub seal: Seal,
    /// Rows with one bit turned around: as they are, and as they were.
    pub corrected: Vec<(&'static Table, RawRow, RawRow)>,
    /// Rows that can't be used.
    pub damaged: Vec<(&'static Table, RawRow)>,
    /// Single rows of other tables that were damaged and are known all the same, in words.
    pub others: Vec<&'static str>,
}

impl Survey {
    /// Whether everything is what was written.
    pub fn is_sound(&self) -> bool {
        self.corrected.is_empty() && self.damaged.is_empty() && self.others.is_empty()
    }

    /// Whether no row is missing. The checksum of a damaged row may be what is damaged: then the rows are counted.
    pub fn fits(&self, seal: Seal) -> bool {
        self.seal == seal || self.seal.rows == seal.rows && !self.damaged.is_empty()
    }

    /// Whether rows of a table are left out.
    pub fn lacks(&self, table: &Table) -> bool {
        self.damaged.iter().any(|(of, _)| of.name == table.name)
    }

    /// The rows of a table that are left out.
    pub fn damaged_of(&self, table: &Table) -> impl Iterator<Item = &RawRow> {
        self.damaged.iter().filter(|(of, _)| of.name == table.name).map(|(_, row)| row)
    }

    /// Each damaged row in words, and what follows from it.
    pub fn words(&self) -> Vec<String> {
        let corrected = self.corrected.iter().map(|(table, found, _)| {
            format!("{} has a bit turned around, and is read as it was", table.words(found))
        });
        let damaged = self.damaged.iter().map(|(table, found)| {
            format!("{} does not fit its checksum: {}", table.words(found), table.loss)
        });
        corrected.chain(damaged).chain(self.others.iter().map(|what| (*what).to_owned())).collect()
    }

    /// Writes rows as they were, where their pages allow it.
    pub fn write_back(&self, db: &Connection) -> Result<(), Fault> {
        for (table, found, right) in &self.corrected {
            db.execute_batch("SAVEPOINT row")?;
            let end = match table.replace_raw(db, found, right) {
                Ok(()) => "RELEASE row",
                Err(fault) if fault.is_damage() => "ROLLBACK TO row; RELEASE row",
                Err(fault) => return Err(fault),
            };
            db.execute_batch(end)?;
        }
        Ok(())
    }
}

impl Table {
    /// Reads all rows in the order of their keys, as far as they are what was written or are known all the same.
    pub fn survey(
        &'static self,
        db: &Connection,
        survey: &mut Survey,
        mut read: impl FnMut(&Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.walk(db, |row, sum| {
            if let Some(sum) = sum {
                survey.seal.add(sum);
                return read(row);
            }
            let found = RawRow::of(self.number, row)?;
            let mut right = found.clone();
            if right.correct() {
                survey.seal.add(right.stored_sum().unwrap_or_default());
                right.parse(&mut read)?;
                survey.corrected.push((self, found, right));
            } else {
                survey.seal.add(found.stored_sum().unwrap_or_default());
                survey.damaged.push((self, found));
            }
            Ok(())
        })
    }
}

/// A number of ours in a row that may be anything.
pub(super) fn number_in<T>(row: &RawRow, column: usize, new: fn(u64) -> Option<T>) -> Option<T> {
    match row.columns.get(column) {
        Some(Raw::Int(value)) => u64::try_from(*value).ok().and_then(new),
        _ => None,
    }
}

/// A text in one.
pub(super) fn text_in(row: &RawRow, column: usize) -> Option<String> {
    match row.columns.get(column) {
        Some(Raw::Text(bytes)) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

/// Bytes in one.
pub(super) fn bytes_in<const N: usize>(row: &RawRow, column: usize) -> Option<[u8; N]> {
    match row.columns.get(column) {
        Some(Raw::Blob(bytes)) => bytes.as_slice().try_into().ok(),
        _ => None,
    }
}
