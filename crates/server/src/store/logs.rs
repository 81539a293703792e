//! All that a store knows, in memory and without I/O: what every store must do, in the plainest way.

use super::history::History;
use super::{
    Batch, Change, Closed, Commit, CredentialHash, Hits, Keep, NewEntry, Query, Read, Reserved, RoomShape,
    Snapshot, StoredClock, StoredDevice, StoredFile, StoredMember, StoredOffer, StoredRoom, Words,
    searchable, weight,
};
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Counter, DeviceNo, Epoch, Millis, PersonId, RoomId, Seq};
use protocol::limits::MAX_UNREAD_MENTIONS;
use protocol::message::{Found, Range};
use std::collections::{BTreeMap, BTreeSet};

/// People, devices, and rooms with their histories.
///
/// Invariant: `bytes` is the sum of the rooms' bytes.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    people: BTreeMap<PersonId, (String, Option<CredentialHash>)>,
    devices: BTreeMap<DeviceNo, StoredDevice>,
    rooms: BTreeMap<RoomId, Room>,
    bytes: usize,
    /// Entries that were ever stored.
    places: u64,
    last_person: Option<PersonId>,
    last_device: Option<DeviceNo>,
    reserved: Reserved,
    clock: Option<StoredClock>,
    spoke: BTreeSet<(RoomId, PersonId)>,
    blocks: BTreeSet<(PersonId, PersonId)>,
}

#[derive(Clone, Debug, Default)]
struct Room {
    /// `None` for a room that a post named and no change did.
    shape: Option<RoomShape>,
    topic: String,
    time: Millis,
    members: BTreeMap<PersonId, StoredMember>,
    /// Who has fetched which file; files that are gone may still be in it.
    fetched: BTreeSet<(Seq, PersonId)>,
    history: History,
}

/// A part of a search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// What was found so far.
    pub hits: Hits,
    /// Where to go on: only entries stored before this place were not looked at. `None` when all were.
    pub rest: Option<u64>,
}

impl Logs {
    /// The oldest entry of a room that is kept; one more than the newest if there is none.
    pub fn oldest(&self, room: RoomId) -> Seq {
        self.rooms.get(&room).map_or(Seq::FIRST, |room| room.history.first())
    }

    /// What a start needs to know of all this.
    pub fn snapshot(&self, epoch: Epoch) -> Snapshot {
        let people = self.people.iter().map(|(id, (name, credential))| (*id, name.clone(), *credential));
        Snapshot {
            epoch,
            server: super::server_id(epoch),
            people: people.collect(),
            devices: self.devices.values().copied().collect(),
            rooms: self.rooms.iter().filter_map(|(id, room)| room.stored(*id)).collect(),
            files: self.rooms.iter().flat_map(|(id, room)| room.files(*id)).collect(),
            offers: self.rooms.iter().flat_map(|(id, room)| room.offers(*id)).collect(),
            fetched: self.rooms.iter().flat_map(|(id, room)| room.fetched(*id)).collect(),
            spoke: self.spoke.clone(),
            blocks: self.blocks.clone(),
            last: Reserved {
                person: self.last_person.max(self.reserved.person),
                device: self.last_device.max(self.reserved.device),
                room: self.rooms.keys().next_back().copied().max(self.reserved.room),
            },
            clock: self.clock,
            closed: Closed::default(),
        }
    }

    /// Commits a batch: its changes, then its posts.
    pub fn append(&mut self, batch: &Batch) -> Commit {
        let mut trimmed = BTreeMap::new();
        for change in &batch.changes {
            match change {
                Change::Trim { room, keep } => {
                    trimmed.extend(self.trim(*room, keep).map(|first| (*room, first)));
                }
                Change::RoomGone { room } => trimmed.extend(self.end(*room).map(|first| (*room, first))),
                change => self.change(change),
            }
        }
        let mut refused: Vec<DeviceNo> = Vec::new();
        let mut posts = Vec::with_capacity(batch.posts.len());
        for post in &batch.posts {
            let device = post.origin.map(|(device, _)| device);
            let done = match device {
                Some(device) if refused.contains(&device) => Err(Code::OutOfOrder),
                _ => self.post(post),
            };
            if done.is_err() {
                refused.extend(device);
            }
            posts.push(done);
        }
        Commit { trimmed: trimmed.into_iter().collect(), ..Commit::of(posts) }
    }

    /// Keeps a room within these bounds; tells where it begins now if that is later than before.
    pub fn trim(&mut self, room: RoomId, keep: &Keep) -> Option<Seq> {
        self.trim_while(room, |_, history| history.exceeds(keep))
    }

    /// Lets the oldest entries of a room go until it has so many bytes, and the whole so many. The newest entry
    /// stays. Tells where the room begins now if that is later than before.
    pub fn shrink(&mut self, room: RoomId, most: usize, total: usize) -> Option<Seq> {
        let is_full = |bytes, history: &History| history.bytes() > most || bytes > total;
        self.trim_while(room, |bytes, history| history.len() > 1 && is_full(bytes, history))
    }

    /// Lets a room go; tells where it would begin now if it had any entries.
    fn end(&mut self, room: RoomId) -> Option<Seq> {
        let gone = self.rooms.remove(&room)?;
        self.bytes -= gone.history.bytes();
        self.spoke.retain(|(spoken, _)| *spoken != room);
        (gone.history.len() > 0).then(|| gone.history.end())
    }

    fn trim_while(&mut self, room: RoomId, exceeds: impl Fn(usize, &History) -> bool) -> Option<Seq> {
        let found = self.rooms.get_mut(&room)?;
        let before = found.history.first();
        while exceeds(self.bytes, &found.history) {
            self.bytes -= found.history.pop_oldest();
        }
        let first = found.history.first();
        if first == before {
            return None;
        }
        for member in found.members.values_mut() {
            member.mentions.retain(|seq| *seq >= first);
        }
        Some(first)
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Person { person, name, credential } => {
                self.last_person = self.last_person.max(Some(*person));
                self.people.insert(*person, (name.clone(), *credential));
            }
            Change::PersonGone { person } => drop(self.people.remove(person)),
            Change::Device { device, id, person, seen } => {
                self.last_device = self.last_device.max(Some(*device));
                let counter = self.devices.get(device).and_then(|known| known.counter);
                let known = StoredDevice { device: *device, id: *id, person: *person, counter, seen: *seen };
                self.devices.insert(*device, known);
            }
            Change::DeviceGone { device } => drop(self.devices.remove(device)),
            Change::Room { room, shape, topic } => {
                let found = self.rooms.entry(*room).or_default();
                found.shape = Some(shape.clone());
                topic.clone_into(&mut found.topic);
            }
            Change::Member { room, person, joined: true } => {
                let new = StoredMember { person: *person, read: None, mentions: Vec::new() };
                self.rooms.entry(*room).or_default().members.entry(*person).or_insert(new);
            }
            Change::Member { room, person, joined: false } => {
                drop(self.rooms.get_mut(room).and_then(|found| found.members.remove(person)));
            }
            Change::Mark { room, person, seq } => {
                let member = self.rooms.get_mut(room).and_then(|found| found.members.get_mut(person));
                if let Some(member) = member.filter(|member| member.read < Some(*seq)) {
                    member.read = Some(*seq);
                    member.mentions.retain(|mention| mention > seq);
                }
            }
            Change::Fetched { room, seq, person } => {
                if let Some(found) = self.rooms.get_mut(room) {
                    found.fetch(*room, *seq, *person);
                }
            }
            Change::Reserve { numbers } => self.reserved = *numbers,
            Change::Clock { clock } => self.clock = Some(*clock),
            Change::Hide { .. } => {}
            Change::RoomGone { room } => drop(self.end(*room)),
            Change::Spoke { room, person } => drop(self.spoke.insert((*room, *person))),
            Change::Block { person, other, on: true } => drop(self.blocks.insert((*person, *other))),
            Change::Block { person, other, on: false } => drop(self.blocks.remove(&(*person, *other))),
            Change::Trim { room, keep } => drop(self.trim(*room, keep)),
        }
    }

    fn post(&mut self, post: &NewEntry) -> Result<Seq, Code> {
        let found = self.rooms.entry(post.room).or_default();
        let before = found.history.bytes();
        let seq = found.history.push(post, self.places)?;
        found.time = post.time;
        found.mention(post, seq);
        self.bytes = self.bytes - before + found.history.bytes();
        self.places += 1;
        self.last_person = self.last_person.max(post.person);
        if let Some((device, counter)) = post.origin {
            self.last_device = self.last_device.max(Some(device));
            self.count(device, counter);
        }
        Ok(seq)
    }

    fn count(&mut self, device: DeviceNo, counter: Counter) {
        if let Some(known) = self.devices.get_mut(&device) {
            known.counter = Some(counter);
        }
    }

    /// Entries of a room.
    pub fn read(&self, room: RoomId, range: &Range, limit: usize, bytes: usize) -> Read {
        match self.rooms.get(&room) {
            Some(room) => room.history.read(range, limit, bytes),
            None => Read { entries: Vec::new(), oldest: Seq::FIRST, more: false },
        }
    }

    /// Begins a search.
    pub fn search(&self, query: &Query) -> Scan {
        let place = match query.before {
            None => Some(self.places),
            Some((room, seq)) => {
                self.rooms.get(&room).and_then(|r| r.history.find(seq)).map(|kept| kept.place)
            }
        };
        Scan { hits: Hits::default(), rest: place }
    }

    /// Goes on with a search: looks at entries of about `budget` bytes.
    pub fn scan(&self, query: &Query, words: &Words, scan: &mut Scan, budget: usize) {
        let Some(mut rest) = scan.rest else { return };
        let newest = |room: RoomId, place| {
            let kept = self.rooms.get(&room)?.history.before(place)?;
            Some((kept.place, (room, kept)))
        };
        // The newest entry of each room that was not looked at: the last one of all is next.
        let mut heads: BTreeMap<_, _> = query.rooms.iter().filter_map(|room| newest(*room, rest)).collect();
        let mut looked = 0;
        let found_bytes = |hits: &Hits| hits.found.iter().map(|hit| weight(&hit.entry)).sum::<usize>();
        while let Some((place, (room, kept))) = heads.pop_last() {
            if looked > budget {
                scan.rest = Some(rest);
                return;
            }
            looked += weight(&kept.entry);
            if searchable(&kept.entry).is_some_and(|text| words.match_text(&text)) {
                let hits = &mut scan.hits;
                let fits = hits.found.is_empty() || found_bytes(hits) + weight(&kept.entry) <= query.bytes;
                if !fits || hits.found.len() >= query.limit {
                    (hits.more, scan.rest) = (true, None);
                    return;
                }
                hits.found.push(Found { room, entry: kept.entry.clone() });
            }
            rest = place;
            heads.extend(newest(room, place));
        }
        scan.rest = None;
    }
}

impl Room {
    fn stored(&self, room: RoomId) -> Option<StoredRoom> {
        Some(StoredRoom {
            room,
            shape: self.shape.clone()?,
            topic: self.topic.clone(),
            head: self.history.newest().map(|entry| entry.seq),
            time: self.time,
            members: self.members.values().cloned().collect(),
        })
    }

    fn files(&self, room: RoomId) -> impl Iterator<Item = StoredFile> {
        self.history.iter().filter_map(move |kept| StoredFile::of(room, &kept.entry))
    }

    fn offers(&self, room: RoomId) -> Vec<StoredOffer> {
        let files = self.history.iter().filter(|kept| kept.entry.kind == EntryKind::File);
        let ended: BTreeSet<_> = files.filter_map(|kept| kept.entry.reply_to).collect();
        let offers = self.history.iter().filter_map(|kept| StoredOffer::of(room, &kept.entry));
        offers.filter(|offer| !ended.contains(&offer.seq)).collect()
    }

    fn fetched(&self, room: RoomId) -> Vec<(RoomId, Seq, PersonId)> {
        let files: BTreeSet<_> = self.files(room).map(|file| file.seq).collect();
        let kept = self.fetched.iter().filter(|(seq, _)| files.contains(seq));
        kept.map(|(seq, person)| (room, *seq, *person)).collect()
    }

    /// Takes note of who has fetched a file, if that is kept.
    fn fetch(&mut self, room: RoomId, seq: Seq, person: PersonId) {
        let is_file = self.history.find(seq).is_some_and(|kept| StoredFile::of(room, &kept.entry).is_some());
        if is_file {
            self.fetched.insert((seq, person));
        }
    }

    /// Takes note of whom a new entry names.
    fn mention(&mut self, post: &NewEntry, seq: Seq) {
        let named = if post.revises() { post.reply_to.unwrap_or(seq) } else { seq };
        if post.revises() {
            self.members.values_mut().for_each(|member| member.mentions.retain(|mention| *mention != named));
        }
        if post.kind == EntryKind::Delete {
            return;
        }
        for person in &post.mentions {
            let Some(member) = self.members.get_mut(person).filter(|member| member.read < Some(named)) else {
                continue;
            };
            if let Err(at) = member.mentions.binary_search(&named) {
                member.mentions.insert(at, named);
            }
            if member.mentions.len() > MAX_UNREAD_MENTIONS {
                member.mentions.remove(0);
            }
        }
    }
}
