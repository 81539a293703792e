//! Mentions: which people a text names.
//!
//! The server counts them, and clients highlight them: both by this one definition, which is that of `WIRE.md`.

use crate::entry::EntryKind;
use crate::limits::{MAX_MENTION_LOOKUPS, MAX_MENTION_WORDS, MAX_MENTIONS, MAX_NAME_BYTES};
use crate::name::NameKey;

/// Whether an entry of this kind names people: what it says is addressed to somebody. Those of an edit are those of
/// what it changes.
pub const fn names_people(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Text | EntryKind::Action | EntryKind::Edit)
}

/// The people that a text names: `@name` anywhere, not behind a letter or a digit, or `name:` and `name,` at its
/// beginning.
///
/// `find` knows who may be named by a name: the members of the room, but for the author. Only what looks like an
/// address is looked up, so that a text costs the same in a large room as in a small one. At most [`MAX_MENTIONS`],
/// each once.
pub fn named<P: PartialEq>(text: &str, mut find: impl FnMut(&str) -> Option<P>) -> Vec<P> {
    let mut people = Vec::new();
    let mut note = |person: Option<P>| {
        let is_known = person.is_some();
        people.extend(person.filter(|person| people.len() < MAX_MENTIONS && !people.contains(person)));
        is_known
    };
    note(addressed(text).and_then(&mut find));
    let mut lookups = 0;
    for (at, _) in text.match_indices('@').take(MAX_MENTION_WORDS) {
        if text[..at].chars().next_back().is_some_and(char::is_alphanumeric) {
            continue;
        }
        for name in candidates(&text[at + 1..]) {
            lookups += 1;
            if lookups > MAX_MENTION_LOOKUPS || note(find(name)) {
                break;
            }
        }
    }
    people
}

/// Whether a text names who goes by `name`. `is_other` knows names of others, who may have the longer name that counts.
pub fn names(text: &str, name: &str, is_other: impl Fn(&NameKey) -> bool) -> bool {
    let name = NameKey::of(name);
    // Most texts don't, whoever else is there: nobody needs to be looked for.
    if named(text, |word| (NameKey::of(word) == name).then_some(())).is_empty() {
        return false;
    }
    let people = named(text, |word| {
        let key = NameKey::of(word);
        (key == name || is_other(&key)).then_some(key)
    });
    people.contains(&name)
}

/// The first word without the colon or comma that makes it an address.
fn addressed(text: &str) -> Option<&str> {
    let word = text.split_whitespace().next()?;
    word.strip_suffix([':', ',']).filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES)
}

/// What may be a name at the beginning of a text, longest first: it ends in front of a sign, or at the end.
fn candidates(text: &str) -> impl Iterator<Item = &str> {
    let end = text.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(text.len());
    let word = &text[..text.floor_char_boundary(end.min(MAX_NAME_BYTES))];
    let is_end = move |at: &usize| !text[*at..].starts_with(char::is_alphanumeric);
    let ends = word.char_indices().map(|(at, _)| at).skip(1).chain([word.len()]);
    let ends: Vec<_> = if word.is_empty() { Vec::new() } else { ends.filter(is_end).collect() };
    ends.into_iter().rev().map(move |end| &word[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PersonId;

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
            None::<PersonId>
        };
        named(&"@!".repeat(8_000), nobody);
        assert!(lookups <= MAX_MENTION_LOOKUPS + 1, "{lookups}");
    }

    #[test]
    fn who_knows_their_own_name_only_is_named_unless_a_longer_one_counts() {
        let others = |key: &NameKey| *key == NameKey::of("Bob.");
        for (text, expected) in [
            ("hi @BOB", true),
            ("bob: hi", true),
            ("bob hi", false),
            ("@bob. hi", false),
            ("@bob., and @bob!", true),
            ("@bobby", false),
        ] {
            assert_eq!(names(text, "bob", others), expected, "{text:?}");
        }
        assert!(names("@bob. hi", "bob", |_| false));
    }
}
