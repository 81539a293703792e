//! Looking into what waits, and taking something out that was never sent.

use super::{Outbox, PENDING_AFTER_MS, Pending, Post, Record};
use crate::clock::since;
use crate::session::place::Place;
use protocol::entry::EntryKind;
use protocol::id::Millis;
use protocol::message::Target;

impl Outbox {
    /// The place of the next post, if its number is not known yet.
    pub(crate) fn unresolved(&self) -> Option<&Place> {
        let next = self.pending.get(self.flight.len())?;
        next.post.target.is_none().then_some(&next.post.place)
    }

    /// The next post goes to this room or person.
    pub(crate) fn resolve(&mut self, target: Target) {
        if let Some(next) = self.pending.get_mut(self.flight.len()) {
            next.post.target = Some(target);
        }
    }

    /// The next post can't be sent: takes it out. It stays in the journal until it stands there what became of it: a crash
    /// that tears what is written takes neither without the other.
    pub(crate) fn drop_next(&mut self) -> Option<Pending> {
        self.pending.remove(self.flight.len())
    }

    /// The last post that waits for this place, of such a kind.
    pub(crate) fn last_in(&self, place: &Place, kind: impl Fn(EntryKind) -> bool) -> Option<&Pending> {
        let there = |pending: &&Pending| pending.post.place.is(place) && kind(pending.post.kind);
        self.pending.iter().rev().find(there)
    }

    /// Whether anything waits for this place.
    pub(crate) fn is_waiting_in(&self, place: &Place) -> bool {
        self.last_in(place, |_| true).is_some()
    }

    /// Takes a post back that was surely never sent.
    pub(crate) fn withdraw(&mut self, serial: u64) -> Option<Post> {
        let unsent = |pending: &Pending| pending.serial == serial && pending.counter.is_none();
        let at = self.pending.iter().position(unsent)?;
        let pending = self.pending.remove(at)?;
        self.record(Record::Gone { serial });
        Some(pending.post)
    }

    /// The posts that have waited long enough to be shown as pending, or all (`at_once`), once each.
    pub(crate) fn announce(&mut self, now: Millis, at_once: bool) -> Vec<Post> {
        let waited = |pending: &Pending| at_once || since(now, pending.typed) >= PENDING_AFTER_MS;
        let late = self.pending.iter_mut().filter(|pending| !pending.announced && waited(pending));
        late.map(|pending| {
            pending.announced = true;
            pending.post.clone()
        })
        .collect()
    }
}
