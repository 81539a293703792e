//! Retention: rooms are kept within their bounds, and people are told where history begins.

use super::{Hub, Voice};
use crate::clock::{Now, Steady};
use crate::store::Change;
use protocol::id::{Req, RoomId, Seq};
use protocol::message::RoomsChange;
use std::collections::BTreeSet;

/// Rooms that are trimmed in one turn: bounds its time.
const MAX_TRIMS: usize = 64;

/// How long it is gathered where histories begin before it is told, in ms: a busy room begins later all the time.
const TELL_EVERY_MS: u64 = 10_000;

impl Hub {
    /// Asks for the trimming of rooms that may have grown beyond their bounds.
    pub(super) fn keep_rooms(&mut self, now: Now) {
        if self.settings.keep.is_all() {
            return;
        }
        let mut trims = Vec::new();
        for room in self.rooms.iter_mut() {
            let head = room.log.head();
            if head == room.kept.head && now.steady < room.kept.due {
                continue;
            }
            if trims.len() == MAX_TRIMS {
                break;
            }
            let rule = self.settings.keep.rule(room.name());
            // A room where nothing is said needs no look unless its entries grow old.
            let due = rule.period_ms().map_or(Steady(u64::MAX), |period| now.steady.after(period));
            (room.kept.head, room.kept.due) = (head, due);
            // The newest entry always stays.
            let has_more = head.is_some_and(|head| self.history.oldest(room.id) < head);
            if has_more && !rule.is_all() {
                trims.push(Change::Trim { room: room.id, keep: rule.at(now.wall) });
            }
        }
        trims.into_iter().for_each(|trim| self.sequencer.change(trim));
    }

    /// Takes in where histories begin now.
    pub(super) fn note_trimmed(&mut self, changes: &[Change], trimmed: Vec<(RoomId, Seq)>) {
        for (room, first) in trimmed {
            self.trim_files(room, first);
            let Some(found) = self.rooms.find_mut(room) else {
                continue;
            };
            found.mentions.trim(first);
            let by_rule = |change: &Change| matches!(change, Change::Trim { room: r, .. } if *r == room);
            // What only the store's own bounds took is still given to those who lag a little.
            if changes.iter().any(by_rule) {
                found.log.trim(first);
                self.news.extend(found.readers.iter().map(|(id, conn)| (*id, conn.clone())));
            }
            self.trimmed.insert(room);
        }
    }

    /// Tells the members of rooms whose histories begin later than they were told.
    pub(super) fn tell_trimmed(&mut self, now: Now) {
        if self.trimmed.is_empty() || now.steady < self.next_telling {
            return;
        }
        self.next_telling = now.steady.after(TELL_EVERY_MS);
        let rooms: BTreeSet<RoomId> = std::mem::take(&mut self.trimmed);
        let native = self.sessions.iter().filter(|(_, session)| session.voice == Voice::Native);
        let people: Vec<_> = native.map(|(conn, session)| (*conn, session.person)).collect();
        for (conn, person) in people {
            for room in &rooms {
                if self.rooms.find(*room).is_some_and(|found| found.members.contains_key(&person)) {
                    self.tell_room(conn, Req(0), RoomsChange::Changed, *room, person);
                }
            }
        }
    }
}
