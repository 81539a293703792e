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
            Question::Blocks { after } => {
                let (people, more) = self.list_blocks(me, *after);
                (Reply::People { people }, more)
            }
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
        let size = |room: &RoomListing| room.name.len() + room.topic.len() + 20;
        page(self.settings.limits.portions.page, self.rooms.public_after(after).map(listing), size)
    }

    /// A page of the people online, in a room or everywhere, and whether there are more.
    pub(super) fn list_people(
        &self,
        room: Option<RoomId>,
        after: Option<PersonId>,
    ) -> (Vec<RosterItem>, bool) {
        let most = self.settings.limits.portions.page;
        let size = |person: &RosterItem| person.name.len() + person.away.len() + 13;
        match room.and_then(|room| self.rooms.find(room)) {
            Some(room) => {
                let online = room.roster.online().range(PersonId::after(after)..);
                let item = |id: &PersonId| self.people.item(*id, room.typing.contains_key(id));
                page(most, online.map(item), size)
            }
            None => page(most, self.people.online_after(after).map(|id| self.people.item(id, false)), size),
        }
    }

    /// What is known of a person.
    pub(super) fn whois(&self, me: PersonId, name: &str) -> Result<Reply, Code> {
        let id = self.people.named(name).ok_or(Code::NoSuchPerson)?;
        let person = self.people.find(id).ok_or(Code::NoSuchPerson)?;
        let shared = |room: &&Room| room.members.contains_key(&me);
        let rooms = person.rooms().iter().filter_map(|room| self.rooms.find(*room)).filter(shared);
        let rooms = rooms.filter_map(Room::name).take(MAX_PAGE).map(str::to_owned).collect();
        Ok(Reply::Whois {
            person: self.people.item(id, false),
            rooms,
            seen: person.seen,
            agent: person.agent.clone(),
        })
    }
}

/// How many, as frames tell it.
pub(super) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::files::{Contents, Disk};
    use crate::hub::staging::settings;
    use crate::hub::{Settings, first_numbers};
    use crate::store::{
        CredentialHash, MemoryLimits, MemoryStore, RoomShape, Store as _, StoredMember, StoredRoom,
    };
    use protocol::id::{Epoch, Millis};
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    /// Many of whatever a page could walk over.
    const MANY: u64 = 100_000;

    async fn crowded() -> Hub {
        let store = MemoryStore::new(Epoch([7; 16]), MemoryLimits::default());
        let settings = Settings { max_file: 1 << 20, ..settings() };
        let contents = Arc::new(Contents::new(Disk, PathBuf::new(), 1 << 20));
        let mut snapshot = store.load().await.unwrap();
        for n in 1..=MANY {
            let mut credential = [0; 32];
            credential[..8].copy_from_slice(&n.to_be_bytes());
            let person = PersonId::new(n).unwrap();
            snapshot.people.push((person, format!("person{n}"), Some(CredentialHash(credential))));
            snapshot.rooms.push(StoredRoom {
                room: RoomId::new(n).unwrap(),
                shape: RoomShape::Public { name: format!("room{n:06}") },
                topic: String::new(),
                head: None,
                time: Millis(0),
                members: vec![StoredMember { person, read: None, mentions: Vec::new() }],
            });
        }
        let (reserved, durability) = (first_numbers(&snapshot), store.durability());
        Hub::new(settings, snapshot, reserved, durability, Arc::new(store), contents, Now::default())
    }

    #[tokio::test]
    async fn a_page_looks_at_no_more_than_it_holds_however_many_there_are() {
        let mut hub = crowded().await;
        let online: Vec<_> = (1..=MANY).step_by(100).map(|n| PersonId::new(n).unwrap()).collect();
        for id in &online {
            hub.people.find_mut(*id).unwrap().connections = 1;
            hub.people.settle_presence(*id);
        }
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let before = hub.people.looks.load(Ordering::Relaxed);
            let (people, more) = hub.list_people(None, after);
            let looks = hub.people.looks.load(Ordering::Relaxed) - before;
            assert!(looks <= MAX_PAGE + 1, "{looks} people were looked at after {after:?}");
            listed.extend(people.iter().map(|item| item.person));
            after = listed.last().copied();
            if !more {
                break;
            }
        }
        assert_eq!(listed, online);
        let (mut rooms, mut after) = (0, String::new());
        loop {
            let before = hub.rooms.looks.load(Ordering::Relaxed);
            let (page, more) = hub.list_rooms(&after);
            let looks = hub.rooms.looks.load(Ordering::Relaxed) - before;
            assert!(looks <= MAX_PAGE + 1, "{looks} rooms were looked at after {after:?}");
            rooms += page.len();
            after = page.last().map(|room| room.name.clone()).unwrap_or_default();
            if !more {
                break;
            }
        }
        // The lobby is among them.
        assert_eq!(rooms as u64, MANY + 1);
    }

    #[tokio::test]
    async fn who_goes_is_not_listed_any_more() {
        let mut hub = crowded().await;
        let id = PersonId::new(5).unwrap();
        hub.people.find_mut(id).unwrap().connections = 1;
        hub.people.settle_presence(id);
        assert_eq!(hub.list_people(None, None).0.len(), 1);
        hub.people.find_mut(id).unwrap().connections = 0;
        hub.people.settle_presence(id);
        assert_eq!(hub.list_people(None, None).0.len(), 0);
    }
}
