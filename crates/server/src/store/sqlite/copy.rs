//! A whole log copied from one database to another: what backups and restores are made of.
//!
//! The small tables are read in one moment, which decides what is copied; entries follow in slices, each in a short
//! transaction, so that a running server is not kept from anything. What happens to entries meanwhile (an edit, a
//! delete, a trim) is copied as it is by then, and what the small tables know of entries is made from what was copied.
//! So the copy is whole in itself, and never knows a text that was deleted before its entry's turn came. A damaged entry
//! is none in the copy: there is one that says so in its place.

use super::entry::{self, Kept};
use super::fault::{Fault, unless_damaged};
use super::file;
use super::head::Head;
use super::load::Loaded;
use super::number::int;
use super::server;
use super::slots::slots;
use super::spoke;
use super::table::{BLOCK, DEVICE, EDIT, FETCHED, MEMBER, MENTION, PERSON, ROOM, Seal};
use super::unique::Unique;
use crate::store::{RoomShape, Snapshot, StoredFile, weight};
use protocol::entry::{EntryKind, Revision};
use protocol::id::{ContentHash, Millis, RoomId, Seq};
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// Entries that are copied at once.
const SLICE: u64 = 2_000;

/// An entry that is damaged: the copy says so in its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Hole {
    /// Its place among all entries is below this one, that of the next entry of the room.
    below: u64,
    room: RoomId,
    seq: Seq,
    time: Millis,
    /// Its place is at least this one.
    from: u64,
}

/// What became of damaged entries.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// Those that are lost: in their places the copy has entries that say so.
    pub holes: Vec<(RoomId, Seq)>,
    /// Those that are in the copy what they were.
    pub corrected: Vec<(RoomId, Seq)>,
    /// Those of files whose contents are lost: the copy says so in their places.
    pub lost_files: Vec<(RoomId, Seq)>,
}

/// How damage is mended as it is copied.
#[derive(Clone, Copy)]
pub(super) struct Mending<'a> {
    /// An empty log to try things in: damaged entries are corrected where that is possible.
    pub bench: &'a Connection,
    /// Contents that are damaged: entries of these files say so.
    pub lost: &'a BTreeSet<ContentHash>,
}

/// Copies everything that `loaded` knows, whose seal it makes anew. `progress` is told of each slice.
pub(super) fn copy(
    from: &Connection,
    to: &mut Connection,
    loaded: &mut Loaded,
    mending: Option<Mending<'_>>,
    mut progress: impl FnMut(u64),
) -> Result<Copied, Fault> {
    let mut seal = Seal::default();
    let transaction = to.transaction()?;
    let (mut holes, mut places) = (Vec::new(), Unique::default());
    let mut result = Copied::default();
    for (room, head) in &mut loaded.heads {
        let end = loaded.record.places;
        let mut copier = Copier::new(from, &transaction, *room, *head, end, &mut places);
        copier.mending = mending;
        *head = copier.copy(&mut seal, &mut progress)?;
        holes.append(&mut copier.holes);
        result.lost_files.extend(copier.lost_files.iter().map(|seq| (*room, *seq)));
        result.corrected.extend(copier.corrected.iter().map(|seq| (*room, *seq)));
    }
    result.holes.extend(holes.iter().map(|hole| (hole.room, hole.seq)));
    fill(&transaction, holes, &places)?;
    copy_fetched(&transaction, &mut seal, &loaded.snapshot)?;
    copy_people(&transaction, &mut seal, &loaded.snapshot)?;
    copy_rooms(&transaction, &mut seal, loaded)?;
    spoke::write(&transaction, &mut seal, &loaded.snapshot.spoke)?;
    for (person, other) in &loaded.snapshot.blocks {
        BLOCK.put(&transaction, &mut seal, &[&int(person.value()), &int(other.value())])?;
    }
    loaded.marks.write(&transaction, &mut seal)?;
    server::write(&transaction, loaded.snapshot.server)?;
    loaded.record.seal = seal;
    loaded.record.write(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

/// Copies one room.
struct Copier<'a> {
    from: &'a Connection,
    to: &'a Connection,
    room: RoomId,
    head: Head,
    /// No entry has this place or a later one.
    end: u64,
    places: &'a mut Unique,
    /// What was copied so far.
    copied: Head,
    deleted: BTreeSet<Seq>,
    holes: Vec<Hole>,
    corrected: Vec<Seq>,
    mending: Option<Mending<'a>>,
    /// Files whose contents are lost.
    lost_files: Vec<Seq>,
    /// The place after that of the last sound entry, and its time.
    after: u64,
    time: Option<Millis>,
}

impl<'a> Copier<'a> {
    fn new(
        from: &'a Connection,
        to: &'a Connection,
        room: RoomId,
        head: Head,
        end: u64,
        places: &'a mut Unique,
    ) -> Self {
        let copied = Head { first: head.first, last: None, time: head.time, bytes: 0 };
        Self {
            from,
            to,
            room,
            head,
            end,
            places,
            copied,
            deleted: BTreeSet::new(),
            holes: Vec::new(),
            corrected: Vec::new(),
            mending: None,
            lost_files: Vec::new(),
            after: 0,
            time: None,
        }
    }

    /// Copies a room's entries, and tells where its log begins and ends by then.
    fn copy(&mut self, seal: &mut Seal, progress: &mut impl FnMut(u64)) -> Result<Head, Fault> {
        let end = self.head.first.value() + self.head.len();
        let mut at = self.head.first.value();
        while at < end {
            let to = end.min(at + SLICE);
            let (first, slice) = slice(self.from, self.room, at, to)?;
            for (number, slot) in (first..).zip(slice) {
                let seq = Seq::new(number).ok_or_else(|| Fault::damaged("the numbers of a room ran out"))?;
                if self.copied.last.is_none() {
                    self.copied.first = seq;
                }
                self.copied.last = Some(seq);
                match slot {
                    Some(kept) => self.take_sound(kept, seal)?,
                    None => self.take_damaged(seq, seal)?,
                }
            }
            progress(to - at);
            at = to;
        }
        if self.copied.last != self.head.last {
            return Err(Fault::damaged(format!("the last entries of room {} are missing", self.room)));
        }
        if let Some(time) = self.time.filter(|_| self.copied.last.is_some()) {
            self.copied.time = time;
        }
        self.copied.write(self.to, seal, self.room)?;
        Ok(self.copied)
    }

    /// Takes an entry, or says in its place that its file is lost.
    fn take_sound(&mut self, mut kept: Kept, seal: &mut Seal) -> Result<(), Fault> {
        let hash = StoredFile::of(self.room, &kept.entry).map(|file| file.hash);
        let is_lost = |hash| self.mending.is_some_and(|mending| mending.lost.contains(&hash));
        if hash.is_some_and(is_lost) {
            self.lost_files.push(kept.entry.seq);
            kept.entry = entry::lost_file(&kept.entry);
        }
        self.take(&kept, seal)
    }

    fn take(&mut self, kept: &Kept, seal: &mut Seal) -> Result<(), Fault> {
        let (seq, time) = (kept.entry.seq, kept.entry.time);
        for hole in self.holes.iter_mut().rev().take_while(|hole| hole.below == self.end) {
            hole.below = kept.place;
            if self.time.is_none() {
                hole.time = time;
            }
        }
        (self.after, self.time) = (kept.place + 1, Some(time));
        self.places.add_place(kept.place);
        self.copied.bytes += weight(&kept.entry) as u64;
        if kept.entry.revision == Revision::Deleted {
            self.deleted.insert(seq);
        }
        kept.insert(self.to)?;
        derive(self.to, seal, kept, self.copied.first, &self.deleted)
    }

    fn take_damaged(&mut self, seq: Seq, seal: &mut Seal) -> Result<(), Fault> {
        if let Some(Mending { bench, .. }) = self.mending
            && let Some(kept) = entry::correct(self.from, bench, self.room, seq)?
        {
            self.corrected.push(seq);
            return self.take_sound(kept, seal);
        }
        let time = self.time.unwrap_or(self.head.time);
        self.copied.bytes += weight(&entry::hole(seq, time)) as u64;
        self.holes.push(Hole { below: self.end, room: self.room, seq, time, from: self.after });
        Ok(())
    }
}

/// The entries from one number to before another, and which number the first of them has: a running server may have
/// trimmed some meanwhile.
fn slice(db: &Connection, room: RoomId, from: u64, to: u64) -> Result<(u64, Vec<Option<Kept>>), Fault> {
    let transaction = db.unchecked_transaction()?;
    let head = unless_damaged(Head::find(&transaction, room))?.flatten();
    let first = head.map_or(from, |head| head.first.value()).clamp(from, to);
    Ok((first, slots(&transaction, room, first, to)?))
}

/// Gives each hole a place that no entry has, between those of its neighbours, and writes it.
fn fill(db: &Connection, mut holes: Vec<Hole>, places: &Unique) -> Result<(), Fault> {
    holes.sort_by_key(|hole| hole.from);
    let mut holes = holes.into_iter().peekable();
    // Those that may have the place that is looked at: the one with the nearest end comes first, so that as many as
    // can be are placed.
    let mut waiting = BTreeSet::new();
    let mut place = 0;
    loop {
        if waiting.is_empty() {
            match holes.peek() {
                Some(hole) => place = place.max(hole.from),
                None => return Ok(()),
            }
        }
        while let Some(hole) = holes.next_if(|hole| hole.from <= place) {
            waiting.insert(hole);
        }
        if !places.has_place(place)
            && let Some(Hole { below, room, seq, time, .. }) = waiting.pop_first()
        {
            if place >= below {
                return Err(Fault::damaged(format!("there is no place for entry {seq} of room {room}")));
            }
            Kept { room, place, entry: entry::hole(seq, time) }.insert(db)?;
        }
        place += 1;
    }
}

/// What the small tables know of an entry.
fn derive(
    db: &Connection,
    seal: &mut Seal,
    kept: &Kept,
    first: Seq,
    deleted: &BTreeSet<Seq>,
) -> Result<(), Fault> {
    let (room, seq) = (int(kept.room.value()), int(kept.entry.seq.value()));
    file::note(db, seal, kept)?;
    let is_edit = kept.entry.kind == EntryKind::Edit && kept.entry.revision != Revision::Deleted;
    if let Some(target) =
        kept.entry.reply_to.filter(|target| is_edit && *target >= first && !deleted.contains(target))
    {
        EDIT.put(db, seal, &[&room, &int(target.value()), &seq])?;
    }
    Ok(())
}

/// Who has fetched what, of the files that were copied.
fn copy_fetched(db: &Connection, seal: &mut Seal, snapshot: &Snapshot) -> Result<(), Fault> {
    for (room, seq, person) in &snapshot.fetched {
        let (room, seq) = (int(room.value()), int(seq.value()));
        let mut statement =
            db.prepare_cached("SELECT EXISTS (SELECT 1 FROM file WHERE room = ? AND seq = ?)")?;
        if statement.query_row(params![room, seq], |row| row.get::<_, bool>(0))? {
            FETCHED.put(db, seal, &[&room, &seq, &int(person.value())])?;
        }
    }
    Ok(())
}

fn copy_people(db: &Connection, seal: &mut Seal, snapshot: &Snapshot) -> Result<(), Fault> {
    for (person, name, credential) in &snapshot.people {
        let credential = credential.map(|hash| hash.0.to_vec());
        PERSON.put(db, seal, &[&int(person.value()), name, &credential])?;
    }
    for known in &snapshot.devices {
        let counter = known.counter.map_or(0, |counter| int(counter.value()));
        let (device, person) = (int(known.device.value()), int(known.person.value()));
        DEVICE.put(db, seal, &[&device, &known.id.0, &person, &counter, &int(known.seen.0)])?;
    }
    Ok(())
}

fn copy_rooms(db: &Connection, seal: &mut Seal, loaded: &Loaded) -> Result<(), Fault> {
    for known in &loaded.snapshot.rooms {
        let room = int(known.room.value());
        let (name, low, high) = match &known.shape {
            RoomShape::Public { name } => (Some(name), None, None),
            RoomShape::Direct(low, high) => (None, Some(int(low.value())), Some(int(high.value()))),
        };
        ROOM.put(db, seal, &[&room, &name, &low, &high, &known.topic])?;
        let first = loaded.heads.get(&known.room).map_or(Seq::FIRST, |head| head.first);
        for member in &known.members {
            let person = int(member.person.value());
            let read = member.read.map_or(0, |seq| int(seq.value()));
            MEMBER.put(db, seal, &[&room, &person, &read])?;
            for seq in member.mentions.iter().filter(|seq| **seq >= first) {
                MENTION.put(db, seal, &[&room, &person, &int(seq.value())])?;
            }
        }
    }
    Ok(())
}
