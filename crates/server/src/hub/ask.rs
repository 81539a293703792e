//! Questions: rooms, people, and who somebody is.

use super::Hub;
use crate::conn::ConnId;
use crate::page::page;
use crate::room::Room;
use protocol::code::Code;
use protocol::id::{PersonId, Req, RoomId};
use protocol::limits::MAX_PAGE;
use protocol::message::{Question, Reply, RoomListing, RosterItem, ServerMsg};

impl Hub {
    pub(super) fn handle_ask(&mut self, conn: ConnId, req: Req, question: &Question) -> Result<(), Code> {
        let me = self.person_of(conn)?;
        let (reply, more) = match question {
            Question::Rooms { after } => {
                let (rooms, more) = self.list_rooms(after);
                (Reply::Rooms { rooms }, more)
            }
            Question::People { room, after } => {
                room.map_or(Ok(()), |room| self.authorize(me, room))?;
                let (people, more) = self.list_people(*room, *after);
                (Reply::People { people }, more)
            }
            Question::Files { room, before } => return self.list_files(conn, req, *room, *before),
            Question::Whois { name } => (self.whois(me, name)?, false),
        };
        self.send(conn, &ServerMsg::Answer { req, more, reply });
        Ok(())
    }

    /// A page of the public rooms, and whether there are more.
    pub(super) fn list_rooms(&self, after: &str) -> (Vec<RoomListing>, bool) {
        let listing = |room: &Room| RoomListing {
            room: room.id,
            name: room.name().unwrap_or_default().to_owned(),
            topic: room.topic.clone(),
            members: count(room.members.len()),
            online: count(room.roster.online().len()),
        };
        page(self.rooms.public_after(after).map(listing), |room| room.name.len() + room.topic.len() + 20)
    }

    /// A page of the people online, in a room or everywhere, and whether there are more.
    pub(super) fn list_people(
        &self,
        room: Option<RoomId>,
        after: Option<PersonId>,
    ) -> (Vec<RosterItem>, bool) {
        let size = |person: &RosterItem| person.name.len() + person.away.len() + 13;
        match room.and_then(|room| self.rooms.find(room)) {
            Some(room) => {
                let online = room.roster.online().range(PersonId::after(after)..);
                let item = |id: &PersonId| self.people.item(*id, room.typing.contains_key(id));
                page(online.map(item), size)
            }
            None => {
                let online = self.people.after(after).filter(|(_, person)| person.is_online());
                page(online.map(|(id, _)| self.people.item(id, false)), size)
            }
        }
    }

    /// What is known of a person.
    pub(super) fn whois(&self, me: PersonId, name: &str) -> Result<Reply, Code> {
        let id = self.people.named(name).ok_or(Code::NoSuchPerson)?;
        let person = self.people.find(id).ok_or(Code::NoSuchPerson)?;
        let shared = |room: &&Room| room.members.contains_key(&me);
        let rooms = person.rooms.iter().filter_map(|room| self.rooms.find(*room)).filter(shared);
        let rooms = rooms.filter_map(Room::name).take(MAX_PAGE).map(str::to_owned).collect();
        Ok(Reply::Whois {
            person: self.people.item(id, false),
            rooms,
            seen: person.seen,
            agent: person.agent.clone(),
        })
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
