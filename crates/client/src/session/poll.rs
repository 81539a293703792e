//! What comes out of a session, and when it wants to be called again.

use super::changes::Deferred;
use super::event::{End, Event, Unkept};
use super::requests::Asked;
use super::save::Save;
use super::{CATCH_UP_MS, LOGIN_MS, MAX_UNSHOWN, MAX_WAITING, Pending, Phase, Session, outbox};
use crate::clock::{Now, after};
use protocol::id::{Millis, ServerId};
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
        let waits = self.deferred.is_some() || self.held.is_some();
        let deferred = self.leaving.unseen_timeout().filter(|_| waits);
        let own = [
            self.keeper.timeout(),
            self.leaving.timeout(),
            self.marks.timeout(),
            self.unkept.timeout(),
            self.requests.timeout(),
            self.comings_timeout(),
        ];
        let typed = self.deferred.as_ref().filter(|_| self.config.interactive).map(Deferred::timeout);
        let uploaded = self.uploaded_timeout().filter(|_| self.phase == Phase::Up);
        let reminder = self.reminder_timeout().filter(|_| self.errand);
        [heart, slow, catching_up, outbox, deferred, typed, uploaded, reminder]
            .into_iter()
            .chain(own)
            .flatten()
            // What was due at the last tick and is still there waits for something else than time.
            .filter(|due| self.ticked.is_none_or(|ticked| *due > ticked))
            .min()
    }

    /// What must be kept before anything else is sent.
    pub fn poll_save(&mut self) -> Option<Save> {
        let journal = if self.waits_to_keep(Unkept::Outbox) { None } else { self.outbox.poll_save() };
        journal.map(Save::from).or_else(|| {
            let rest = !self.waits_to_keep(Unkept::Cursors);
            rest.then(|| self.keeper.poll(&self.name, self.epoch, self.ignored.names()))?.map(Save::Kept)
        })
    }

    /// The next message for the server; no post while something of the outbox is to be kept.
    pub fn poll_transmit(&mut self, now: Now) -> Option<ClientMsg> {
        let kept = !self.outbox.is_dirty();
        let message = match self.out.pop_front() {
            Some(message) => message,
            None if kept => self.outbox.poll_transmit()?,
            None => return None,
        };
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
        if !self.errand {
            let moved = self.keeper.handle_shown(self.shown);
            self.marks.handle_shown(moved);
        }
        self.outbox.handle_shown(self.shown);
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

    /// The server of the last login, if it said which it is.
    pub fn server(&self) -> Option<ServerId> {
        self.keeper.server()
    }

    /// How often another connection of this device took over.
    pub fn fences(&self) -> u64 {
        self.fences
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
        let settled = self.logins > 0 && !self.catching_up && self.is_done();
        settled && room && !self.leaving.is_leaving()
    }

    /// Whether everything that was typed has had its effect on what may be typed next.
    pub(super) fn is_done(&self) -> bool {
        self.deferred.is_none() && self.held.is_none() && !self.requests.any(Asked::is_awaited)
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
