//! The account of a resumption: how much came that was missed, and that nothing was lost or doubled.

use protocol::id::{RoomId, Seq};
use std::collections::BTreeMap;

/// How a connection caught up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Entries that came after the fact, but for those of this device.
    pub missed: u64,
    /// Entries that the server left out without saying so.
    pub lost: u64,
    /// Entries that came a second time; they are not shown.
    pub doubled: u64,
}

/// What is still to come before the account can be closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resume {
    tally: Tally,
    /// Rooms whose cursor is being set.
    opening: usize,
    /// The newest entry of each room when it was opened, until it has come.
    behind: BTreeMap<RoomId, Seq>,
    active: bool,
    /// A cursor went on from an earlier place, so there is something to tell.
    resumed: bool,
}

impl Resume {
    /// A new connection begins.
    pub(crate) fn begin(&mut self) {
        *self = Self { active: true, ..Self::default() };
    }

    /// A room is being opened; `kept` if its cursor goes on from an earlier place.
    pub(crate) fn handle_opening(&mut self, kept: bool) {
        self.opening += 1;
        self.resumed |= kept;
    }

    /// A room was opened, and its newest entry is `newest`; nothing is to come if `None`.
    pub(crate) fn handle_opened(&mut self, room: RoomId, newest: Option<Seq>) {
        self.opening = self.opening.saturating_sub(1);
        if let Some(newest) = newest.filter(|_| self.active) {
            self.behind.insert(room, newest);
        }
    }

    /// A room could not be opened, or was left.
    pub(crate) fn forget(&mut self, room: RoomId) {
        self.behind.remove(&room);
    }

    /// An entry came that was not a double; `gap` entries in front of it did not. Whoever said it here, `own`, has missed
    /// nothing.
    pub(crate) fn handle_entry(&mut self, room: RoomId, seq: Seq, gap: u64, own: bool) {
        if !self.active {
            return;
        }
        self.tally.lost += gap;
        if let Some(newest) = self.behind.get(&room).copied() {
            self.tally.missed += u64::from(seq <= newest && !own);
            if seq >= newest {
                self.behind.remove(&room);
            }
        }
    }

    /// An entry came a second time.
    pub(crate) fn handle_double(&mut self) {
        self.tally.doubled += u64::from(self.active);
    }

    /// Whether something is still to come.
    pub(crate) fn is_active(&self) -> bool {
        self.active
    }

    /// The account, once, when everything has come; the inner `None` if no cursor went on from before.
    pub(crate) fn close(&mut self) -> Option<Option<Tally>> {
        if !self.active || self.opening > 0 || !self.behind.is_empty() {
            return None;
        }
        self.active = false;
        Some(self.resumed.then_some(self.tally))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(value: u64) -> Seq {
        Seq::new(value).expect("tests count from 1")
    }

    #[test]
    fn the_account_closes_when_every_room_has_caught_up() {
        let (a, b) = (RoomId::FIRST, RoomId::FIRST.next());
        let mut resume = Resume::default();
        resume.begin();
        resume.handle_opening(true);
        resume.handle_opening(true);
        resume.handle_opened(a, Some(seq(3)));
        assert_eq!(resume.close(), None);
        resume.handle_opened(b, None);
        resume.handle_entry(a, seq(1), 0, true);
        resume.handle_entry(a, seq(2), 0, false);
        resume.handle_double();
        assert_eq!(resume.close(), None);
        resume.handle_entry(a, seq(3), 0, false);
        assert_eq!(resume.close(), Some(Some(Tally { missed: 2, lost: 0, doubled: 1 })));
        assert_eq!(resume.close(), None);
    }

    #[test]
    fn a_gap_is_counted_as_lost() {
        let mut resume = Resume::default();
        resume.begin();
        resume.handle_opening(true);
        resume.handle_opened(RoomId::FIRST, Some(seq(9)));
        resume.handle_entry(RoomId::FIRST, seq(9), 4, false);
        assert_eq!(resume.close(), Some(Some(Tally { missed: 1, lost: 4, doubled: 0 })));
    }
}
