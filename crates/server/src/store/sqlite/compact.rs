//! Compacting: the databases are written anew without what is free in them.

use super::fault::Fault;
use super::folder::Folder;
use super::{OperateError, Task, checkpoint, load, schema, writer};
use protocol::message::Durability;
use rusqlite::Connection;
use std::fs;
use std::path::Path;

/// How many bytes the databases had and have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compacted {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// Compacts what is in a folder that no server uses.
///
/// # Errors
/// [`OperateError`]; everything is as it was then.
pub fn compact(folder: &Folder, task: &mut Task<'_>) -> Result<Compacted, OperateError> {
    let (log, index) = (folder.database(), folder.index());
    if !folder.has_database() {
        return Err(OperateError::NoLog { path: folder.path().to_owned() });
    }
    let before = size(&log) + size(&folder.wal()) + size(&index);
    task.begin("compacting", "messages", 0);
    compact_log(&log).map_err(|error| match error {
        schema::Unusable::Fault(fault) => OperateError::from_fault(&log, fault),
        unusable => OperateError::from_unusable(&log, unusable),
    })?;
    if index.is_file() {
        task.begin("compacting", "the index of words", 0);
        compact_index(&index).map_err(|fault| OperateError::from_fault(&index, fault))?;
    }
    Ok(Compacted { before, after: size(&log) + size(&index) })
}

fn compact_log(path: &Path) -> Result<(), schema::Unusable> {
    let db = Connection::open(path)?;
    schema::version(&db)?;
    writer::prepare(&db, &Durability::Disk)?;
    // Damage must not be written anew as if it were sound.
    load::load(&db)?;
    db.execute_batch("VACUUM")?;
    Ok(checkpoint::truncate(&db)?)
}

fn compact_index(path: &Path) -> Result<(), Fault> {
    let db = Connection::open(path)?;
    writer::prepare(&db, &Durability::Disk)?;
    db.execute_batch("INSERT INTO word(word) VALUES ('optimize'); VACUUM")?;
    checkpoint::truncate(&db)
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
