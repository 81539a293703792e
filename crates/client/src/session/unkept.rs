//! When the profile can't be kept: what is typed is not sent, everything else goes on, and it is tried again.

use super::event::{Event, Unkept};
use super::{Save, Session};
use crate::clock::{Now, after};
use protocol::id::Millis;

/// Keeping is tried again after so long, in ms.
const RETRY_MS: u64 = 1_000;

/// What could not be kept.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// The outbox is tried again then. Nothing is sent from it before that works.
    outbox: Option<Millis>,
    cursors: Option<Millis>,
}

impl Unsaved {
    pub(super) fn timeout(&self) -> Option<Millis> {
        self.outbox.into_iter().chain(self.cursors).min()
    }

    /// Whether what is typed can't be kept.
    pub(super) const fn is_outbox(&self) -> bool {
        self.outbox.is_some()
    }
}

impl Session {
    /// Whether the outbox or the cursors wait to be tried again, by the last tick.
    pub(super) fn waits_to_keep(&self, what: Unkept) -> bool {
        let retry = match what {
            Unkept::Outbox => self.unkept.outbox,
            Unkept::Cursors => self.unkept.cursors,
        };
        retry.is_some_and(|retry| self.ticked.is_none_or(|ticked| ticked < retry))
    }

    /// What [`Session::poll_save`] gave last is kept.
    pub fn handle_kept(&mut self, save: &Save) {
        let retried = match save {
            Save::Append(_) | Save::Replace(_) => self.unkept.outbox.take(),
            Save::Kept(kept) => {
                self.handle_kept_cursors(kept);
                self.unkept.cursors.take()
            }
        };
        if retried.is_some() && self.unkept.timeout().is_none() {
            self.tell(Event::KeptAgain);
        }
    }

    /// What [`Session::poll_save`] gave last could not be kept, for this reason.
    pub fn handle_unkept(&mut self, save: &Save, reason: String, now: Now) {
        let again = Some(after(now.steady, RETRY_MS));
        let (what, before) = match save {
            Save::Append(_) | Save::Replace(_) => {
                self.outbox.handle_unkept();
                (Unkept::Outbox, std::mem::replace(&mut self.unkept.outbox, again))
            }
            Save::Kept(_) => {
                self.keeper.note_change();
                (Unkept::Cursors, std::mem::replace(&mut self.unkept.cursors, again))
            }
        };
        if before.is_none() {
            self.tell(Event::Unkept { what, reason });
        }
    }

    /// The session ends while what was typed can be neither sent nor kept.
    /// Gives how many that are.
    pub(super) fn tell_gone(&mut self) -> usize {
        if !self.unkept.is_outbox() {
            return 0;
        }
        let lines: Vec<_> = self.outbox.unkept().map(|pending| pending.post.words()).collect();
        let gone = lines.len();
        if gone > 0 {
            self.mistakes += 1;
            self.tell(Event::Gone { lines });
        }
        gone
    }
}
