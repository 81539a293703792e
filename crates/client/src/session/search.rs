//! Looking for words, and going to what was found.

use super::event::{Event, Quote, Said};
use super::place::Place;
use super::recent::Line;
use super::requests::Asked;
use super::rooms::Room;
use super::{Phase, Session};
use protocol::command::{Jump, Search};
use protocol::entry::{EntryKind, Revision};
use protocol::id::{Millis, RoomId, Seq};
use protocol::limits::MAX_WORDS;
use protocol::message::{ClientMsg, Found};
use protocol::search_terms::{TooBroad, Words};
use std::cmp::Reverse;

/// Lines that are shown of what was found, at once.
const SHOWN: u16 = 10;

/// The last search.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Searched {
    /// Where; `None` everywhere.
    room: Option<RoomId>,
    words: String,
    /// What was found and shown, newest first.
    hits: Vec<(RoomId, Seq)>,
    /// From where to go on, if there is more.
    next: Option<(RoomId, Seq)>,
    /// How many of the hits have been passed by `/jump`.
    jumped: usize,
}

impl Session {
    pub(super) fn search(&mut self, here: &Place, search: Search) {
        match search {
            Search::More if self.searched.words.is_empty() => {
                self.mistake("nothing was searched for yet", "type /search WORDS");
            }
            Search::More if self.searched.next.is_none() => self.tell_found(&[]),
            Search::More => self.look_for_more(),
            Search::Words { words, .. } if Words::parse(&words).is_empty() => {
                self.mistake(format!("there is no word in '{words}'"), "type /search WORDS");
            }
            Search::Words { everywhere, words } => {
                if let Err(broad) = Words::parse(&words).check() {
                    return self.refuse_broad(broad);
                }
                let room = self.room_at(here);
                if room.is_none() && !everywhere {
                    return self.tell_unread(here);
                }
                let room = room.filter(|_| !everywhere);
                self.searched = Searched { room, words, ..Searched::default() };
                self.look_for_more();
            }
        }
    }

    /// The server would refuse it as well, and the words that are typed here are looked for in the same way.
    fn refuse_broad(&mut self, broad: TooBroad) {
        match broad {
            TooBroad::Words => {
                self.mistake("these are too many words", format!("search for {MAX_WORDS} at most"));
            }
            TooBroad::Prefix(least) => {
                self.mistake("that would find too much", format!("put {least} letters in front of a *"));
            }
        }
    }

    fn look_for_more(&mut self) {
        if self.phase != Phase::Up {
            return self.look_here();
        }
        let Searched { room, words, next, .. } = self.searched.clone();
        let (before_room, before) = next.unzip();
        self.ask(Asked::Search, |req| ClientMsg::Search {
            req,
            room,
            words,
            limit: SHOWN,
            before_room,
            before,
        });
    }

    /// Without a connection: looks through what came since the program began.
    fn look_here(&mut self) {
        let words = Words::parse(&self.searched.words);
        let rooms = self.rooms.iter().filter(|room| self.searched.room.is_none_or(|id| id == room.info.room));
        let mut found: Vec<_> = rooms
            .flat_map(|room| room.recent.search(&words).map(move |line| (room, line)))
            .filter(|(room, line)| !self.searched.hits.contains(&(room.info.room, line.seq)))
            .filter(|(_, line)| !self.ignored.is_of_hidden(line.person, &line.quoted.name))
            .collect();
        found.sort_by_key(|(room, line)| Reverse((line.quoted.time, room.info.room, line.seq)));
        let more = found.len() > usize::from(SHOWN);
        found.truncate(usize::from(SHOWN));
        let hits: Vec<_> = found.iter().map(|(room, line)| self.remembered(room, line)).collect();
        let places: Vec<_> = found.iter().map(|(room, line)| (room.info.room, line.seq)).collect();
        self.searched.next = places.last().copied().filter(|_| more);
        self.tell_hits(&places, hits, true);
    }

    /// A line as it was remembered: of an old one only the beginning is.
    pub(super) fn remembered(&self, room: &Room, line: &Line) -> Said {
        let place = room.place();
        let mine = Some(line.person) == self.me;
        Said {
            here: place.is(&self.current),
            place,
            seq: line.seq,
            time: line.quoted.time,
            written: Millis(0),
            name: Some(line.quoted.name.clone()),
            mine,
            mention: line.mention && !mine,
            kind: line.quoted.kind,
            revision: line.revision,
            reply: line.reply_to.map(|seq| Quote { seq, said: room.recent.quote(seq) }),
            text: if line.text.is_empty() { line.quoted.text.clone() } else { line.text.clone() },
            file: None,
        }
    }

    pub(super) fn handle_found(&mut self, more: bool, found: &[Found]) {
        self.searched.next = found.last().filter(|_| more).map(|last| (last.room, last.entry.seq));
        let mut shown = found.to_vec();
        shown.retain(|found| self.is_hit(found));
        if shown.is_empty() && self.searched.next.is_some() {
            return self.look_for_more();
        }
        self.tell_found(&shown);
    }

    /// A changed line is found by what it says now: its changes need not be found beside it.
    fn is_hit(&mut self, found: &Found) -> bool {
        let said = !matches!(found.entry.kind, EntryKind::Edit | EntryKind::Delete);
        said && found.entry.revision != Revision::Deleted
            && self.rooms.find(found.room).is_some()
            && !self.ignored.hides(found.entry.person, &found.entry.name)
    }

    fn tell_found(&mut self, shown: &[Found]) {
        let places: Vec<_> = shown.iter().map(|found| (found.room, found.entry.seq)).collect();
        let hits = self.shown(shown);
        self.tell_hits(&places, hits, false);
    }

    fn tell_hits(&mut self, places: &[(RoomId, Seq)], hits: Vec<Said>, offline: bool) {
        let first = self.searched.hits.len() + 1;
        self.searched.hits.extend(places);
        let place = self.searched.room.and_then(|id| self.rooms.by_id(id)).map(|room| room.place());
        let (words, more) = (self.searched.words.clone(), self.searched.next.is_some());
        self.tell(Event::Found { place, words, first, hits, more, offline });
    }

    pub(super) fn jump(&mut self, here: &Place, to: Jump) {
        let number = match to {
            Jump::Line(line) => {
                return match self.room_at(here) {
                    Some(room) => self.look_around(room, line),
                    None => self.tell_unread(here),
                };
            }
            Jump::Found(number) => number,
            Jump::Next => self.searched.jumped + 1,
        };
        let Some((room, line)) = self.searched.hits.get(number - 1).copied() else {
            let hint = match self.searched.hits.len() {
                0 => "type /search WORDS first, or /jump #N for a line of this room".to_owned(),
                1 => "there is only one: /jump 1".to_owned(),
                found => format!("there are {found}: /jump {found}, or /search for more"),
            };
            return self.mistake(format!("there is no result {number}"), hint);
        };
        self.searched.jumped = number;
        self.look_around(room, line);
    }
}
