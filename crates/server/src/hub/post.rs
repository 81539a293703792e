//! Posts: judged once, queued, and given to all readers when they are committed.

use super::{Hub, Voice};
use crate::clock::Now;
use crate::conn::ConnId;
use crate::devices::{Fingerprint, Verdict};
use crate::inbound::Refusal;
use crate::sequencer::Waiting;
use crate::store::{Change, ErasureId, NewEntry};
use bytes::Bytes;
use foldhash::quality::FixedState;
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind};
use protocol::id::{Counter, DeviceNo, Millis, PersonId, RoomId, Seq};
use protocol::limits::MAX_BODY;
use protocol::limits::rates::{Bucket, POST_TOKEN};
use protocol::mention;
use protocol::message::{ServerMsg, Target, ty};
use protocol::text::{check_body, is_blank};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};

/// A post as a session hands it in.
#[derive(Debug)]
pub(super) struct Post {
    pub counter: Counter,
    pub target: Target,
    pub kind: EntryKind,
    pub reply_to: Option<Seq>,
    pub written: Millis,
    pub body: Bytes,
}

impl Post {
    /// Tells this post from others with the same counter. Whoever finds two with one fingerprint fools only their own
    /// device, so a fast hash will do.
    fn fingerprint(&self, key: u64) -> Fingerprint {
        let mut hasher = FixedState::with_seed(key).build_hasher();
        match self.target {
            Target::Room { room } => (0_u8, room.value()).hash(&mut hasher),
            Target::Person { person } => (1_u8, person.value()).hash(&mut hasher),
        }
        (self.kind, self.reply_to, self.written.0).hash(&mut hasher);
        self.body.hash(&mut hasher);
        hasher.finish()
    }

    fn revises(&self) -> bool {
        matches!(self.kind, EntryKind::Edit | EntryKind::Delete)
    }
}

/// The last stored post of a device.
#[derive(Debug)]
pub(super) struct Stored {
    pub counter: Counter,
    pub room: RoomId,
    pub seq: Seq,
    pub kind: EntryKind,
}

/// What is new in a room.
#[derive(Default)]
struct News {
    entries: Vec<Entry>,
    /// The edits and deletes among the entries, in their order.
    revisions: Vec<NewEntry>,
}

impl News {
    fn push(&mut self, seq: Seq, entry: NewEntry) {
        if entry.revises() {
            self.revisions.push(entry.clone());
        }
        self.entries.push(entry.into_numbered(seq));
    }
}

/// Why a post was refused, and the number that goes with it.
type Refused = (Code, u64);

impl Hub {
    /// Takes a post of a native client in.
    pub(super) fn handle_post(&mut self, conn: ConnId, post: Post, now: Now) {
        let Some(device) = self.sessions.get(&conn).map(|session| session.device) else {
            return;
        };
        let counter = post.counter;
        let content = post.fingerprint(self.settings.run_key);
        let verdict = self.devices.judge(device, counter, content);
        if self.draining && matches!(verdict, Verdict::Waiting | Verdict::Next | Verdict::OutOfOrder { .. }) {
            // Left unanswered: a refusal would be final, and the client sends it again after the restart.
            return;
        }
        let refused = match verdict {
            // A duplicate is acknowledged before rights and rate are looked at: it was allowed once.
            Verdict::Stored if self.delayed_acks.has(device, counter) => return,
            Verdict::Stored => {
                return self.send(conn, &ServerMsg::Ack { counter, room: None, seq: None });
            }
            Verdict::Waiting => return,
            Verdict::Other { expected } => Err((Code::OtherContent, expected.value())),
            Verdict::OutOfOrder { expected } => Err((Code::OutOfOrder, expected.value())),
            Verdict::Next => self.accept(conn, post, content, now),
        };
        if let Err((code, detail)) = refused {
            self.refuse(conn, Refusal::about(code, ty::POST, counter.value()).with(detail), now);
        }
    }

    /// Judges a post that is the next of its device, and queues it.
    pub(super) fn accept(
        &mut self,
        conn: ConnId,
        post: Post,
        content: Fingerprint,
        now: Now,
    ) -> Result<RoomId, Refused> {
        let Some(session) = self.sessions.get(&conn) else {
            return Err((Code::NotAllowed, 0));
        };
        let (person, device) = (session.person, session.device);
        self.check_space().map_err(|code| (code, 0))?;
        let file = match post.kind {
            EntryKind::File => Some(self.check_file(person, &post)?),
            EntryKind::FileOffer => {
                self.check_offer(person, &post).map(|()| None).map_err(|code| (code, 0))?
            }
            kind => check_content(kind, &post.body).map(|()| None)?,
        };
        self.check_place(person, &post).map_err(|code| (code, 0))?;
        let tokens = 1 + post.body.len() / POST_TOKEN;
        self.pay(conn, Bucket::Posts, u32::try_from(tokens).unwrap_or(u32::MAX), now)?;
        let room = match post.target {
            Target::Room { room } => room,
            Target::Person { person: other } => {
                let room = self.direct_room(conn, person, other, now)?;
                self.rejoin_direct(room, person, other, now);
                room
            }
        };
        self.store_person(person).map_err(|code| (code, 0))?;
        self.note_spoke(room, person);
        self.note_posted(person);
        if let Some(file) = file {
            self.set_pending(file.hash);
        }
        if post.kind == EntryKind::FileOffer {
            self.set_offer_waiting(&post.body, true);
        }
        self.set_typing(person, room, false, now);
        let mentions = self.named_in(room, person, &post);
        for named in &mentions {
            // Where no more people can be stored, they see it all the same while they are here.
            let _ = self.store_person(*named);
        }
        self.devices.accept(device, post.counter, content);
        let entry = NewEntry {
            room,
            time: now.wall,
            written: post.written,
            person: Some(person),
            name: self.author_name(person),
            origin: Some((device, post.counter)),
            kind: post.kind,
            reply_to: post.reply_to,
            body: post.body,
            mentions,
        };
        self.queue(Waiting { entry, held: None });
        Ok(room)
    }

    /// Whoever left a conversation of two is in it again when it goes on.
    fn rejoin_direct(&mut self, room: RoomId, me: PersonId, other: PersonId, now: Now) {
        for person in [me, other] {
            if self.add_member(room, person, now) {
                self.tell_rooms(person, room);
            }
        }
    }

    /// Whether the post may go where it is meant to, as far as the hub can know.
    fn check_place(&self, person: PersonId, post: &Post) -> Result<(), Code> {
        let room = match post.target {
            Target::Room { room } => {
                self.authorize(person, room)?;
                room
            }
            // What is to be changed is in a room that is there, so none is made for it.
            Target::Person { person: other } if post.revises() => {
                self.rooms.direct(person, other).ok_or(Code::NoSuchEntry)?
            }
            Target::Person { .. } => return Ok(()),
        };
        // What somebody said they may always take back.
        if post.kind != EntryKind::Delete {
            self.check_blocked_in(person, room)?;
        }
        let head = self.rooms.find(room).and_then(|found| found.log.head());
        // What is hidden is still in the store, which would change it.
        let is_gone = || post.reply_to.is_none_or(|target| target < self.history.oldest(room));
        if post.revises() && is_gone() || post.reply_to > head {
            return Err(Code::NoSuchEntry);
        }
        Ok(())
    }

    /// Members of a room that a post of this person names.
    fn named_in(&self, room: RoomId, author: PersonId, post: &Post) -> Vec<PersonId> {
        let (true, Some(found)) = (mention::names_people(post.kind), self.rooms.find(room)) else {
            return Vec::new();
        };
        let is_meant = |person: &PersonId| *person != author && found.members.contains_key(person);
        let text = std::str::from_utf8(&post.body).unwrap_or_default();
        mention::named(text, |name| self.people.named(name).filter(is_meant))
    }

    /// The name that goes with what a person says now: a new one is stored in front of it.
    fn author_name(&self, person: PersonId) -> String {
        self.people.find(person).map(|known| known.newest_name().to_string()).unwrap_or_default()
    }

    /// Appends an entry that no device numbered, such as a topic.
    pub(super) fn append(&mut self, room: RoomId, person: PersonId, kind: EntryKind, text: &str, now: Now) {
        self.append_entry(room, Some(person), kind, None, Bytes::copy_from_slice(text.as_bytes()), now);
    }

    /// The same with everything that such an entry may have; without an author it is the server's.
    pub(super) fn append_entry(
        &mut self,
        room: RoomId,
        person: Option<PersonId>,
        kind: EntryKind,
        reply_to: Option<Seq>,
        body: Bytes,
        now: Now,
    ) {
        let name = person.map(|person| self.author_name(person)).unwrap_or_default();
        let entry = NewEntry {
            room,
            time: now.wall,
            written: Millis(0),
            person,
            name,
            origin: None,
            kind,
            reply_to,
            body,
            mentions: Vec::new(),
        };
        self.queue(Waiting { entry, held: None });
    }

    /// Queues an entry that was accepted. Its room may have ended where it is the server's own.
    pub(super) fn queue(&mut self, waiting: Waiting) {
        let Some(room) = self.rooms.find_mut(waiting.entry.room) else { return };
        room.under_way += 1;
        self.sequencer.push(waiting);
    }

    /// An accepted entry is stored, or was refused after all.
    fn settle_in(&mut self, room: RoomId) {
        if let Some(room) = self.rooms.find_mut(room) {
            room.under_way = room.under_way.saturating_sub(1);
        }
    }

    /// A person posts: they are not one of those who never did. A guest is not remembered for it.
    fn note_posted(&mut self, person: PersonId) {
        let known = self.people.find_mut(person).filter(|known| known.credential.is_some());
        if known.is_some_and(|known| !std::mem::replace(&mut known.posted, true)) {
            self.sequencer.change(Change::Spoke { room: RoomId::FIRST, person });
        }
    }

    /// Gives committed posts to the readers of their rooms, and acknowledges them in front of it: deletes behind it,
    /// once this erasure has ended.
    pub(super) fn publish(
        &mut self,
        posts: Vec<Waiting>,
        outcomes: Vec<Result<Seq, Code>>,
        erasure: Option<ErasureId>,
        now: Now,
    ) {
        let mut rooms: BTreeMap<RoomId, News> = BTreeMap::new();
        let mut acks: BTreeMap<DeviceNo, Stored> = BTreeMap::new();
        let mut refused: BTreeMap<DeviceNo, Vec<(Waiting, Code)>> = BTreeMap::new();
        let mut own = Vec::new();
        let mut ended = Vec::new();
        for (Waiting { entry, held }, outcome) in posts.into_iter().zip(outcomes) {
            if outcome.is_ok() || entry.origin.is_some() || self.full.is_none() {
                self.settle_in(entry.room);
            }
            match (outcome, entry.origin) {
                (Ok(seq), origin) => {
                    if let Some((device, counter)) = origin {
                        self.devices.store(device, counter);
                        let stored = Stored { counter, room: entry.room, seq, kind: entry.kind };
                        let erasure = erasure.filter(|_| self.waits_for_erasure(device, entry.kind));
                        let at_once = self.delayed_acks.delay(device, stored, erasure);
                        acks.extend(at_once.map(|stored| (device, stored)));
                    }
                    self.note_stored(seq, &entry);
                    self.note_files(seq, &entry, now);
                    ended.extend((entry.kind == EntryKind::System).then_some(entry.room));
                    rooms.entry(entry.room).or_default().push(seq, entry);
                }
                (Err(code), Some((device, _))) => {
                    refused.entry(device).or_default().push((Waiting { entry, held }, code));
                }
                // The server's own words have nobody who would send them again, and the changes that they tell of wait.
                (Err(_), None) if self.full.is_some() => own.push(Waiting { entry, held }),
                (Err(code), None) => {
                    self.note_refused(&entry);
                    tracing::warn!(room = %entry.room, code = code.name(), "an entry was not stored");
                }
            }
        }
        self.sequencer.put_back_own(own);
        for (device, last) in acks {
            self.acknowledge(device, &last);
        }
        for (device, posts) in refused {
            self.refuse_stored(device, posts);
        }
        for (room, news) in rooms {
            self.publish_in(room, news);
        }
        ended.into_iter().for_each(|room| self.trim_ended(room, now));
    }

    /// What else follows from a stored entry.
    fn note_stored(&mut self, seq: Seq, entry: &NewEntry) {
        if (entry.revises() || !entry.mentions.is_empty())
            && let Some(room) = self.rooms.find_mut(entry.room)
        {
            room.mention(seq, entry);
        }
    }

    fn publish_in(&mut self, room: RoomId, news: News) {
        let Some(found) = self.rooms.find_mut(room) else {
            return;
        };
        found.log.publish(news.entries, &news.revisions);
        self.news.extend(found.readers.iter().map(|(id, conn)| (*id, conn.clone())));
    }

    /// Whether the acknowledgement of a post waits until what it deleted is erased. Classic clients get none.
    fn waits_for_erasure(&self, device: DeviceNo, kind: EntryKind) -> bool {
        let session = self.by_device.get(&device).and_then(|conn| self.sessions.get(conn));
        kind == EntryKind::Delete && session.is_none_or(|session| session.voice == Voice::Native)
    }

    pub(super) fn acknowledge(&mut self, device: DeviceNo, last: &Stored) {
        let Some(conn) = self.told_of_posts(device) else { return };
        match self.sessions.get(&conn).map(|session| session.voice) {
            Some(Voice::Native) => {
                let (counter, room, seq) = (last.counter, Some(last.room), Some(last.seq));
                self.send(conn, &ServerMsg::Ack { counter, room, seq });
            }
            Some(Voice::Classic { .. }) => self.note_said(conn, last),
            None => {}
        }
    }

    /// The connection that is told what becomes of a device's posts.
    ///
    /// One that waits for its `Welcome` is not: that names an older counter, and an acknowledgement in front of it
    /// would look like a history that was lost. What it does not know as settled it sends again, and is answered then.
    fn told_of_posts(&self, device: DeviceNo) -> Option<ConnId> {
        let conn = self.by_device.get(&device).copied()?;
        let session = self.sessions.get(&conn)?;
        session.arrival.is_none().then_some(conn)
    }

    /// The store refused posts: what the device sent after them can't stand either. Each is answered.
    fn refuse_stored(&mut self, device: DeviceNo, mut posts: Vec<(Waiting, Code)>) {
        self.devices.refuse(device);
        let dropped = self.sequencer.drop_device(device);
        dropped.iter().for_each(|waiting| self.settle_in(waiting.entry.room));
        posts.extend(dropped.into_iter().map(|waiting| (waiting, Code::OutOfOrder)));
        posts.iter().for_each(|(waiting, _)| self.note_refused(&waiting.entry));
        let Some(conn) = self.told_of_posts(device) else { return };
        if self.sessions.get(&conn).is_some_and(|session| session.voice != Voice::Native) {
            return self.say_again(conn, device, posts);
        }
        let expected = self.devices.expected(device).value();
        for (Waiting { entry, .. }, code) in posts {
            let Some((_, counter)) = entry.origin else { continue };
            let detail = if code == Code::OutOfOrder { expected } else { 0 };
            let refusal = Refusal::about(code, ty::POST, counter.value()).with(detail);
            self.send_bytes(conn, refusal.encode());
        }
    }
}

/// What a client may say.
fn check_content(kind: EntryKind, body: &[u8]) -> Result<(), Refused> {
    match kind {
        EntryKind::Text | EntryKind::Action | EntryKind::Reaction | EntryKind::Edit | EntryKind::Opaque => {}
        EntryKind::Delete if body.is_empty() => return Ok(()),
        EntryKind::Delete => return Err((Code::BodyTooLarge, 0)),
        _ => return Err((Code::BadKind, 0)),
    }
    if body.len() > MAX_BODY {
        return Err((Code::BodyTooLarge, MAX_BODY as u64));
    }
    if kind == EntryKind::Opaque {
        return Ok(());
    }
    let text = std::str::from_utf8(body).map_err(|_| (Code::BadUtf8, 0))?;
    if is_blank(text) {
        return Err((Code::EmptyText, 0));
    }
    check_body(text).map_err(|error| (Code::BadText, error.at as u64))
}
