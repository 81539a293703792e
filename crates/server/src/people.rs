//! People: numbers with credentials, names and rooms. A name is what a person goes by, never who they are.

use crate::clock::Steady;
use crate::store::{ClosedPerson, CredentialHash};
use protocol::id::{Millis, PersonId, RoomId};
use protocol::message::{Presence, RosterItem};
use protocol::name::{NameKey, PersonName};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    /// The rooms that they are in, in order.
    rooms: Vec<RoomId>,
    /// Whether they are stored or on their way to the store. Else they are provisional: only this server's memory has
    /// them, and a restart forgets them.
    pub is_stored: bool,
    /// Whether they ever posted anything, as far as that is stored or on its way.
    pub posted: bool,
    /// Their place in [`People::absent`], if they are in it.
    absent: Option<u64>,
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

    /// The rooms that they are in, in order.
    pub fn rooms(&self) -> &[RoomId] {
        &self.rooms
    }

    /// Whether they are in this room.
    pub fn is_in(&self, room: RoomId) -> bool {
        self.rooms.binary_search(&room).is_ok()
    }

    /// Adds a room; false if they were in it.
    pub fn join(&mut self, room: RoomId) -> bool {
        let at = self.rooms.binary_search(&room);
        if let Err(at) = at {
            self.rooms.reserve_exact(usize::from(self.rooms.is_empty()));
            self.rooms.insert(at, room);
        }
        at.is_err()
    }

    /// Takes a room out.
    pub fn part(&mut self, room: RoomId) {
        if let Ok(at) = self.rooms.binary_search(&room) {
            self.rooms.remove(at);
        }
    }

    /// Whether others see them.
    pub fn is_online(&self) -> bool {
        self.connections > 0 || self.leaving.is_some()
    }
}

/// All people.
#[derive(Debug, Default)]
pub struct People {
    /// Boxed, as much of a map is empty places.
    by_id: BTreeMap<PersonId, Box<Person>>,
    by_name: BTreeMap<NameKey, PersonId>,
    by_credential: BTreeMap<CredentialHash, PersonId>,
    last: Option<PersonId>,
    /// How many are stored. Invariant: `stored <= by_id.len()`.
    stored: usize,
    /// Those whom others see. Invariant: as [`Person::is_online`] says, once [`People::settle_presence`] was called.
    online: BTreeSet<PersonId>,
    /// Credentials of people of whom what is stored is damaged.
    closed: BTreeSet<CredentialHash>,
    /// Provisional people who are offline, in the order in which they left. Their names are free.
    absent: BTreeMap<u64, PersonId>,
    /// The largest key that was ever in `absent`.
    departures: u64,
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
        self.store(id);
    }

    /// A device of somebody was seen at this time.
    pub fn note_seen(&mut self, id: PersonId, seen: Millis) {
        if let Some(person) = self.by_id.get_mut(&id) {
            person.seen = person.seen.max(seen);
        }
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
        self.by_id.get(&id).map(Box::as_ref)
    }

    /// The same, to change them.
    pub fn find_mut(&mut self, id: PersonId) -> Option<&mut Person> {
        self.by_id.get_mut(&id).map(Box::as_mut)
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
        self.by_id.range(PersonId::after(after)..).map(|(id, person)| (*id, person.as_ref()))
    }

    /// Those whom others see, by number, after one of them.
    pub fn online_after(&self, after: Option<PersonId>) -> impl Iterator<Item = PersonId> {
        self.online.range(PersonId::after(after)..).copied()
    }

    /// How many are stored or on their way to the store.
    pub fn stored_count(&self) -> usize {
        self.stored
    }

    /// How many are provisional.
    pub fn provisional_count(&self) -> usize {
        self.by_id.len() - self.stored
    }

    /// The provisional person who has been offline for longest.
    pub fn longest_absent(&self) -> Option<PersonId> {
        self.absent.first_key_value().map(|(_, id)| *id)
    }

    /// The provisional person who has this name and is offline: it is free for others.
    pub fn absent_holder(&self, name: &NameKey) -> Option<PersonId> {
        let holder = self.by_name.get(name)?;
        self.find(*holder)?.absent.map(|_| *holder)
    }

    /// A new, provisional person with a name that nobody has.
    pub fn add(&mut self, name: PersonName, credential: Option<CredentialHash>, now: Millis) -> PersonId {
        let id = PersonId::after(self.last);
        self.last = Some(id);
        self.insert(id, name, credential, now);
        id
    }

    /// A provisional person is on their way to the store.
    pub fn store(&mut self, id: PersonId) {
        if let Some(person) = self.by_id.get_mut(&id)
            && !std::mem::replace(&mut person.is_stored, true)
        {
            self.stored += 1;
        }
        self.settle_presence(id);
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
        let is_absent = !is_online && !person.is_stored;
        match person.absent {
            None if is_absent => {
                self.departures += 1;
                person.absent = Some(self.departures);
                self.absent.insert(self.departures, id);
            }
            Some(at) if !is_absent => {
                person.absent = None;
                self.absent.remove(&at);
            }
            _ => {}
        }
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
    pub fn remove(&mut self, id: PersonId) -> Option<Box<Person>> {
        let person = self.by_id.remove(&id)?;
        for name in person.names() {
            self.by_name.remove(&name.key());
        }
        if let Some(credential) = person.credential {
            self.by_credential.remove(&credential);
        }
        self.online.remove(&id);
        if let Some(at) = person.absent {
            self.absent.remove(&at);
        }
        self.stored -= usize::from(person.is_stored);
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
            rooms: Vec::new(),
            is_stored: false,
            posted: false,
            absent: None,
        };
        self.by_id.insert(id, Box::new(person));
    }

    /// This name if it is free, or one made from it with a number.
    ///
    /// Small numbers are tried one by one. Where hundreds of people ask for one name that would be a walk through all of
    /// them, so from there on a free number is looked for by doubling and then by halving.
    pub fn free_name(&self, wanted: &PersonName) -> PersonName {
        let is_free = |name: &PersonName| {
            let key = name.key();
            !self.by_name.contains_key(&key) || self.absent_holder(&key).is_some()
        };
        if is_free(wanted) {
            return wanted.clone();
        }
        let small = (2..=SMALL_NUMBERS).map(|n| wanted.numbered(n)).find(is_free);
        if let Some(name) = small {
            return name;
        }
        let (mut taken, mut free) = (SMALL_NUMBERS, SMALL_NUMBERS * 2);
        while !is_free(&wanted.numbered(free)) {
            (taken, free) = (free, free.saturating_mul(2));
        }
        // Invariant: the number `taken` is taken and `free` is free.
        while free - taken > 1 {
            let middle = taken + (free - taken) / 2;
            if is_free(&wanted.numbered(middle)) {
                free = middle;
            } else {
                taken = middle;
            }
        }
        wanted.numbered(free)
    }
}

/// Numbers behind a name that are tried one by one.
const SMALL_NUMBERS: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PersonName {
        PersonName::parse(text).unwrap()
    }

    /// A new person who is online.
    fn come(people: &mut People, wanted: &str) -> PersonId {
        let free = people.free_name(&name(wanted));
        let id = people.add(free, None, Millis(0));
        people.find_mut(id).unwrap().connections = 1;
        people.settle_presence(id);
        id
    }

    fn leave(people: &mut People, id: PersonId) {
        people.find_mut(id).unwrap().connections = 0;
        people.settle_presence(id);
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut people = People::default();
        let ids: Vec<_> = (0..3).map(|_| come(&mut people, "alice")).collect();
        let names: Vec<_> = ids.iter().map(|id| people.find(*id).unwrap().name.to_string()).collect();
        assert_eq!(names, ["alice", "alice-2", "alice-3"]);
    }

    #[test]
    fn a_name_differs_by_more_than_case() {
        let mut people = People::default();
        let alice = come(&mut people, "alice");
        let bob = come(&mut people, "bob");
        assert!(!people.take_name(bob, name("ALICE")));
        assert!(people.take_name(alice, name("ALICE")) && people.settle_name(alice, "ALICE"));
        assert_eq!(people.named("aLiCe"), Some(alice));
    }

    #[test]
    fn a_name_is_taken_at_once_and_shown_when_it_is_stored() {
        let mut people = People::default();
        let alice = come(&mut people, "alice");
        let bob = come(&mut people, "bob");
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
        let first = come(&mut people, "alice");
        people.remove(first);
        let second = come(&mut people, "alice");
        assert_ne!(first, second);
        assert_eq!(people.find(second).unwrap().name.as_str(), "alice");
    }

    #[test]
    fn a_name_that_many_want_is_found_without_a_walk_and_is_free() {
        let mut people = People::default();
        let all: Vec<_> = (0..1_000).map(|_| come(&mut people, "alice")).collect();
        let names: BTreeSet<_> = all.iter().map(|id| people.find(*id).unwrap().name.key()).collect();
        assert_eq!(names.len(), 1_000);
        assert_eq!(people.find(all[999]).unwrap().name.as_str(), "alice-1000");
    }

    #[test]
    fn the_name_of_a_provisional_person_is_free_while_they_are_offline() {
        let mut people = People::default();
        let (alice, bob) = (come(&mut people, "alice"), come(&mut people, "bob"));
        people.store(bob);
        assert_eq!(people.absent_holder(&name("alice").key()), None);
        leave(&mut people, alice);
        leave(&mut people, bob);
        assert_eq!(people.absent_holder(&name("alice").key()), Some(alice));
        assert_eq!(people.free_name(&name("alice")), name("alice"));
        assert_eq!(people.free_name(&name("bob")), name("bob-2"));
    }

    #[test]
    fn who_left_first_is_absent_for_longest() {
        let mut people = People::default();
        let all: Vec<_> = ["a", "b", "c"].map(|name| come(&mut people, name)).to_vec();
        for at in [1, 0, 2] {
            leave(&mut people, all[at]);
        }
        people.store(all[1]);
        assert_eq!(people.longest_absent(), Some(all[0]));
        people.remove(all[0]);
        assert_eq!((people.longest_absent(), people.provisional_count()), (Some(all[2]), 1));
    }
}
