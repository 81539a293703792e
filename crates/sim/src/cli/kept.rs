//! A file of what became of seeds, one a line: a long check may end at any time, and goes on from there.

use super::many::Row;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The file, if there is one.
pub(super) struct Kept(Option<File>);

impl Kept {
    /// Opens the file, and tells what is in it.
    ///
    /// # Errors
    /// It can't be read or made, or has something else in it.
    pub(super) fn open(path: Option<&Path>) -> io::Result<(Self, BTreeMap<u64, Row>)> {
        let Some(path) = path else { return Ok((Self(None), BTreeMap::new())) };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let text = std::fs::read_to_string(path)?;
        let mut rows = BTreeMap::new();
        for line in text.lines() {
            let (seed, row): (u64, Row) = serde_json::from_str(line)?;
            rows.insert(seed, row);
        }
        Ok((Self(Some(file)), rows))
    }

    /// Adds a seed.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn add(&mut self, seed: u64, row: &Row) -> io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        let line = serde_json::to_string(&(seed, row))? + "\n";
        file.write_all(line.as_bytes())
    }
}
