//! Telling the server how far I have read, so that my other devices know it.

use super::requests::Asked;
use super::{Phase, Session};
use crate::clock::after;
use protocol::id::{Millis, RoomId};
use protocol::message::ClientMsg;
use std::collections::BTreeSet;

/// A line that was shown is told as read after so long, in ms, together with those that come meanwhile.
const MARK_AFTER_MS: u64 = 1_000;

/// Marks are told at most so often, in ms: each costs the server a write.
const MARK_EVERY_MS: u64 = 5_000;

/// Rooms whose mark is to be told.
#[derive(Debug, Default)]
pub(super) struct Marks {
    moved: BTreeSet<RoomId>,
    /// Invariant: there iff `moved` is not empty and that has been seen by `advance`.
    due: Option<Millis>,
    told: Option<Millis>,
}

impl Marks {
    /// More of this room has been shown.
    pub(super) fn handle_shown(&mut self, rooms: impl IntoIterator<Item = RoomId>) {
        self.moved.extend(rooms);
    }

    pub(super) const fn timeout(&self) -> Option<Millis> {
        self.due
    }

    /// Takes the rooms that are to be told now; all, whenever that was last, if `last`.
    fn take(&mut self, now: Millis, last: bool) -> BTreeSet<RoomId> {
        if self.moved.is_empty() {
            return BTreeSet::new();
        }
        let rested = self.told.map_or(Millis(0), |told| after(told, MARK_EVERY_MS));
        let due = *self.due.get_or_insert_with(|| after(now, MARK_AFTER_MS).max(rested));
        if now < due && !last {
            return BTreeSet::new();
        }
        self.due = None;
        std::mem::take(&mut self.moved)
    }
}

impl Session {
    /// Tells what has been shown, now and then; at once if `last`.
    pub(super) fn advance_marks(&mut self, now: Millis, last: bool) {
        if self.phase != Phase::Up {
            return;
        }
        for room in self.marks.take(now, last) {
            let shown = self.keeper.position(room).flatten();
            let Some(found) = self.rooms.by_id(room) else {
                continue;
            };
            if let Some(seq) = shown.filter(|_| shown > found.info.read.max(found.marked)) {
                found.marked = shown;
                self.marks.told = Some(now);
                self.ask(Asked::Mark, |req| ClientMsg::Mark { req, room, seq });
            }
        }
    }
}
