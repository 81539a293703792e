//! What a session waits for, told each minute to whoever started it for one thing.

use super::event::{Awaited, Event, TransferStep, Way};
use super::{Phase, Session};
use crate::clock::{Now, after};
use crate::transfer::JobId;
use protocol::id::Millis;

/// How often a script is told what is waited for, in ms.
const REMINDER_MS: u64 = 60_000;

/// When the next reminder is due, and how many bytes had moved at the last one.
#[derive(Debug, Default)]
pub(super) struct Reminder {
    due: Option<Millis>,
    moved: u64,
}

impl Session {
    /// What is waited for, as far as this side knows.
    pub fn awaited(&self) -> Awaited {
        if self.phase != Phase::Up {
            return Awaited::Server;
        }
        let Some((id, moving)) = self.transfers.first_under_way() else {
            return Awaited::Answer;
        };
        let (name, moved, size) = (moving.name.clone(), moving.moved, moving.size);
        match &moving.way {
            Way::Up { .. } => Awaited::Sending { name, moved, size },
            Way::Down { from } if moving.waiting => {
                Awaited::Sender { name, from: from.clone(), gone: self.is_sender_gone(id), moved, size }
            }
            Way::Down { .. } => Awaited::Receiving { name, moved, size },
        }
    }

    /// Whether the sender of a file is offline, in a room whose people are all known by name.
    pub(super) fn is_sender_gone(&self, id: JobId) -> bool {
        let job = self.outbox.jobs().down(id);
        let Some((room, name)) = job.and_then(|job| Some((self.rooms.find(job.at?.0)?, &job.from))) else {
            return false;
        };
        let known = room.roster.people().count();
        let complete = known > 0 && known >= room.roster.online as usize;
        complete && !room.roster.people().any(|item| item.name == *name)
    }

    /// Somebody went offline: whoever waits for a file of theirs is told.
    pub(super) fn handle_sender_gone(&mut self, name: &str) {
        for id in self.transfers.ids() {
            let Some(moving) = self.transfers.find(id) else {
                continue;
            };
            let theirs = matches!(&moving.way, Way::Down { from } if from == name);
            if theirs && moving.waiting {
                let told = moving.told(id, TransferStep::Waiting { moved: moving.moved, gone: true });
                self.tell(told);
            }
        }
    }

    pub(super) fn advance_reminder(&mut self, now: Now) {
        if !self.errand || self.end().is_some() {
            return;
        }
        let due = *self.reminder.due.get_or_insert(after(now.steady, REMINDER_MS));
        if now.steady < due {
            return;
        }
        let awaited = self.awaited();
        let moved = awaited.moved();
        // Where a bar shows that it moves nothing need be said.
        if !self.watched || moved == self.reminder.moved {
            self.tell(Event::StillWaiting(awaited));
        }
        self.reminder = Reminder { due: Some(after(now.steady, REMINDER_MS)), moved };
    }

    pub(super) fn reminder_timeout(&self) -> Option<Millis> {
        self.reminder.due
    }
}
