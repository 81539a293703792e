//! What the tests of stores say, in few words.

use bytes::Bytes;
use protocol::entry::{Entry, EntryKind};
use protocol::id::{ContentHash, Counter, DeviceId, DeviceNo, Millis, PersonId, RoomId, Seq, TransferId};
use protocol::message::{FileBody, OfferBody, Shape};
use server::store::{Batch, Change, Commit, NewEntry, RoomShape, Store};

pub fn room(n: u64) -> RoomId {
    RoomId::new(n).unwrap()
}

pub fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

pub fn person(n: u64) -> PersonId {
    PersonId::new(n).unwrap()
}

pub fn device(n: u64) -> DeviceNo {
    DeviceNo::new(n).unwrap()
}

/// A text of person 1 in room 1.
pub fn text(body: &str) -> NewEntry {
    NewEntry {
        room: room(1),
        time: Millis(1_000),
        written: Millis(0),
        person: Some(person(1)),
        name: "p1".to_owned(),
        origin: None,
        kind: EntryKind::Text,
        reply_to: None,
        body: Bytes::copy_from_slice(body.as_bytes()),
        mentions: Vec::new(),
    }
}

pub fn edit(target: u64, body: &str) -> NewEntry {
    NewEntry { kind: EntryKind::Edit, reply_to: Some(seq(target)), ..text(body) }
}

pub fn delete(target: u64) -> NewEntry {
    NewEntry { kind: EntryKind::Delete, reply_to: Some(seq(target)), ..text("") }
}

pub fn file(hash: u8, name: &str) -> NewEntry {
    let body = FileBody { hash: ContentHash([hash; 32]), size: 1, name: name.to_owned(), shape: Shape::File }
        .encode();
    NewEntry { kind: EntryKind::File, body, ..text("") }
}

pub fn offer(transfer: u8) -> NewEntry {
    let transfer = TransferId([transfer; 16]);
    let body = OfferBody { transfer, size: 9, name: "o".to_owned(), shape: Shape::File }.encode();
    NewEntry { kind: EntryKind::FileOffer, body, ..text("") }
}

pub fn by(author: u64, entry: NewEntry) -> NewEntry {
    NewEntry { person: Some(person(author)), name: format!("p{author}"), ..entry }
}

pub fn from(device_no: u64, counter: u64, entry: NewEntry) -> NewEntry {
    NewEntry { origin: Some((device(device_no), Counter::new(counter).unwrap())), ..entry }
}

pub fn at(time: u64, entry: NewEntry) -> NewEntry {
    NewEntry { time: Millis(time), ..entry }
}

pub fn in_room(n: u64, entry: NewEntry) -> NewEntry {
    NewEntry { room: room(n), ..entry }
}

pub fn naming(people: &[u64], entry: NewEntry) -> NewEntry {
    NewEntry { mentions: people.iter().map(|n| person(*n)).collect(), ..entry }
}

/// Rooms 1 and 2 with the members 1, 2 and 3, who have the devices 1, 2 and 3.
pub fn found() -> Vec<Change> {
    let mut changes = Vec::new();
    for n in 1..=3 {
        let name = format!("p{n}");
        changes.push(Change::Person { person: person(n), name, credential: None });
        let id = DeviceId([u8::try_from(n).unwrap(); 16]);
        changes.push(Change::Device { device: device(n), id, person: person(n), seen: Millis(n) });
    }
    for n in 1..=2 {
        let shape = RoomShape::Public { name: format!("r{n}") };
        changes.push(Change::Room { room: room(n), shape, topic: String::new() });
        changes.extend((1..=3).map(|p| Change::Member { room: room(n), person: person(p), joined: true }));
    }
    changes
}

/// Commits posts, which are all taken.
pub fn post<S: Store>(store: &S, posts: Vec<NewEntry>) {
    let commit = append(store, posts, Vec::new());
    assert!(commit.posts.iter().all(Result::is_ok), "{:?}", commit.posts);
}

pub fn change<S: Store>(store: &S, changes: Vec<Change>) -> Commit {
    append(store, Vec::new(), changes)
}

pub fn append<S: Store>(store: &S, posts: Vec<NewEntry>, changes: Vec<Change>) -> Commit {
    let commit = super::block_on(store.append(Batch { posts, changes })).unwrap();
    assert_eq!(commit.changes, Ok(()), "there is space");
    if let Some(erasure) = commit.erasure {
        super::block_on(store.erased(erasure));
    }
    Commit { erasure: None, ..commit }
}

/// All entries of a room.
pub fn entries<S: Store>(store: &S, n: u64) -> Vec<Entry> {
    let range = protocol::message::Range::Latest;
    super::block_on(store.read(room(n), range, usize::MAX >> 1, usize::MAX >> 1)).unwrap().entries
}

/// The texts of all entries of a room.
pub fn bodies<S: Store>(store: &S, n: u64) -> Vec<String> {
    entries(store, n).iter().map(|entry| entry.text().into_owned()).collect()
}
