//! Checksums of rows: one that was changed, moved or made up does not fit its own.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};

/// The fields of a row, laid out one after another so that no two rows look alike.
///
/// The checksum is 64 bits of BLAKE3: not for enemies, who could write anything, but for disks and memory.
#[derive(Debug)]
pub(super) struct Fields(Vec<u8>);

impl Fields {
    /// No fields of a table yet.
    pub fn of(table: u8) -> Self {
        let mut fields = Vec::with_capacity(256);
        fields.push(table);
        Self(fields)
    }

    /// Adds a number.
    pub fn int(&mut self, value: i64) {
        self.0.push(1);
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Adds a number that may be missing.
    pub fn maybe(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.int(value),
            None => self.0.push(0),
        }
    }

    /// Adds text.
    pub fn text(&mut self, value: &[u8]) {
        self.bytes(2, value);
    }

    /// Adds bytes.
    pub fn blob(&mut self, value: &[u8]) {
        self.bytes(3, value);
    }

    /// Adds what SQLite gave.
    pub fn value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.0.push(0),
            ValueRef::Integer(value) => self.int(value),
            ValueRef::Text(value) => self.text(value),
            ValueRef::Blob(value) => self.blob(value),
            // No table of ours has one, so this can only be damage, which no checksum of ours fits.
            ValueRef::Real(_) => self.0.push(u8::MAX),
        }
    }

    /// Adds what SQLite will be given.
    pub fn parameter(&mut self, value: &dyn ToSql) -> rusqlite::Result<()> {
        match value.to_sql()? {
            ToSqlOutput::Borrowed(value) => self.value(value),
            ToSqlOutput::Owned(Value::Integer(value)) => self.int(value),
            ToSqlOutput::Owned(Value::Null) => self.0.push(0),
            ToSqlOutput::Owned(Value::Text(value)) => self.text(value.as_bytes()),
            ToSqlOutput::Owned(Value::Blob(value)) => self.blob(&value),
            _ => self.0.push(u8::MAX),
        }
        Ok(())
    }

    /// The checksum.
    pub fn sum(&self) -> i64 {
        let hash = blake3::hash(&self.0);
        let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        i64::from_be_bytes(*first)
    }

    fn bytes(&mut self, tag: u8, value: &[u8]) {
        self.0.push(tag);
        self.0.extend_from_slice(&(value.len() as u64).to_be_bytes());
        self.0.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_run_together_make_other_sums() {
        let sum = |parts: &[&str]| {
            let mut fields = Fields::of(1);
            parts.iter().for_each(|part| fields.text(part.as_bytes()));
            fields.sum()
        };
        assert_ne!(sum(&["ab", "c"]), sum(&["a", "bc"]));
        assert_ne!(sum(&["ab"]), sum(&["ab", ""]));
        assert_eq!(sum(&["ab", "c"]), sum(&["ab", "c"]));
    }

    #[test]
    fn what_is_written_and_what_is_read_have_the_same_sum() {
        let (mut written, mut read) = (Fields::of(7), Fields::of(7));
        let values: [(&dyn ToSql, ValueRef<'_>); 5] = [
            (&5_i64, ValueRef::Integer(5)),
            (&None::<i64>, ValueRef::Null),
            (&"text", ValueRef::Text(b"text")),
            (&b"blob".as_slice(), ValueRef::Blob(b"blob")),
            (&[1_u8; 16], ValueRef::Blob(&[1; 16])),
        ];
        for (parameter, value) in values {
            written.parameter(parameter).unwrap();
            read.value(value);
        }
        assert_eq!(written.sum(), read.sum());
    }
}
