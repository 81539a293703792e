//! Membership and cursors: joining, parting, opening and closing rooms, and what is told of them.

use super::paying::Denied;
use super::{Hub, Voice};
use crate::clock::Now;
use crate::conn::{Conn, ConnId};
use crate::log::View;
use crate::room::Room;
use crate::sequencer::{About, Delivery, NewReply, Request};
use crate::store::{Change, RoomShape};
use protocol::code::Code;
use protocol::id::{Epoch, PersonId, Req, RoomId, Seq};
use protocol::limits::MAX_FETCH;
use protocol::limits::rates::Bucket;
use protocol::message::{OpenFrom, RoomInfo, RoomKind, RoomsChange, ServerMsg, TrimReason};
use protocol::name::RoomName;
use std::sync::Arc;

impl Hub {
    /// Makes a person a member of the public room of this name, which is made if there is none.
    pub(super) fn join_room(
        &mut self,
        conn: ConnId,
        person: PersonId,
        name: &RoomName,
        now: Now,
    ) -> Result<RoomId, Denied> {
        let known = self.rooms.named(name);
        let member = self.people.find(person);
        let is_member = known.zip(member).is_some_and(|(room, member)| member.is_in(room));
        if known.is_none() && self.rooms.is_closed(name) {
            return Err(Code::Damaged.into());
        }
        if !is_member {
            self.check_space()?;
        }
        let room = match known {
            Some(room) => room,
            None => {
                RoomName::parse_new(name.as_str()).map_err(|_| Code::BadName)?;
                self.check_room_count(person)?;
                self.check_room_total()?;
                self.pay(conn, Bucket::Rooms, 1, now)?;
                self.store_person(person)?;
                self.add_room(RoomShape::Public { name: name.to_string() }, now)
            }
        };
        if known.is_some() && !is_member {
            self.check_room_count(person)?;
            if self.rooms.is_deserted(room) {
                self.check_room_total()?;
            }
            if room != self.lobby {
                self.store_person(person)?;
            }
        }
        self.add_member(room, person, now);
        Ok(room)
    }

    /// The room of two people, which is made if there is none.
    pub(super) fn direct_room(
        &mut self,
        conn: ConnId,
        me: PersonId,
        other: PersonId,
        now: Now,
    ) -> Result<RoomId, Denied> {
        self.check_blocked(me, other)?;
        let known = self.rooms.direct(me, other);
        if self.people.find(other).is_some()
            && me != other
            && known.is_none_or(|room| self.is_away_from(room, other))
        {
            self.check_unanswered(me, other)?;
        }
        if let Some(room) = known {
            return Ok(room);
        }
        if self.rooms.is_direct_closed(me, other) {
            return Err(Code::Damaged.into());
        }
        if self.people.find(other).is_none() {
            return Err(Code::NoSuchPerson.into());
        }
        self.check_space()?;
        self.check_room_count(me)?;
        self.check_room_total()?;
        self.pay(conn, Bucket::Directs, 1, now)?;
        self.store_person(me)?;
        self.store_person(other)?;
        let room = self.add_room(RoomShape::Direct(me.min(other), me.max(other)), now);
        self.note_spoke(room, me);
        for person in [me, other] {
            if self.add_member(room, person, now) {
                self.tell_rooms(person, room);
            }
        }
        Ok(room)
    }

    fn add_room(&mut self, shape: RoomShape, now: Now) -> RoomId {
        let room = self.rooms.add(shape.clone(), now.wall);
        self.reserve_numbers();
        self.sequencer.change(Change::Room { room, shape, topic: String::new() });
        self.flush_roster(room);
        room
    }

    /// Whether a person may be in one more room. Those that wait for a first word of theirs do not count.
    fn check_room_count(&self, person: PersonId) -> Result<(), Code> {
        let known = self.people.find(person).ok_or(Code::NoSuchPerson)?;
        let count = known.rooms().iter().filter(|room| !self.is_unanswered(**room, person)).count();
        if count < self.settings.limits.bounds.rooms_per_person { Ok(()) } else { Err(Code::TooManyRooms) }
    }

    /// Whether a room is a conversation that somebody else has opened with a person who never wrote in it.
    pub(super) fn is_unanswered(&self, room: RoomId, person: PersonId) -> bool {
        self.rooms.find(room).is_some_and(|found| found.is_unanswered_by(person))
    }

    /// Whether a person never wrote in a conversation and has left it: to write there is to open it again.
    fn is_away_from(&self, room: RoomId, person: PersonId) -> bool {
        let is_away = |found: &Room| found.is_unanswered_by(person) && !found.members.contains_key(&person);
        self.rooms.find(room).is_some_and(is_away)
    }

    /// Whether one may open a conversation with somebody: only so many wait for a first word of theirs. Whoever shares a
    /// public room beside the lobby with them has as many places of their own.
    ///
    /// # Errors
    /// [`Code::Unanswered`] if there are as many.
    fn check_unanswered(&self, me: PersonId, other: PersonId) -> Result<(), Code> {
        let known = self.people.find(other).ok_or(Code::NoSuchPerson)?;
        let most = self.settings.limits.bounds.unanswered;
        let waiting = known.rooms().iter().filter(|room| self.is_unanswered(**room, other)).count();
        if waiting < most {
            return Ok(());
        }
        let me = self.people.find(me);
        let is_shared = |room: &RoomId| *room != self.lobby && me.is_some_and(|me| me.is_in(*room));
        if waiting < 2 * most && known.rooms().iter().any(is_shared) {
            return Ok(());
        }
        Err(Code::Unanswered)
    }

    /// A person has written in a room of two, or opened it.
    pub(super) fn note_spoke(&mut self, room: RoomId, person: PersonId) {
        let is_first =
            self.rooms.find_mut(room).is_some_and(|found| !found.is_public() && found.spoke.insert(person));
        if is_first {
            self.sequencer.change(Change::Spoke { room, person });
        }
    }

    /// True if the person was not a member yet.
    pub(super) fn add_member(&mut self, room: RoomId, person: PersonId, now: Now) -> bool {
        let (Some(found), Some(known)) = (self.rooms.find_mut(room), self.people.find_mut(person)) else {
            return false;
        };
        if !known.join(room) {
            return false;
        }
        found.members.insert(person, None);
        self.rooms.settle_members(room);
        self.change_of(person, Change::Member { room, person, joined: true });
        self.stir_in(room, person, now);
        true
    }

    /// Ends a membership and all cursors that it allowed.
    pub(super) fn remove_member(&mut self, room: RoomId, person: PersonId, now: Now) {
        if let Some(known) = self.people.find_mut(person) {
            known.part(room);
        }
        let conns: Vec<_> = self.sessions_of(person).map(|conn| conn.id).collect();
        let Some(found) = self.rooms.find_mut(room) else {
            return;
        };
        if found.members.remove(&person).is_none() {
            return;
        }
        found.mentions.forget(person);
        for conn in conns {
            if let Some(conn) = found.readers.remove(&conn) {
                conn.outlet().close_room(room);
            }
        }
        self.rooms.settle_members(room);
        self.change_of(person, Change::Member { room, person, joined: false });
        self.stir_in(room, person, now);
    }

    pub(super) fn sessions_of(&self, person: PersonId) -> impl Iterator<Item = &Arc<Conn>> {
        let own = (person, ConnId(0))..=(person, ConnId(u64::MAX));
        let sessions = self.by_person.range(own).filter_map(|(_, conn)| self.sessions.get(conn));
        sessions.map(|session| &session.conn)
    }

    /// The room, if this person may read it and post to it.
    pub(super) fn authorize(&self, person: PersonId, room: RoomId) -> Result<(), Code> {
        let Some(found) = self.rooms.find(room) else {
            return Err(if self.rooms.is_closed_to(person, room) { Code::Damaged } else { Code::NoSuchRoom });
        };
        if found.members.contains_key(&person) {
            return Ok(());
        }
        // Who is not one of the two must not learn that they talk.
        Err(if found.is_public() { Code::NotAMember } else { Code::NoSuchRoom })
    }

    /// What a person is told about a room of theirs.
    pub(super) fn room_info(&self, room: RoomId, person: PersonId) -> Option<RoomInfo> {
        let found = self.rooms.find(room)?;
        let read = found.members.get(&person).copied().flatten();
        let newest = found.log.head();
        let (kind, name) = match found.peer(person) {
            Some(peer) => (RoomKind::Direct { peer }, self.name_of(peer)),
            None => (RoomKind::Public, found.name().unwrap_or_default().to_owned()),
        };
        let oldest = self.history.oldest(room);
        let unread =
            newest.map_or(0, Seq::value).saturating_sub(read.max(oldest.before()).map_or(0, Seq::value));
        Some(RoomInfo {
            room,
            kind,
            name,
            topic: found.topic.clone(),
            oldest,
            newest,
            read,
            unread: u32::try_from(unread).unwrap_or(u32::MAX),
            mentions: found.mentions.count(person),
        })
    }

    /// Tells all connections of a person that they are in a room now; classic ones begin to read it.
    pub(super) fn tell_rooms(&mut self, person: PersonId, room: RoomId) {
        let conns: Vec<_> = self.sessions_of(person).cloned().collect();
        for conn in conns {
            match self.sessions.get(&conn.id).map(|session| session.voice) {
                Some(Voice::Native) => self.tell_room(conn.id, RoomsChange::Added, room, person),
                Some(Voice::Classic { current }) => self.read_classic(&conn, person, room, current == room),
                None => {}
            }
        }
    }

    /// Tells a connection what changed about a room of its person, without being asked.
    pub(super) fn tell_room(&mut self, conn: ConnId, change: RoomsChange, room: RoomId, person: PersonId) {
        let delivery = if change == RoomsChange::Changed { Delivery::Newest } else { Delivery::Unasked };
        let bytes = room_change(Req(0), change, self.room_info(room, person)).encode();
        let about = Some(About { room, delivery });
        self.send_after_commit(conn, NewReply { bytes, about, request: None });
    }

    /// The same as the answer to a request of this type.
    pub(super) fn answer_with_room(
        &mut self,
        conn: ConnId,
        ty: u8,
        req: Req,
        change: RoomsChange,
        room: RoomId,
        person: PersonId,
    ) {
        let info = self.room_info(room, person);
        let bytes = room_change(req, change.clone(), info.clone()).encode();
        // It is done when there is room again, and told then as it is told to the others.
        let request = Some(Request { ty, req, later: Some(room_change(Req(0), change, info)) });
        let about = Some(About { room, delivery: Delivery::Answer });
        self.send_after_commit(conn, NewReply { bytes, about, request });
    }

    /// Lets a classic connection read a room from here on.
    pub(super) fn read_classic(&mut self, conn: &Arc<Conn>, me: PersonId, room: RoomId, current: bool) {
        let Some(log) = self.rooms.find(room).map(|found| found.log.clone()) else {
            return;
        };
        let (next, roster) = (Seq::after(log.head()), log.end().roster.version());
        self.read_room(conn, room, View::Classic { me, current }, next, roster);
    }

    /// Sets a cursor.
    pub(super) fn read_room(&mut self, conn: &Arc<Conn>, room: RoomId, view: View, next: Seq, roster: u64) {
        let Some(found) = self.rooms.find_mut(room) else {
            return;
        };
        found.readers.insert(conn.id, conn.clone());
        conn.outlet().open(found.log.clone(), view, next, roster);
        self.news.insert(conn.id, conn.clone());
    }

    pub(super) fn open_room(
        &mut self,
        conn: ConnId,
        req: Req,
        room: RoomId,
        from: &OpenFrom,
    ) -> Result<(), Code> {
        let Some(session) = self.sessions.get(&conn) else {
            return Ok(());
        };
        let (person, conn) = (session.person, session.conn.clone());
        self.authorize(person, room)?;
        let Some(found) = self.rooms.find(room) else {
            return Err(Code::NoSuchRoom);
        };
        let newest = found.log.head();
        let oldest = self.history.oldest(room);
        let (next, trimmed) = start(from, self.epoch, oldest, newest);
        let topic = found.topic.clone();
        // Old cursors of this room must not write between `Opened` and what it announces.
        conn.outlet().close_room(room);
        self.send_to(&conn, ServerMsg::Opened { req, room, topic, oldest, newest, next }.encode());
        if let Some(reason) = trimmed {
            self.send_to(&conn, ServerMsg::Trimmed { room, reason, first: next }.encode());
        }
        let (roster, version) = self.roster_snapshot(room);
        roster.into_iter().for_each(|frame| self.send_to(&conn, frame));
        self.read_room(&conn, room, View::Native, next, version);
        Ok(())
    }

    pub(super) fn close_room(&mut self, conn: ConnId, room: RoomId) -> Result<(), Code> {
        // A public room that one is not in is simply not open; of others' conversations nothing is told.
        self.authorize(self.person_of(conn)?, room).map_err(|code| match code {
            Code::NotAMember => Code::NotOpen,
            code => code,
        })?;
        let found = self.rooms.find_mut(room).ok_or(Code::NoSuchRoom)?;
        let reader = found.readers.remove(&conn).ok_or(Code::NotOpen)?;
        reader.outlet().close_room(room);
        Ok(())
    }
}

fn room_change(req: Req, change: RoomsChange, room: Option<RoomInfo>) -> ServerMsg {
    ServerMsg::Rooms { req, change, more: false, rooms: room.into_iter().collect() }
}

/// Where a cursor begins, and whether that is not where it was asked to.
fn start(from: &OpenFrom, epoch: Epoch, oldest: Seq, newest: Option<Seq>) -> (Seq, Option<TrimReason>) {
    let end = Seq::after(newest);
    match from {
        OpenFrom::Now => (end, None),
        OpenFrom::Last { count } => {
            let count = u64::from((*count).min(MAX_FETCH));
            let first = Seq::new(end.value().saturating_sub(count)).unwrap_or(Seq::FIRST);
            (first.max(oldest), None)
        }
        OpenFrom::After { epoch: theirs, .. } if *theirs != epoch => (oldest, Some(TrimReason::NewHistory)),
        OpenFrom::After { seq, .. } => {
            let next = Seq::after(*seq);
            if next > end {
                // Nobody can have read what was never written: their history is another one.
                (oldest, Some(TrimReason::NewHistory))
            } else if next < oldest && seq.is_some() {
                (oldest, Some(TrimReason::Trimmed))
            } else {
                (next.max(oldest), None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Epoch = Epoch([1; 16]);
    const ELSEWHERE: Epoch = Epoch([2; 16]);

    fn seq(n: u64) -> Seq {
        Seq::new(n).unwrap()
    }

    fn check(from: &OpenFrom, oldest: u64, newest: u64, next: u64, trimmed: Option<TrimReason>) {
        let found = start(from, HERE, seq(oldest), Seq::new(newest));
        assert_eq!(found, (seq(next), trimmed), "{from:?} in {oldest}..={newest}");
    }

    #[test]
    fn a_cursor_begins_after_its_number() {
        let after = |n| OpenFrom::After { epoch: HERE, seq: Seq::new(n) };
        check(&after(3), 1, 5, 4, None);
        check(&after(5), 1, 5, 6, None);
        check(&after(0), 1, 5, 1, None);
        check(&after(0), 1, 0, 1, None);
    }

    #[test]
    fn a_cursor_before_what_is_kept_is_told_so() {
        let after = |n| OpenFrom::After { epoch: HERE, seq: Seq::new(n) };
        check(&after(1), 4, 9, 4, Some(TrimReason::Trimmed));
        check(&after(3), 4, 9, 4, None);
        check(&after(0), 4, 9, 4, None);
    }

    #[test]
    fn a_cursor_of_another_history_begins_at_the_oldest() {
        check(&OpenFrom::After { epoch: ELSEWHERE, seq: Seq::new(3) }, 1, 5, 1, Some(TrimReason::NewHistory));
        check(&OpenFrom::After { epoch: HERE, seq: Seq::new(6) }, 1, 5, 1, Some(TrimReason::NewHistory));
    }

    #[test]
    fn the_last_ones_are_at_most_those_that_are_kept() {
        check(&OpenFrom::Last { count: 2 }, 1, 5, 4, None);
        check(&OpenFrom::Last { count: 9 }, 3, 5, 3, None);
        check(&OpenFrom::Last { count: 0 }, 1, 5, 6, None);
        check(&OpenFrom::Now, 1, 5, 6, None);
    }
}
