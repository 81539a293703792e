//! What of the entries that name somebody they have not read yet. Whom an entry names says [`protocol::mention`].

use protocol::id::{PersonId, Seq};
use protocol::limits::MAX_UNREAD_MENTIONS;
use std::collections::{BTreeMap, VecDeque};

/// Entries of a room that name somebody and are not read. Only those who are named cost anything.
///
/// Invariant: each list is not empty, ascending, and holds at most [`MAX_UNREAD_MENTIONS`].
#[derive(Debug, Default)]
pub struct Mentions(BTreeMap<PersonId, VecDeque<Seq>>);

impl Mentions {
    /// Takes in what a store knew of a person.
    pub fn restore(&mut self, person: PersonId, unread: Vec<Seq>) {
        if !unread.is_empty() {
            self.0.insert(person, unread.into());
        }
    }

    /// An entry names a person who has not read it.
    pub fn add(&mut self, person: PersonId, seq: Seq) {
        let unread = self.0.entry(person).or_default();
        if let Err(at) = unread.binary_search(&seq) {
            unread.insert(at, seq);
        }
        if unread.len() > MAX_UNREAD_MENTIONS {
            unread.pop_front();
        }
    }

    /// An entry names nobody any more.
    pub fn remove(&mut self, seq: Seq) {
        self.retain(|_, unread| {
            if let Ok(at) = unread.binary_search(&seq) {
                unread.remove(at);
            }
        });
    }

    /// A person has read up to here.
    pub fn read(&mut self, person: PersonId, seq: Seq) {
        if let Some(unread) = self.0.get_mut(&person) {
            unread.drain(..unread.partition_point(|mention| *mention <= seq));
            if unread.is_empty() {
                self.0.remove(&person);
            }
        }
    }

    /// Entries before this one are not kept any more.
    pub fn trim(&mut self, first: Seq) {
        self.retain(|_, unread| drop(unread.drain(..unread.partition_point(|mention| *mention < first))));
    }

    /// A person is no longer a member.
    pub fn forget(&mut self, person: PersonId) {
        self.0.remove(&person);
    }

    /// How many entries that they have not read name a person.
    pub fn count(&self, person: PersonId) -> u32 {
        self.0.get(&person).map_or(0, |unread| u32::try_from(unread.len()).unwrap_or(u32::MAX))
    }

    fn retain(&mut self, change: impl Fn(PersonId, &mut VecDeque<Seq>)) {
        self.0.retain(|person, unread| {
            change(*person, unread);
            !unread.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_count_until_they_are_read_removed_or_trimmed() {
        let (me, seq) = (PersonId::FIRST, |n| Seq::new(n).unwrap());
        let mut mentions = Mentions::default();
        for n in [2, 9, 5, 5, 7] {
            mentions.add(me, seq(n));
        }
        assert_eq!(mentions.count(me), 4);
        mentions.trim(seq(5));
        assert_eq!(mentions.count(me), 3);
        mentions.remove(seq(7));
        mentions.read(me, seq(5));
        assert_eq!((mentions.count(me), mentions.count(me.next())), (1, 0));
        mentions.forget(me);
        assert_eq!(mentions.count(me), 0);
    }
}
