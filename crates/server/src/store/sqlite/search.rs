//! Searches: the newest entries with all words, over many rooms.
//!
//! Each room is a stream of hits, newest first; the streams are merged by the place of each entry among all. What the
//! index of words does not have yet stands at the end of a room and is looked at entry by entry. Every hit is read
//! from the log and compared with the words again, so an index that is behind or damaged hides entries at worst.

use super::entry::{self, Kept};
use super::fault::Fault;
use super::head::Head;
use super::read::newest_first;
use crate::store::{Hits, Query, Words, searchable, weight};
use protocol::id::{RoomId, Seq};
use protocol::message::Found;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Entries that are looked at without the index, for one search. More are skipped: the index is far behind then.
const SCAN: u64 = 50_000;

/// Entries that are read at once.
const CHUNK: u64 = 256;

/// A search under way.
struct Search<'a> {
    db: &'a Connection,
    words: Words,
    /// Entries that may still be looked at without the index.
    scan: u64,
}

/// The hits of one room.
struct Stream {
    room: RoomId,
    head: Head,
    /// Entries before this one were not looked at.
    below: u64,
    /// Hits that were found and not taken, newest first.
    ready: VecDeque<Kept>,
}

/// Finds entries, as [`Store::search`](crate::store::Store::search) says.
pub(super) fn search(db: &Connection, query: &Query) -> Result<Hits, Fault> {
    let words = Words::parse(&query.words);
    if words.is_empty() {
        return Ok(Hits::default());
    }
    let transaction = db.unchecked_transaction()?;
    let Some(before) = before(&transaction, query)? else { return Ok(Hits::default()) };
    let mut search = Search { db: &transaction, words, scan: SCAN };
    search.merge(query, before)
}

/// The place before which hits are wanted; `None` if that entry is not kept.
fn before(db: &Connection, query: &Query) -> Result<Option<u64>, Fault> {
    match query.before {
        None => Ok(Some(u64::MAX)),
        Some((room, seq)) => Ok(entry::find(db, room, seq)?.map(|kept| kept.place)),
    }
}

impl Search<'_> {
    fn merge(&mut self, query: &Query, before: u64) -> Result<Hits, Fault> {
        let rooms: BTreeSet<_> = query.rooms.iter().copied().collect();
        let mut heads = BTreeMap::new();
        for room in rooms {
            let Some(mut stream) = self.stream(room, before)? else { continue };
            if let Some(hit) = self.next(&mut stream)? {
                heads.insert(hit.place, (hit, stream));
            }
        }
        let mut hits = Hits::default();
        let mut bytes = 0;
        while let Some((_, (hit, mut stream))) = heads.pop_last() {
            bytes += weight(&hit.entry);
            if hits.found.len() >= query.limit || bytes > query.bytes && !hits.found.is_empty() {
                hits.more = true;
                break;
            }
            hits.found.push(Found { room: hit.room, entry: hit.entry });
            if let Some(hit) = self.next(&mut stream)? {
                heads.insert(hit.place, (hit, stream));
            }
        }
        Ok(hits)
    }

    fn stream(&self, room: RoomId, before: u64) -> Result<Option<Stream>, Fault> {
        let Some(head) = Head::find(self.db, room)? else { return Ok(None) };
        let end = head.first.value() + head.len();
        let below = if before == u64::MAX { end } else { self.since(room, &head, before)? };
        Ok(Some(Stream { room, head, below, ready: VecDeque::new() }))
    }

    /// The number of the first entry of a room that has at least this place.
    fn since(&self, room: RoomId, head: &Head, place: u64) -> Result<u64, Fault> {
        let (mut low, mut high) = (head.first.value(), head.first.value() + head.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let seq = Seq::new(middle).ok_or_else(|| Fault::damaged("the numbers of a room ran out"))?;
            if entry::fetch(self.db, room, seq)?.place < place {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The next hit of a room.
    fn next(&mut self, stream: &mut Stream) -> Result<Option<Kept>, Fault> {
        while stream.ready.is_empty() && self.scan > 0 && stream.below > stream.head.first.value() {
            self.scan_chunk(stream)?;
        }
        Ok(stream.ready.pop_front())
    }

    fn scan_chunk(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        let from = stream.below.saturating_sub(CHUNK.min(self.scan)).max(stream.head.first.value());
        let looked = newest_first(self.db, stream.room, from, stream.below)?;
        self.scan -= stream.below - from;
        stream.below = from;
        stream.ready.extend(looked.into_iter().filter(|kept| is_hit(&self.words, kept)));
        Ok(())
    }
}

fn is_hit(words: &Words, kept: &Kept) -> bool {
    searchable(&kept.entry).is_some_and(|text| words.match_text(&text))
}
