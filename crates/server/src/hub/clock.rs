//! The wall clock: watched, stored, and not obeyed at once when it jumps.

use super::{Hub, Settings};
use crate::clock::{Now, Steady};
use crate::store::{Change, Keep, Snapshot};
use crate::wall_clock::{ClockNews, WallClock, words_on_room};
use protocol::id::RoomId;

/// How often it is stored what time it is, in ms.
const STORE_EVERY_MS: u64 = 3_600_000;

/// How long after a start that is done first, in ms: a clock that needs no word has time.
pub(super) const FIRST_CLOCK_MS: u64 = 60_000;

/// How often it is said that the clock is doubted, in ms.
const SAY_EVERY_MS: u64 = 86_400_000;

/// The clock at a start.
pub(super) fn at_start(settings: &Settings, snapshot: &Snapshot, now: Now) -> WallClock {
    let rooms = snapshot.rooms.iter().map(|room| room.time);
    let newest = rooms.chain(snapshot.devices.iter().map(|device| device.seen)).max();
    let newest = newest.filter(|time| time.0 > 0);
    let shortest = [settings.keep.shortest_age(), settings.files.keep_files_ms].into_iter().flatten().min();
    let mut clock = WallClock::start(snapshot.clock, newest, shortest, now);
    if settings.accept_clock {
        clock.accept();
    }
    clock
}

/// The room of which something is to be hidden or shown, and whether all of it is shown.
pub(super) fn hidden_room(change: &Change) -> Option<(RoomId, bool)> {
    if let Change::Hide { room, since } = change { Some((*room, since.is_none())) } else { None }
}

impl Hub {
    /// Looks whether the clock jumped, and stores each hour what time it is.
    pub(super) fn watch_clock(&mut self, now: Now) {
        let news = self.clock.tick(now);
        match news {
            Some(ClockNews::Doubted) => self.next_clock_line = now.steady,
            Some(ClockNews::Mended) => {
                tracing::info!(
                    "the clock is what it was expected to be: messages that were hidden are shown again"
                );
                self.show_all();
            }
            Some(ClockNews::Believed) => {
                tracing::info!("the clock has run steadily for long enough: what is past its age is deleted");
                self.trim_hidden();
            }
            None => {}
        }
        if news.is_some() {
            // What is past its age is another question now.
            self.rooms.iter_mut().for_each(|room| room.kept.due = Steady(0));
            self.next_keeping = now.steady;
        }
        if let Some(words) = self.clock.words().filter(|_| now.steady >= self.next_clock_line) {
            self.next_clock_line = now.steady.after(SAY_EVERY_MS);
            self.next_clock = now.steady;
            tracing::warn!("{words}");
        }
        // On a full disk it is stored when there is space again: one time, not each that passed.
        if (now.steady >= self.next_clock || news.is_some()) && self.full.is_none() {
            self.next_clock = now.steady.after(STORE_EVERY_MS);
            self.store_clock();
        }
    }

    /// Stores what time it is.
    pub(super) fn store_clock(&mut self) {
        self.sequencer.change(Change::Clock { clock: self.clock.stored() });
    }

    /// What may be deleted of a room: nothing because of its age while the clock is doubted, but it is hidden.
    pub(super) fn hide_aged(&mut self, room: RoomId, keep: Keep) -> Keep {
        if !self.clock.is_doubted() || keep.since.is_none() {
            return keep;
        }
        self.sequencer.change(Change::Hide { room, since: keep.since });
        if let Some(found) = self.rooms.find_mut(room) {
            found.kept.is_hidden = true;
        }
        Keep { since: None, ..keep }
    }

    fn show_all(&mut self) {
        for room in self.rooms.iter_mut() {
            if std::mem::take(&mut room.kept.is_hidden) {
                self.sequencer.change(Change::Hide { room: room.id, since: None });
            }
        }
    }

    /// Some rooms show less now, or all again.
    pub(super) fn note_hidden(&mut self, rooms: Vec<(RoomId, bool)>) {
        for (room, is_shown) in rooms {
            let first = self.history.oldest(room);
            let Some(found) = self.rooms.find_mut(room) else { continue };
            if is_shown {
                // What is past its age is seen by the next pass only now.
                found.kept.due = Steady(0);
            }
            found.log.trim(first);
            self.news.extend(found.readers.iter().map(|(id, conn)| (*id, conn.clone())));
            self.trimmed.insert(room);
        }
    }

    /// Rooms in which the clock was far ahead once: their times only grow, so they stay there.
    pub(super) fn warn_of_future_rooms(&mut self, now: Now) {
        let furthest = self.rooms.iter_mut().max_by_key(|room| room.time);
        let Some(room) = furthest else { return };
        let name = room.name().map_or_else(|| "a conversation of two".to_owned(), |name| format!("#{name}"));
        if let Some(words) = words_on_room(&name, room.time, now.wall) {
            tracing::warn!("{words}");
        }
    }
}
