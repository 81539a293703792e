//! Searches: the newest entries with all words, over many rooms.
//!
//! Each room is a stream of hits, newest first; the streams are merged by the place of each entry among all. What the
//! index of words does not have yet stands at the end of a room and is looked at entry by entry. Every hit is read
//! from the log and compared with the words again, so an index that is behind or damaged hides entries at worst.
//!
//! Hits are found newest first, so what was found when the time is over is what comes first, and a search can go on
//! behind it.

use super::entry::{self, Kept};
use super::fault::{Fault, unless_damaged};
use super::head::Head;
use super::number::{count, int, key_of, place_of};
use super::searcher::{Deadline, Searcher};
use super::slots::{first_sound, slots};
use crate::store::{Hits, Query, Words, searchable, weight};
use protocol::id::RoomId;
use protocol::message::Found;
use rusqlite::{Connection, params};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// Entries that are looked at without the index, for one search: a tenth of a second. More are skipped, when the
/// index is that far behind.
const SCAN: u64 = 20_000;

/// Entries that are read at once.
const CHUNK: u64 = 256;

/// How long a search sees the log as it was before it goes on from its numbers in the log as it is: while it is seen,
/// nothing that is deleted leaves the write-ahead log. A look at the index comes on top of it.
const SNAPSHOT: Duration = Duration::from_millis(100);

/// Hits that the index is asked for at once.
const ASKED: i64 = 64;

/// The last hits between two keys.
const HITS: &str = "SELECT rowid FROM search.word WHERE word MATCH ? AND rowid BETWEEN ? AND ? \
    ORDER BY rowid DESC LIMIT ?";

/// A search under way.
struct Search<'a> {
    db: &'a Connection,
    deadline: &'a Deadline,
    words: Words,
    /// The words as the index is asked for them.
    expression: String,
    /// Entries that may still be looked at without the index.
    scan: u64,
    /// Since when it sees the log as it sees it.
    since: Cell<Instant>,
}

/// The hits of one room.
struct Stream {
    room: RoomId,
    /// Entries before this one are gone.
    first: u64,
    /// Entries before this one are in the index. Invariant: first <= indexed.
    indexed: u64,
    /// Entries before this one were not looked at.
    below: u64,
    /// Hits that were found and not taken, newest first.
    ready: VecDeque<Kept>,
}

/// Finds entries, as [`Store::search`](crate::store::Store::search) says.
pub(super) fn search(searcher: &Searcher, query: &Query) -> Result<Hits, Fault> {
    let Searcher { db, deadline } = searcher;
    let words = Words::parse(&query.words);
    if words.is_empty() {
        return Ok(Hits::default());
    }
    let mut hits = Hits::default();
    let found = {
        let transaction = db.unchecked_transaction()?;
        deadline.begin(query.ms);
        let expression = words.expression();
        let since = Cell::new(Instant::now());
        let mut search = Search { db: &transaction, deadline, words, expression, scan: SCAN, since };
        let found = search.find(query, &mut hits);
        // What ends the transaction must not be interrupted.
        deadline.end();
        found
    };
    match found {
        Ok(()) => Ok(hits),
        Err(fault) if fault.is_interrupted() => Ok(hits.cut()),
        Err(fault) => Err(fault),
    }
}

/// The place before which hits are wanted; `None` if that entry is not kept.
fn before(db: &Connection, query: &Query) -> Result<Option<u64>, Fault> {
    match query.before {
        None => Ok(Some(u64::MAX)),
        Some((room, seq)) => Ok(unless_damaged(entry::find(db, room, seq))?.flatten().map(|kept| kept.place)),
    }
}

impl Search<'_> {
    fn find(&mut self, query: &Query, hits: &mut Hits) -> Result<(), Fault> {
        match before(self.db, query)? {
            Some(before) => self.merge(query, before, hits),
            None => Ok(()),
        }
    }

    fn merge(&mut self, query: &Query, before: u64, hits: &mut Hits) -> Result<(), Fault> {
        let mut heads = BTreeMap::new();
        for mut stream in self.streams(query, before)? {
            if let Some(hit) = self.next(&mut stream)? {
                heads.insert(hit.place, (hit, stream));
            }
        }
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
        Ok(())
    }

    /// The rooms in which there may be hits.
    fn streams(&self, query: &Query, before: u64) -> Result<Vec<Stream>, Fault> {
        let rooms: BTreeSet<_> = query.rooms.iter().copied().collect();
        let hit = self.rooms_with_hits(&rooms)?;
        let mut streams = Vec::new();
        for room in rooms {
            self.deadline.check()?;
            self.look_anew()?;
            let Some(head) = Head::find(self.db, room)? else { continue };
            let (first, end) = (head.first.value(), head.first.value() + head.len());
            let indexed = self.indexed(room)?.clamp(first, end);
            if indexed == end && !hit.contains(&room) {
                continue;
            }
            let below = if before == u64::MAX { end } else { self.since(room, &head, before)? };
            streams.push(Stream { room, first, indexed, below, ready: VecDeque::new() });
        }
        Ok(streams)
    }

    /// The rooms among these of which the index has hits. It leaps from one that has some to the one before it, so
    /// that neither many rooms without hits nor many hits elsewhere cost anything.
    fn rooms_with_hits(&self, rooms: &BTreeSet<RoomId>) -> Result<BTreeSet<RoomId>, Fault> {
        let mut hit = BTreeSet::new();
        let mut next = rooms.last().copied();
        while let Some(room) = next {
            self.deadline.check()?;
            self.look_anew()?;
            let Some(key) = self.hits(0, key_of(room, u64::MAX), 1)?.pop() else { break };
            let (found, _) = place_of(key)?;
            if found == room {
                hit.insert(room);
                next = rooms.range(..room).next_back().copied();
            } else {
                next = rooms.range(..=found).next_back().copied();
            }
        }
        Ok(hit)
    }

    fn hits(&self, low: i64, high: i64, most: i64) -> Result<Vec<i64>, Fault> {
        let mut statement = self.db.prepare_cached(HITS)?;
        let rows = statement.query_map(params![self.expression, low, high, most], |row| row.get(0));
        match rows.and_then(Iterator::collect) {
            Ok(keys) => Ok(keys),
            // The entries themselves are whole, so what the index is good for is found without it, if it is new.
            Err(error) => match Fault::Sql(error) {
                // What was given up half way may look like it.
                fault if fault.is_damage() && self.deadline.check().is_err() => Err(Fault::interrupted()),
                fault if fault.is_damage() => Ok(Vec::new()),
                fault => Err(fault),
            },
        }
    }

    /// Entries of a room before this one are in the index.
    fn indexed(&self, room: RoomId) -> Result<u64, Fault> {
        let mut statement = self.db.prepare_cached("SELECT seq FROM search.done WHERE room = ?")?;
        let mut rows = statement.query([int(room.value())])?;
        let last = rows.next()?.map(|row| count(row, 0)).transpose()?;
        Ok(last.map_or(0, |last| last + 1))
    }

    /// The number of the first entry of a room that has at least this place.
    fn since(&self, room: RoomId, head: &Head, place: u64) -> Result<u64, Fault> {
        let (mut low, mut high) = (head.first.value(), head.first.value() + head.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match first_sound(self.db, room, middle, high)? {
                Some(kept) if kept.place < place => low = kept.entry.seq.value() + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The next hit of a room.
    fn next(&mut self, stream: &mut Stream) -> Result<Option<Kept>, Fault> {
        while stream.ready.is_empty() && stream.below > stream.first {
            self.deadline.check()?;
            self.look_anew()?;
            if stream.below <= stream.indexed {
                self.ask_index(stream)?;
            } else if self.scan > 0 {
                self.scan_chunk(stream)?;
            } else {
                stream.below = stream.indexed;
            }
        }
        Ok(stream.ready.pop_front())
    }

    /// Sees the log as it is now, if this search has seen it as it was for long enough. Entries keep their numbers, and
    /// what was trimmed or deleted meanwhile is not found.
    fn look_anew(&self) -> Result<(), Fault> {
        if self.since.get().elapsed() >= SNAPSHOT {
            self.db.execute_batch("COMMIT; BEGIN")?;
            self.since.set(Instant::now());
        }
        Ok(())
    }

    fn ask_index(&self, stream: &mut Stream) -> Result<(), Fault> {
        let (low, high) = (key_of(stream.room, stream.first), key_of(stream.room, stream.below) - 1);
        let keys = self.hits(low, high, ASKED)?;
        let is_last = keys.len() < usize::try_from(ASKED).unwrap_or(usize::MAX);
        for key in keys {
            let (room, seq) = place_of(key)?;
            stream.below = seq.value();
            let found = unless_damaged(entry::find(self.db, room, seq))?.flatten();
            stream.ready.extend(found.filter(|kept| is_hit(&self.words, kept)));
        }
        if is_last {
            stream.below = stream.first;
        }
        Ok(())
    }

    fn scan_chunk(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        let from = stream.below.saturating_sub(CHUNK.min(self.scan)).max(stream.indexed);
        let looked = slots(self.db, stream.room, from, stream.below)?;
        self.scan -= stream.below - from;
        stream.below = from;
        let newest_first = looked.into_iter().rev().flatten();
        stream.ready.extend(newest_first.filter(|kept| is_hit(&self.words, kept)));
        Ok(())
    }
}

fn is_hit(words: &Words, kept: &Kept) -> bool {
    searchable(&kept.entry).is_some_and(|text| words.match_text(&text))
}
