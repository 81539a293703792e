//! A store that keeps some of its oldest entries and does not show them.

use super::{Batch, Change, Commit, ErasureId, Hits, Oldest, Query, Read, Snapshot, Store, StoreError};
use protocol::id::{Millis, RoomId, Seq};
use protocol::message::{Durability, Range};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store of which each [`Change::Hide`] hides the oldest entries of a room, until it ends or another one shows them.
#[derive(Clone, Debug)]
pub struct Hiding<St> {
    store: St,
    /// The oldest entry that is shown, of rooms that hide some.
    first: Arc<Mutex<BTreeMap<RoomId, Seq>>>,
}

impl<St: Store> Hiding<St> {
    /// A store that shows all that it has.
    pub fn new(store: St) -> Self {
        Self { store, first: Arc::default() }
    }

    fn firsts(&self) -> MutexGuard<'_, BTreeMap<RoomId, Seq>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn first(&self, room: RoomId) -> Seq {
        self.firsts().get(&room).copied().unwrap_or(Seq::FIRST)
    }

    /// Hides what is older than this; the newest entry is always shown, as a trim always leaves it.
    async fn hide(&self, room: RoomId, since: Option<Millis>) -> Result<(), StoreError> {
        let mut first = None;
        if let Some(time) = since {
            let mut found = self.store.read(room, Range::SinceTime { time }, 1, 0).await?;
            if found.entries.is_empty() {
                found = self.store.read(room, Range::Latest, 1, 0).await?;
            }
            first = found.entries.first().map(|entry| entry.seq).filter(|first| *first > found.oldest);
        }
        match first {
            Some(first) => drop(self.firsts().insert(room, first)),
            None => drop(self.firsts().remove(&room)),
        }
        Ok(())
    }
}

impl<St: Store> Oldest for Hiding<St> {
    fn oldest(&self, room: RoomId) -> Seq {
        self.store.oldest(room).max(self.first(room))
    }
}

impl<St: Store> Store for Hiding<St> {
    fn durability(&self) -> Durability {
        self.store.durability()
    }

    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.store.load().await
    }

    async fn append(&self, mut batch: Batch) -> Result<Commit, StoreError> {
        let is_hide = |change: &mut Change| matches!(change, Change::Hide { .. });
        let hides: Vec<_> = batch.changes.extract_if(.., is_hide).collect();
        let ended = batch.changes.iter().filter_map(|change| match change {
            Change::RoomGone { room } => Some(*room),
            _ => None,
        });
        let ended: Vec<_> = ended.collect();
        let is_all = batch.is_empty() && !hides.is_empty();
        let commit = match is_all {
            // Nothing of that is stored, so it costs no sync.
            true => Commit::of(Vec::new()),
            false => self.store.append(batch).await?,
        };
        if commit.changes.is_ok() {
            for room in ended {
                self.firsts().remove(&room);
            }
            for hide in hides {
                if let Change::Hide { room, since } = hide {
                    self.hide(room, since).await?;
                }
            }
        }
        Ok(commit)
    }

    async fn erased(&self, erasure: ErasureId) {
        self.store.erased(erasure).await;
    }

    async fn read(&self, room: RoomId, range: Range, limit: usize, bytes: usize) -> Result<Read, StoreError> {
        let first = self.first(room);
        let mut read = self.store.read(room, clip(&range, first), limit, bytes).await?;
        let is_older = read.entries.first().is_some_and(|entry| entry.seq < first);
        if is_older && matches!(range, Range::SinceTime { .. }) {
            read = self.store.read(room, Range::After { seq: first.before() }, limit, bytes).await?;
        }
        Ok(clip_read(read, &range, first))
    }

    async fn search(&self, mut query: Query) -> Result<Hits, StoreError> {
        loop {
            let mut hits = self.store.search(query.clone()).await?;
            let last = hits.found.last().map(|hit| (hit.room, hit.entry.seq));
            hits.found.retain(|hit| hit.entry.seq >= self.first(hit.room));
            // A page of nothing would look like the end.
            if !hits.found.is_empty() || !hits.more || hits.cut || last.is_none() {
                return Ok(hits);
            }
            query.before = last;
        }
    }
}

/// The same range without what is hidden, as far as numbers tell.
fn clip(range: &Range, first: Seq) -> Range {
    match range {
        Range::After { seq } if Seq::after(*seq) < first => Range::After { seq: first.before() },
        Range::Between { first: from, last } if *from < first && first <= *last => {
            Range::Between { first, last: *last }
        }
        other => other.clone(),
    }
}

fn clip_read(mut read: Read, range: &Range, first: Seq) -> Read {
    read.oldest = read.oldest.max(first);
    read.entries.retain(|entry| entry.seq >= first);
    if matches!(range, Range::Latest | Range::Before { .. } | Range::BeforeTime { .. }) {
        read.more &= read.entries.first().is_some_and(|entry| entry.seq > first);
    }
    read.more &= !read.entries.is_empty();
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryLimits, MemoryStore, NewEntry};
    use bytes::Bytes;
    use protocol::entry::EntryKind;
    use protocol::id::Epoch;

    const ALL: usize = 1 << 20;

    fn said(n: u64) -> NewEntry {
        NewEntry {
            room: RoomId::FIRST,
            time: Millis(n * 10),
            written: Millis(0),
            person: None,
            name: String::new(),
            origin: None,
            kind: EntryKind::Text,
            reply_to: None,
            body: Bytes::from(format!("tea {n}")),
            mentions: Vec::new(),
        }
    }

    /// Ten entries, at 10, 20 … 100 ms.
    async fn store() -> Hiding<MemoryStore> {
        let store = Hiding::new(MemoryStore::new(Epoch([1; 16]), MemoryLimits::default()));
        let posts = (1..=10).map(said).collect();
        store.append(Batch { posts, changes: Vec::new() }).await.unwrap();
        store
    }

    async fn hide(store: &Hiding<MemoryStore>, since: Option<u64>) {
        let change = Change::Hide { room: RoomId::FIRST, since: since.map(Millis) };
        let commit = store.append(Batch { posts: Vec::new(), changes: vec![change] }).await.unwrap();
        assert_eq!(commit.changes, Ok(()));
    }

    async fn check(store: &Hiding<MemoryStore>, range: Range, limit: usize, seqs: &[u64], more: bool) {
        let read = store.read(RoomId::FIRST, range.clone(), limit, ALL).await.unwrap();
        let found: Vec<_> = read.entries.iter().map(|entry| entry.seq.value()).collect();
        assert_eq!((&found[..], read.more), (seqs, more), "{range:?}");
        assert_eq!(read.oldest, store.oldest(RoomId::FIRST));
    }

    #[tokio::test]
    async fn what_is_hidden_is_neither_shown_nor_found_and_comes_back() {
        let store = store().await;
        hide(&store, Some(75)).await;
        let seq = |n| Seq::new(n).unwrap();
        assert_eq!(store.oldest(RoomId::FIRST), seq(8));
        check(&store, Range::Latest, 2, &[9, 10], true).await;
        check(&store, Range::Latest, 9, &[8, 9, 10], false).await;
        check(&store, Range::Before { seq: seq(10) }, 2, &[8, 9], false).await;
        check(&store, Range::Before { seq: seq(5) }, 9, &[], false).await;
        check(&store, Range::After { seq: None }, 2, &[8, 9], true).await;
        check(&store, Range::Between { first: seq(2), last: seq(9) }, 2, &[8, 9], false).await;
        check(&store, Range::Between { first: seq(2), last: seq(4) }, 9, &[], false).await;
        check(&store, Range::SinceTime { time: Millis(20) }, 2, &[8, 9], true).await;
        check(&store, Range::BeforeTime { time: Millis(90) }, 9, &[8], false).await;
        check(&store, Range::BeforeTime { time: Millis(30) }, 9, &[], false).await;
        let query = |limit| Query {
            words: "tea".to_owned(),
            rooms: vec![RoomId::FIRST],
            before: None,
            limit,
            bytes: ALL,
            ms: 1_000,
            comes_last: false,
        };
        let hits = store.search(query(9)).await.unwrap();
        assert_eq!(hits.found.len(), 3);
        let later = Query { before: Some((RoomId::FIRST, seq(8))), ..query(2) };
        assert_eq!(store.search(later).await.unwrap(), Hits::default());
        hide(&store, None).await;
        check(&store, Range::Latest, 20, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], false).await;
    }

    #[tokio::test]
    async fn the_newest_entry_is_always_shown_and_a_room_with_nothing_to_hide_shows_all() {
        let store = store().await;
        hide(&store, Some(1_000)).await;
        check(&store, Range::Latest, 9, &[10], false).await;
        hide(&store, Some(5)).await;
        assert_eq!(store.oldest(RoomId::FIRST), Seq::FIRST);
        let empty = Change::Hide { room: RoomId::FIRST.next(), since: Some(Millis(5)) };
        store.append(Batch { posts: vec![said(11)], changes: vec![empty] }).await.unwrap();
        check(&store, Range::Latest, 1, &[11], true).await;
    }
}
