//! Moving commits from a write-ahead log into its database, always on purpose.
//!
//! SQLite's automatic checkpoints swallow the error of a failed sync; these return it.

use super::fault::Fault;
use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

/// How often a checkpoint that must be complete waits for readers, each time as long as a connection is patient.
const PATIENCE: u32 = 20;

/// Frames in the log.
pub(super) fn frames(db: &Connection) -> Result<i32, Fault> {
    Ok(db.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP)?.0)
}

/// Moves what can be moved without waiting. True if that was all.
pub(super) fn advance(db: &Connection) -> Result<bool, Fault> {
    let (frames, moved) = db.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE)?;
    Ok(frames == moved)
}

/// Moves everything and leaves nothing of it in the log: not a deleted word either.
pub(super) fn truncate(db: &Connection) -> Result<(), Fault> {
    for _ in 0..PATIENCE {
        match db.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE).map_err(Fault::from) {
            // Our own readers take milliseconds.
            Err(fault) if fault.is_busy() => {
                tracing::warn!("another program reads the database: what was deleted waits for it to end");
            }
            result => return result.map(drop),
        }
    }
    tracing::error!("what was deleted is still in the log of the database, as long as somebody reads it");
    Ok(())
}
