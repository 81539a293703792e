//! Whom people have blocked: nobody who is blocked can write to them directly.

use super::Hub;
use crate::page::page;
use crate::store::Change;
use protocol::code::Code;
use protocol::id::{PersonId, RoomId};
use protocol::limits::MAX_BLOCKS;
use protocol::message::RosterItem;
use std::collections::BTreeSet;

/// Who blocks whom.
///
/// Invariant: `by` is `of` the other way round.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    of: BTreeSet<(PersonId, PersonId)>,
    by: BTreeSet<(PersonId, PersonId)>,
}

impl Blocks {
    /// Those that the store knew.
    pub fn new(stored: BTreeSet<(PersonId, PersonId)>) -> Self {
        let by = stored.iter().map(|(person, other)| (*other, *person)).collect();
        Self { of: stored, by }
    }

    fn has(&self, person: PersonId, other: PersonId) -> bool {
        self.of.contains(&(person, other))
    }

    fn set(&mut self, person: PersonId, other: PersonId, on: bool) {
        if on {
            self.of.insert((person, other));
            self.by.insert((other, person));
        } else {
            self.of.remove(&(person, other));
            self.by.remove(&(other, person));
        }
    }

    /// Whom a person blocks, by number, after one of them.
    fn of(&self, person: PersonId, after: Option<PersonId>) -> impl Iterator<Item = PersonId> {
        all_of(&self.of, person, after)
    }

    /// Who blocks a person.
    fn by(&self, other: PersonId) -> impl Iterator<Item = PersonId> {
        all_of(&self.by, other, None)
    }
}

fn all_of(
    pairs: &BTreeSet<(PersonId, PersonId)>,
    first: PersonId,
    after: Option<PersonId>,
) -> impl Iterator<Item = PersonId> {
    let from = (first, PersonId::after(after));
    pairs.range(from..).take_while(move |pair| pair.0 == first).map(|pair| pair.1)
}

impl Hub {
    /// A person blocks another one, or does not any more.
    ///
    /// # Errors
    /// [`Code::NotAllowed`] for oneself, and if as many are blocked as may be; [`Code::NoSuchPerson`].
    pub(super) fn set_block(&mut self, person: PersonId, other: PersonId, on: bool) -> Result<(), Code> {
        if self.blocks.has(person, other) == on {
            return Ok(());
        }
        if on {
            self.people.find(other).ok_or(Code::NoSuchPerson)?;
            if person == other || self.blocks.of(person, None).count() >= MAX_BLOCKS {
                return Err(Code::NotAllowed);
            }
        }
        self.check_space()?;
        self.store_person(person)?;
        if on {
            // Whoever is only remembered would come back as somebody else. Where no more people can be stored, the block
            // ends with them.
            let _ = self.store_person(other);
        }
        self.blocks.set(person, other, on);
        self.sequencer.change(Change::Block { person, other, on });
        Ok(())
    }

    /// Whether a person may write to another one directly.
    ///
    /// # Errors
    /// [`Code::Blocked`] if that one has blocked them.
    pub(super) fn check_blocked(&self, person: PersonId, other: PersonId) -> Result<(), Code> {
        if self.blocks.has(other, person) { Err(Code::Blocked) } else { Ok(()) }
    }

    /// The same of a room, which is that of two people or is nobody's to block.
    pub(super) fn check_blocked_in(&self, person: PersonId, room: RoomId) -> Result<(), Code> {
        let peer = self.rooms.find(room).and_then(|found| found.peer(person));
        peer.map_or(Ok(()), |peer| self.check_blocked(person, peer))
    }

    /// A page of those whom a person blocks, and whether there are more.
    pub(super) fn list_blocks(&self, person: PersonId, after: Option<PersonId>) -> (Vec<RosterItem>, bool) {
        let items = self.blocks.of(person, after).map(|other| self.people.item(other, false));
        page(self.settings.limits.portions.page, items, |item| item.name.len() + item.away.len() + 13)
    }

    /// Takes blocks back whose people were gone before the start: they were only remembered.
    pub(super) fn forget_dangling_blocks(&mut self) {
        let is_gone = |person: &PersonId| self.people.find(*person).is_none();
        let gone: BTreeSet<_> =
            self.blocks.of.iter().flat_map(|(person, other)| [*person, *other]).filter(is_gone).collect();
        gone.into_iter().for_each(|person| self.forget_blocks(person));
    }

    /// A person is forgotten, with their blocks and those of others that are about them.
    pub(super) fn forget_blocks(&mut self, person: PersonId) {
        let own = self.blocks.of(person, None).map(|other| (person, other));
        let others = self.blocks.by(person).map(|other| (other, person));
        let all: Vec<_> = own.chain(others).collect();
        for (person, other) in all {
            self.blocks.set(person, other, false);
            self.sequencer.change(Change::Block { person, other, on: false });
        }
    }
}
