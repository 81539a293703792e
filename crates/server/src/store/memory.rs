//! The memory store: bounded logs that live as long as the process.

use super::{Batch, Change, Commit, Oldest, Read, Snapshot, Store, StoreError};
use protocol::entry::Entry;
use protocol::id::{Epoch, RoomId, Seq};
use protocol::message::{Durability, Range};
use std::collections::{BTreeMap, VecDeque};
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

/// Logs in memory. A new one has a new epoch.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    shared: Arc<Mutex<Logs>>,
    limits: MemoryLimits,
    epoch: Epoch,
}

/// The logs themselves, without a promise of what they survive: other stores stand on them.
///
/// Invariant: `bytes` is the sum of the rooms' bytes.
#[derive(Debug, Default)]
pub struct Logs {
    rooms: BTreeMap<RoomId, Log>,
    bytes: usize,
}

/// Invariant: entry i has the number `first + i`.
#[derive(Debug)]
struct Log {
    first: Seq,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Default for Log {
    fn default() -> Self {
        Self { first: Seq::FIRST, entries: VecDeque::new(), bytes: 0 }
    }
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
        Ok(Snapshot { epoch: self.epoch, people: Vec::new(), devices: Vec::new(), rooms: Vec::new() })
    }

    async fn append(&self, batch: Batch) -> Result<Commit, StoreError> {
        Ok(self.logs().append(&batch, self.limits))
    }

    async fn read(&self, room: RoomId, range: Range, limit: usize, bytes: usize) -> Result<Read, StoreError> {
        Ok(self.logs().read(room, &range, limit, bytes))
    }
}

impl Logs {
    /// The oldest entry of a room that is kept; one more than the newest if there is none.
    pub fn oldest(&self, room: RoomId) -> Seq {
        self.rooms.get(&room).map_or(Seq::FIRST, |log| log.first)
    }

    /// Takes a batch in, and numbers its entries.
    pub fn append(&mut self, batch: &Batch, limits: MemoryLimits) -> Commit {
        for change in &batch.changes {
            if let Change::Room { room, .. } = change {
                self.rooms.entry(*room).or_default();
            }
        }
        let posts = batch.posts.iter().map(|post| Ok(self.push(post, limits))).collect();
        Commit { posts, changes: Ok(()) }
    }

    /// Reads at most `limit` entries of about at most `bytes` (at least one, if there is one).
    pub fn read(&self, room: RoomId, range: &Range, limit: usize, bytes: usize) -> Read {
        match self.rooms.get(&room) {
            Some(log) => log.read(range, limit, bytes),
            None => Read { entries: Vec::new(), oldest: Seq::FIRST, more: false },
        }
    }

    fn push(&mut self, post: &super::NewEntry, limits: MemoryLimits) -> Seq {
        let log = self.rooms.entry(post.room).or_default();
        let seq = log.end();
        log.entries.push_back(post.numbered(seq));
        log.bytes += post.weight();
        self.bytes += post.weight();
        // The newest entry always stays, whatever the limits are.
        while (log.bytes > limits.room || self.bytes > limits.total) && log.entries.len() > 1 {
            self.bytes -= log.pop_oldest();
        }
        seq
    }
}

impl Log {
    /// The number of the entry that comes next.
    fn end(&self) -> Seq {
        Seq::new(self.first.value() + self.entries.len() as u64).expect("a log in memory is short")
    }

    fn pop_oldest(&mut self) -> usize {
        let Some(entry) = self.entries.pop_front() else {
            return 0;
        };
        let weight = entry.body.len() + entry.name.len() + 80;
        self.first = self.first.next();
        self.bytes -= weight;
        weight
    }

    /// The index of the first entry with at least this number, at most `entries.len()`.
    fn index(&self, seq: Seq) -> usize {
        let offset = seq.value().saturating_sub(self.first.value());
        usize::try_from(offset).unwrap_or(usize::MAX).min(self.entries.len())
    }

    fn read(&self, range: &Range, limit: usize, bytes: usize) -> Read {
        let len = self.entries.len();
        // Where the entries may lie, and whether those at the end are wanted first.
        let (from, to, backward) = match range {
            Range::Latest => (0, len, true),
            Range::Before { seq } => (0, self.index(*seq), true),
            Range::After { seq } => (self.index(Seq::after(*seq)), len, false),
            Range::Around { seq } => (self.index(*seq).saturating_sub(limit / 2), len, false),
            Range::Between { first, last } => (self.index(*first), self.index(last.next()), false),
            Range::BeforeTime { time } => (0, self.entries.partition_point(|e| e.time < *time), true),
            Range::SinceTime { time } => (self.entries.partition_point(|e| e.time < *time), len, false),
        };
        let (from, to) = (from.min(to), to);
        let count = if backward {
            fitting(self.entries.range(from..to).rev(), limit, bytes)
        } else {
            fitting(self.entries.range(from..to), limit, bytes)
        };
        let taken = if backward { to - count..to } else { from..from + count };
        Read {
            entries: self.entries.range(taken).cloned().collect(),
            oldest: self.first,
            more: count < to - from,
        }
    }
}

/// How many of the entries fit: at most `limit`, of about at most `bytes`, at least one.
fn fitting<'a>(entries: impl Iterator<Item = &'a Entry>, limit: usize, bytes: usize) -> usize {
    let mut total = 0;
    entries
        .take(limit)
        .enumerate()
        .take_while(|(at, entry)| {
            total += entry.body.len() + entry.name.len() + 80;
            *at == 0 || total <= bytes
        })
        .count()
}
