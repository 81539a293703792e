//! One room's entries in memory: numbered, read, revised, trimmed.

use super::{Keep, NewEntry, Read, nearest, weight};
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind};
use protocol::id::{Millis, Seq};
use protocol::message::Range;
use std::collections::VecDeque;

/// An entry, and when it was stored among those of all rooms.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub entry: Entry,
    /// Grows with each entry of the store.
    pub place: u64,
}

/// Invariant: entry i has the number `first + i`; `bytes` is the sum of the entries' weights.
#[derive(Clone, Debug)]
pub(super) struct History {
    first: Seq,
    entries: VecDeque<Kept>,
    bytes: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { first: Seq::FIRST, entries: VecDeque::new(), bytes: 0 }
    }
}

impl History {
    /// The oldest entry that is kept; one more than the newest if there is none.
    pub fn first(&self) -> Seq {
        self.first
    }

    /// The number of the entry that comes next.
    pub fn end(&self) -> Seq {
        Seq::new(self.first.value() + self.entries.len() as u64).expect("a log in memory is short")
    }

    /// The sum of the entries' weights.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many entries are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The newest entry.
    pub fn newest(&self) -> Option<&Entry> {
        self.entries.back().map(|kept| &kept.entry)
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Kept> {
        self.entries.iter()
    }

    /// The entry with this number, if it is kept.
    pub fn find(&self, seq: Seq) -> Option<&Kept> {
        let offset = seq.value().checked_sub(self.first.value())?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// The newest entry that was stored before this place.
    pub fn before(&self, place: u64) -> Option<&Kept> {
        self.entries.partition_point(|kept| kept.place < place).checked_sub(1).map(|at| &self.entries[at])
    }

    /// Appends an entry, and makes the changes that follow from it.
    pub fn push(&mut self, post: &NewEntry, place: u64) -> Result<Seq, Code> {
        if post.revises() {
            let target = post.reply_to.and_then(|seq| self.find(seq)).ok_or(Code::NoSuchEntry)?;
            post.check_target(&target.entry)?;
            self.revise(post);
        }
        let seq = self.end();
        self.bytes += post.weight();
        self.entries.push_back(Kept { entry: post.numbered(seq), place });
        Ok(seq)
    }

    fn revise(&mut self, post: &NewEntry) {
        // What is changed stands from the target on: the target itself, and for a delete its edits.
        let from = post.reply_to.map_or(self.entries.len(), |target| self.index(target));
        let most = if post.kind == EntryKind::Edit { 1 } else { usize::MAX };
        for kept in self.entries.range_mut(from..).take(most) {
            let before = weight(&kept.entry);
            if post.revise(&mut kept.entry) {
                self.bytes = self.bytes - before + weight(&kept.entry);
            }
        }
    }

    /// Lets the oldest entry go, and tells how much it weighed.
    pub fn pop_oldest(&mut self) -> usize {
        let Some(kept) = self.entries.pop_front() else {
            return 0;
        };
        let weight = weight(&kept.entry);
        self.first = self.first.next();
        self.bytes -= weight;
        weight
    }

    /// Whether the oldest entry goes beyond what is to be kept.
    pub fn exceeds(&self, keep: &Keep) -> bool {
        let oldest = self.entries.front().map_or(Millis(0), |kept| kept.entry.time);
        self.entries.len() > 1
            && (keep.since.is_some_and(|since| oldest < since)
                || keep.count.is_some_and(|count| self.entries.len() as u64 > count)
                || keep.bytes.is_some_and(|bytes| self.bytes as u64 > bytes))
    }

    /// The index of the first entry with at least this number, at most `entries.len()`.
    fn index(&self, seq: Seq) -> usize {
        let offset = seq.value().saturating_sub(self.first.value());
        usize::try_from(offset).unwrap_or(usize::MAX).min(self.entries.len())
    }

    fn since(&self, time: Millis) -> usize {
        self.entries.partition_point(|kept| kept.entry.time < time)
    }

    /// Entries of a range, as [`Store::read`](super::Store::read) says.
    pub fn read(&self, range: &Range, limit: usize, bytes: usize) -> Read {
        let len = self.entries.len();
        let last = |to| (0, to, true);
        let first = |from| (from, len, false);
        // Where the entries may lie, and whether those at the end are wanted first.
        let (from, to, backward) = match range {
            Range::Latest => last(len),
            Range::Before { seq } => last(self.index(*seq)),
            Range::After { seq } => first(self.index(Seq::after(*seq))),
            Range::Around { seq } => return self.around(self.index(*seq), limit, bytes),
            Range::Between { first, last } => (self.index(*first), self.index(last.next()), false),
            Range::BeforeTime { time } => last(self.since(*time)),
            Range::SinceTime { time } => first(self.since(*time)),
        };
        let from = from.min(to);
        let count = if backward {
            fitting(self.entries.range(from..to).rev(), limit, bytes)
        } else {
            fitting(self.entries.range(from..to), limit, bytes)
        };
        let taken = if backward { to - count..to } else { from..from + count };
        self.taken(taken, count < to - from)
    }

    fn around(&self, at: usize, limit: usize, bytes: usize) -> Read {
        let (older, newer) = (self.entries.range(..at).rev(), self.entries.range(at..));
        let half = (limit / 2).min(at);
        let weigh = |kept: &Kept| weight(&kept.entry);
        let (before, after) =
            nearest(older.take(half).map(weigh), newer.take(limit - half).map(weigh), bytes);
        let taken = at - before..at + after;
        let more = taken.len() < self.entries.len();
        self.taken(taken, more)
    }

    fn taken(&self, taken: std::ops::Range<usize>, more: bool) -> Read {
        let entries = self.entries.range(taken).map(|kept| kept.entry.clone()).collect();
        Read { entries, oldest: self.first, more }
    }
}

/// How many of the entries fit: at most `limit`, of about at most `bytes`, at least one.
fn fitting<'a>(entries: impl Iterator<Item = &'a Kept>, limit: usize, bytes: usize) -> usize {
    let mut total = 0;
    entries
        .take(limit)
        .enumerate()
        .take_while(|(at, kept)| {
            total += weight(&kept.entry);
            *at == 0 || total <= bytes
        })
        .count()
}
