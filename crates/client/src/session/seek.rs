//! Looking for a room before it is joined: whoever only reads makes no room by a mistyped name.

use super::Session;
use super::place::Place;
use super::requests::Asked;
use protocol::message::{ClientMsg, Question, RoomListing};
use protocol::name::NameKey;
use protocol::similar::nearest;

/// Rooms that are named instead of one that is not there.
const OFFERED: usize = 5;

impl Session {
    /// From here on only rooms are joined that are there: joining makes none.
    pub fn make_no_rooms(&mut self) {
        self.makes_no_rooms = true;
    }

    /// Asks for the list of rooms; a room of this name is joined if it is in there.
    pub(super) fn seek(&mut self, name: String, so_far: Vec<RoomListing>) {
        let after = so_far.last().map(|room| room.name.clone()).unwrap_or_default();
        let question = Question::Rooms { after };
        self.ask(Asked::Seek { name, so_far }, |req| ClientMsg::Ask { req, question });
    }

    pub(super) fn handle_sought(
        &mut self,
        name: String,
        mut so_far: Vec<RoomListing>,
        rooms: Vec<RoomListing>,
        more: bool,
    ) {
        let wanted = NameKey::of(&name);
        if rooms.iter().any(|room| NameKey::of(&room.name) == wanted) {
            return self.ask_to_join(name);
        }
        let more = more && !rooms.is_empty();
        so_far.extend(rooms);
        if more {
            return self.seek(name, so_far);
        }
        self.joining.retain(|joining| *joining != name);
        let hint = hint(&name, &so_far);
        self.mistake(format!("there is no room {}", Place::Room(name)), hint);
    }

    pub(super) fn ask_to_join(&mut self, name: String) {
        self.ask(Asked::Join { name: name.clone() }, |req| ClientMsg::Join { req, name });
    }
}

/// Which room may have been meant; those with the most members, if no name is near.
fn hint(name: &str, rooms: &[RoomListing]) -> String {
    if let Some(near) = nearest(name, rooms.iter().map(|room| room.name.as_str())) {
        return format!("did you mean #{near}?");
    }
    let mut rooms: Vec<_> = rooms.iter().collect();
    rooms.sort_by_key(|room| std::cmp::Reverse(room.members));
    let names: Vec<_> = rooms.iter().take(OFFERED).map(|room| room.name.as_str()).collect();
    let more = rooms.len().saturating_sub(OFFERED);
    match (names.join(", "), more) {
        (names, 0) => format!("check the room: -r ROOM; there is {names}"),
        (names, more) => format!("check the room: -r ROOM; there is {names}, and {more} more"),
    }
}
