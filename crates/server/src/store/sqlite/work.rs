//! One batch in the making: what it does to the tables, before it is committed or taken back as a whole.

use super::entry::{self, Kept};
use super::fault::{Fault, unless_damaged};
use super::head::{Head, Heads};
use super::index::Revised;
use super::number::{fits, int};
use super::record::Record;
use super::table::{DEVICE, MEMBER, MENTION, Seal};
use crate::store::{Batch, Change, Commit, NewEntry, weight};
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{Counter, DeviceNo, RoomId, Seq};
use protocol::limits::MAX_UNREAD_MENTIONS;
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet};

/// A batch in the making.
#[derive(Clone, Debug)]
pub(super) struct Work<'a> {
    pub db: &'a Connection,
    /// The log's own row as it will be.
    pub record: Record,
    /// Heads that changed.
    pub heads: BTreeMap<RoomId, Head>,
    committed: &'a Heads,
    /// Rooms that take no entries.
    closed: &'a BTreeSet<RoomId>,
    counters: BTreeMap<DeviceNo, Counter>,
    pub trimmed: BTreeMap<RoomId, Seq>,
    /// Rooms that still have more than they are to keep.
    pub untrimmed: BTreeSet<RoomId>,
    /// Rooms that have ended.
    pub ended: BTreeSet<RoomId>,
    /// Entries that trims of this batch let go.
    pub let_go: u64,
    /// Entries whose text is another one now or none: as they were, and as they are.
    pub revised: Vec<Revised>,
}

impl<'a> Work<'a> {
    /// Nothing yet.
    pub fn new(
        db: &'a Connection,
        record: Record,
        committed: &'a Heads,
        closed: &'a BTreeSet<RoomId>,
    ) -> Self {
        Self {
            db,
            record,
            heads: BTreeMap::new(),
            committed,
            closed,
            counters: BTreeMap::new(),
            trimmed: BTreeMap::new(),
            untrimmed: BTreeSet::new(),
            ended: BTreeSet::new(),
            let_go: 0,
            revised: Vec::new(),
        }
    }

    /// Does all of a batch: its changes, then its posts.
    pub fn apply(&mut self, batch: &Batch) -> Result<Commit, Fault> {
        batch.changes.iter().try_for_each(|change| self.make(change))?;
        self.apply_posts(batch, Self::post)
    }

    /// The same where there may be damage: what it is in the way of is left out or refused, and the rest is done.
    pub fn apply_past_damage(&mut self, batch: &Batch) -> Result<Commit, Fault> {
        for change in &batch.changes {
            if self.attempt(|work| work.make(change).map(Some))?.is_none() {
                tracing::error!(?change, "a change is not stored: what it changes is damaged");
            }
        }
        self.apply_posts(batch, |work, post| {
            let done = work.attempt(|work| {
                if let Some((device, _)) = post.origin {
                    // Its counter could not be stored with the post, which would be stored again when it is sent again.
                    DEVICE.find(work.db, &[&int(device.value())], |_| Ok(()))?;
                }
                work.post(post).map(Some)
            })?;
            Ok(done.unwrap_or_else(|| {
                tracing::error!(room = %post.room, "a post is refused: what is stored of it or its device is damaged");
                Err(Code::Damaged)
            }))
        })
    }

    /// Does something, or nothing of it if it comes upon damage.
    fn attempt<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<Option<T>, Fault>,
    ) -> Result<Option<T>, Fault> {
        let before = self.clone();
        self.db.execute_batch("SAVEPOINT part")?;
        match act(self) {
            Err(fault) if fault.is_damage() => {
                self.db.execute_batch("ROLLBACK TO part; RELEASE part")?;
                *self = before;
                Ok(None)
            }
            done => {
                self.db.execute_batch("RELEASE part")?;
                done
            }
        }
    }

    fn make(&mut self, change: &Change) -> Result<(), Fault> {
        match change {
            Change::Trim { room, keep } => self.trim(*room, keep),
            change => self.change(change),
        }
    }

    fn apply_posts(
        &mut self,
        batch: &Batch,
        apply: impl Fn(&mut Self, &NewEntry) -> Result<Result<Seq, Code>, Fault>,
    ) -> Result<Commit, Fault> {
        let mut refused: Vec<DeviceNo> = Vec::new();
        let mut posts = Vec::with_capacity(batch.posts.len());
        for post in &batch.posts {
            let device = post.origin.map(|(device, _)| device);
            let done = match device {
                Some(device) if refused.contains(&device) => Err(Code::OutOfOrder),
                _ => apply(self, post)?,
            };
            if done.is_err() {
                refused.extend(device);
            }
            posts.push(done);
        }
        let trimmed = self.trimmed.iter().map(|(room, first)| (*room, *first)).collect();
        let untrimmed = self.untrimmed.iter().copied().collect();
        Ok(Commit { trimmed, untrimmed, ..Commit::of(posts) })
    }

    /// Writes heads, counters and the log's own row: once for the whole batch.
    pub fn finish(&mut self) -> Result<(), Fault> {
        for (room, head) in &self.heads {
            head.write(self.db, &mut self.record.seal, *room)?;
        }
        for (device, counter) in std::mem::take(&mut self.counters) {
            self.count(device, counter)?;
        }
        self.record.commits += 1;
        self.record.write(self.db)
    }

    /// The head of a room as it is by now.
    pub fn head(&self, room: RoomId) -> Head {
        let committed = || if self.ended.contains(&room) { Head::default() } else { self.committed.of(room) };
        self.heads.get(&room).copied().unwrap_or_else(committed)
    }

    /// For writing to small tables.
    pub fn seal(&mut self) -> (&'a Connection, &mut Seal) {
        (self.db, &mut self.record.seal)
    }

    fn post(&mut self, post: &NewEntry) -> Result<Result<Seq, Code>, Fault> {
        if !fits(post.room) {
            return Ok(Err(Code::NoMoreRooms));
        }
        if self.closed.contains(&post.room) {
            return Ok(Err(Code::Damaged));
        }
        if post.revises()
            && let Err(code) = self.revise(post)?
        {
            return Ok(Err(code));
        }
        let mut head = self.head(post.room);
        let seq = Seq::after(head.last);
        let kept = Kept { room: post.room, place: self.record.places, entry: post.numbered(seq) };
        kept.insert(self.db)?;
        head.last = Some(seq);
        head.time = post.time;
        head.bytes += post.weight() as u64;
        self.heads.insert(post.room, head);
        self.record.places += 1;
        self.record.last_person = self.record.last_person.max(post.person);
        if let Some((device, counter)) = post.origin {
            self.record.last_device = self.record.last_device.max(Some(device));
            self.counters.insert(device, counter);
        }
        self.note_file(&kept)?;
        self.mention(post, seq)?;
        Ok(Ok(seq))
    }

    /// Takes note of whom a new entry names.
    fn mention(&mut self, post: &NewEntry, seq: Seq) -> Result<(), Fault> {
        let named = if post.revises() { post.reply_to.unwrap_or(seq) } else { seq };
        if post.revises() {
            self.forget_mentions(post.room, named, named)?;
        }
        if post.kind == EntryKind::Delete {
            return Ok(());
        }
        let (room, named) = (int(post.room.value()), int(named.value()));
        for person in &post.mentions {
            let person = int(person.value());
            let (db, seal) = self.seal();
            let read = MEMBER.find(db, &[&room, &person], |row| row.get::<_, i64>(2))?;
            if read.is_some_and(|(read, _)| read < named) {
                MENTION.put(db, seal, &[&room, &person, &named])?;
                self.bound_mentions(room, person)?;
            }
        }
        Ok(())
    }

    /// Nobody needs to know more than [`MAX_UNREAD_MENTIONS`].
    fn bound_mentions(&mut self, room: i64, person: i64) -> Result<(), Fault> {
        let (db, seal) = self.seal();
        let most = int(MAX_UNREAD_MENTIONS as u64);
        let mut statement = db.prepare_cached(
            "SELECT seq FROM mention WHERE room = ? AND person = ? ORDER BY seq DESC LIMIT -1 OFFSET ?",
        )?;
        let rows = statement.query_map(params![room, person, most], |row| row.get::<_, i64>(0))?;
        for seq in rows.collect::<Result<Vec<_>, _>>()? {
            MENTION.remove(db, seal, &[&room, &person, &seq])?;
        }
        Ok(())
    }

    /// Nobody is named by the entries from `first` to `last` any more.
    pub fn forget_mentions(&mut self, room: RoomId, first: Seq, last: Seq) -> Result<(), Fault> {
        let (db, seal) = self.seal();
        let room = int(room.value());
        let mut statement =
            db.prepare_cached("SELECT person, seq FROM mention WHERE room = ? AND seq BETWEEN ? AND ?")?;
        let range = params![room, int(first.value()), int(last.value())];
        let rows = statement.query_map(range, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        for (person, seq) in rows.collect::<Result<Vec<_>, _>>()? {
            MENTION.remove(db, seal, &[&room, &person, &seq])?;
        }
        Ok(())
    }

    /// Changes an entry in place.
    pub fn change_entry(
        &mut self,
        kept: &mut Kept,
        change: impl FnOnce(&mut Entry) -> bool,
    ) -> Result<(), Fault> {
        let before = kept.clone();
        if change(&mut kept.entry) {
            let mut head = self.head(kept.room);
            head.bytes = head.bytes.saturating_sub(weight(&before.entry) as u64) + weight(&kept.entry) as u64;
            self.heads.insert(kept.room, head);
            kept.update(self.db)?;
            if kept.entry.revision == Revision::Deleted {
                self.forget_file(kept.room, &before.entry)?;
            }
            self.revised.push((before, Some(kept.entry.clone())));
        }
        Ok(())
    }

    fn count(&mut self, device: DeviceNo, counter: Counter) -> Result<(), Fault> {
        let (db, seal) = self.seal();
        let number = int(device.value());
        let known = DEVICE.find(db, &[&number], |row| {
            Ok((row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(4)?))
        })?;
        // A guest's device ends with its connection and is not kept.
        let Some(((id, person, seen), _)) = known else { return Ok(()) };
        DEVICE.put(db, seal, &[&number, &id, &person, &int(counter.value()), &seen])
    }

    /// The entry with this number, if it is kept and sound.
    pub fn find(&self, room: RoomId, seq: Option<Seq>) -> Result<Option<Kept>, Fault> {
        match seq.filter(|seq| self.head(room).keeps(*seq)) {
            Some(seq) => unless_damaged(entry::fetch(self.db, room, seq)),
            None => Ok(None),
        }
    }
}
