//! Moving commits from a write-ahead log into its database, always on purpose.
//!
//! SQLite's automatic checkpoints swallow the error of a failed sync; these return it.

use super::fault::Fault;
use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;
use std::time::Duration;

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

/// Moves everything and leaves nothing of it in the log: not a deleted word either. False if somebody reads what is in
/// it for longer than `patience`, in which all else that this connection does waits.
pub(super) fn truncate_within(db: &Connection, patience: Duration) -> Result<bool, Fault> {
    db.busy_timeout(patience)?;
    let moved = db.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE).map_err(Fault::from);
    db.busy_timeout(super::BUSY)?;
    match moved {
        Err(fault) if fault.is_busy() => Ok(false),
        result => result.map(|_| true),
    }
}

/// The same, for whoever can wait as long as another program may read.
pub(super) fn truncate(db: &Connection) -> Result<(), Fault> {
    for _ in 0..PATIENCE {
        if truncate_within(db, super::BUSY)? {
            return Ok(());
        }
        tracing::warn!("another program reads the database: its write-ahead log can't be emptied yet");
    }
    Ok(())
}
