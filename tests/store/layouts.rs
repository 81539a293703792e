//! Every layout of the database that was ever released still opens: one file for each, made by the version that
//! brought it.

use super::block_on;
use super::posts::{
    by, change, delete, device, edit, entries, file, found, from, in_room, naming, offer, person, post, room,
    seq, text,
};
use protocol::entry::EntryKind;
use protocol::id::{Epoch, Millis};
use protocol::message::Durability;
use server::store::{
    Change, CredentialHash, Folder, Keep, MemoryLimits, MemoryStore, NewEntry, Options, Reserved, RoomShape,
    SqliteStore, Store, StoredClock,
};
use std::path::Path;

/// What the files hold.
fn tell<S: Store>(store: &S) {
    change(store, found());
    let credential = Some(CredentialHash([5; 32]));
    change(store, vec![Change::Person { person: person(2), name: "Zoë".to_owned(), credential }]);
    let shape = RoomShape::Direct(person(1), person(2));
    change(
        store,
        vec![
            Change::Room { room: room(3), shape, topic: "just us".to_owned() },
            Change::Member { room: room(3), person: person(1), joined: true },
            Change::Mark { room: room(1), person: person(3), seq: seq(1) },
        ],
    );
    let posts = (1..=9).map(|n| from(1, n, text(&format!("message {n}")))).collect();
    post(store, posts);
    post(store, vec![naming(&[2, 3], by(1, text("@p2 @p3 look")))]);
    post(
        store,
        vec![
            edit(5, "message five"),
            delete(6),
            before_shapes(file(3, "notes.txt")),
            in_room(3, by(2, text("hi"))),
        ],
    );
    let keep = Keep { count: Some(11), since: Some(Millis(1)), bytes: None };
    change(store, vec![Change::Trim { room: room(1), keep }]);
}

/// As it was when a file's entry did not tell its shape.
fn before_shapes(file: NewEntry) -> NewEntry {
    let body = file.body.slice(..file.body.len() - 1);
    NewEntry { body, ..file }
}

/// What came with the second.
fn tell_of_files<S: Store>(store: &S) {
    post(store, vec![offer(1), offer(2), in_room(3, file(4, "to you"))]);
    let ended = entries(store, 1).iter().find(|entry| entry.kind == EntryKind::FileOffer).unwrap().seq;
    post(store, vec![NewEntry { reply_to: Some(ended), ..file(5, "whole") }]);
    let spoke = Change::Spoke { room: room(3), person: person(1) };
    change(store, vec![Change::Fetched { room: room(3), seq: seq(2), person: person(2) }, spoke]);
}

/// What came with the third.
fn tell_of_marks<S: Store>(store: &S) {
    let numbers = Reserved { person: Some(person(1_000)), device: Some(device(1_001)), room: Some(room(64)) };
    let clock = StoredClock { trusted: Millis(5_000), wall: Millis(9_000), doubted_ms: Some(0) };
    change(store, vec![Change::Reserve { numbers }, Change::Clock { clock }]);
}

/// What came with the fifth: the first part is found out from the entries of those before it.
fn tell_of_spoken<S: Store>(store: &S) {
    let spoke = |n, who| Change::Spoke { room: room(n), person: person(who) };
    change(store, vec![spoke(1, 1), spoke(1, 2), spoke(3, 2)]);
}

/// The second part.
fn tell_of_blocks<S: Store>(store: &S) {
    let block = |other, on| Change::Block { person: person(1), other: person(other), on };
    change(store, vec![block(2, true), block(3, true), block(3, false)]);
}

fn open(path: &Path) -> SqliteStore {
    let options = Options { durability: Durability::Disk, fresh_epoch: Epoch([7; 16]), accept_loss: false };
    SqliteStore::open(Folder::create(path).unwrap(), &options).unwrap()
}

#[test]
fn each_layout_that_was_ever_released_opens() {
    let expected = MemoryStore::new(Epoch([7; 16]), MemoryLimits::default());
    tell(&expected);
    tell_of_spoken(&expected);
    for layout in 1..=5 {
        match layout {
            2 => tell_of_files(&expected),
            3 => tell_of_marks(&expected),
            5 => tell_of_blocks(&expected),
            _ => {}
        }
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/store/fixtures");
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(fixtures.join(format!("layout-{layout}.db")), folder.path().join("natter.db")).unwrap();
        let store = open(folder.path());
        assert_eq!(block_on(store.load()).unwrap(), block_on(expected.load()).unwrap(), "layout {layout}");
        for n in 1..=3 {
            assert_eq!(entries(&store, n), entries(&expected, n), "layout {layout}");
        }
    }
}
