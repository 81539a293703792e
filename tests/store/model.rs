//! The naive model: everything that was ever stored in one `Vec`, and each answer found by looking at all of it.

use super::posts::{room, seq};
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{DeviceNo, PersonId, RoomId, Seq};
use protocol::message::Range;
use server::store::{Batch, Change, Commit, Hits, Keep, NewEntry, Query, Read, Words, searchable, weight};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
struct Stored {
    room: RoomId,
    entry: Entry,
    named: BTreeSet<PersonId>,
    kept: bool,
}

/// All that was said, oldest first, kept or not.
#[derive(Clone, Debug, Default)]
pub struct Model {
    stored: Vec<Stored>,
    /// Members and what they have read.
    members: BTreeMap<(RoomId, PersonId), Option<Seq>>,
}

impl Model {
    pub fn append(&mut self, batch: &Batch) -> Commit {
        let before = self.clone();
        batch.changes.iter().for_each(|change| self.change(change));
        let trimmed: BTreeSet<_> = batch.changes.iter().filter_map(trimmed_room).collect();
        let trimmed = trimmed.into_iter().filter(|room| self.oldest(*room) != before.oldest(*room));
        let trimmed = trimmed.map(|room| (room, self.oldest(room))).collect();
        let mut refused = BTreeSet::new();
        let posts = batch.posts.iter().map(|post| self.post(post, &mut refused)).collect();
        Commit { trimmed, ..Commit::of(posts) }
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Member { room, person, joined: true } => {
                self.members.entry((*room, *person)).or_insert(None);
            }
            Change::Member { room, person, joined: false } => {
                self.members.remove(&(*room, *person));
                let here = self.stored.iter_mut().filter(|stored| stored.room == *room);
                here.for_each(|stored| {
                    stored.named.remove(person);
                });
            }
            Change::Mark { room, person, seq } => {
                if let Some(read) = self.members.get_mut(&(*room, *person)) {
                    *read = (*read).max(Some(*seq));
                }
            }
            Change::Trim { room, keep } => {
                while self.goes_beyond(*room, keep) {
                    let oldest = self.stored.iter_mut().find(|stored| stored.kept && stored.room == *room);
                    oldest.unwrap().kept = false;
                }
            }
            _ => {}
        }
    }

    fn goes_beyond(&self, room: RoomId, keep: &Keep) -> bool {
        let kept = self.kept(room);
        let bytes: usize = kept.iter().map(|stored| weight(&stored.entry)).sum();
        kept.len() > 1
            && (keep.count.is_some_and(|count| kept.len() as u64 > count)
                || keep.bytes.is_some_and(|most| bytes as u64 > most)
                || keep.since.is_some_and(|since| kept[0].entry.time < since))
    }

    fn post(&mut self, post: &NewEntry, refused: &mut BTreeSet<DeviceNo>) -> Result<Seq, Code> {
        let device = post.origin.map(|(device, _)| device);
        if device.is_some_and(|device| refused.contains(&device)) {
            return Err(Code::OutOfOrder);
        }
        let members: BTreeSet<_> =
            self.members.keys().filter(|(r, _)| *r == post.room).map(|(_, p)| *p).collect();
        let named: BTreeSet<_> =
            post.mentions.iter().filter(|person| members.contains(person)).copied().collect();
        if post.revises()
            && let Err(code) = self.revise(post, &named)
        {
            refused.extend(device);
            return Err(code);
        }
        let number = self.stored.iter().filter(|stored| stored.room == post.room).count() as u64 + 1;
        let named = if post.revises() { BTreeSet::new() } else { named };
        let entry = post.numbered(seq(number));
        self.stored.push(Stored { room: post.room, entry, named, kept: true });
        Ok(seq(number))
    }

    fn revise(&mut self, post: &NewEntry, named: &BTreeSet<PersonId>) -> Result<(), Code> {
        let is_target = |stored: &Stored| {
            stored.kept && stored.room == post.room && Some(stored.entry.seq) == post.reply_to
        };
        let at = self.stored.iter().position(is_target).ok_or(Code::NoSuchEntry)?;
        let target = &mut self.stored[at];
        let by_server = post.person.is_none() && target.entry.kind == EntryKind::FileOffer;
        if !by_server && (post.person.is_none() || target.entry.person != post.person) {
            return Err(Code::NotAllowed);
        }
        let (said, other) = (
            [EntryKind::Text, EntryKind::Action].contains(&target.entry.kind),
            [EntryKind::Reaction, EntryKind::File, EntryKind::FileOffer, EntryKind::Opaque]
                .contains(&target.entry.kind),
        );
        if !(said || other && post.kind == EntryKind::Delete) {
            return Err(Code::NotAllowed);
        }
        if target.entry.revision == Revision::Deleted {
            return Err(Code::NoSuchEntry);
        }
        if post.kind == EntryKind::Edit {
            target.entry.body = post.body.clone();
            target.entry.revision = Revision::Edited;
            target.named = named.clone();
            return Ok(());
        }
        target.named = BTreeSet::new();
        let of_target = |stored: &&mut Stored| {
            let edits = stored.entry.kind == EntryKind::Edit && stored.entry.reply_to == post.reply_to;
            stored.room == post.room && (edits || Some(stored.entry.seq) == post.reply_to)
        };
        for stored in self.stored.iter_mut().filter(of_target) {
            stored.entry.body = bytes::Bytes::new();
            stored.entry.revision = Revision::Deleted;
        }
        Ok(())
    }

    fn kept(&self, room: RoomId) -> Vec<&Stored> {
        self.stored.iter().filter(|stored| stored.kept && stored.room == room).collect()
    }

    pub fn oldest(&self, room: RoomId) -> Seq {
        let gone = self.stored.iter().filter(|stored| stored.room == room && !stored.kept).count();
        seq(gone as u64 + 1)
    }

    /// Unread entries that name somebody.
    pub fn mentions(&self, room: RoomId, person: PersonId) -> Vec<Seq> {
        let Some(read) = self.members.get(&(room, person)) else { return Vec::new() };
        let kept = self.kept(room).into_iter();
        let unread = kept.filter(|stored| Some(stored.entry.seq) > *read && stored.named.contains(&person));
        unread.map(|stored| stored.entry.seq).collect()
    }

    /// Members and what they have read.
    pub fn members(&self, room: RoomId) -> Vec<(PersonId, Option<Seq>)> {
        let here = self.members.iter().filter(|((r, _), _)| *r == room);
        here.map(|((_, person), read)| (*person, *read)).collect()
    }

    pub fn read(&self, room: RoomId, range: &Range, limit: usize, bytes: usize) -> Read {
        let all: Vec<_> = self.kept(room).into_iter().map(|stored| stored.entry.clone()).collect();
        let oldest = self.oldest(room);
        let in_range = |entry: &Entry| match range {
            Range::Latest | Range::Around { .. } => true,
            Range::Before { seq } => entry.seq < *seq,
            Range::After { seq } => Some(entry.seq) > *seq,
            Range::Between { first, last } => (*first..=*last).contains(&entry.seq),
            Range::BeforeTime { time } => entry.time < *time,
            Range::SinceTime { time } => entry.time >= *time,
        };
        let lie: Vec<_> = all.into_iter().filter(in_range).collect();
        if let Range::Around { seq } = range {
            return around(&lie, *seq, oldest, limit, bytes);
        }
        let backward = matches!(range, Range::Latest | Range::Before { .. } | Range::BeforeTime { .. });
        let mut taken = lie.clone();
        let cut = |taken: &mut Vec<Entry>| {
            if backward {
                taken.remove(0)
            } else {
                taken.pop().unwrap()
            };
        };
        while taken.len() > limit || taken.len() > 1 && total(&taken) > bytes {
            cut(&mut taken);
        }
        Read { more: taken.len() < lie.len(), entries: taken, oldest }
    }

    pub fn search(&self, query: &Query) -> Hits {
        let words = Words::parse(&query.words);
        let is_before =
            |stored: &Stored| query.before == Some((stored.room, stored.entry.seq)) && stored.kept;
        let end = match query.before {
            None => self.stored.len(),
            Some(_) => self.stored.iter().position(is_before).unwrap_or(0),
        };
        let matches = |stored: &&Stored| {
            let found = searchable(&stored.entry).is_some_and(|text| words.match_text(&text));
            stored.kept && query.rooms.contains(&stored.room) && found
        };
        let all: Vec<_> = self.stored[..end].iter().rev().filter(matches).collect();
        let mut taken = all.len().min(query.limit);
        let bytes = |n: usize| all[..n].iter().map(|stored| weight(&stored.entry)).sum::<usize>();
        while taken > 1 && bytes(taken) > query.bytes {
            taken -= 1;
        }
        let found =
            |stored: &&Stored| protocol::message::Found { room: stored.room, entry: stored.entry.clone() };
        Hits { found: all[..taken].iter().map(found).collect(), more: taken < all.len(), cut: false }
    }
}

/// The nearest ones: one from each side in turns, as long as they fit.
fn around(all: &[Entry], middle: Seq, oldest: Seq, limit: usize, bytes: usize) -> Read {
    let (older, newer): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|entry| entry.seq < middle);
    let half = older.len().min(limit / 2);
    let mut sides = [
        newer.into_iter().take(limit - half).collect::<Vec<_>>(),
        older.into_iter().rev().take(half).collect(),
    ];
    let mut entries: Vec<Entry> = Vec::new();
    while sides.iter().any(|side| !side.is_empty()) {
        for side in &mut sides {
            if side.is_empty() {
                continue;
            }
            let next = side.remove(0);
            if entries.is_empty() || total(&entries) + weight(&next) <= bytes {
                entries.push(next);
            } else {
                side.clear();
            }
        }
    }
    entries.sort_by_key(|entry| entry.seq);
    Read { more: entries.len() < all.len(), entries, oldest }
}

fn total(entries: &[Entry]) -> usize {
    entries.iter().map(weight).sum()
}

fn trimmed_room(change: &Change) -> Option<RoomId> {
    if let Change::Trim { room, .. } = change { Some(*room) } else { None }
}

/// The rooms of the model.
pub fn rooms() -> [RoomId; 2] {
    [room(1), room(2)]
}
