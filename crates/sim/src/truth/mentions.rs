//! Whom lines name, by what people are called: what must be counted for a reader, and what may be.

use super::{Line, Truth};
use bytes::Bytes;
use protocol::entry::Revision;
use protocol::id::{PersonId, RoomId};
use server::store::Change;
use std::collections::{BTreeMap, BTreeSet};

/// For how long a name may be an old one to somebody else, in microseconds.
const SETTLED: u64 = 20_000_000;

/// How soon the server is told of what the store has let go of, in microseconds.
const TOLD: u64 = 2_000_000;

/// For how long a line that is gone may still be counted by who just asked, in microseconds.
const GONE: u64 = 10_000_000;

/// What people are called, as it became durable.
#[derive(Debug, Default)]
pub(super) struct Names {
    now: BTreeMap<PersonId, (String, u64)>,
    ever: BTreeMap<PersonId, BTreeSet<String>>,
}

/// Whom a line names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Named {
    /// The name that stands in it.
    name: Option<String>,
    /// Those who surely have that name and are in the room.
    people: BTreeSet<PersonId>,
}

impl Names {
    pub(super) fn take(&mut self, change: &Change, at: u64) {
        match change {
            Change::Person { person, name, .. } => {
                self.now.insert(*person, (name.clone(), at));
                self.ever.entry(*person).or_default().insert(name.clone());
            }
            Change::PersonGone { person } => drop(self.now.remove(person)),
            _ => {}
        }
    }
}

/// The name behind the `@` of a text.
fn name_in(body: &Bytes) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    text.split(' ').find_map(|word| word.strip_prefix('@'))
}

impl Truth {
    /// Whom an entry names that is stored now.
    pub(super) fn named_by(&self, body: &Bytes, author: Option<PersonId>, room: RoomId, at: u64) -> Named {
        let Some(name) = name_in(body) else { return Named::default() };
        let is_named = |(person, (known, since)): (&PersonId, &(String, u64))| {
            let is_settled = since + SETTLED < at && Some(*person) != author;
            let is_in = self.members.was_in_since(*person, room, at.saturating_sub(SETTLED));
            (known == name && is_settled && is_in).then_some(*person)
        };
        let people = self.names.now.iter().filter_map(is_named).collect();
        Named { name: Some(name.to_owned()), people }
    }

    /// How many entries behind `read` and up to `newest` name a person: at least, and at most.
    pub(crate) fn mentions(
        &self,
        person: PersonId,
        room: u64,
        read: u64,
        newest: u64,
        now: u64,
    ) -> (u32, u32) {
        let kept = read.max(self.oldest(room) - 1);
        // What has just gone may be counted until the server is told.
        let is_fresh = self.trimmed_at.get(&room).is_some_and(|at| at + TOLD > now);
        let is_sure = |line: &Line| {
            let is_original = line.newest().is_some_and(|version| version.revision == Revision::Original);
            is_original && line.named.people.contains(&person)
        };
        let names = self.names.ever.get(&person);
        let may_be = |line: &Line| {
            let name = line.named.name.as_ref();
            let is_theirs = name.is_some_and(|name| names.is_none_or(|names| names.contains(name)));
            is_theirs && line.since(now.saturating_sub(GONE)).any(|version| !version.is_deleted())
        };
        let count = |from: u64, counts: &dyn Fn(&Line) -> bool| {
            let lines = self.range(room, from, newest + 1).filter(|(_, line)| counts(line));
            u32::try_from(lines.count()).unwrap_or(u32::MAX)
        };
        (count(kept, &is_sure), count(if is_fresh { read } else { kept }, &may_be))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_surely_has_a_name_is_counted_and_who_may_have_it_may_be() {
        let mut truth = Truth::with_room(1, 1);
        let (ann, bob) = (PersonId::FIRST, PersonId::FIRST.next());
        let named = |person: PersonId, name: &str| Change::Person {
            person,
            name: name.to_owned(),
            credential: Some(server::store::CredentialHash([1; 32])),
        };
        for change in [named(ann, "ann"), Change::Member { room: RoomId::FIRST, person: ann, joined: true }] {
            truth.take_change(&change, 1);
        }
        let body = Bytes::from_static(b"t1.2 @ann and more");
        let at = 2 * SETTLED;
        let is_sure =
            |truth: &Truth, author| truth.named_by(&body, author, RoomId::FIRST, at).people.contains(&ann);
        assert!(is_sure(&truth, Some(bob)) && !is_sure(&truth, Some(ann)));
        truth.say(&body, at);
        assert_eq!(truth.mentions(ann, 1, 0, 2, at), (1, 1));
        assert_eq!(truth.mentions(ann, 1, 2, 2, at), (0, 0));
        truth.take_change(&named(ann, "anna"), at);
        assert!(!is_sure(&truth, Some(bob)));
        truth.take_change(&named(bob, "bob"), at);
        assert_eq!(truth.mentions(bob, 1, 0, 2, at), (0, 0));
    }
}
