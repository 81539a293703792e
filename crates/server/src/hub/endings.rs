//! Rooms that end: those that nobody is in and of which nothing is kept, conversations with a guest who is gone, and
//! abandoned rooms when there are too many.
//!
//! All of it is looked for in ticks, some rooms at a time, and at most one room ends in [`ROOM_END_MS`]: numbers of rooms
//! are never given again, so whoever makes rooms only to have them end must not use the numbers up.

use super::Hub;
use crate::clock::{Now, Steady};
use crate::room::Room;
use crate::store::{Change, RoomShape};
use protocol::code::Code;
use protocol::id::{Millis, PersonId, RoomId, Seq};
use protocol::limits::{PRESENCE_GRACE_MS, ROOM_END_MS, UNUSED_DAYS};
use std::collections::{BTreeSet, VecDeque};

/// Rooms that are looked at in one tick: bounds its time.
const LOOKED_AT: usize = 256;

/// Abandoned rooms that are found in one walk and end one after the other.
const FOUND: usize = 64;

/// When a conversation is looked at again that its other one has not read, in ms.
const UNREAD_MS: u64 = 60_000;

/// When abandoned rooms are looked for again where a walk found none, in ms.
const REST_MS: u64 = 60_000;

/// Rooms and people that may be about to end.
#[derive(Debug, Default)]
pub(super) struct Endings {
    /// Conversations of which one of the two is gone for good, by when each is looked at.
    one_sided: BTreeSet<(Steady, RoomId)>,
    /// The last room that nobody is in and that was looked at.
    looked_at: Option<RoomId>,
    /// When the next room may end.
    next: Steady,
    clearing: Clearing,
    /// The last person who was looked at for being unused.
    pub(super) unused_at: Option<PersonId>,
}

/// The search for abandoned rooms while there are too many.
#[derive(Debug, Default)]
struct Clearing {
    /// There were as many rooms as there may be, and places are still made.
    is_on: bool,
    /// The last room that this walk looked at.
    at: Option<RoomId>,
    /// The emptiest of those that it found: how many entries each has, when something was last said, and which it is.
    found: BTreeSet<(u64, Millis, RoomId)>,
    /// Those of the last walk.
    due: VecDeque<RoomId>,
    next_walk: Steady,
}

impl Hub {
    /// Takes note of conversations whose guest was gone before the start, and takes back what they blocked. Somebody who
    /// has posted and was no guest is known to have (`posted`), and whoever the operator removed may be one of them.
    /// Where people are damaged it is not known who is gone.
    pub(super) fn find_one_sided(&mut self, posted: Option<&BTreeSet<PersonId>>, now: Now) {
        let Some(posted) = posted else { return };
        self.forget_dangling_blocks();
        let is_gone = |person: &PersonId| self.people.find(*person).is_none() && !posted.contains(person);
        let rooms = self.rooms.after(None).filter(|room| match &room.shape {
            RoomShape::Direct(a, b) => is_gone(a) || is_gone(b),
            RoomShape::Public { .. } => false,
        });
        let rooms: Vec<_> = rooms.map(|room| room.id).collect();
        rooms.into_iter().for_each(|room| self.note_one_sided(room, now));
    }

    /// A guest is gone: a conversation with them ends after their grace.
    pub(super) fn note_one_sided(&mut self, room: RoomId, now: Now) {
        if self.rooms.find(room).is_some_and(|found| !found.is_public()) {
            self.endings.one_sided.insert((now.steady.after(PRESENCE_GRACE_MS), room));
        }
    }

    /// Ends a room whose time is over, if there is one.
    pub(super) fn end_rooms(&mut self, now: Now) {
        // On a full disk nothing is added to what waits.
        if self.full.is_some() || self.draining {
            return;
        }
        self.look_for_abandoned(now);
        if now.steady < self.endings.next {
            return;
        }
        let ended = self.end_one_sided(now) || self.end_empty(now) || self.end_abandoned(now);
        if ended {
            self.endings.next = now.steady.after(ROOM_END_MS);
        }
    }

    fn end_one_sided(&mut self, now: Now) -> bool {
        for _ in 0..LOOKED_AT {
            let Some((at, room)) = self.endings.one_sided.first().copied() else { return false };
            if at > now.steady {
                return false;
            }
            self.endings.one_sided.remove(&(at, room));
            if self.rooms.find(room).is_none() {
                continue;
            }
            if self.is_read_by_all(room, now) {
                self.let_end(room, "its guest is gone", now);
                return true;
            }
            self.endings.one_sided.insert((now.steady.after(UNREAD_MS), room));
        }
        false
    }

    /// Whether all who are in a room have read all of it, so that nothing is lost with it; guests, who have no marks that
    /// last, whether they were given it. Whoever has not come for it in as long as people are remembered does not come
    /// for it any more.
    fn is_read_by_all(&self, room: RoomId, now: Now) -> bool {
        let Some(found) = self.rooms.find(room) else { return true };
        let head = found.log.head();
        let is_given = |person: PersonId| {
            let is_guest = self.people.find(person).is_none_or(|known| known.credential.is_none());
            let mut own = self.sessions_of(person).filter(|conn| found.readers.contains_key(&conn.id));
            is_guest && own.all(|conn| conn.outlet().next_in(room) > head)
        };
        let has_read = |(person, read): (&PersonId, &Option<Seq>)| *read >= head || is_given(*person);
        let is_old = self.is_long_ago(found.last_said(), now) && !self.clock.is_doubted();
        found.under_way == 0 && (found.members.iter().all(has_read) || is_old)
    }

    fn end_empty(&mut self, now: Now) -> bool {
        let some: Vec<_> = self.rooms.deserted_after(self.endings.looked_at).take(LOOKED_AT).collect();
        for room in &some {
            self.endings.looked_at = Some(*room);
            if self.has_nothing_left(*room, now) {
                self.let_end(*room, "nobody is in it and nothing of it is kept", now);
                return true;
            }
        }
        if some.len() < LOOKED_AT {
            self.endings.looked_at = None;
        }
        false
    }

    /// Whether nobody is in a room and retention keeps nothing of it.
    fn has_nothing_left(&self, room: RoomId, now: Now) -> bool {
        let Some(found) = self.rooms.find(room).filter(|found| self.may_end(found)) else { return false };
        if !found.members.is_empty() {
            return false;
        }
        let Some(head) = found.log.head() else { return true };
        // A trim leaves the newest entry: here that goes, too, when it is past its age.
        let since = self.settings.keep.rule(found.name()).at(now.wall).since;
        let is_past = since.is_some_and(|since| found.time < since) && !self.clock.is_doubted();
        is_past && self.history.oldest(room) >= head
    }

    /// Whether nothing speaks against the end of a room but who is in it and what was said.
    fn may_end(&self, room: &Room) -> bool {
        // The first room of all stands for the server where it is stored who has posted.
        room.id != self.lobby && room.id != RoomId::FIRST && room.under_way == 0 && room.kept.ended.is_none()
    }

    /// Makes sure that there may be one more room that somebody is in.
    ///
    /// # Errors
    /// [`Code::NoMoreRooms`] if there are as many as there may be.
    pub(super) fn check_room_total(&self) -> Result<(), Code> {
        if self.has_too_many_rooms(0) { Err(Code::NoMoreRooms) } else { Ok(()) }
    }

    /// Whether there are as many rooms as there may be but for so many. Those that nobody is in do not count against the
    /// others, but their number is bounded, too.
    fn has_too_many_rooms(&self, but_for: usize) -> bool {
        let most = self.settings.limits.bounds.rooms;
        self.rooms.inhabited() + but_for >= most || self.rooms.len() + but_for >= most.saturating_mul(2)
    }

    /// Goes on looking for the emptiest of the abandoned rooms, if there are too many rooms.
    fn look_for_abandoned(&mut self, now: Now) {
        let reserve = (self.settings.limits.bounds.rooms / 100).clamp(1, FOUND);
        let is_on = self.endings.clearing.is_on;
        self.endings.clearing.is_on = self.has_too_many_rooms(if is_on { reserve - 1 } else { 0 });
        let Clearing { is_on, at, ref due, next_walk, .. } = self.endings.clearing;
        if !is_on || !due.is_empty() || now.steady < next_walk {
            return;
        }
        let some: Vec<_> = self.rooms.after(at).take(LOOKED_AT).map(|room| room.id).collect();
        let found: Vec<_> = some.iter().filter_map(|room| self.as_abandoned(*room, now)).collect();
        let clearing = &mut self.endings.clearing;
        clearing.found.extend(found);
        while clearing.found.len() > FOUND {
            clearing.found.pop_last();
        }
        clearing.at = some.last().copied().filter(|_| some.len() == LOOKED_AT);
        if clearing.at.is_none() {
            clearing.due = std::mem::take(&mut clearing.found).into_iter().map(|(_, _, room)| room).collect();
            if clearing.due.is_empty() {
                clearing.next_walk = now.steady.after(REST_MS);
            }
        }
    }

    fn end_abandoned(&mut self, now: Now) -> bool {
        if !self.endings.clearing.is_on {
            self.endings.clearing.due.clear();
        }
        while let Some(room) = self.endings.clearing.due.pop_front() {
            // Somebody may have come since.
            if let Some((entries, ..)) = self.as_abandoned(room, now) {
                self.let_abandoned_end(room, entries, now);
                return true;
            }
        }
        false
    }

    fn let_abandoned_end(&mut self, room: RoomId, entries: u64, now: Now) {
        if let Some(found) = self.rooms.find(room) {
            let (name, members) = (found.name().unwrap_or("a conversation").to_owned(), found.members.len());
            tracing::warn!(%room, name, entries, members, "there are too many rooms: one ends that was abandoned");
        }
        self.let_end(room, "it was abandoned", now);
    }

    /// How many entries a room has and when something was last said in it, if it is one in which nothing was said for
    /// long, and nobody who is in it was seen.
    fn as_abandoned(&self, room: RoomId, now: Now) -> Option<(u64, Millis, RoomId)> {
        let found = self.rooms.find(room).filter(|found| self.may_end(found) && !self.clock.is_doubted())?;
        let is_away = |person: &PersonId| {
            let known = self.people.find(*person);
            known.is_none_or(|known| !known.is_online() && self.is_long_ago(known.seen, now))
        };
        let is_old = self.is_long_ago(found.last_said(), now) && found.members.keys().all(is_away);
        let end = found.log.head().map_or(0, |head| head.value() + 1);
        let entries = end.saturating_sub(self.history.oldest(room).value());
        is_old.then_some((entries, found.last_said(), room))
    }

    /// Whether a time is longer ago than what is unused is kept.
    pub(super) fn is_long_ago(&self, time: Millis, now: Now) -> bool {
        now.wall.0.saturating_sub(time.0) > u64::from(UNUSED_DAYS) * 86_400_000
    }

    /// Ends a room: whoever is in it is told that they are not any more, and it goes from the store.
    fn let_end(&mut self, room: RoomId, why: &str, now: Now) {
        let members: Vec<_> =
            self.rooms.find(room).into_iter().flat_map(|room| room.members.keys().copied()).collect();
        for person in members {
            self.put_out(room, person, "The server", now);
        }
        self.stirred.remove(&room);
        self.trimmed.remove(&room);
        if self.rooms.remove(room).is_some() {
            tracing::info!(%room, why, "a room ends");
            self.sequencer.change(Change::RoomGone { room });
        }
    }

    /// Goes on with rooms that the store had no time to let go to their end.
    pub(super) fn go_on_ending(&mut self, changes: &[Change], untrimmed: &[RoomId]) {
        for change in changes {
            if let Change::RoomGone { room } = change
                && untrimmed.contains(room)
            {
                self.sequencer.change(change.clone());
            }
        }
    }
}
