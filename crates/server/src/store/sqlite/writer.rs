//! The writer: one thread that commits batches, one transaction and one sync for each.

use super::fault::Fault;
use super::head::Heads;
use super::record::Record;
use super::witness::Witness;
use super::work::Work;
use crate::store::{Batch, Commit, StoreError};
use protocol::code::Code;
use protocol::id::ContentHash;
use protocol::message::Durability;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, TransactionBehavior};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// Frames of the write-ahead log from which they are moved into the database: 8 MiB, which is moved in tens of
/// milliseconds and read again in less after a crash.
const FRAMES: i32 = 2_000;

/// How long nothing must be asked before the log is moved however short it is.
const IDLE: Duration = Duration::from_millis(500);

/// How long a checkpoint that must be complete waits for readers.
const PATIENCE: u32 = 20;

/// What is asked of the writer.
pub(super) enum Request {
    /// Commit this.
    Append(Batch, oneshot::Sender<Result<Commit, StoreError>>),
    /// Leave everything in order, and end.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// What the writer's thread owns.
#[derive(Debug)]
pub(super) struct Writer {
    pub db: Connection,
    pub record: Record,
    pub heads: Arc<Heads>,
    pub witness: Witness,
    /// Who is told of contents that no entry names any more.
    pub unnamed: UnboundedSender<ContentHash>,
    /// Whether commits were made since the log was last moved.
    pub dirty: bool,
}

impl Writer {
    /// Serves requests until it is told to end, everybody is gone, or the disk fails. After a failed sync nothing
    /// is known about what is on the disk, so nothing more is written.
    pub fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let request = requests.recv_timeout(IDLE);
            let result = match request {
                Ok(Request::Append(batch, answer)) => {
                    let done = self.append(&batch);
                    let failed = done.as_ref().err().map(ToString::to_string);
                    // Whoever asked may be gone; then nobody is told, which is what a crash does too.
                    let _ = answer.send(done);
                    failed.map_or_else(|| self.checkpoint_when_long(), |what| Err(Fault::Damaged(what)))
                }
                Ok(Request::Close(answer)) => {
                    let _ = answer.send(self.close().map_err(|fault| fault.while_it("closed its files")));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.rest(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(fault) = result {
                let error = fault.while_it("moved commits into the database");
                tracing::error!(%error, "the store has failed");
                return;
            }
        }
    }

    fn append(&mut self, batch: &Batch) -> Result<Commit, StoreError> {
        match self.commit(batch) {
            Ok(commit) => Ok(commit),
            Err(fault) if fault.is_full() => {
                tracing::warn!("the disk is full: nothing is stored");
                let posts = vec![Err(Code::DiskFull); batch.posts.len()];
                Ok(Commit { posts, changes: Err(Code::DiskFull), trimmed: Vec::new() })
            }
            Err(fault) => Err(fault.while_it("committed a batch")),
        }
    }

    fn commit(&mut self, batch: &Batch) -> Result<Commit, Fault> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut work = Work::new(&transaction, self.record.clone(), &self.heads);
        let commit = work.apply(batch)?;
        work.finish()?;
        let gone = work.unnamed()?;
        let Work { record, heads, revised, .. } = work;
        transaction.commit()?;
        self.record = record;
        self.dirty = true;
        self.witness.write(self.record.epoch, self.record.commits)?;
        self.heads.write().extend(heads);
        for hash in gone {
            // Whoever keeps the contents may be gone already.
            let _ = self.unnamed.send(hash);
        }
        if !revised.is_empty() {
            self.truncate()?;
        }
        Ok(commit)
    }

    /// Moves everything into the database and leaves nothing of it in the log: not a deleted word either.
    pub fn truncate(&mut self) -> Result<(), Fault> {
        for tried in 1.. {
            match self.db.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE).map_err(Fault::from) {
                Ok(_) => break,
                Err(fault) if fault.is_busy() && tried < PATIENCE => {
                    tracing::warn!("a reader keeps what was deleted in the log: waiting for it");
                }
                Err(fault) => return Err(fault),
            }
        }
        self.dirty = false;
        Ok(())
    }

    fn checkpoint_when_long(&mut self) -> Result<(), Fault> {
        let (frames, _) = self.db.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP)?;
        if frames < FRAMES { Ok(()) } else { self.checkpoint() }
    }

    fn checkpoint(&mut self) -> Result<(), Fault> {
        match self.db.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE).map_err(Fault::from) {
            Ok((frames, moved)) => {
                self.dirty = frames != moved;
                Ok(())
            }
            // The log stays as it is and goes on where it can; nothing was synced in vain.
            Err(fault) if fault.is_full() || fault.is_busy() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    fn rest(&mut self) -> Result<(), Fault> {
        if self.dirty { self.checkpoint() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.record.clean = true;
        self.write_record()?;
        self.truncate()
    }

    /// Commits the log's own row alone.
    pub fn write_record(&mut self) -> Result<(), Fault> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.record.commits += 1;
        self.record.write(&transaction)?;
        transaction.commit()?;
        self.witness.write(self.record.epoch, self.record.commits)?;
        Ok(())
    }
}

/// Makes a connection one that writes, and whose commits survive what `durability` says.
pub(super) fn prepare(db: &Connection, durability: &Durability) -> Result<(), Fault> {
    use rusqlite::config::DbConfig;
    db.busy_timeout(super::BUSY)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if *durability == Durability::Disk { "FULL" } else { "NORMAL" };
    for (name, value) in [
        ("synchronous", synchronous),
        // A sync that the drive itself may put off is none; only macOS makes the difference.
        ("fullfsync", "ON"),
        ("checkpoint_fullfsync", "ON"),
        // An automatic checkpoint swallows the error of a failed sync.
        ("wal_autocheckpoint", "0"),
        ("secure_delete", "ON"),
        // Nothing of a batch is written before it is committed, so a refused one leaves little behind.
        ("cache_spill", "OFF"),
        ("cache_size", "-32768"),
        ("temp_store", "MEMORY"),
        ("cell_size_check", "ON"),
        ("foreign_keys", "OFF"),
    ] {
        db.pragma_update(None, name, value)?;
    }
    db.set_prepared_statement_cache_capacity(super::STATEMENTS);
    Ok(())
}
