//! The writer: one thread that commits batches, one transaction and one sync for each.

use super::checkpoint;
use super::erasure::Erasure;
use super::fault::Fault;
use super::head::{Head, Heads};
use super::in_place::InPlace;
use super::index::{Index, Revised};
use super::indexer::Indexing;
use super::load::Loaded;
use super::mark;
use super::record::Record;
use super::server;
use super::witness::Witness;
use super::work::Work;
use crate::store::{Batch, Commit, Reserved, StoreError};
use protocol::entry::EntryKind;
use protocol::id::RoomId;
use protocol::message::Durability;
use rusqlite::{Connection, TransactionBehavior};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// Frames of the write-ahead log from which they are moved into the database: 8 MiB, which is moved in tens of
/// milliseconds and read again in less after a crash.
const FRAMES: i32 = 2_000;

/// Frames with which nothing more is written before some were moved, if they can't be for want of space: the index
/// of the log has to grow with the next one, and that may fail when a commit is half done.
const MOST_FRAMES: i32 = 3_500;

/// How long a commit waits for another program that has locked the database.
const LOCKED: Duration = Duration::from_secs(10);

/// How long nothing must be asked before the log is moved however short it is.
const IDLE: Duration = Duration::from_millis(500);

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
    /// Rooms that take no entries: these would not be found.
    pub closed: BTreeSet<RoomId>,
    pub witness: Witness,
    /// The files that it writes to.
    pub files: InPlace,
    pub indexing: Arc<Indexing>,
    pub erasure: Erasure,
    /// Whether commits were made since the log was last moved.
    pub dirty: bool,
    /// Whether the last batch was refused for want of space.
    pub is_full: bool,
}

/// Does what is in a batch.
type Apply = fn(&mut Work<'_>, &Batch) -> Result<Commit, Fault>;

/// A batch that is committed, and what is to be done about it.
#[derive(Debug)]
struct Done {
    commit: Commit,
    record: Record,
    heads: BTreeMap<RoomId, Head>,
    ended: BTreeSet<RoomId>,
    deletes: bool,
}

impl Writer {
    /// Serves requests until it is told to end, everybody is gone, or the disk fails. After a failed sync nothing
    /// is known about what is on the disk, so nothing more is written, and `failed` is told.
    pub fn run(mut self, requests: &Receiver<Request>, failed: &UnboundedSender<StoreError>) {
        loop {
            let result = match requests.recv_timeout(self.erasure.wait().min(IDLE)) {
                Ok(Request::Append(batch, answer)) => {
                    let done = self.append(&batch);
                    let went_wrong = done.is_err();
                    // Whoever asked may be gone; then nobody is told, which is what a crash does too.
                    let _ = answer.send(done);
                    if went_wrong {
                        return;
                    }
                    self.erase_when_due().and_then(|()| self.checkpoint_when(FRAMES))
                }
                Ok(Request::Close(answer)) => {
                    let _ = answer.send(self.close().map_err(|fault| fault.while_it("closed its files")));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.erase_when_due().and_then(|()| self.rest()),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(fault) = result {
                // If nobody listens any more, the program is ending anyway.
                let _ = failed.send(fault.while_it("moved commits into the database"));
                return;
            }
        }
    }

    /// Commits a batch, or refuses it whole where there is no space for it.
    pub fn append(&mut self, batch: &Batch) -> Result<Commit, StoreError> {
        let done = match self.commit(batch) {
            Ok(done) => done,
            Err(fault) if fault.is_full() => {
                if !self.is_full {
                    tracing::warn!("the disk is full: nothing is stored until there is space");
                }
                self.is_full = true;
                return Ok(Commit::disk_full(batch.posts.len()));
            }
            Err(fault) => return Err(fault.while_it("committed a batch")),
        };
        if std::mem::take(&mut self.is_full) {
            tracing::info!("there is space on the disk again");
        }
        // From here on it is committed, and a refusal would be a lie: what fails now ends the store.
        self.settle(done).map_err(|fault| fault.while_it("finished a commit"))
    }

    fn commit(&mut self, batch: &Batch) -> Result<Done, Fault> {
        self.check_files()?;
        if checkpoint::frames(&self.db)? >= MOST_FRAMES {
            self.checkpoint()?;
        }
        match self.commit_in(batch, |work, batch| work.apply(batch)) {
            Err(fault) if fault.is_damage() => {
                // Nothing of the batch was done. What is in it is done one by one, but what the damage is in the way of.
                tracing::error!(what = fault.words(), "damage in the database: run natterd verify");
                self.commit_in(batch, |work, batch| work.apply_past_damage(batch))
            }
            result => result,
        }
    }

    /// Commits what `apply` does of a batch.
    fn commit_in(&mut self, batch: &Batch, apply: Apply) -> Result<Done, Fault> {
        // Another program may hold the database for a moment: somebody who looks into it.
        self.db.busy_timeout(LOCKED)?;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.busy_timeout(super::BUSY)?;
        let mut work = Work::new(&transaction, self.record.clone(), &self.heads, &self.closed);
        let commit = apply(&mut work, batch)?;
        work.finish()?;
        let Work { record, heads, ended, revised, .. } = work;
        let unindexed = unindex(&self.indexing, &revised, &ended)?;
        let committed = transaction.commit();
        if let Some(mut index) = unindexed.filter(|_| committed.is_err()) {
            // If the index can't follow, entries are harder to find, and no more than that.
            let _ = index.restore(&revised);
        }
        committed?;
        let mut outcomes = batch.posts.iter().zip(&commit.posts);
        let deletes = outcomes.any(|(post, outcome)| post.kind == EntryKind::Delete && outcome.is_ok());
        Ok(Done { commit, record, heads, ended, deletes })
    }

    /// Makes a commit known.
    fn settle(&mut self, done: Done) -> Result<Commit, Fault> {
        self.record = done.record;
        self.dirty = true;
        self.heads.change(done.heads, &done.ended);
        self.indexing.stir();
        self.count_commit()?;
        let erasure = done.deletes.then(|| self.erasure.begin());
        Ok(Commit { erasure, ..done.commit })
    }

    /// Takes down outside of the database what is committed in it.
    ///
    /// What went to a file that is not in its place is lost: it must neither be acknowledged nor be counted, since a
    /// count of what nobody was told would be taken for a loss. So the files are looked at between the sync and the
    /// count, and the count comes before the acknowledgement.
    fn count_commit(&mut self) -> Result<(), Fault> {
        self.check_files()?;
        Ok(self.witness.write(self.record.epoch, self.record.commits)?)
    }

    /// Looks whether the files that are open are still in their places.
    fn check_files(&mut self) -> Result<(), Fault> {
        self.files.check(checkpoint::frames(&self.db)?)
    }

    /// Moves everything into the database and leaves nothing of it in the log.
    pub fn truncate(&mut self) -> Result<(), Fault> {
        self.move_commits(checkpoint::truncate)?;
        self.dirty = false;
        Ok(())
    }

    /// Writes to the database itself. What others did to it before that would not be seen any more afterwards.
    pub fn move_commits<T>(&mut self, how: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        self.check_files()?;
        let moved = how(&self.db);
        // One that failed may have written a part.
        self.files.note_written()?;
        moved
    }

    fn checkpoint_when(&mut self, long: i32) -> Result<(), Fault> {
        if checkpoint::frames(&self.db)? < long {
            return Ok(());
        }
        match self.checkpoint() {
            // The log goes on growing where it can; nothing was synced in vain.
            Err(fault) if fault.is_full() || fault.is_busy() => Ok(()),
            result => result,
        }
    }

    fn checkpoint(&mut self) -> Result<(), Fault> {
        self.dirty = !self.move_commits(checkpoint::advance)?;
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Fault> {
        self.check_files()?;
        self.witness.keep(self.record.epoch, self.record.commits)?;
        if self.dirty { self.checkpoint_when(0) } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.record.clean = true;
        self.write_record()?;
        self.truncate()?;
        if self.erasure.is_pending() {
            self.erase_now()?;
        }
        self.check_files()
    }

    /// Commits the log's own row for a run that begins, rows that are right again, and numbers that are not to be
    /// given out.
    pub fn write_first_record(&mut self, loaded: &Loaded, left_out: Option<&Reserved>) -> Result<(), Fault> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.record.commits += 1;
        loaded.rows.write_back(&transaction)?;
        if !loaded.rows.others.is_empty() {
            server::write(&transaction, loaded.snapshot.server)?;
        }
        if let Some(numbers) = left_out {
            mark::write_reserved(&transaction, &mut self.record.seal, numbers)?;
        }
        self.record.write(&transaction)?;
        transaction.commit()?;
        self.count_commit()
    }

    /// Commits the log's own row alone.
    fn write_record(&mut self) -> Result<(), Fault> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.record.commits += 1;
        self.record.write(&transaction)?;
        transaction.commit()?;
        self.count_commit()
    }
}

/// Takes texts that go out of the index, which is then held until they have gone.
fn unindex<'a>(
    indexing: &'a Indexing,
    revised: &[Revised],
    ended: &BTreeSet<RoomId>,
) -> Result<Option<MutexGuard<'a, Index>>, Fault> {
    if revised.is_empty() && ended.is_empty() {
        return Ok(None);
    }
    let mut index = indexing.lock();
    match index.revise(revised).and_then(|()| index.forget(ended)) {
        Err(fault) if fault.is_damage() => index.give_up(),
        result => result?,
    }
    Ok(Some(index))
}

/// Makes a connection one that writes, and whose commits survive what `durability` says.
pub(super) fn prepare(db: &Connection, durability: &Durability) -> Result<(), Fault> {
    use rusqlite::config::DbConfig;
    db.busy_timeout(super::BUSY)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    keep_log(db)?;
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

/// Has commits go to a write-ahead log.
///
/// SQLite answers first and commits the change afterwards, so the statement is run to its end: a sync that fails there
/// leaves a rollback journal, with which a folder that can't be synced is ignored. Then what it has is looked at.
fn keep_log(db: &Connection) -> Result<(), Fault> {
    let mut change = db.prepare("PRAGMA journal_mode = WAL")?;
    let mut answers = change.query(())?;
    while answers.next()?.is_some() {}
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    Err(io::Error::other(format!("SQLite keeps its journal as '{mode}', not as a write-ahead log")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_can_not_have_a_write_ahead_log_is_not_written_to() {
        let memory = Connection::open_in_memory().unwrap();
        let fault = prepare(&memory, &Durability::Disk).unwrap_err();
        assert_eq!(fault.words(), "SQLite keeps its journal as 'memory', not as a write-ahead log");
    }
}
