//! People of whom nobody would miss anything: they are forgotten when they were not seen for long.

use super::Hub;
use crate::clock::Now;
use crate::people::Person;
use crate::shelf::Account;
use protocol::id::{Millis, PersonId};

/// People that are looked at in one tick: bounds its time.
const LOOKED_AT: usize = 256;

impl Hub {
    /// Forgets some people who were not seen for long and are unused, and goes on with the next ones in the next tick.
    pub(super) fn forget_unused(&mut self, now: Now) {
        if self.full.is_some() || self.draining || self.clock.is_doubted() {
            return;
        }
        let some: Vec<_> =
            self.people.after(self.endings.unused_at).take(LOOKED_AT).map(|(id, _)| id).collect();
        self.endings.unused_at = some.last().copied().filter(|_| some.len() == LOOKED_AT);
        let unused: Vec<_> = some.into_iter().filter(|id| self.is_unused(*id, now)).collect();
        if !unused.is_empty() {
            tracing::info!(people = unused.len(), "forgets people who were not seen for long and are unused");
        }
        unused.into_iter().for_each(|person| self.forget_person(person, now));
    }

    /// Whether a person was not seen for long, never posted, is in no room but the lobby, has no second device and no
    /// file, and nothing that they have not read is addressed to them.
    fn is_unused(&self, id: PersonId, now: Now) -> bool {
        let is_away = |person: &&Person| {
            // Of somebody whose devices were lost it is not known when they were seen.
            let was_seen = person.seen > Millis(0);
            was_seen && person.is_stored && !person.is_online() && self.is_long_ago(person.seen, now)
        };
        let Some(person) = self.people.find(id).filter(is_away).filter(|person| !person.posted) else {
            return false;
        };
        let lobby = self.rooms.find(self.lobby);
        person.rooms().iter().all(|room| *room == self.lobby)
            && lobby.is_none_or(|lobby| lobby.mentions.count(id) == 0)
            && self.devices.count(id) <= 1
            && self.shelf.usage.of_account(Account::Person(id)) == 0
            && self.transfers.of_person(id).next().is_none()
    }
}
