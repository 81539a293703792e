//! Answers to questions.

use super::Session;
use super::event::{Event, Said};
use super::place::Place;
use super::recent::Recent;
use super::requests::{Asked, Why, last_person};
use protocol::entry::EntryKind;
use protocol::id::{Millis, Req, RoomId};
use protocol::message::{ClientMsg, Found, Question, Reply, RoomListing, RosterItem};
use std::collections::BTreeMap;

impl Session {
    pub(super) fn handle_page(&mut self, req: Req, more: bool, found: &[Found]) {
        match self.requests.take(req) {
            Some(Asked::History { gather }) => self.handle_gathered(gather, more, found),
            Some(Asked::Around { room, line }) => self.handle_around(room, line, found),
            Some(Asked::Search) => self.handle_found(more, found),
            Some(Asked::Context { room }) => self.handle_context(room, found),
            _ => {}
        }
    }

    fn handle_context(&mut self, id: RoomId, found: &[Found]) {
        let name = self.name.clone();
        let Some(room) = self.rooms.by_id(id) else {
            return;
        };
        let place = room.place();
        for found in found {
            let mention = room.names_me(&found.entry, &name);
            room.remember(&found.entry, mention);
        }
        let seen = self.keeper.position(id).flatten();
        let missed = found.iter().filter(|found| Some(found.entry.seq) > seen).count();
        self.tell_elsewhere(id, missed as u64);
        let mut entries = self.shown(found);
        // What a change led to stands in the line itself.
        entries.retain(|said| !matches!(said.kind, EntryKind::Edit | EntryKind::Delete));
        if !entries.is_empty() {
            self.tell(Event::Context { place, entries });
        }
        self.open(id);
    }

    /// The entries of rooms that I know, without those of hidden people. They can quote each other.
    pub(super) fn shown(&mut self, found: &[Found]) -> Vec<Said> {
        let mut lines: BTreeMap<RoomId, Recent> = BTreeMap::new();
        let mut shown = Vec::new();
        for Found { room: id, entry } in found {
            let hidden = self.ignored.hides(entry.person, &entry.name);
            let Some(room) = self.rooms.find(*id) else {
                continue;
            };
            let quote = |seq| room.recent.quote(seq).or_else(|| lines.get(id)?.quote(seq));
            let quoted = entry.reply_to.and_then(quote);
            if !hidden {
                shown.push(self.said(&room.place(), entry, quoted));
            }
            lines.entry(*id).or_default().handle_entry(entry, None, false);
        }
        shown
    }

    pub(super) fn handle_answer(&mut self, req: Req, more: bool, reply: Reply) {
        let Some(asked) = self.requests.take(req) else {
            return;
        };
        match (asked, reply) {
            (Asked::Rooms { so_far }, Reply::Rooms { rooms }) => self.handle_rooms_page(so_far, rooms, more),
            (Asked::Seek { name, so_far }, Reply::Rooms { rooms }) => {
                self.handle_sought(name, so_far, rooms, more);
            }
            (Asked::People { place, room, so_far }, Reply::People { people }) => {
                self.handle_people_page(place, room, so_far, people, more);
            }
            (Asked::Whois { name, why }, Reply::Whois { person, rooms, seen, agent }) => {
                self.handle_whois(name, why, person, rooms, seen, agent);
            }
            (Asked::Block { name, on }, Reply::Done) => self.handle_blocked(&name, on),
            (Asked::Blocks { so_far }, Reply::People { people }) => self.handle_blocks(so_far, &people, more),
            (Asked::Files(listing), Reply::Files { files }) => self.handle_files(listing, files, more),
            (Asked::Nick { .. }, Reply::Named { name }) => self.handle_named(name),
            (Asked::Away { on, text }, Reply::Done) => self.tell(Event::Away { on, text }),
            (Asked::Fetched { id }, _) => self.handle_fetched(id),
            // The topic comes as an entry, a closed room as `Rooms`.
            (_, _) => {}
        }
    }

    fn handle_rooms_page(&mut self, mut so_far: Vec<RoomListing>, rooms: Vec<RoomListing>, more: bool) {
        so_far.extend(rooms);
        match so_far.last().filter(|_| more).map(|room| room.name.clone()) {
            Some(after) => self.ask(Asked::Rooms { so_far }, |req| ClientMsg::Ask {
                req,
                question: Question::Rooms { after },
            }),
            None => {
                let rooms = so_far.into_iter().map(|listing| self.listed(listing)).collect();
                self.tell(Event::Rooms { rooms });
            }
        }
    }

    fn handle_people_page(
        &mut self,
        place: Place,
        room: RoomId,
        mut so_far: Vec<RosterItem>,
        people: Vec<RosterItem>,
        more: bool,
    ) {
        let after = last_person(&people).filter(|_| more);
        so_far.extend(people);
        match after {
            Some(_) => self.ask(Asked::People { place, room, so_far }, |req| ClientMsg::Ask {
                req,
                question: Question::People { room: Some(room), after },
            }),
            None => self.tell(Event::People { place, people: so_far, offline: false }),
        }
    }

    fn handle_whois(
        &mut self,
        name: String,
        why: Why,
        person: RosterItem,
        rooms: Vec<String>,
        seen: Millis,
        agent: String,
    ) {
        match why {
            Why::Show => self.tell(Event::Whois { person, rooms, seen, agent }),
            Why::Post => self.handle_addressee(&name, &person),
            Why::Send => self.handle_receiver(&name, &person),
            Why::Block { on } => self.block_person(person, on),
            Why::Query => {
                if self.current.is(&Place::Person(name)) {
                    self.go_to(Place::Person(person.name));
                }
            }
        }
    }

    fn handle_named(&mut self, name: String) {
        self.name.clone_from(&name);
        self.keeper.note_name(&name);
        self.tell(Event::Named { name });
    }
}
