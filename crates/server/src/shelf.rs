//! The shelf: which entries name files, who has fetched them, and how much space whom they belong to takes.

use crate::store::{StoredFile, StoredOffer};
use protocol::id::{ContentHash, Millis, PersonId, RoomId, Seq, TransferId};
use std::collections::{BTreeMap, BTreeSet};

/// What an entry names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// A content.
    Content(ContentHash),
    /// An upload that is offered.
    Offer(TransferId),
}

/// On whom the space of files is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Account {
    /// A person who can be known again.
    Person(PersonId),
    /// All guests together: a new one costs nothing.
    Guests,
}

/// An entry that names a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// What it names.
    pub named: Named,
    /// Its size in bytes.
    pub size: u64,
    /// Who sent it.
    pub person: Option<PersonId>,
    /// On whom its space is counted.
    pub account: Account,
    /// When it was stored.
    pub time: Millis,
    /// Who has fetched it.
    pub fetched: BTreeSet<PersonId>,
    /// Its content is not kept any more.
    pub gone: bool,
}

impl Item {
    /// A file whose space is counted on this account.
    pub fn of_file(file: StoredFile, account: Account) -> Self {
        let StoredFile { time, person, hash, size, .. } = file;
        Self {
            named: Named::Content(hash),
            size,
            person,
            account,
            time,
            fetched: BTreeSet::new(),
            gone: false,
        }
    }
}

impl From<StoredOffer> for Item {
    fn from(offer: StoredOffer) -> Self {
        let StoredOffer { time, person, transfer, size, .. } = offer;
        // The space of an offer is that of its upload.
        let (named, account) = (Named::Offer(transfer), Account::Guests);
        Self { named, size, person, account, time, fetched: BTreeSet::new(), gone: false }
    }
}

/// Bytes that files of people and in rooms take, those that are reserved for uploads included.
#[derive(Debug, Default)]
pub struct Usage {
    accounts: BTreeMap<Account, u64>,
    rooms: BTreeMap<RoomId, u64>,
}

impl Usage {
    /// Adds to what an account has in a room.
    pub fn add(&mut self, account: Account, room: Option<RoomId>, size: u64) {
        *self.accounts.entry(account).or_default() += size;
        if let Some(room) = room {
            *self.rooms.entry(room).or_default() += size;
        }
    }

    /// Takes away from it.
    pub fn take(&mut self, account: Account, room: Option<RoomId>, size: u64) {
        fn take<K: Ord>(of: &mut BTreeMap<K, u64>, key: &K, size: u64) {
            if let Some(bytes) = of.get_mut(key) {
                *bytes = bytes.saturating_sub(size);
                if *bytes == 0 {
                    of.remove(key);
                }
            }
        }
        take(&mut self.accounts, &account, size);
        room.iter().for_each(|room| take(&mut self.rooms, room, size));
    }

    /// What an account has.
    pub fn of_account(&self, account: Account) -> u64 {
        self.accounts.get(&account).copied().unwrap_or_default()
    }

    /// What a room has.
    pub fn of_room(&self, room: RoomId) -> u64 {
        self.rooms.get(&room).copied().unwrap_or_default()
    }
}

/// All entries that name files.
///
/// Invariant: `places` and `ages` have each item that names a content that is not gone, and nothing else; `enders` is
/// `ended` the other way round.
#[derive(Debug, Default)]
pub struct Shelf {
    items: BTreeMap<(RoomId, Seq), Item>,
    places: BTreeMap<ContentHash, BTreeSet<(RoomId, Seq)>>,
    /// The same items by their time.
    ages: BTreeSet<(Millis, (RoomId, Seq))>,
    /// Files by the offers that they have ended.
    ended: BTreeMap<(RoomId, Seq), Seq>,
    /// Those offers by their files.
    enders: BTreeMap<(RoomId, Seq), Seq>,
    /// What they take, and what is reserved.
    pub usage: Usage,
}

impl Shelf {
    /// Puts an item there.
    pub fn add(&mut self, room: RoomId, seq: Seq, item: Item) {
        if let (Named::Content(hash), false) = (item.named, item.gone) {
            self.places.entry(hash).or_default().insert((room, seq));
            self.ages.insert((item.time, (room, seq)));
            self.usage.add(item.account, Some(room), item.size);
        }
        self.items.insert((room, seq), item);
    }

    /// Takes an item away, whose entry is gone.
    pub fn remove(&mut self, room: RoomId, seq: Seq) -> Option<Item> {
        let item = self.items.remove(&(room, seq))?;
        if let Some(offer) = self.enders.remove(&(room, seq)) {
            self.ended.remove(&(room, offer));
        }
        self.release((room, seq), &item);
        Some(item)
    }

    /// Takes all items of a room away whose entries come before this one.
    pub fn remove_before(&mut self, room: RoomId, first: Seq) -> Vec<Item> {
        let gone: Vec<_> = self.items.range((room, Seq::FIRST)..(room, first)).map(|(at, _)| *at).collect();
        gone.into_iter().filter_map(|(room, seq)| self.remove(room, seq)).collect()
    }

    /// Contents of entries from before this time are not kept any more; the entries stay. Tells which contents.
    pub fn expire(&mut self, before: Millis) -> Vec<ContentHash> {
        let end = (before, (RoomId::FIRST, Seq::FIRST));
        let old: Vec<_> = self.ages.range(..end).map(|(_, at)| *at).collect();
        old.into_iter().filter_map(|at| self.set_gone(at)).collect()
    }

    /// The content of an entry is not kept any more.
    fn set_gone(&mut self, at: (RoomId, Seq)) -> Option<ContentHash> {
        let item = self.items.get_mut(&at)?;
        let Named::Content(hash) = item.named else { return None };
        let before = item.clone();
        item.gone = true;
        self.release(at, &before);
        Some(hash)
    }

    fn release(&mut self, at: (RoomId, Seq), item: &Item) {
        let (Named::Content(hash), false) = (item.named, item.gone) else { return };
        if let Some(places) = self.places.get_mut(&hash) {
            places.remove(&at);
            if places.is_empty() {
                self.places.remove(&hash);
            }
        }
        self.ages.remove(&(item.time, at));
        self.usage.take(item.account, Some(at.0), item.size);
    }

    /// An entry's item.
    pub fn find(&self, room: RoomId, seq: Seq) -> Option<&Item> {
        self.items.get(&(room, seq))
    }

    /// A file's entry has ended an offer, which is taken away. Who has fetched it by that has fetched the file, and is
    /// told.
    pub fn end_offer(&mut self, room: RoomId, offer: Seq, file: Seq) -> BTreeSet<PersonId> {
        let fetched = self.remove(room, offer).map(|item| item.fetched).unwrap_or_default();
        self.ended.insert((room, offer), file);
        self.enders.insert((room, file), offer);
        fetched
    }

    /// The entry of a file: itself, or the offer that it has ended.
    pub fn file_of(&self, room: RoomId, seq: Seq) -> Seq {
        self.ended.get(&(room, seq)).copied().unwrap_or(seq)
    }

    /// Somebody has fetched it; false if that was known or there is no such item.
    pub fn fetch(&mut self, room: RoomId, seq: Seq, person: PersonId) -> bool {
        let item = self.items.get_mut(&(room, seq));
        item.is_some_and(|item| item.person != Some(person) && item.fetched.insert(person))
    }

    /// Whether an entry names a content.
    pub fn names(&self, hash: ContentHash) -> bool {
        self.places.contains_key(&hash)
    }

    /// The newest entry of a room that names a content.
    pub fn newest_of(&self, hash: ContentHash, room: RoomId) -> Option<Seq> {
        let places = self.places.get(&hash)?;
        places.range((room, Seq::FIRST)..(room.next(), Seq::FIRST)).next_back().map(|(_, seq)| *seq)
    }

    /// The items of a room before an entry, the newest first.
    pub fn of_room(&self, room: RoomId, before: Option<Seq>) -> impl Iterator<Item = (Seq, &Item)> {
        let end = before.map_or((room.next(), Seq::FIRST), |before| (room, before));
        self.items.range((room, Seq::FIRST)..end).rev().map(|((_, seq), item)| (*seq, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: ContentHash = ContentHash([1; 32]);
    const OWN: Account = Account::Person(PersonId::FIRST);

    fn room(n: u64) -> RoomId {
        RoomId::new(n).unwrap()
    }

    fn seq(n: u64) -> Seq {
        Seq::new(n).unwrap()
    }

    fn item(size: u64, time: u64) -> Item {
        let (named, person) = (Named::Content(HASH), Some(PersonId::FIRST));
        Item { named, size, person, account: OWN, time: Millis(time), fetched: BTreeSet::new(), gone: false }
    }

    #[test]
    fn a_content_is_named_until_the_last_entry_is_gone_and_its_space_goes_with_each() {
        let mut shelf = Shelf::default();
        shelf.add(room(1), seq(1), item(5, 1));
        shelf.add(room(2), seq(7), item(5, 2));
        assert_eq!((shelf.usage.of_account(OWN), shelf.usage.of_room(room(1))), (10, 5));
        shelf.remove(room(1), seq(1));
        assert!(shelf.names(HASH) && shelf.usage.of_room(room(1)) == 0);
        assert_eq!(shelf.remove_before(room(2), seq(7)), []);
        assert_eq!(shelf.remove_before(room(2), seq(8)).len(), 1);
        assert!(!shelf.names(HASH) && shelf.usage.of_account(OWN) == 0);
    }

    #[test]
    fn what_expires_is_listed_and_takes_no_space() {
        let mut shelf = Shelf::default();
        shelf.add(room(1), seq(1), item(5, 10));
        shelf.add(room(1), seq(2), item(5, 20));
        assert_eq!(shelf.expire(Millis(15)), [HASH]);
        assert_eq!(shelf.expire(Millis(15)), [], "once");
        assert!(shelf.names(HASH), "by the other entry");
        assert_eq!(shelf.usage.of_room(room(1)), 5);
        let listed: Vec<_> =
            shelf.of_room(room(1), None).map(|(seq, item)| (seq.value(), item.gone)).collect();
        assert_eq!(listed, [(2, false), (1, true)]);
        shelf.remove(room(1), seq(1));
        assert_eq!(shelf.usage.of_room(room(1)), 5, "it was given back already");
    }

    #[test]
    fn a_room_is_listed_alone_from_any_entry_on() {
        let mut shelf = Shelf::default();
        for n in 1..=3 {
            (1..=3).for_each(|s| shelf.add(room(n), seq(s), item(1, 1)));
        }
        let of = |before: Option<u64>| {
            let listed = shelf.of_room(room(2), before.and_then(Seq::new));
            listed.map(|(seq, _)| seq.value()).collect::<Vec<_>>()
        };
        assert_eq!((of(None), of(Some(3)), of(Some(1))), (vec![3, 2, 1], vec![2, 1], vec![]));
    }

    #[test]
    fn a_sender_does_not_fetch_and_nobody_fetches_twice() {
        let mut shelf = Shelf::default();
        shelf.add(room(1), seq(1), item(1, 1));
        let other = PersonId::new(2).unwrap();
        assert!(!shelf.fetch(room(1), seq(1), PersonId::FIRST) && !shelf.fetch(room(1), seq(2), other));
        assert!(shelf.fetch(room(1), seq(1), other) && !shelf.fetch(room(1), seq(1), other));
    }
}
