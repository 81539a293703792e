//! What comes out of a session, and when it wants to be called again.

use super::event::{End, Event};
use super::requests::Asked;
use super::save::Save;
use super::{CATCH_UP_MS, LOGIN_MS, MAX_UNSHOWN, MAX_WAITING, Pending, Phase, Session, outbox};
use crate::clock::{Now, after};
use protocol::id::Millis;
use protocol::message::ClientMsg;

impl Session {
    /// Whether the transport is taken to be up.
    pub fn is_connected(&self) -> bool {
        !matches!(self.phase, Phase::Down | Phase::Over(_))
    }

    /// Whether the server is silent for too long: the driver drops the connection.
    pub fn is_dead(&self, now: Now) -> bool {
        match self.phase {
            Phase::Login { since } => now.steady >= after(since, LOGIN_MS),
            _ => self.is_connected() && self.heartbeat.is_dead(now.steady),
        }
    }

    /// When [`Self::handle_tick`] is due, in steady time.
    pub fn timeout(&self) -> Option<Millis> {
        let heart = match self.phase {
            Phase::Login { since } => Some(after(since, LOGIN_MS)),
            _ => self.is_connected().then(|| self.heartbeat.timeout()),
        };
        let slow = self.started.filter(|_| !self.told_connecting && self.welcome.is_none());
        let slow = slow.map(|started| after(started, outbox::PENDING_AFTER_MS));
        let outbox = self.outbox.timeout().filter(|_| self.phase == Phase::Up);
        let catching_up =
            (self.catching_up && self.logins > 0).then(|| after(self.server_time.1, CATCH_UP_MS));
        [heart, slow, catching_up, outbox, self.keeper.timeout(), self.leaving.timeout()]
            .into_iter()
            .flatten()
            // What was due at the last tick and is still there waits for something else than time.
            .filter(|due| self.ticked.is_none_or(|ticked| *due > ticked))
            .min()
    }

    /// What must be kept before anything else is sent.
    pub fn poll_save(&mut self) -> Option<Save> {
        let journal = self.outbox.poll_save().map(Save::from);
        journal.or_else(|| self.keeper.poll(&self.name, self.epoch, self.ignored.names()).map(Save::Kept))
    }

    /// The next message for the server; nothing while something is to be kept.
    pub fn poll_transmit(&mut self, now: Now) -> Option<ClientMsg> {
        if self.outbox.is_dirty() {
            return None;
        }
        let message = self.out.pop_front().or_else(|| self.outbox.poll_transmit())?;
        self.heartbeat.handle_sent(now.steady);
        Some(message)
    }

    /// The next thing to show.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.given += 1;
        Some(event)
    }

    /// The face has shown the first `shown` of all events that were given out.
    pub fn handle_shown(&mut self, shown: u64, now: Now) {
        self.shown = shown.min(self.given);
        self.keeper.handle_shown(self.shown);
        self.advance(now);
    }

    /// How many events were given out.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// How many logins worked.
    pub fn logins(&self) -> u64 {
        self.logins
    }

    /// Whether events wait.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether to read what the user types: once the first login has shown what was said before, while it is known
    /// where the next line goes, and while not too much waits.
    pub fn wants_input(&self) -> bool {
        let room =
            self.outbox.len() + self.transfers.sending() < MAX_WAITING && self.events.len() < MAX_UNSHOWN;
        let settled = self.logins > 0 && !self.catching_up && !self.requests.any(Asked::moves);
        settled && room && !self.leaving.is_leaving()
    }

    /// Whether to read from the server; a face that does not keep up makes this client a lagging cursor.
    pub fn wants_messages(&self) -> bool {
        self.events.len() < MAX_UNSHOWN
    }

    /// How long to stay away before the next attempt to connect, at least, in ms.
    pub fn take_stay_away(&mut self) -> u32 {
        std::mem::take(&mut self.stay_away)
    }

    /// How the session ended, once it did.
    pub fn end(&self) -> Option<&End> {
        match &self.phase {
            Phase::Over(end) => Some(end),
            _ => None,
        }
    }

    /// How many lines the server refused.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// How many lines could not be done for other reasons.
    pub fn mistakes(&self) -> u64 {
        self.mistakes
    }

    /// Posts that are not settled.
    pub fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.outbox.pending()
    }

    /// Shows something of the driver's own.
    pub fn notify(&mut self, event: Event) {
        self.tell(event);
    }

    pub(super) fn end_with(&mut self, end: End, now: Now) {
        self.phase = Phase::Over(end);
        self.keeper.advance(now.steady, true);
    }
}
