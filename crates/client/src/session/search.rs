//! Looking for words, and going to what was found.

use super::Session;
use super::event::Event;
use super::place::Place;
use super::requests::Asked;
use protocol::command::{Jump, Search};
use protocol::entry::{EntryKind, Revision};
use protocol::id::{RoomId, Seq};
use protocol::message::{ClientMsg, Found};

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
            Search::Words { words, .. } if !words.contains(char::is_alphanumeric) => {
                self.mistake(format!("there is no word in '{words}'"), "type /search WORDS");
            }
            Search::Words { everywhere, words } => {
                let room = self.room_at(here);
                if room.is_none() && !everywhere {
                    let hint = "type /search -a WORDS to look in all rooms";
                    return self.mistake(format!("nothing was said in {here} yet"), hint);
                }
                let room = room.filter(|_| !everywhere);
                self.searched = Searched { room, words, ..Searched::default() };
                self.look_for_more();
            }
        }
    }

    fn look_for_more(&mut self) {
        if self.is_online() {
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
        let first = self.searched.hits.len() + 1;
        self.searched.hits.extend(shown.iter().map(|found| (found.room, found.entry.seq)));
        let place = self.searched.room.and_then(|id| self.rooms.by_id(id)).map(|room| room.place());
        let hits = self.shown(shown);
        let (words, more) = (self.searched.words.clone(), self.searched.next.is_some());
        self.tell(Event::Found { place, words, first, hits, more });
    }

    pub(super) fn jump(&mut self, here: &Place, to: Jump) {
        let number = match to {
            Jump::Line(line) => {
                return match self.room_at(here) {
                    Some(room) => self.look_around(room, line),
                    None => self.mistake(format!("nothing was said in {here} yet"), "say something"),
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
