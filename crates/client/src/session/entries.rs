//! Entries of logs: each is shown once, in order, and moves its room's cursor.

use super::Session;
use super::cursors::Step;
use super::event::{Event, Quote, Said};
use super::place::Place;
use protocol::entry::{Entry, EntryKind};
use protocol::id::RoomId;
use protocol::message::FileBody;
use protocol::name::NameKey;

impl Session {
    pub(super) fn handle_entries(&mut self, id: RoomId, entries: &[Entry]) {
        for entry in entries {
            self.handle_entry(id, entry);
        }
    }

    fn handle_entry(&mut self, id: RoomId, entry: &Entry) {
        let Some(room) = self.rooms.by_id(id) else {
            return;
        };
        let place = room.place();
        match room.cursor.handle_entry(entry.seq) {
            Step::Double => {
                self.resume.handle_double();
                return;
            }
            Step::Next => self.resume.handle_entry(id, entry.seq, 0),
            Step::Gap(missing) => {
                self.resume.handle_entry(id, entry.seq, missing);
                self.tell(Event::Gap { place: place.clone(), missing });
            }
        }
        self.show(id, &place, entry);
        self.keeper.note_position(self.queued, id, &place, Some(entry.seq));
    }

    fn show(&mut self, id: RoomId, place: &Place, entry: &Entry) {
        if entry.device.is_some() && entry.device == self.device {
            entry.counter.into_iter().for_each(|counter| self.leaving.handle_seen(counter));
        }
        let Some(room) = self.rooms.by_id(id) else {
            return;
        };
        room.remember(entry);
        let unread = room.unread.take();
        let room_is_read = room.history;
        if self.ignored.hides(entry.person, &entry.name) {
            return;
        }
        if let Some(count) = unread {
            self.tell(Event::Unread { place: place.clone(), count });
        }
        let said = self.said(place, entry);
        let news = room_is_read.is_none_or(|last| entry.seq > last) && !said.mine;
        let sent = said.file.clone().filter(|_| news).zip(said.name.clone());
        self.tell(Event::Said(said));
        if let Some((file, from)) = sent {
            self.receive(file, from);
        }
    }

    /// An entry with all that is known about it.
    pub(super) fn said(&self, place: &Place, entry: &Entry) -> Said {
        let file = (entry.kind == EntryKind::File).then(|| FileBody::decode(&entry.body).ok()).flatten();
        let text = file.as_ref().map_or_else(|| entry.text().into_owned(), |file| file.name.clone());
        let mine = entry.person.is_some() && entry.person == self.me;
        let room = self.rooms.by_place(place);
        Said {
            here: place.is(&self.current),
            seq: entry.seq,
            time: entry.time,
            written: entry.written,
            name: entry.person.map(|_| entry.name.clone()),
            mine,
            mention: !mine && entry.kind != EntryKind::File && mentions(&text, &self.name),
            kind: entry.kind,
            revision: entry.revision,
            reply: entry.reply_to.map(|seq| Quote { seq, said: room.and_then(|room| room.quote(seq)) }),
            text,
            file,
            place: place.clone(),
        }
    }
}

/// Whether `name` stands in `text` as a word of its own.
pub(crate) fn mentions(text: &str, name: &str) -> bool {
    let (text, name) = (NameKey::of(text), NameKey::of(name));
    let (text, name) = (text.as_str(), name.as_str());
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !name.is_empty()
        && text.match_indices(name).any(|(at, found)| {
            !part(text[..at].chars().next_back()) && !part(text[at + found.len()..].chars().next())
        })
}

#[cfg(test)]
mod tests {
    use super::mentions;

    #[test]
    fn a_name_is_mentioned_as_a_word_in_any_case() {
        assert!(mentions("hey Alice, look", "alice"));
        assert!(mentions("@alice", "Alice"));
        assert!(!mentions("malice", "alice"));
        assert!(!mentions("alice2", "alice"));
        assert!(mentions("alice2 and alice", "alice"));
    }
}
