//! The memory store: bounded logs that live as long as the process.

use super::{Batch, Commit, Hits, Logs, Oldest, Query, Read, Snapshot, Store, StoreError, Words};
use protocol::id::{Epoch, RoomId, Seq};
use protocol::message::{Durability, Range};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much a memory store keeps.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimits {
    /// Bytes of one room; its oldest entries go first.
    pub room: usize,
    /// Bytes of all rooms; the oldest entries of the room that was appended to go first.
    pub total: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { room: 8 << 20, total: 256 << 20 }
    }
}

/// Bytes of entries that a search looks at before others have their turn: about a millisecond.
const SCAN: usize = 256 * 1024;

/// Logs in memory. A new one has a new epoch.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    shared: Arc<Mutex<Logs>>,
    limits: MemoryLimits,
    epoch: Epoch,
}

impl MemoryStore {
    /// An empty store with this epoch, which the caller draws at random.
    pub fn new(epoch: Epoch, limits: MemoryLimits) -> Self {
        Self { shared: Arc::default(), limits, epoch }
    }

    fn logs(&self) -> MutexGuard<'_, Logs> {
        // No code panics while it holds the lock, and if one did, the logs would still be whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Oldest for MemoryStore {
    fn oldest(&self, room: RoomId) -> Seq {
        self.logs().oldest(room)
    }
}

impl Store for MemoryStore {
    fn durability(&self) -> Durability {
        Durability::Memory
    }

    async fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(self.logs().snapshot(self.epoch))
    }

    async fn append(&self, batch: Batch) -> Result<Commit, StoreError> {
        let mut logs = self.logs();
        let mut commit = logs.append(&batch);
        let mut trimmed: BTreeMap<_, _> = std::mem::take(&mut commit.trimmed).into_iter().collect();
        let mut last = None;
        for room in batch.posts.iter().map(|post| post.room) {
            // Posts to one room often stand together.
            if last.replace(room) != Some(room) {
                let first = logs.shrink(room, self.limits.room, self.limits.total);
                trimmed.extend(first.map(|first| (room, first)));
            }
        }
        commit.trimmed = trimmed.into_iter().collect();
        Ok(commit)
    }

    async fn read(&self, room: RoomId, range: Range, limit: usize, bytes: usize) -> Result<Read, StoreError> {
        Ok(self.logs().read(room, &range, limit, bytes))
    }

    async fn search(&self, query: Query) -> Result<Hits, StoreError> {
        let words = Words::parse(&query.words);
        if words.is_empty() {
            return Ok(Hits::default());
        }
        let mut scan = self.logs().search(&query);
        // Each part takes about a millisecond.
        for _ in 0..query.ms {
            self.logs().scan(&query, &words, &mut scan, SCAN);
            tokio::task::yield_now().await;
            if scan.rest.is_none() {
                return Ok(scan.hits);
            }
        }
        Ok(scan.hits.cut())
    }
}
