//! People: numbers with credentials, names and rooms. A name is what a person goes by, never who they are.

use crate::clock::Steady;
use crate::store::{ClosedPerson, CredentialHash};
use protocol::id::{Millis, PersonId, RoomId};
use protocol::message::{Presence, RosterItem};
use protocol::name::{NameKey, PersonName};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// People that one server knows; strangers with random secrets can't fill its memory.
const MAX_PEOPLE: usize = 200_000;

/// A person.
#[derive(Debug)]
pub struct Person {
    /// What they go by, as it is stored.
    pub name: PersonName,
    /// Names that they asked for and that are on their way to the store, in order. They are taken.
    wanted: VecDeque<PersonName>,
    /// What proves them; `None` for a guest.
    pub credential: Option<CredentialHash>,
    /// What they say about being away.
    pub away: Option<String>,
    /// Connections for chat.
    pub connections: usize,
    /// Those of them where nobody sits: a script sends or gets something.
    /// Invariant: errands <= connections.
    pub errands: usize,
    /// Whether all that others see of them is an errand, or was until a link broke.
    pub errand: bool,
    /// When they stop being present, if their last connection broke.
    pub leaving: Option<Steady>,
    /// Until when they have paid for changes of their presence.
    pub presence_paid: Steady,
    /// When they were last heard.
    pub seen: Millis,
    /// The program that they used last.
    pub agent: String,
    /// The rooms that they are in.
    pub rooms: BTreeSet<RoomId>,
    /// They are stored once so many changes are, as [`crate::sequencer::Sequencer::changes_added`] counts them.
    pub after: u64,
}

impl Person {
    /// What they will go by when all that was accepted is stored.
    pub fn newest_name(&self) -> &PersonName {
        self.wanted.back().unwrap_or(&self.name)
    }

    /// All names that they have taken.
    fn names(&self) -> impl Iterator<Item = &PersonName> {
        [&self.name].into_iter().chain(&self.wanted)
    }

    /// Whether others see them.
    pub fn is_online(&self) -> bool {
        self.connections > 0 || self.leaving.is_some()
    }
}

/// Why nobody new is let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyPeople;

/// All people.
#[derive(Debug, Default)]
pub struct People {
    by_id: BTreeMap<PersonId, Person>,
    by_name: BTreeMap<NameKey, PersonId>,
    by_credential: BTreeMap<CredentialHash, PersonId>,
    /// Those whom others see. Invariant: as [`Person::is_online`] says, once [`People::settle_presence`] was called.
    online: BTreeSet<PersonId>,
    last: Option<PersonId>,
    /// Credentials of people of whom what is stored is damaged.
    closed: BTreeSet<CredentialHash>,
    /// How often somebody was looked at.
    #[cfg(test)]
    pub looks: std::sync::atomic::AtomicUsize,
}

impl People {
    /// Nobody yet; numbers up to `last` were given out before.
    pub fn new(last: Option<PersonId>) -> Self {
        Self { last, ..Self::default() }
    }

    /// The largest number that was given out.
    pub fn last(&self) -> Option<PersonId> {
        self.last
    }

    /// Takes in a stored person.
    pub fn restore(&mut self, id: PersonId, name: PersonName, credential: Option<CredentialHash>) {
        self.last = self.last.max(Some(id));
        self.insert(id, name, credential, Millis(0));
    }

    /// Takes in somebody of whom what is stored is damaged: they are not let in, and nobody else gets the name.
    pub fn close(&mut self, damaged: ClosedPerson) {
        self.closed.extend(damaged.credential);
        if let Some((person, name)) = damaged.person.zip(damaged.name) {
            self.last = self.last.max(Some(person));
            self.by_name.entry(NameKey::of(&name)).or_insert(person);
        }
    }

    /// Whether this proves somebody of whom what is stored is damaged.
    pub fn is_closed(&self, credential: &CredentialHash) -> bool {
        self.closed.contains(credential)
    }

    /// The person with this number.
    pub fn find(&self, id: PersonId) -> Option<&Person> {
        #[cfg(test)]
        self.looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.by_id.get(&id)
    }

    /// The same, to change them.
    pub fn find_mut(&mut self, id: PersonId) -> Option<&mut Person> {
        self.by_id.get_mut(&id)
    }

    /// Who goes by this name.
    pub fn named(&self, name: &str) -> Option<PersonId> {
        let key = NameKey::of(name);
        let id = self.by_name.get(&key)?;
        self.find(*id).filter(|person| person.name.key() == key).map(|_| *id)
    }

    /// Whom this credential proves.
    pub fn proved_by(&self, credential: &CredentialHash) -> Option<PersonId> {
        self.by_credential.get(credential).copied()
    }

    /// Everybody, by number, after one of them.
    pub fn after(&self, after: Option<PersonId>) -> impl Iterator<Item = (PersonId, &Person)> {
        self.by_id.range(PersonId::after(after)..).map(|(id, person)| (*id, person))
    }

    /// Those whom others see, by number, after one of them.
    pub fn online_after(&self, after: Option<PersonId>) -> impl Iterator<Item = PersonId> {
        self.online.range(PersonId::after(after)..).copied()
    }

    /// Takes note of whether a person is online. Call it when a connection of theirs or their grace begins or ends.
    pub fn settle_presence(&mut self, id: PersonId) {
        let Some(person) = self.by_id.get_mut(&id) else { return };
        let is_online = person.is_online();
        if is_online {
            self.online.insert(id);
        } else {
            self.online.remove(&id);
        }
    }

    /// A new person who goes by this name, or by one made from it if it is taken.
    ///
    /// # Errors
    /// [`TooManyPeople`] when the server knows as many as it may.
    pub fn add(
        &mut self,
        wanted: &PersonName,
        credential: Option<CredentialHash>,
        now: Millis,
    ) -> Result<PersonId, TooManyPeople> {
        if self.by_id.len() >= MAX_PEOPLE {
            return Err(TooManyPeople);
        }
        let id = PersonId::after(self.last);
        self.last = Some(id);
        self.insert(id, self.free_name(wanted), credential, now);
        Ok(id)
    }

    /// Takes a name for a person, who goes by it once that is stored; false if it belongs to somebody else.
    pub fn take_name(&mut self, id: PersonId, name: PersonName) -> bool {
        let key = name.key();
        if self.by_name.get(&key).is_some_and(|owner| *owner != id) {
            return false;
        }
        let Some(person) = self.by_id.get_mut(&id) else {
            return false;
        };
        self.by_name.insert(key, id);
        person.wanted.push_back(name);
        true
    }

    /// A name of a person is stored: they go by it, and their last one is free. False if they did already.
    pub fn settle_name(&mut self, id: PersonId, name: &str) -> bool {
        let Some(person) = self.by_id.get_mut(&id) else { return false };
        let Some(new) = person.wanted.pop_front_if(|wanted| wanted.as_str() == name) else { return false };
        let old = std::mem::replace(&mut person.name, new).key();
        if person.names().all(|name| name.key() != old) {
            self.by_name.remove(&old);
        }
        true
    }

    /// Forgets a person, whose name is free again.
    pub fn remove(&mut self, id: PersonId) -> Option<Person> {
        let person = self.by_id.remove(&id)?;
        self.online.remove(&id);
        for name in person.names() {
            self.by_name.remove(&name.key());
        }
        if let Some(credential) = person.credential {
            self.by_credential.remove(&credential);
        }
        Some(person)
    }

    /// How others see a person; somebody unknown is somebody who left.
    pub fn item(&self, id: PersonId, typing: bool) -> RosterItem {
        let Some(person) = self.find(id) else {
            return RosterItem {
                person: id,
                name: String::new(),
                presence: Presence::default(),
                away: String::new(),
            };
        };
        let presence = Presence {
            online: person.is_online(),
            away: person.away.is_some(),
            typing,
            guest: person.credential.is_none(),
            errand: person.is_online() && person.errand,
        };
        let away = person.away.clone().unwrap_or_default();
        RosterItem { person: id, name: person.name.as_str().to_owned(), presence, away }
    }

    fn insert(&mut self, id: PersonId, name: PersonName, credential: Option<CredentialHash>, seen: Millis) {
        self.by_name.insert(name.key(), id);
        if let Some(credential) = credential {
            self.by_credential.insert(credential, id);
        }
        let person = Person {
            name,
            wanted: VecDeque::new(),
            credential,
            away: None,
            connections: 0,
            errands: 0,
            errand: false,
            leaving: None,
            presence_paid: Steady::default(),
            seen,
            agent: String::new(),
            rooms: BTreeSet::new(),
            after: 0,
        };
        self.by_id.insert(id, person);
    }

    fn free_name(&self, wanted: &PersonName) -> PersonName {
        let is_free = |name: &PersonName| !self.by_name.contains_key(&name.key());
        if is_free(wanted) {
            return wanted.clone();
        }
        let numbered = (2..).map(|n| wanted.numbered(n)).find(is_free);
        numbered.expect("there are more numbers than people")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PersonName {
        PersonName::parse(text).unwrap()
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut people = People::default();
        let ids: Vec<_> = (0..3).map(|_| people.add(&name("alice"), None, Millis(0)).unwrap()).collect();
        let names: Vec<_> = ids.iter().map(|id| people.find(*id).unwrap().name.to_string()).collect();
        assert_eq!(names, ["alice", "alice-2", "alice-3"]);
    }

    #[test]
    fn a_name_differs_by_more_than_case() {
        let mut people = People::default();
        let alice = people.add(&name("alice"), None, Millis(0)).unwrap();
        let bob = people.add(&name("bob"), None, Millis(0)).unwrap();
        assert!(!people.take_name(bob, name("ALICE")));
        assert!(people.take_name(alice, name("ALICE")) && people.settle_name(alice, "ALICE"));
        assert_eq!(people.named("aLiCe"), Some(alice));
    }

    #[test]
    fn a_name_is_taken_at_once_and_shown_when_it_is_stored() {
        let mut people = People::default();
        let alice = people.add(&name("alice"), None, Millis(0)).unwrap();
        let bob = people.add(&name("bob"), None, Millis(0)).unwrap();
        assert!(people.take_name(alice, name("carol")) && people.take_name(alice, name("alice")));
        assert!(!people.take_name(bob, name("carol")));
        assert_eq!((people.named("alice"), people.named("carol")), (Some(alice), None));
        assert!(!people.settle_name(alice, "alice"), "the other one is stored first");
        assert!(people.settle_name(alice, "carol"));
        assert_eq!((people.named("alice"), people.named("carol")), (None, Some(alice)));
        assert!(!people.take_name(bob, name("alice")), "it was asked for again");
        assert!(people.settle_name(alice, "alice") && people.take_name(bob, name("carol")));
        people.remove(bob);
        assert!(people.take_name(alice, name("bob")) && people.take_name(alice, name("carol")));
    }

    #[test]
    fn a_name_is_free_when_its_guest_is_gone() {
        let mut people = People::default();
        let first = people.add(&name("alice"), None, Millis(0)).unwrap();
        people.remove(first);
        let second = people.add(&name("alice"), None, Millis(0)).unwrap();
        assert_ne!(first, second);
        assert_eq!(people.find(second).unwrap().name.as_str(), "alice");
    }
}
