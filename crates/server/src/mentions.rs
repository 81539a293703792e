//! Mentions: whom a text names, and what of that somebody has not read yet.

use protocol::id::{PersonId, Seq};
use protocol::limits::{MAX_MENTIONS, MAX_NAME_BYTES, MAX_UNREAD_MENTIONS};
use std::collections::{BTreeMap, VecDeque};

/// Words with an `@` that are looked at.
const MAX_WORDS: usize = 64;

/// Names that are looked up for one text: a long word of signs may be as many names as it has signs.
const MAX_LOOKUPS: usize = 128;

/// Whom a text names: `@name` anywhere, not behind a letter or a digit, or `name:` and `name,` at its beginning.
///
/// `find` knows who may be named by a name. Only what looks like an address is looked up, so that a text costs the
/// same in a large room as in a small one.
pub fn named(text: &str, mut find: impl FnMut(&str) -> Option<PersonId>) -> Vec<PersonId> {
    let mut people = Vec::new();
    let mut note = |person: Option<PersonId>| {
        people.extend(person.filter(|person| people.len() < MAX_MENTIONS && !people.contains(person)));
        person.is_some()
    };
    note(addressed(text).and_then(&mut find));
    let mut lookups = 0;
    for (at, _) in text.match_indices('@').take(MAX_WORDS) {
        if text[..at].chars().next_back().is_some_and(char::is_alphanumeric) {
            continue;
        }
        for name in names(&text[at + 1..]) {
            lookups += 1;
            if lookups > MAX_LOOKUPS || note(find(name)) {
                break;
            }
        }
    }
    people
}

/// The first word without the colon or comma that makes it an address.
fn addressed(text: &str) -> Option<&str> {
    let word = text.split_whitespace().next()?;
    word.strip_suffix([':', ',']).filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES)
}

/// What may be a name at the beginning of a text, longest first: it ends in front of a sign, or at the end.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let end = text.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(text.len());
    let word = &text[..text.floor_char_boundary(end.min(MAX_NAME_BYTES))];
    let is_end = move |at: &usize| !text[*at..].starts_with(char::is_alphanumeric);
    let ends = word.char_indices().map(|(at, _)| at).skip(1).chain([word.len()]);
    let ends: Vec<_> = if word.is_empty() { Vec::new() } else { ends.filter(is_end).collect() };
    ends.into_iter().rev().map(move |end| &word[..end])
}

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
    use protocol::name::NameKey;

    /// Names of the people 1, 2, 3 …
    const PEOPLE: [&str; 5] = ["alice", "bob", "bob.", "Jörg", "c3:po"];

    fn find(name: &str) -> Option<PersonId> {
        let at = PEOPLE.iter().position(|known| NameKey::of(known) == NameKey::of(name))?;
        PersonId::new(at as u64 + 1)
    }

    fn check(text: &str, expected: &[u64]) {
        let people: Vec<_> = named(text, find).iter().map(|person| person.value()).collect();
        assert_eq!(people, expected, "{text:?}");
    }

    #[test]
    fn a_name_behind_an_at_is_named_wherever_it_stands() {
        check("hello @alice", &[1]);
        check("(@alice) and @BOB's cat", &[1, 2]);
        check("@jörg, @JÖRG and @Jo\u{308}rg", &[4]);
        check("@bob. or @bob.! or @bob..", &[3]);
        check("@bob, hi", &[2]);
        check("@c3:po!", &[5]);
        check("@@alice", &[1]);
    }

    #[test]
    fn what_only_looks_like_a_name_is_none() {
        check("mail@alice me", &[]);
        check("@alicent", &[]);
        check("@ alice", &[]);
        check("alice", &[]);
        check("say alice: hi", &[]);
        check("@", &[]);
        check("", &[]);
    }

    #[test]
    fn who_is_addressed_at_the_beginning_is_named() {
        check("alice: hi", &[1]);
        check("  Bob, hi @alice", &[2, 1]);
        check("alice:", &[1]);
        check(": hi", &[]);
        check("c3:po: hi", &[5]);
    }

    #[test]
    fn everybody_is_named_once_and_only_so_many() {
        check("@alice @alice alice: @bob", &[1, 2]);
        let many = |name: &str| name.parse().ok().and_then(PersonId::new);
        let text: String = (1..=40).map(|n| format!("@{n} ")).collect();
        assert_eq!(named(&text, many).len(), MAX_MENTIONS);
    }

    #[test]
    fn a_text_of_signs_costs_a_bounded_number_of_lookups() {
        let mut lookups = 0;
        let nobody = |_: &str| {
            lookups += 1;
            None
        };
        named(&"@!".repeat(8_000), nobody);
        assert!(lookups <= MAX_LOOKUPS + 1, "{lookups}");
    }

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
