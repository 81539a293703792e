//! Retention: rooms are kept within their bounds, and people are told where history begins.

use super::{Hub, Voice};
use crate::clock::{Now, Steady};
use crate::store::{Change, Keep};
use protocol::id::{RoomId, Seq};
use protocol::message::RoomsChange;
use std::collections::{BTreeSet, VecDeque};

/// Rooms that are trimmed in one turn: bounds its time.
const MAX_TRIMS: usize = 64;

/// How long it is gathered where histories begin before it is told, in ms: a busy room begins later all the time.
const TELL_EVERY_MS: u64 = 10_000;

/// Rooms that may have more than they are to keep.
#[derive(Debug, Default)]
pub(super) struct Overfull {
    /// In the order of their turns. Each of them says that it waits, and is here once.
    rooms: VecDeque<RoomId>,
    /// Trims were asked for and are not committed yet.
    pub is_asked: bool,
}

impl Hub {
    /// Looks for rooms that may have grown beyond their bounds, and has them trimmed in turns.
    pub(super) fn keep_rooms(&mut self, now: Now) {
        if self.settings.keep.is_all() || self.full.is_some() {
            return;
        }
        for room in self.rooms.iter_mut() {
            let head = room.log.head();
            if head == room.kept.head && now.steady < room.kept.due {
                continue;
            }
            let rule = self.settings.keep.rule(room.name());
            // A room where nothing is said needs no look unless its entries grow old.
            let due = rule.period_ms().map_or(Steady(u64::MAX), |period| now.steady.after(period));
            (room.kept.head, room.kept.due) = (head, due);
            // The newest entry always stays.
            let has_more = head.is_some_and(|head| self.history.oldest(room.id) < head);
            if has_more && !rule.is_all() && !std::mem::replace(&mut room.kept.is_waiting, true) {
                self.overfull.rooms.push_back(room.id);
            }
        }
        self.trim_next(now);
    }

    /// What was hidden may be deleted now. Those rooms are trimmed though they show nothing that is past its age.
    pub(super) fn trim_hidden(&mut self) {
        for room in self.rooms.iter_mut() {
            if std::mem::take(&mut room.kept.is_hidden) && !std::mem::replace(&mut room.kept.is_waiting, true)
            {
                self.overfull.rooms.push_back(room.id);
            }
        }
    }

    /// Asks for the next trims once those before are committed: rooms go on being trimmed with each batch until they
    /// are within their bounds, whether anybody posts or not.
    pub(super) fn trim_next(&mut self, now: Now) {
        if self.draining || self.overfull.is_asked {
            return;
        }
        let count = MAX_TRIMS.min(self.overfull.rooms.len());
        let rooms: Vec<_> = self.overfull.rooms.drain(..count).collect();
        for room in rooms {
            if let Some(found) = self.rooms.find_mut(room) {
                found.kept.is_waiting = false;
                let keep = match found.kept.ended {
                    Some(_) => Keep { count: Some(1), ..Keep::default() },
                    None => {
                        let keep = self.settings.keep.rule(found.name()).at(now.wall);
                        self.hide_aged(room, keep)
                    }
                };
                if keep != Keep::default() {
                    self.sequencer.change(Change::Trim { room, keep });
                    self.overfull.is_asked = true;
                }
            }
        }
    }

    /// The last entry of a room that has ended is stored: all others go.
    pub(super) fn trim_ended(&mut self, room: RoomId, now: Now) {
        let Some(found) = self.rooms.find_mut(room).filter(|found| found.kept.ended.is_some()) else {
            return;
        };
        if !std::mem::replace(&mut found.kept.is_waiting, true) {
            self.overfull.rooms.push_back(room);
        }
        self.trim_next(now);
    }

    /// Tells who waits for it that nothing more is to go of a room.
    fn note_ended(&mut self, changes: &[Change], untrimmed: &[RoomId]) {
        for change in changes {
            if let Change::Trim { room, .. } = change
                && !untrimmed.contains(room)
                && let Some(waiter) = self.rooms.find_mut(*room).and_then(|found| found.kept.ended.take())
            {
                // Whoever waited may be gone.
                let _ = waiter.send(Ok(()));
            }
        }
    }

    /// Has rooms wait that were not trimmed to their end: first those that this batch had no time for.
    fn wait_to_be_trimmed(&mut self, untrimmed: &[RoomId], begun: &BTreeSet<RoomId>) {
        let mut first = 0;
        for room in untrimmed {
            let Some(found) = self.rooms.find_mut(*room) else { continue };
            if std::mem::replace(&mut found.kept.is_waiting, true) {
                continue;
            }
            if begun.contains(room) {
                self.overfull.rooms.push_back(*room);
            } else {
                self.overfull.rooms.insert(first, *room);
                first += 1;
            }
        }
    }

    /// Takes in where histories begin now.
    pub(super) fn note_trimmed(
        &mut self,
        changes: &[Change],
        trimmed: Vec<(RoomId, Seq)>,
        untrimmed: &[RoomId],
    ) {
        if self.full.is_none() {
            self.note_ended(changes, untrimmed);
        }
        self.wait_to_be_trimmed(untrimmed, &trimmed.iter().map(|(room, _)| *room).collect());
        for (room, first) in trimmed {
            self.trim_files(room, first);
            let Some(found) = self.rooms.find_mut(room) else {
                continue;
            };
            found.mentions.trim(first);
            let by_rule = |change: &Change| matches!(change, Change::Trim { room: r, .. } if *r == room);
            // What only the store's own bounds took is still given to those who lag a little.
            if changes.iter().any(by_rule) {
                found.log.trim(first);
                self.news.extend(found.readers.iter().map(|(id, conn)| (*id, conn.clone())));
            }
            self.trimmed.insert(room);
        }
    }

    /// Tells the members of rooms whose histories begin later than they were told.
    pub(super) fn tell_trimmed(&mut self, now: Now) {
        if self.trimmed.is_empty() || now.steady < self.next_telling {
            return;
        }
        self.next_telling = now.steady.after(TELL_EVERY_MS);
        let rooms: BTreeSet<RoomId> = std::mem::take(&mut self.trimmed);
        let native = self.sessions.iter().filter(|(_, session)| session.voice == Voice::Native);
        let people: Vec<_> = native.map(|(conn, session)| (*conn, session.person)).collect();
        for (conn, person) in people {
            for room in &rooms {
                if self.rooms.find(*room).is_some_and(|found| found.members.contains_key(&person)) {
                    self.tell_room(conn, RoomsChange::Changed, *room, person);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Contents, Disk};
    use crate::hub::staging::settings;
    use crate::hub::{KEEP_EVERY_MS, Settings};
    use crate::keep::{KeepRule, Retention};
    use crate::sequencer::{Turn, Waiting};
    use crate::store::{Commit, NewEntry, Oldest, Reserved, RoomShape, Snapshot, StoredRoom};
    use bytes::Bytes;
    use protocol::entry::EntryKind;
    use protocol::id::{Epoch, Millis};
    use protocol::message::Durability;
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    /// What is promised to be kept of each room.
    const COUNT: u64 = 1_000;

    /// A batch takes so many ms.
    const BATCH_MS: u64 = 10;

    /// A store that counts entries and nothing else, and has as little time for trims in a batch as the one on disk.
    #[derive(Debug)]
    struct Counted(Mutex<BTreeMap<RoomId, (u64, u64)>>);

    impl Oldest for Counted {
        fn oldest(&self, room: RoomId) -> Seq {
            Seq::new(self.0.lock().unwrap()[&room].0).unwrap()
        }
    }

    impl Counted {
        fn commit(&self, turn: &Turn) -> Commit {
            let mut rooms = self.0.lock().unwrap();
            let (mut left, mut trimmed, mut untrimmed) = (4_000, Vec::new(), Vec::new());
            for change in &turn.changes {
                let Change::Trim { room, keep } = change else { continue };
                let (first, last) = rooms.get_mut(room).unwrap();
                let over = (*last + 1 - *first).saturating_sub(keep.count.unwrap());
                let gone = over.min(1_000).min(left);
                (left, *first) = (left - gone, *first + gone);
                if gone > 0 {
                    trimmed.push((*room, Seq::new(*first).unwrap()));
                }
                if gone < over {
                    untrimmed.push(*room);
                }
            }
            let post = |waiting: &Waiting| {
                let (_, last) = rooms.get_mut(&waiting.entry.room).unwrap();
                *last += 1;
                Ok(Seq::new(*last).unwrap())
            };
            let posts = turn.posts.iter().map(post).collect();
            Commit { trimmed, untrimmed, ..Commit::of(posts) }
        }

        fn kept(&self) -> Vec<u64> {
            self.0.lock().unwrap().values().map(|(first, last)| last + 1 - first).collect()
        }
    }

    struct World {
        hub: Hub,
        store: Arc<Counted>,
        ms: u64,
    }

    impl World {
        /// A server with these many entries in its rooms, the first of which is the lobby.
        fn new(entries: &[u64]) -> Self {
            let id = |n: usize| RoomId::new(n as u64 + 1).unwrap();
            let name = |n: usize| if n == 0 { "lobby".to_owned() } else { format!("room-{n}") };
            let stored = entries.iter().enumerate().map(|(n, count)| StoredRoom {
                room: id(n),
                shape: RoomShape::Public { name: name(n) },
                topic: String::new(),
                head: Seq::new(*count),
                time: Millis(0),
                members: Vec::new(),
            });
            let snapshot = Snapshot {
                epoch: Epoch([7; 16]),
                server: crate::store::server_id(Epoch([7; 16])),
                people: Vec::new(),
                devices: Vec::new(),
                rooms: stored.collect(),
                files: Vec::new(),
                offers: Vec::new(),
                fetched: Vec::new(),
                spoke: BTreeSet::new(),
                blocks: BTreeSet::new(),
                last: Reserved::default(),
                clock: None,
                closed: crate::store::Closed::default(),
            };
            let counts = entries.iter().enumerate().map(|(n, count)| (id(n), (1, *count)));
            let store = Arc::new(Counted(Mutex::new(counts.collect())));
            let default = KeepRule { count: Some(COUNT), ..KeepRule::default() };
            let keep = Retention { default, rooms: BTreeMap::new() };
            let settings = Settings { keep, ..settings() };
            let contents = Arc::new(Contents::new(Disk, "/nowhere".into(), 0));
            let hub = Hub::new(
                settings,
                snapshot,
                Reserved::default(),
                Durability::Disk,
                store.clone(),
                contents,
                Now::default(),
            );
            Self { hub, store, ms: 0 }
        }

        /// Lets time pass, in which so many entries arrive in the lobby with each batch.
        fn pass(&mut self, ms: u64, posts: usize) {
            for _ in 0..ms / BATCH_MS {
                self.ms += BATCH_MS;
                let now = Now { steady: Steady(self.ms), wall: Millis(self.ms) };
                for _ in 0..posts {
                    let entry = NewEntry {
                        room: self.hub.lobby,
                        time: Millis(0),
                        written: Millis(0),
                        person: None,
                        name: String::new(),
                        origin: None,
                        kind: EntryKind::Text,
                        reply_to: None,
                        body: Bytes::from_static(b"hello"),
                        mentions: Vec::new(),
                    };
                    self.hub.sequencer.push(Waiting { entry, held: None });
                }
                self.hub.handle_tick(now);
                if let Some(turn) = self.hub.next_turn(now) {
                    let commit = self.store.commit(&turn);
                    self.hub.handle_commit(turn, commit, now);
                }
            }
        }
    }

    #[test]
    fn a_busy_room_has_what_is_promised_and_what_arrives_in_two_seconds_and_no_more() {
        for (posts, a_second) in [(10, 1_000), (40, 4_000), (100, 10_000)] {
            let mut world = World::new(&[1]);
            for _ in 0..20 {
                world.pass(500, posts);
                let kept = world.store.kept()[0];
                assert!(kept <= COUNT + 2 * a_second + 1_000, "{kept} at {a_second} a second");
            }
            world.pass(2 * KEEP_EVERY_MS, 0);
            assert_eq!(world.store.kept(), [COUNT], "after two passes of silence, {a_second} a second");
        }
    }

    #[test]
    fn many_full_rooms_are_trimmed_in_turns_beside_a_busy_one() {
        let mut world = World::new(&[3_000; 200]);
        world.pass(2 * KEEP_EVERY_MS, 40);
        let kept = world.store.kept();
        assert!(kept[1..].iter().all(|kept| *kept == COUNT), "{kept:?}");
        world.pass(2 * KEEP_EVERY_MS, 0);
        assert_eq!(world.store.kept(), [COUNT; 200]);
    }
}
