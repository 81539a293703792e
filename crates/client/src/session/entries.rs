//! Entries of logs: each is shown once, in order, and moves its room's cursor.

use super::Session;
use super::cursors::Step;
use super::event::{Event, Quote, Quoted, Said};
use super::place::Place;
use super::recent::News;
use protocol::entry::{Entry, EntryKind};
use protocol::id::RoomId;
use protocol::message::{FileBody, OfferBody};

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
        let own = entry.device.is_some() && entry.device == self.device && entry.counter.is_some();
        match room.cursor.handle_entry(entry.seq) {
            Step::Double => {
                self.resume.handle_double();
                return;
            }
            Step::Next => self.resume.handle_entry(id, entry.seq, 0, own),
            Step::Gap(missing) => {
                self.resume.handle_entry(id, entry.seq, missing, own);
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
        let known_file = self.note_file(id, entry);
        let Some(room) = self.rooms.by_id(id) else {
            return;
        };
        let mention = room.names_me(entry, &self.name);
        let news = room.remember(entry, mention);
        let unread = room.unread.take_if(|(first, _)| entry.seq >= *first);
        let room_is_read = room.history;
        if self.ignored.hides(entry.person, &entry.name) || news == News::Known {
            // The line in front of what is new waits for something that is shown.
            room.unread = unread.or(room.unread.take());
            return;
        }
        let mine = entry.person.is_some() && entry.person == self.me;
        if mine {
            // What I said myself, here or on another device, is not new to me.
            room.unread = unread.or(room.unread.take());
        } else if let Some((_, newest)) = unread {
            let count = newest.value().saturating_sub(entry.seq.value()) + 1;
            self.tell(Event::Unread { place: place.clone(), count });
        }
        let said = self.news(place, entry, news);
        let is_news = room_is_read.is_none_or(|last| entry.seq > last) && !said.mine && said.name.is_some();
        // On an errand nobody is there to read what others say.
        let own = entry.device.is_some() && entry.device == self.device;
        if own || !self.errand {
            self.tell(Event::Said(said));
        }
        if let Some(wanted) = Self::wanted(id, entry).filter(|_| is_news && !known_file) {
            self.receive(wanted);
        }
    }

    /// An entry that just came. A change shows what was there before, and names me only if that did not.
    fn news(&self, place: &Place, entry: &Entry, news: News) -> Said {
        match news {
            News::Changed(line) => {
                let said = self.said(place, entry, Some(line.quoted));
                Said { mention: said.mention && !line.mention, ..said }
            }
            News::Elsewhere => self.said(place, entry, None),
            News::New | News::Known => {
                let room = self.rooms.by_place(place);
                let quoted = entry.reply_to.and_then(|seq| room?.recent.quote(seq));
                self.said(place, entry, quoted)
            }
        }
    }

    /// An entry with all that is known about it.
    pub(super) fn said(&self, place: &Place, entry: &Entry, quoted: Option<Quoted>) -> Said {
        let file = (entry.kind == EntryKind::File).then(|| FileBody::decode(&entry.body).ok()).flatten();
        let text = words(entry);
        let mine = entry.person.is_some() && entry.person == self.me;
        let names_me = || self.rooms.by_place(place).is_some_and(|room| room.names_me(entry, &self.name));
        Said {
            here: place.is(&self.current),
            seq: entry.seq,
            time: entry.time,
            written: entry.written,
            name: entry.person.map(|_| entry.name.clone()),
            mine,
            mention: !mine && names_me(),
            kind: entry.kind,
            revision: entry.revision,
            reply: entry.reply_to.map(|seq| Quote { seq, said: quoted }),
            text,
            file,
            place: place.clone(),
        }
    }
}

/// What an entry says; a file's name.
pub(super) fn words(entry: &Entry) -> String {
    let name = match entry.kind {
        EntryKind::File => FileBody::decode(&entry.body).map(|file| file.name),
        EntryKind::FileOffer => OfferBody::decode(&entry.body).map(|offer| offer.name),
        _ => return entry.text().into_owned(),
    };
    // What can't be read has no name.
    name.unwrap_or_default()
}
