//! Presence: who is online, away, typing, and under which name. State, gathered before it is told.

use super::Hub;
use super::paying::Denied;
use crate::clock::Now;
use crate::conn::ConnId;
use bytes::Bytes;
use protocol::code::Code;
use protocol::id::{PersonId, RoomId};
use protocol::limits::rates::Bucket;
use protocol::limits::{MAX_AWAY, MAX_PRESENCE_DELAY_MS, PRESENCE_BURST_MS, PRESENCE_COST_MS, TYPING_MS};
use protocol::name::PersonName;
use protocol::text::check_line;

impl Hub {
    /// A person changed: all their rooms will be told.
    pub(super) fn stir(&mut self, person: PersonId, now: Now) {
        let rooms = self.rooms_of(person);
        let delay = self.presence_delay(person, rooms.len(), now);
        for room in rooms {
            self.touch_in(room, person, delay, now);
        }
    }

    /// A person changed in one room.
    pub(super) fn stir_in(&mut self, room: RoomId, person: PersonId, now: Now) {
        let delay = self.presence_delay(person, 1, now);
        self.touch_in(room, person, delay, now);
    }

    /// For how many ms more a change of this person in so many rooms waits for others: not at all, unless they change
    /// all the time.
    fn presence_delay(&mut self, person: PersonId, rooms: usize, now: Now) -> u64 {
        let Some(known) = self.people.find_mut(person) else { return 0 };
        let most = now.steady.after(PRESENCE_BURST_MS + MAX_PRESENCE_DELAY_MS);
        let cost = PRESENCE_COST_MS * rooms as u64;
        known.presence_paid = known.presence_paid.max(now.steady).after(cost).min(most);
        known.presence_paid.since(now.steady.after(PRESENCE_BURST_MS))
    }

    fn touch_in(&mut self, room: RoomId, person: PersonId, delay: u64, now: Now) {
        let online = self.people.find(person).is_some_and(super::super::people::Person::is_online);
        if let Some(found) = self.rooms.find_mut(room) {
            let here = online && found.members.contains_key(&person);
            found.roster.touch(person, here, delay, now.steady);
            self.stirred.insert(room);
        }
    }

    /// Tells the rooms whose gathering time is over.
    pub(super) fn flush_rosters(&mut self, now: Now) {
        let is_due = |hub: &Self, room: &RoomId| {
            hub.rooms.find(*room).and_then(|found| found.roster.due()).is_none_or(|due| due <= now.steady)
        };
        let due: Vec<_> = self.stirred.iter().copied().filter(|room| is_due(self, room)).collect();
        for room in due {
            self.flush_roster(room);
            if let Some(found) = self.rooms.find_mut(room) {
                let bytes = found.log.end().roster.newest_bytes() * found.readers.len();
                found.roster.rest_after(bytes, now.steady);
            }
        }
    }

    /// Tells a room who is there.
    pub(super) fn flush_roster(&mut self, room: RoomId) {
        self.stirred.remove(&room);
        let Some(found) = self.rooms.find_mut(room) else {
            return;
        };
        let members = u32::try_from(found.members.len()).unwrap_or(u32::MAX);
        let (people, typing) = (&self.people, &found.typing);
        let mut end = found.log.end();
        found.roster.flush(room, members, &mut end.roster, |person| {
            people.item(person, typing.contains_key(&person))
        });
        drop(end);
        self.news.extend(found.readers.iter().map(|(id, conn)| (*id, conn.clone())));
    }

    /// Who is in a room now, and the version after which the rest is told.
    pub(super) fn roster_snapshot(&mut self, room: RoomId) -> (Vec<Bytes>, u64) {
        let Some(found) = self.rooms.find_mut(room) else { return (Vec::new(), 0) };
        let members = u32::try_from(found.members.len()).unwrap_or(u32::MAX);
        let version = found.log.end().roster.version();
        let (people, typing) = (&self.people, &found.typing);
        let item = |person| people.item(person, typing.contains_key(&person));
        (found.roster.snapshot(room, members, version, item), version)
    }

    pub(super) fn set_away(&mut self, person: PersonId, away: Option<&str>, now: Now) -> Result<(), Code> {
        if away.is_some_and(|text| text.len() > MAX_AWAY) {
            return Err(Code::BodyTooLarge);
        }
        away.map_or(Ok(()), check_line).map_err(|_| Code::BadText)?;
        if let Some(known) = self.people.find_mut(person) {
            known.away = away.map(str::to_owned);
        }
        self.stir(person, now);
        Ok(())
    }

    /// Gives a person a new name, and returns it as it will be shown once it is stored.
    pub(super) fn set_name(
        &mut self,
        conn: ConnId,
        person: PersonId,
        name: &str,
        now: Now,
    ) -> Result<String, Denied> {
        let name = PersonName::parse(name).map_err(|_| Code::BadName)?;
        // The name that somebody has is theirs, whatever the rules for new ones say.
        if self.people.find(person).is_none_or(|known| known.name != name) {
            PersonName::parse_new(name.as_str()).map_err(|_| Code::BadName)?;
        }
        self.check_space()?;
        self.pay(conn, Bucket::Names, 1, now)?;
        if self.take_name(person, &name, now) { Ok(name.to_string()) } else { Err(Code::NameTaken.into()) }
    }

    pub(super) fn set_typing(&mut self, person: PersonId, room: RoomId, on: bool, now: Now) {
        let Some(found) = self.rooms.find_mut(room) else {
            return;
        };
        let was = if on {
            if !found.members.contains_key(&person) {
                return;
            }
            found.typing.insert(person, now.steady.after(TYPING_MS)).is_some()
        } else {
            found.typing.remove(&person).is_some()
        };
        if was != on {
            self.stir_in(room, person, now);
        }
    }

    /// Typing that was not said again.
    pub(super) fn end_typing(&mut self, now: Now) {
        let mut ended = Vec::new();
        for room in self.rooms.iter_mut().filter(|room| !room.typing.is_empty()) {
            let over: Vec<_> = room
                .typing
                .iter()
                .filter(|(_, until)| **until <= now.steady)
                .map(|(person, _)| *person)
                .collect();
            for person in over {
                room.typing.remove(&person);
                ended.push((room.id, person));
            }
        }
        for (room, person) in ended {
            self.stir_in(room, person, now);
        }
    }
}
