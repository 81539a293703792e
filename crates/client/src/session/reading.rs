//! Reading what was said before: `/history` and how it goes on, and the lines around one.

use super::event::{Event, Rest, Said};
use super::place::Place;
use super::recent::Line;
use super::requests::Asked;
use super::rooms::Room;
use super::{Phase, Session};
use crate::clock::{Now, since};
use protocol::command::HistorySpan;
use protocol::id::{Millis, RoomId, Seq};
use protocol::limits::MAX_FETCH;
use protocol::message::{ClientMsg, Found, Range};

/// Lines that are shown around one.
const AROUND: u16 = 11;

/// Entries that are being gathered, page by page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Gather {
    place: Place,
    room: RoomId,
    /// Towards older entries.
    back: bool,
    /// How many are wanted in all.
    wanted: u16,
    /// Those that came, in the order of the room.
    found: Vec<Found>,
}

/// What was shown last of a room's history, to go on from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reading {
    place: Place,
    /// The oldest entry that was shown.
    first: Seq,
    /// The newest, if there is more after it.
    newer_than: Option<Seq>,
}

impl Session {
    /// Shows so much, or goes on where the last part ended.
    pub(super) fn history(&mut self, here: Place, span: Option<HistorySpan>, now: Now) {
        let Some(room) = self.room_at(&here) else {
            return self.tell_unread(&here);
        };
        if self.phase != Phase::Up {
            return self.history_from_memory(here, room, span, now);
        }
        let last = self.reading.take().filter(|reading| reading.place.is(&here));
        let (range, wanted) = match (span, last) {
            (None, Some(Reading { newer_than: Some(last), .. })) => {
                (Range::After { seq: Some(last) }, MAX_FETCH)
            }
            (None, Some(Reading { first, .. })) => (Range::Before { seq: first }, self.last_count),
            (Some(HistorySpan::Ms(ms)), _) => {
                (Range::SinceTime { time: self.server_time_before(ms, now) }, MAX_FETCH)
            }
            (Some(HistorySpan::Count(count)), _) => {
                self.last_count = count;
                (Range::Latest, count)
            }
            (None, None) => (Range::Latest, self.last_count),
        };
        let back = matches!(range, Range::Latest | Range::Before { .. });
        let gather = Gather { place: here, room, back, wanted, found: Vec::new() };
        self.fetch(gather, range, wanted);
    }

    /// The time that it was at the server so many ms ago.
    fn server_time_before(&self, ms: u64, now: Now) -> Millis {
        let (told, at) = self.server_time;
        Millis((told.0 + since(now.steady, at)).saturating_sub(ms))
    }

    /// `/history` without a connection: the newest lines that came since the program began.
    fn history_from_memory(&mut self, place: Place, room: RoomId, span: Option<HistorySpan>, now: Now) {
        let (count, since) = match span {
            Some(HistorySpan::Count(count)) => (count, Millis(0)),
            Some(HistorySpan::Ms(ms)) => (MAX_FETCH, self.server_time_before(ms, now)),
            None => (self.last_count, Millis(0)),
        };
        let known = self.rooms.find(room).into_iter();
        let entries = known
            .flat_map(|room| self.said_from_memory(room, room.recent.latest(usize::from(count), since)))
            .collect();
        self.tell(Event::History { place, entries, rest: Rest::Offline });
    }

    /// Remembered lines, without those of hidden people.
    fn said_from_memory<'a>(&self, room: &Room, lines: impl Iterator<Item = &'a Line>) -> Vec<Said> {
        let shown = lines.filter(|line| !self.ignored.is_of_hidden(line.person, &line.quoted.name));
        shown.map(|line| self.remembered(room, line)).collect()
    }

    fn fetch(&mut self, gather: Gather, range: Range, limit: u16) {
        let room = gather.room;
        self.ask(Asked::History { gather }, |req| ClientMsg::Fetch { req, room, range, limit });
    }

    pub(super) fn handle_gathered(&mut self, mut gather: Gather, more: bool, found: &[Found]) {
        let ends = found.first().zip(found.last()).map(|(first, last)| (first.entry.seq, last.entry.seq));
        let at = if gather.back { 0 } else { gather.found.len() };
        gather.found.splice(at..at, found.iter().cloned());
        let got = u16::try_from(gather.found.len()).unwrap_or(u16::MAX);
        match ends.filter(|_| more && got < gather.wanted) {
            // A page has the size of a frame at most.
            Some((first, last)) => {
                let range =
                    if gather.back { Range::Before { seq: first } } else { Range::After { seq: Some(last) } };
                let limit = gather.wanted - got;
                self.fetch(gather, range, limit);
            }
            None => self.tell_history(gather, more),
        }
    }

    fn tell_history(&mut self, gather: Gather, more: bool) {
        let Gather { place, room, back, found, .. } = gather;
        let place = self.rooms.by_id(room).map_or(place, |room| room.place());
        let ends = found.first().zip(found.last()).map(|(first, last)| (first.entry.seq, last.entry.seq));
        self.reading = ends.map(|(first, last)| Reading {
            place: place.clone(),
            first,
            newer_than: (more && !back).then_some(last),
        });
        let rest = match (back, more) {
            (true, true) => Rest::Older,
            (true, false) => Rest::Begins(ends.map(|(first, _)| first)),
            (false, true) => Rest::Newer,
            (false, false) => Rest::Now,
        };
        let entries = self.shown(&found);
        self.tell(Event::History { place, entries, rest });
    }

    /// Shows what was said around this line.
    pub(super) fn look_around(&mut self, room: RoomId, line: Seq) {
        if self.phase != Phase::Up {
            return self.look_around_in_memory(room, line);
        }
        let range = Range::Around { seq: line };
        self.ask(Asked::Around { room, line }, |req| ClientMsg::Fetch { req, room, range, limit: AROUND });
    }

    /// Without a connection: what came around this line since the program began.
    fn look_around_in_memory(&mut self, room: RoomId, line: Seq) {
        let known = self.rooms.find(room);
        let Some(room) = known.filter(|room| room.recent.find(line).is_some()) else {
            let text = format!("not connected: line #{line} is not among what came since natter began");
            return self.mistake(text, "it works again when the connection is back");
        };
        let entries = self.said_from_memory(room, room.recent.around(line, usize::from(AROUND)));
        let place = room.place();
        self.tell(Event::Around { place, seq: line, entries, offline: true });
    }

    pub(super) fn handle_around(&mut self, room: RoomId, line: Seq, found: &[Found]) {
        let Some(place) = self.rooms.by_id(room).map(|room| room.place()) else {
            return;
        };
        if !found.iter().any(|found| found.entry.seq == line) {
            let text = format!("there is no line #{line} in {place}, or it is no longer kept");
            return self.mistake(text, "type /history to see the numbers");
        }
        self.reading = found.first().map(|first| Reading {
            place: place.clone(),
            first: first.entry.seq,
            newer_than: None,
        });
        let entries = self.shown(found);
        self.tell(Event::Around { place, seq: line, entries, offline: false });
    }
}
