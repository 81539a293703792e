//! The thread that takes new entries into the index of words.

use super::fault::Fault;
use super::head::Heads;
use super::index::Index;
use crate::priority::take_what_is_left;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long new entries wait for others: many at once cost the index much less than one by one.
const GATHER: Duration = Duration::from_millis(500);

/// The index, and who shares it: the indexer, and the writer when a text changes.
#[derive(Debug)]
pub(super) struct Indexing {
    index: Mutex<Index>,
    heads: Arc<Heads>,
    /// Whether there may be something new.
    stirred: AtomicBool,
}

impl Indexing {
    /// An index that may be behind.
    pub fn new(index: Index, heads: Arc<Heads>) -> Self {
        Self { index: Mutex::new(index), heads, stirred: AtomicBool::new(true) }
    }

    /// The index. Whoever changes texts holds it until that is committed, so that nobody takes in what goes.
    pub fn lock(&self) -> MutexGuard<'_, Index> {
        // A panic in SQLite's glue leaves a transaction that is rolled back.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There are new entries.
    pub fn stir(&self) {
        self.stirred.store(true, Ordering::Relaxed);
    }

    /// Takes in everything that was committed by now.
    pub fn catch_up(&self) -> Result<(), Fault> {
        while self.advance()? {}
        Ok(())
    }

    /// Leaves nothing in the index's own log; false if somebody reads what is in it for longer than this.
    pub fn truncate_within(&self, patience: Duration) -> Result<bool, Fault> {
        let mut index = self.lock();
        match index.truncate_within(patience) {
            Err(fault) if fault.is_damage() => {
                index.give_up();
                Ok(true)
            }
            result => result,
        }
    }

    fn advance(&self) -> Result<bool, Fault> {
        let heads = self.heads.read().clone();
        let mut index = self.lock();
        match index.advance(&heads) {
            Err(fault) if fault.is_damage() => {
                index.give_up();
                Ok(false)
            }
            // It goes on when there is space; until then searches look at entries one by one.
            Err(fault) if fault.is_full() => Ok(false),
            result => result,
        }
    }

    /// Goes on until `stop` says something or is gone.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn run(&self, stop: &Receiver<()>) -> Result<(), Fault> {
        // A post waits for the processor as it waits for the disk.
        take_what_is_left();
        loop {
            match stop.recv_timeout(GATHER) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if self.stirred.swap(false, Ordering::Relaxed) {
                while self.advance()? {
                    if stop.try_recv() != Err(TryRecvError::Empty) {
                        return Ok(());
                    }
                }
            }
        }
    }
}
