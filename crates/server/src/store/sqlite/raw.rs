//! Rows as they are in the file, right or wrong, and the one bit of a wrong one that was turned around.
//!
//! A checksum that does not fit a row fits it again when exactly the bit that changed is changed back, and there is no
//! other one with which it does, but once in 2⁵⁰ rows.

use super::checksum::Fields;
use super::fault::{Fault, unless_damaged};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Params, Row, ToSql, params_from_iter};

/// A value of any kind: unlike SQLite's own, a text need not be one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Raw {
    Null,
    Int(i64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
    /// A kind that no table of ours has.
    Other,
}

impl Raw {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Int(value),
            ValueRef::Text(bytes) => Self::Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
            ValueRef::Real(_) => Self::Other,
        }
    }

    fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(bytes) => ValueRef::Text(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
            Self::Other => ValueRef::Real(0.0),
        }
    }

    /// In words, for a column of a key.
    pub fn words(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Null | Self::Other => "?".to_owned(),
        }
    }

    fn bits(&self) -> usize {
        match self {
            Self::Null | Self::Other => 0,
            Self::Int(_) => 64,
            Self::Text(bytes) | Self::Blob(bytes) => bytes.len() * 8,
        }
    }

    fn turn(&mut self, bit: usize) {
        match self {
            Self::Null | Self::Other => {}
            Self::Int(value) => *value ^= 1 << bit,
            Self::Text(bytes) | Self::Blob(bytes) => bytes[bit / 8] ^= 1 << (bit % 8),
        }
    }
}

impl ToSql for Raw {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.value()))
    }
}

/// A row of a table with this number in its checksums, which is the last column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RawRow {
    table: u8,
    pub columns: Vec<Raw>,
}

impl RawRow {
    /// Takes a row as it is.
    pub fn of(table: u8, row: &Row<'_>) -> Result<Self, Fault> {
        let count = row.as_ref().column_count();
        let columns = (0..count).map(|column| Ok(Raw::of(row.get_ref(column)?)));
        Ok(Self { table, columns: columns.collect::<Result<_, Fault>>()? })
    }

    /// What a statement finds, as far as it can be read.
    pub fn read_all(table: u8, db: &Connection, sql: &str, params: impl Params) -> Result<Vec<Self>, Fault> {
        let Some(mut statement) = unless_damaged(db.prepare(sql).map_err(Fault::from))? else {
            return Ok(Vec::new());
        };
        let mut rows = statement.query(params)?;
        let mut all = Vec::new();
        while let Some(Some(row)) = unless_damaged(rows.next().map_err(Fault::from))? {
            all.push(Self::of(table, row)?);
        }
        Ok(all)
    }

    fn sum(&self) -> i64 {
        let mut fields = Fields::of(self.table);
        let (_, values) = self.columns.split_last().expect("a row has a checksum");
        values.iter().for_each(|value| fields.value(value.value()));
        fields.sum()
    }

    /// The checksum that it bears, if that is a number.
    pub fn stored_sum(&self) -> Option<i64> {
        match self.columns.last() {
            Some(Raw::Int(sum)) => Some(*sum),
            _ => None,
        }
    }

    /// Reads it as a row of its table.
    pub fn parse<T>(&self, read: impl FnOnce(&Row<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        let bench = Connection::open_in_memory()?;
        let sql = format!("SELECT {}", vec!["?"; self.columns.len()].join(", "));
        bench.query_row_and_then(&sql, params_from_iter(&self.columns), read)
    }

    /// Whether it is what was written.
    pub fn is_sound(&self) -> bool {
        self.columns.last() == Some(&Raw::Int(self.sum()))
    }

    /// Turns back the one bit that makes it what was written; false if there is none.
    pub fn correct(&mut self) -> bool {
        let Some(&Raw::Int(sum)) = self.columns.last() else { return false };
        if (sum ^ self.sum()).count_ones() == 1 {
            *self.columns.last_mut().expect("a row has a checksum") = Raw::Int(self.sum());
            return true;
        }
        for column in 0..self.columns.len() - 1 {
            for bit in 0..self.columns[column].bits() {
                self.columns[column].turn(bit);
                if self.sum() == sum {
                    return true;
                }
                self.columns[column].turn(bit);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_with_one_bit_turned_around_becomes_what_it_was() {
        let columns =
            vec![Raw::Int(7), Raw::Null, Raw::Text(b"alice".to_vec()), Raw::Blob(vec![1, 2]), Raw::Int(0)];
        let mut row = RawRow { table: 3, columns };
        let sum = row.sum();
        row.columns[4] = Raw::Int(sum);
        assert!(row.is_sound());
        for column in 0..5 {
            for bit in 0..row.columns[column].bits() {
                let mut damaged = row.clone();
                damaged.columns[column].turn(bit);
                assert!(
                    !damaged.is_sound() && damaged.correct() && damaged == row,
                    "column {column}, bit {bit}"
                );
            }
        }
        let mut twice = row.clone();
        twice.columns[0].turn(1);
        twice.columns[3].turn(1);
        assert!(!twice.correct());
    }
}
