//! The head of a room's log, shared between the hub, which appends, and all writers, which read.
//!
//! It keeps the newest blocks in memory; what is older is read from the store. A cursor that was given all
//! pieces up to the head has missed nothing: blocks are contiguous and end at the head.

use crate::block::Block;
use crate::files::ClassicFile;
use crate::limits::Portions;
use crate::revisions::Revisions;
use crate::roster::RosterLog;
use crate::store::NewEntry;
use crate::voice::Label;
use bytes::Bytes;
use protocol::entry::Entry;
use protocol::id::{PersonId, RoomId, Seq};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The shared end of one room.
#[derive(Debug)]
pub struct RoomLog {
    /// The room.
    pub room: RoomId,
    /// How classic readers are told of it.
    pub label: Label,
    end: Mutex<End>,
}

/// What changes: the newest blocks and the roster.
#[derive(Debug)]
pub struct End {
    tail: Tail,
    /// Who is there.
    pub roster: RosterLog,
}

/// The newest blocks.
///
/// Invariant: the blocks are contiguous and the last one ends at `head`; `bytes` is their sum; none ends before
/// `first`.
#[derive(Debug)]
pub struct Tail {
    head: Option<Seq>,
    /// Nothing before it is given to anybody: the room is not kept further back.
    first: Seq,
    blocks: VecDeque<Arc<Block>>,
    bytes: usize,
    /// Bytes and blocks that it keeps.
    most: (usize, usize),
}

/// How a reader sees a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// Native frames.
    Native,
    /// Classic frames, less the reader's own lines.
    Classic {
        /// The reader.
        me: PersonId,
        /// Whether they stand in this room.
        current: bool,
    },
}

/// Something that a reader is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPiece {
    /// Whole frames; may be empty when the reader skips what it said itself.
    pub bytes: Bytes,
    /// The entry that the reader wants next after it.
    pub next: Seq,
    /// A file that follows the bytes at once (classic readers only).
    pub file: Option<Arc<ClassicFile>>,
}

/// What a reader gets next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Pieces in order. Empty at the head.
    Pieces(Vec<LogPiece>),
    /// The next entry is older than the tail: read it from the store.
    InStore,
}

impl RoomLog {
    /// The end of a room whose newest entry is `head`.
    pub fn new(room: RoomId, label: Label, head: Option<Seq>, portions: Portions) -> Self {
        let most = (portions.tail_bytes, portions.tail_blocks);
        let tail = Tail { head, first: Seq::FIRST, blocks: VecDeque::new(), bytes: 0, most };
        Self { room, label, end: Mutex::new(End { tail, roster: RosterLog::default() }) }
    }

    /// The end, locked for a moment.
    pub fn end(&self) -> MutexGuard<'_, End> {
        // No code panics while it holds the lock; if one did, the end would still be whole.
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest entry.
    pub fn head(&self) -> Option<Seq> {
        self.end().tail.head
    }

    /// What a reader whose next entry is `next` gets, up to about `bytes`.
    pub fn read(&self, next: Seq, view: View, bytes: usize) -> Next {
        self.end().tail.read(next, view, &self.label, bytes)
    }

    /// Roster frames that a reader at version `seen` has missed, and the version after them.
    pub fn read_roster(&self, seen: u64, view: View) -> (Vec<Bytes>, u64) {
        let end = self.end();
        let roster = &end.roster;
        if roster.version() == seen {
            return (Vec::new(), seen);
        }
        let frames = match view {
            View::Native => roster.native_after(seen),
            View::Classic { me, current: true } => roster.classic_after(seen, me),
            View::Classic { current: false, .. } => Vec::new(),
        };
        (frames, roster.version())
    }

    /// Appends blocks that follow the head.
    pub fn push(&self, blocks: Vec<Block>) {
        let mut end = self.end();
        blocks.into_iter().for_each(|block| end.tail.push(block));
    }

    /// Appends entries that follow the head, and makes the changes that some of them make, all in one moment.
    ///
    /// `revisions` are the edits and deletes among the entries, in their order.
    pub fn publish(&self, mut entries: Vec<Entry>, revisions: &[NewEntry]) {
        let revisions = Revisions::of(revisions);
        if !revisions.is_empty() {
            for entry in &mut entries {
                revisions.revise(entry);
            }
        }
        let blocks = Block::encode(self.room, &entries);
        let mut end = self.end();
        if !revisions.is_empty() {
            end.tail.revise(&revisions);
        }
        blocks.into_iter().for_each(|block| end.tail.push(block));
    }

    /// Gives nothing from before this entry to anybody any more.
    pub fn trim(&self, first: Seq) {
        self.end().tail.trim(first);
    }

    /// Lets go of all blocks of a room that has been quiet; readers that lag read from the store.
    pub fn forget_tail(&self) {
        let mut end = self.end();
        end.tail.blocks = VecDeque::new();
        end.tail.bytes = 0;
    }
}

impl Tail {
    fn revise(&mut self, by: &Revisions<'_>) {
        let mut blocks = VecDeque::with_capacity(self.blocks.len());
        for block in self.blocks.drain(..) {
            let Some(revised) = block.revised(by) else {
                blocks.push_back(block);
                continue;
            };
            self.bytes -= block.len();
            for block in revised {
                self.bytes += block.len();
                blocks.push_back(Arc::new(block));
            }
        }
        self.blocks = blocks;
    }

    fn trim(&mut self, first: Seq) {
        self.first = self.first.max(first);
        while self.blocks.front().is_some_and(|block| block.last < first) {
            self.bytes -= self.blocks.pop_front().map_or(0, |block| block.len());
        }
    }

    fn push(&mut self, block: Block) {
        debug_assert_eq!(block.first, Seq::after(self.head), "blocks are contiguous");
        self.head = Some(block.last);
        self.bytes += block.len();
        self.blocks.push_back(Arc::new(block));
        let (bytes, blocks) = self.most;
        while self.bytes > bytes && self.blocks.len() > 1 || self.blocks.len() > blocks {
            let Some(oldest) = self.blocks.pop_front() else {
                return;
            };
            self.bytes -= oldest.len();
        }
    }

    fn read(&self, next: Seq, view: View, label: &Label, bytes: usize) -> Next {
        if next > self.head.map_or(Seq::FIRST, Seq::next) {
            // A cursor past the head would be a broken promise; it gets nothing until the head comes by.
            debug_assert!(false, "a cursor stands past the head");
            return Next::Pieces(Vec::new());
        }
        if next == Seq::after(self.head) {
            return Next::Pieces(Vec::new());
        }
        if next < self.first || self.blocks.front().is_none_or(|oldest| next < oldest.first) {
            return Next::InStore;
        }
        let from = self.blocks.partition_point(|block| block.last < next);
        let mut pieces = Vec::new();
        let mut total = 0;
        for block in self.blocks.range(from..) {
            match view {
                View::Native => {
                    let bytes = block.native_from(next);
                    pieces.push(LogPiece { bytes, next: block.last.next(), file: None });
                }
                View::Classic { me, current } => pieces.extend(block.classic_from(next, me, label, current)),
            }
            total += block.len();
            if total >= bytes {
                break;
            }
        }
        Next::Pieces(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocol::entry::EntryKind;
    use protocol::id::Millis;
    use std::time::Duration;
    use tokio::time::Instant;

    fn entry(kind: EntryKind, reply_to: Option<u64>) -> NewEntry {
        NewEntry {
            room: RoomId::FIRST,
            time: Millis(1),
            written: Millis(0),
            person: Some(PersonId::FIRST),
            name: "alice".to_owned(),
            origin: None,
            kind,
            reply_to: reply_to.and_then(Seq::new),
            body: Bytes::from_static(b"words"),
            mentions: Vec::new(),
        }
    }

    /// How long it takes to publish texts, and then as many deletes of them, in one batch each.
    fn took(count: u64) -> [Duration; 2] {
        let log = RoomLog::new(RoomId::FIRST, Label::Room("lobby".to_owned()), None, Portions::default());
        let numbered = |from: u64, entries: &[NewEntry]| -> Vec<Entry> {
            let numbers = (from..).filter_map(Seq::new);
            entries.iter().zip(numbers).map(|(entry, seq)| entry.numbered(seq)).collect()
        };
        let texts: Vec<_> = (0..count).map(|_| entry(EntryKind::Text, None)).collect();
        let deletes: Vec<_> = (1..=count).map(|of| entry(EntryKind::Delete, Some(of))).collect();
        [(1, &texts, &[][..]), (count + 1, &deletes, &deletes[..])].map(|(from, entries, revisions)| {
            let entries = numbered(from, entries);
            let begun = Instant::now();
            log.publish(entries, revisions);
            begun.elapsed()
        })
    }

    #[test]
    fn a_batch_of_deletes_costs_about_what_its_entries_cost() {
        let took: Vec<_> = (0..5).map(|_| took(20_000)).collect();
        let best = |of: usize| took.iter().map(|took| took[of]).min().unwrap_or_default();
        // Were each entry looked at for each delete, it would be 100 times as long and more.
        assert!(best(1) < 20 * best(0), "{:?} for texts, {:?} for deletes", best(0), best(1));
    }
}
