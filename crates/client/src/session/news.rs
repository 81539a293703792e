//! What is new to me in my rooms, and what I have read on another device.

use super::Session;
use super::cursors::Cursor;
use super::event::{Event, Listed, Unread};
use super::place::Place;
use protocol::id::{RoomId, Seq};
use protocol::message::RoomListing;

impl Session {
    /// Tells what is new, when this process comes in: not if it is only in the room where I am, which tells
    /// that by itself.
    pub(super) fn tell_news(&mut self) {
        if self.logins > 1 {
            return;
        }
        let new = self.rooms.iter().filter_map(|room| {
            let (first, newest) = room.what_is_new(room.cursor.position().is_some())?;
            let count = newest.value() - first.value() + 1;
            Some(Unread { place: room.place(), count, mentions: room.info.mentions })
        });
        let rooms: Vec<_> = new.collect();
        if rooms.iter().any(|unread| unread.mentions > 0 || !unread.place.is(&self.current)) {
            self.tell(Event::News { rooms });
        }
    }

    /// What was read on another device is not shown again to a person who comes back.
    pub(super) fn skip_what_was_read(&mut self, id: RoomId) {
        let Some(room) = self.rooms.by_id(id) else {
            return;
        };
        if room.cursor.position().is_some_and(|seen| seen < room.info.read) {
            room.cursor = Cursor::at(room.info.read);
        }
    }

    /// Tells how many lines are not shown because they were read on another device; `shown` of these are.
    pub(super) fn tell_elsewhere(&mut self, id: RoomId, shown: u64) {
        let Some(room) = self.rooms.find(id) else {
            return;
        };
        let value = |seen: Option<Option<Seq>>| seen.map(|seen| seen.map_or(0, Seq::value));
        let (kept, cursor) = (value(self.keeper.position(id)), value(room.cursor.position()));
        let skipped = kept.zip(cursor).map_or(0, |(kept, cursor)| cursor.saturating_sub(kept));
        let count = skipped.saturating_sub(shown);
        if count > 0 {
            self.tell(Event::Elsewhere { place: room.place(), count });
        }
    }

    /// A room of the list, and what is new to me in it.
    pub(super) fn listed(&self, listing: RoomListing) -> Listed {
        let room = self.rooms.by_place(&Place::Room(listing.name.clone()));
        let unread = room.map(|room| {
            let newest = room.cursor.position().flatten().max(room.info.newest);
            let read = self.keeper.position(room.info.room).flatten().max(room.info.read);
            newest.map_or(0, Seq::value).saturating_sub(read.map_or(0, Seq::value))
        });
        Listed { listing, unread }
    }
}
