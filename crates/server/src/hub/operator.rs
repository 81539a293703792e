//! The operator's orders: who and what there is, and what is to go.

use super::ask::count;
use super::classic::Speaker;
use super::{Hub, Voice};
use crate::clock::Now;
use crate::inbound::Refusal;
use crate::page::page;
use crate::room::Room;
use crate::voice;
use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{PersonId, Req, RoomId, Seq};
use protocol::limits::MAX_PAGE;
use protocol::message::{Order, Outcome, PersonRecord, RoomRecord, RoomsChange, ServerMsg, ty};
use tokio::sync::oneshot;

/// What somebody is told who is removed.
const REMOVED: &str = "the operator of this server removed you";

/// The only entry that a room keeps when it has ended.
const ENDED: &str = "The operator ended this room.";

/// Whether something was stored, or why not.
type Storing = oneshot::Receiver<Result<(), Code>>;

/// What the operator is told, and when.
#[derive(Debug)]
pub struct Operated {
    /// The frame.
    pub answer: Bytes,
    /// What it says is true once this comes; if that is a refusal, it is told instead.
    pub stored: Option<Storing>,
}

impl Operated {
    /// A refusal.
    pub fn refused(code: Code, req: Req) -> Self {
        let answer = Refusal::about(code, ty::OPERATE, u64::from(req.0)).encode();
        Self { answer, stored: None }
    }
}

impl Hub {
    pub(super) fn handle_order(&mut self, req: Req, order: &Order, now: Now) -> Operated {
        let (stored, told) = match order {
            Order::RemovePerson { person } => (self.remove_person(*person, now), Ok((Outcome::Done, false))),
            Order::EndRoom { room } => (self.end_room(*room, now), Ok((Outcome::Done, false))),
            order => (Ok(None), self.look_up(order)),
        };
        match stored.and_then(|stored| Ok((stored, told?))) {
            Ok((stored, (outcome, more))) => {
                Operated { answer: ServerMsg::Operated { req, more, outcome }.encode(), stored }
            }
            Err(code) => Operated::refused(code, req),
        }
    }

    /// What there is, and whether there is more of it.
    fn look_up(&self, order: &Order) -> Result<(Outcome, bool), Code> {
        match order {
            Order::People { after } => {
                let records = self.people.after(*after).filter_map(|(id, _)| self.person_record(id));
                let (people, more) =
                    page(self.settings.limits.portions.page, records, |person| person.name.len() + 23);
                Ok((Outcome::People { people }, more))
            }
            Order::Person { name } => Ok((self.show_person(name).ok_or(Code::NoSuchPerson)?, false)),
            Order::Rooms { after } => {
                let records = self.rooms.after(*after).map(|room| self.room_record(room));
                let (rooms, more) =
                    page(self.settings.limits.portions.page, records, |room| room.name.len() + 35);
                Ok((Outcome::Rooms { rooms }, more))
            }
            Order::Room { name } => Ok((self.show_room(name).ok_or(Code::NoSuchRoom)?, false)),
            Order::RemovePerson { .. } | Order::EndRoom { .. } => Err(Code::Unsupported),
        }
    }

    /// Removes a person with all their devices. What they said stays, under the name that it was said with.
    fn remove_person(&mut self, person: PersonId, now: Now) -> Result<Option<Storing>, Code> {
        let name = self.people.find(person).ok_or(Code::NoSuchPerson)?.name.to_string();
        self.check_space()?;
        let conns: Vec<_> = self.sessions_of(person).map(|conn| conn.id).collect();
        for conn in conns {
            let refusal = match self.sessions.get(&conn).map(|session| session.voice) {
                Some(Voice::Classic { .. }) => voice::server_line(REMOVED),
                _ => Refusal::of(Code::NotAllowed).encode_saying(REMOVED.to_owned()),
            };
            self.send_bytes(conn, refusal);
            self.close(conn, now);
        }
        // A guest is gone with their connection.
        if self.people.find(person).is_some() {
            self.forget_person(person, now);
        }
        tracing::info!(%person, name, "removed by the operator");
        let (waiter, stored) = oneshot::channel();
        self.sequencer.wait(waiter);
        Ok(Some(stored))
    }

    /// Ends a room: nobody is in it any more, and of its history stays only that it ended.
    fn end_room(&mut self, room: RoomId, now: Now) -> Result<Option<Storing>, Code> {
        let found = self.rooms.find(room).ok_or(Code::NoSuchRoom)?;
        if room == self.lobby || found.kept.ended.is_some() {
            return Err(Code::NotAllowed);
        }
        self.check_space()?;
        let name = self.name_of_room(found);
        let members: Vec<_> = found.members.keys().copied().collect();
        for person in members {
            self.put_out(room, person, "The operator", now);
        }
        let body = Bytes::from_static(ENDED.as_bytes());
        self.append_entry(room, None, EntryKind::System, None, body, now);
        let (waiter, stored) = oneshot::channel();
        if let Some(found) = self.rooms.find_mut(room) {
            found.kept.ended = Some(waiter);
        }
        tracing::info!(%room, name, "ended by the operator");
        Ok(Some(stored))
    }

    /// Ends a membership that its person did not end: who did is told.
    pub(super) fn put_out(&mut self, room: RoomId, person: PersonId, who: &str, now: Now) {
        let conns: Vec<_> = self.sessions_of(person).map(|conn| conn.id).collect();
        let place = self.place(room, person);
        for conn in &conns {
            if let Some(Voice::Native) = self.sessions.get(conn).map(|session| session.voice) {
                self.tell_room(*conn, RoomsChange::Removed, room, person);
            }
        }
        self.remove_member(room, person, now);
        for conn in conns {
            if let Some(Voice::Classic { current }) = self.sessions.get(&conn).map(|session| session.voice) {
                let speaker = Speaker { conn, person, current, now };
                self.tell(speaker, &format!("{who} ended {place}."));
                if current == room {
                    self.enter(speaker, self.lobby);
                }
            }
        }
    }

    fn person_record(&self, id: PersonId) -> Option<PersonRecord> {
        let person = self.people.find(id)?;
        let seen = self.devices.seen_of(id).max().max(Some(person.seen));
        let item = self.people.item(id, false);
        Some(PersonRecord {
            person: id,
            name: item.name,
            presence: item.presence,
            seen: seen.unwrap_or_default(),
            rooms: count(person.rooms().len()),
        })
    }

    fn room_record(&self, room: &Room) -> RoomRecord {
        let newest = room.log.head();
        let oldest = self.history.oldest(room.id);
        RoomRecord {
            room: room.id,
            name: self.name_of_room(room),
            direct: !room.is_public(),
            members: count(room.members.len()),
            online: count(room.roster.online().len()),
            entries: newest.map_or(0, Seq::value).saturating_sub(oldest.before().map_or(0, Seq::value)),
            time: room.time,
        }
    }

    fn show_person(&self, name: &str) -> Option<Outcome> {
        let numbered = || PersonId::new(name.parse().ok()?);
        let id = self.people.named(name).or_else(numbered)?;
        let (record, person) = (self.person_record(id)?, self.people.find(id)?);
        let mut addresses: Vec<_> = self.sessions_of(id).map(|conn| conn.peer.ip().to_string()).collect();
        addresses.sort();
        addresses.dedup();
        addresses.truncate(MAX_PAGE);
        let rooms = person.rooms().iter().filter_map(|room| self.rooms.find(*room));
        Some(Outcome::Person {
            person: record,
            agent: person.agent.clone(),
            devices: count(self.devices.seen_of(id).count()),
            addresses,
            rooms: rooms.take(MAX_PAGE).map(|room| self.name_of_room(room)).collect(),
        })
    }

    fn show_room(&self, name: &str) -> Option<Outcome> {
        let numbered = || self.rooms.find(RoomId::new(name.parse().ok()?)?);
        let named = protocol::name::RoomName::parse(name).ok().and_then(|name| self.rooms.named(&name));
        let room = named.and_then(|id| self.rooms.find(id)).or_else(numbered)?;
        let people = room.members.keys().take(MAX_PAGE).map(|id| self.people.item(*id, false));
        let (people, _) =
            page(self.settings.limits.portions.page, people, |item| item.name.len() + item.away.len() + 13);
        Some(Outcome::Room { room: self.room_record(room), topic: room.topic.clone(), people })
    }

    /// The name of a room for somebody who is not in it.
    fn name_of_room(&self, room: &Room) -> String {
        match room.name() {
            Some(name) => name.to_owned(),
            None => {
                let names: Vec<_> = room.members.keys().map(|id| self.name_of(*id)).collect();
                names.join(", ")
            }
        }
    }
}
