//! The bytes of one file on a simulated disk, and what a power loss makes of those that were not synced.

use bytes::Bytes;
use protocol::id::Millis;
use rand::RngExt;
use rand::rngs::SmallRng;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file, under whatever names.
pub(crate) type Node = Arc<Mutex<Content>>;

pub(super) fn content(node: &Node) -> MutexGuard<'_, Content> {
    node.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Content {
    now: Vec<u8>,
    /// What was written since the last sync, in order.
    unsynced: Vec<Write>,
    writes: u64,
    modified: Millis,
}

/// A write that is not on the disk.
#[derive(Debug)]
struct Write {
    number: u64,
    from: usize,
    bytes: Bytes,
    /// What stood there before, and how long the file was.
    before: Vec<u8>,
    len: usize,
}

impl Content {
    pub(super) fn new(now: Millis) -> Self {
        Self { now: Vec::new(), unsynced: Vec::new(), writes: 0, modified: now }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.now
    }

    pub(super) fn modified(&self) -> Millis {
        self.modified
    }

    pub(super) fn write(&mut self, from: usize, bytes: Bytes, now: Millis) {
        let len = self.now.len();
        let before = self.now.get(from..len.min(from + bytes.len())).unwrap_or_default().to_vec();
        self.put(from, &bytes);
        self.writes += 1;
        self.unsynced.push(Write { number: self.writes, from, bytes, before, len });
        self.modified = now;
    }

    fn put(&mut self, from: usize, bytes: &[u8]) {
        let end = from + bytes.len();
        if self.now.len() < end {
            self.now.resize(end, 0);
        }
        self.now[from..end].copy_from_slice(bytes);
    }

    /// The number of the newest write.
    pub(super) fn written(&self) -> u64 {
        self.writes
    }

    /// Everything up to this write is on the disk.
    pub(super) fn sync(&mut self, written: u64) {
        self.unsynced.retain(|write| write.number > written);
    }

    /// The power fails. Each write that was not synced may have reached the disk, in part or as a whole, whatever became
    /// of those before it: where one is missing in front of another there are zeros. Whether anything is lost.
    pub(super) fn lose_power(&mut self, rng: &mut SmallRng) -> bool {
        let unsynced = std::mem::take(&mut self.unsynced);
        for write in unsynced.iter().rev() {
            self.now.truncate(write.len);
            self.put(write.from, &write.before);
        }
        let nothing = rng.random_ratio(1, 3);
        let mut lost = false;
        for write in &unsynced {
            let kept = match rng.random_range(0..4) {
                _ if nothing => 0,
                0 => 0,
                1 => rng.random_range(0..=write.bytes.len()),
                _ => write.bytes.len(),
            };
            lost |= kept < write.bytes.len();
            if kept > 0 {
                self.put(write.from, &write.bytes[..kept]);
            }
        }
        lost
    }
}
