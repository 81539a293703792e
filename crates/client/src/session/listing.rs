//! Which rooms are mine: the list after login, what is added and removed, opening each at its cursor.

use super::cursors::Cursor;
use super::event::{Entered, Event};
use super::place::Place;
use super::requests::Asked;
use super::rooms::Room;
use super::roster::{Change, Outcome, Page};
use super::{Phase, Session};
use crate::clock::Now;
use protocol::id::{Req, RoomId, Seq};
use protocol::limits::MAX_FETCH;
use protocol::message::{ClientMsg, OpenFrom, Range, RoomInfo, RoomsChange, TrimReason};
use protocol::name::NameKey;
use std::collections::BTreeSet;

impl Session {
    pub(super) fn handle_rooms(&mut self, req: Req, change: &RoomsChange, more: bool, rooms: Vec<RoomInfo>) {
        match change {
            RoomsChange::All => {
                self.listing.extend(rooms);
                if !more {
                    self.handle_listed();
                }
            }
            RoomsChange::Added => rooms.into_iter().for_each(|info| self.handle_added(info)),
            RoomsChange::Changed => rooms.into_iter().for_each(|info| self.handle_changed(info)),
            RoomsChange::Removed => rooms.iter().for_each(|info| self.handle_removed(info.room)),
        }
        self.requests.take(req);
        self.collect_names();
        self.collect_typing();
    }

    /// The whole list is there: open every room, and go where I am wanted.
    fn handle_listed(&mut self) {
        self.phase = Phase::Up;
        let listed = std::mem::take(&mut self.listing);
        self.forget_unlisted(&listed);
        let rooms: Vec<_> = listed.iter().map(|info| info.room).collect();
        listed.into_iter().for_each(|info| self.keep_place(info));
        self.tell_news();
        self.marks.handle_shown(rooms.iter().copied());
        rooms.into_iter().for_each(|id| self.recall(id));
        self.returning = true;
        for name in self.joining.clone() {
            self.join(name);
        }
        if let (Place::Room(name), None) = (self.current.clone(), self.rooms.by_place(&self.current))
            && !self.is_joining(&name)
        {
            self.leave_current();
        }
    }

    /// Rooms that were left meanwhile: on another device, or before the answer could come.
    fn forget_unlisted(&mut self, listed: &[RoomInfo]) {
        let is_listed = |id: RoomId| listed.iter().any(|info| info.room == id);
        let unlisted = self.rooms.iter().filter(|room| !is_listed(room.info.room));
        let mut left: BTreeSet<_> = unlisted.map(Room::place).collect();
        left.extend(self.keeper.retain(is_listed));
        self.rooms.retain(is_listed);
        left.into_iter().for_each(|place| self.tell(Event::Left { place }));
    }

    /// Takes a room's information; it is not joined any more but joined.
    fn keep_place(&mut self, info: RoomInfo) {
        let cursor = self.keeper.position(info.room).map(Cursor::at).unwrap_or_default();
        let room = self.rooms.take(info, cursor);
        room.marked = None;
        let (id, place) = (room.info.room, room.place());
        self.keeper.note_room(id, place);
    }

    fn joining_index(&self, id: RoomId) -> Option<usize> {
        let room = self.rooms.iter().find(|room| room.info.room == id)?;
        let place = room.place();
        self.joining.iter().position(|name| place.is(&Place::Room(name.clone())))
    }

    fn is_joining(&self, name: &str) -> bool {
        self.joining.iter().any(|joining| NameKey::of(joining) == NameKey::of(name))
    }

    /// Wants to be in the room of this name; it is asked for when there is a connection.
    pub(super) fn join(&mut self, name: String) {
        let place = Place::Room(name.clone());
        if self.rooms.by_place(&place).is_some() {
            self.joining.retain(|joining| NameKey::of(joining) != NameKey::of(&name));
            return;
        }
        if !self.is_joining(&name) {
            self.joining.push(name.clone());
        }
        let asked = |asked: &Asked| match asked {
            Asked::Join { name } | Asked::Seek { name, .. } => place.is(&Place::Room(name.clone())),
            _ => false,
        };
        if self.phase == Phase::Up && !self.requests.any(asked) {
            if self.makes_no_rooms { self.seek(name, Vec::new()) } else { self.ask_to_join(name) }
        }
    }

    fn handle_added(&mut self, info: RoomInfo) {
        let id = info.room;
        let known = self.rooms.by_id(id).is_some();
        let wanted = self.is_joining(&info.name);
        self.keep_place(info);
        let Some(place) = self.rooms.by_id(id).map(|room| room.place()) else {
            return;
        };
        if let Some(at) = self.joining_index(id) {
            self.joining.remove(at);
        }
        if !known {
            self.open(id);
        }
        if wanted && self.current.is(&place) {
            self.current = place.clone();
            self.back_to = place.clone();
            self.tell(Event::Switched { place });
        }
    }

    fn handle_changed(&mut self, info: RoomInfo) {
        let id = info.room;
        let before = self.rooms.by_id(id).map(|room| room.place());
        self.keep_place(info);
        let after = self.rooms.by_id(id).map(|room| room.place());
        if let (Some(before), Some(after)) = (&before, &after)
            && self.back_to.is(before)
        {
            // The way back from a private conversation leads to the room under its new name.
            self.back_to = after.clone();
        }
        if let Some((before, after)) = before.zip(after).filter(|(before, _)| self.current.is(before)) {
            self.current = after.clone();
            if before != after {
                self.tell(Event::Switched { place: after });
            }
        }
    }

    fn handle_removed(&mut self, id: RoomId) {
        let Some(room) = self.rooms.remove(id) else {
            return;
        };
        let place = room.place();
        self.resume.forget(id);
        drop(self.keeper.retain(|kept| kept != id));
        self.tell(Event::Left { place: place.clone() });
        if self.current.is(&place) {
            self.leave_current();
        }
    }

    /// Goes to another room, since the current one can't be had.
    pub(super) fn leave_current(&mut self) {
        if let Some(place) = self.way_back() {
            self.go_to(place);
        }
    }

    /// A room of mine other than the current one: the last that I was in, the lobby, or any.
    pub(super) fn way_back(&self) -> Option<Place> {
        let others = [self.back_to.clone(), Place::Room("lobby".into())];
        let known = others
            .into_iter()
            .filter(|place| !place.is(&self.current))
            .find_map(|place| self.rooms.by_place(&place).map(|room| room.place()));
        let any = || self.rooms.iter().find(|room| room.peer().is_none()).map(|room| room.place());
        known.or_else(any)
    }

    /// What is typed goes there from here on.
    pub(super) fn go_to(&mut self, place: Place) {
        if matches!(place, Place::Room(_)) {
            self.back_to = place.clone();
        }
        self.reading = None;
        self.current = place.clone();
        self.collect_typing();
        self.tell(Event::Switched { place });
        if let Some(id) = self.rooms.by_place(&self.current).map(|room| room.info.room) {
            self.enter(id);
        }
    }

    /// Opens a room; a person who comes back to where they were is shown the last lines that they have read first.
    fn recall(&mut self, id: RoomId) {
        let wanted = self.config.interactive && self.logins == 1;
        if wanted {
            self.skip_what_was_read(id);
        }
        let room = self.rooms.by_id(id);
        let here = room.filter(|room| room.place().is(&self.current));
        let seen = here.and_then(|room| room.cursor.position().flatten());
        match seen.filter(|_| wanted && self.config.history > 0) {
            None => {
                self.tell_elsewhere(id, 0);
                self.open(id);
            }
            Some(seen) => {
                let (range, limit) = (Range::Before { seq: seen.next() }, self.config.history);
                self.ask(Asked::Context { room: id }, |req| ClientMsg::Fetch { req, room: id, range, limit });
            }
        }
    }

    /// Sets the cursor: where it stood; at the oldest entry if all of the room is news to this profile; else a
    /// little before the end.
    pub(super) fn open(&mut self, id: RoomId) {
        let Some((room, epoch)) = self.rooms.by_id(id).zip(self.epoch) else {
            return;
        };
        let kept = room.cursor.position();
        let place = room.place();
        let news = match &place {
            Place::Person(_) => self.returning,
            Place::Room(_) => self.reread.iter().any(|name| place.is(&Place::Room(name.clone()))),
        };
        let from = match kept {
            Some(seq) => OpenFrom::After { epoch, seq },
            None if news => OpenFrom::After { epoch, seq: None },
            None => OpenFrom::Last { count: room.unread_count().clamp(self.config.history, MAX_FETCH) },
        };
        room.first_look = matches!(from, OpenFrom::Last { .. });
        self.resume.handle_opening(kept.is_some());
        self.ask(Asked::Open { room: id }, |req| ClientMsg::Open { req, room: id, from });
    }

    pub(super) fn handle_opened(
        &mut self,
        req: Req,
        id: RoomId,
        topic: String,
        newest: Option<Seq>,
        next: Seq,
    ) {
        self.requests.take(req);
        let Some(room) = self.rooms.by_id(id) else {
            self.resume.handle_opened(id, None);
            return;
        };
        let kept = room.cursor.position();
        room.info.topic = topic;
        room.info.newest = newest;
        let gone = room.cursor.handle_opened(next);
        if std::mem::take(&mut room.first_look) {
            room.history = newest;
        }
        let seen = room.cursor.position().flatten();
        let behind = newest.filter(|newest| Some(*newest) > seen);
        if !room.entered {
            room.unread = room.what_is_new(kept.is_some());
        }
        let place = room.place();
        self.resume.handle_opened(id, behind);
        if gone > 0 {
            self.tell(Event::Trimmed { place: place.clone(), first: next, gone });
        }
        self.keeper.note_position(self.queued, id, &place, seen);
    }

    pub(super) fn handle_trimmed(&mut self, id: RoomId, reason: &TrimReason, first: Seq) {
        let Some(room) = self.rooms.by_id(id) else {
            return;
        };
        let place = room.place();
        match reason {
            TrimReason::NewHistory => {
                room.cursor = Cursor::at(first.before());
                room.history = None;
                self.tell(Event::NewHistory);
            }
            TrimReason::Trimmed => {
                let gone = room.cursor.handle_trimmed(first);
                if gone > 0 {
                    self.tell(Event::Trimmed { place: place.clone(), first, gone });
                }
            }
        }
        if let Some(room) = self.rooms.by_id(id) {
            room.unread = room.what_is_new(true).filter(|_| !room.entered);
            if room.info.newest < Some(first) {
                self.resume.forget(id);
            }
        }
        self.keeper.note_position(self.queued, id, &place, first.before());
    }

    pub(super) fn handle_roster(&mut self, id: RoomId, page: Page, now: Now) {
        let Some(room) = self.rooms.by_id(id) else {
            return;
        };
        let outcome = room.roster.handle_page(page);
        let here = room.place().is(&self.current);
        match outcome {
            Outcome::Loading => {}
            Outcome::Loaded => {
                room.comings.handle_snapshot(&room.roster, now.steady);
                self.collect_names();
                if here {
                    self.enter(id);
                }
            }
            Outcome::Changed(changes) => {
                for (person, _, change) in &changes {
                    match change {
                        Change::Came | Change::Left if here => room.comings.handle_change(now.steady),
                        Change::Came | Change::Left => room.comings.believe(&room.roster),
                        Change::Renamed(name) => room.comings.handle_renamed(*person, name),
                        Change::Away(_) | Change::Back => {}
                    }
                }
                if !changes.is_empty() {
                    self.collect_names();
                }
                for (person, name, change) in changes {
                    // Somebody on an errand may go on sending when their chat has ended.
                    let still = |room: &Room| room.roster.people().any(|item| item.person == person);
                    if change == Change::Left && !self.rooms.find(id).is_some_and(still) {
                        self.handle_sender_gone(&name);
                    }
                    let folded = matches!(change, Change::Came | Change::Left);
                    let hidden = self.ignored.hides(Some(person), &name);
                    if here && Some(person) != self.me && !hidden && !folded {
                        self.tell(Event::Person { name, change });
                    }
                }
            }
        }
        if here {
            self.collect_typing();
        }
    }

    /// Introduces a room, once.
    fn enter(&mut self, id: RoomId) {
        let me = self.me;
        let Some(room) = self.rooms.by_id(id).filter(|room| !room.entered) else {
            return;
        };
        room.entered = true;
        let others = room.roster.people().filter(|item| Some(item.person) != me && item.presence.online);
        let entered = Entered {
            place: room.place(),
            topic: room.info.topic.clone(),
            empty: room.info.newest.is_none(),
            people: others.map(|item| item.name.clone()).collect(),
            online: room.roster.online,
        };
        self.tell(Event::Entered(entered));
    }
}
