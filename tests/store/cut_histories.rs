//! Histories whose end is gone: what nobody was told is not counted as lost, and what was told is given to nobody else.

use super::disk::{open, task};
use super::posts::{append, change, device, found, from, person, post, room, text};
use super::{Sqlite, StoreFactory, block_on};
use protocol::id::{DeviceId, Epoch, Millis};
use protocol::message::Durability;
use server::store::{
    Change, Folder, OpenError, Reserved, RoomShape, Snapshot, SqliteStore, Store, backup, restore,
};
use std::fs;
use std::path::Path;

const NEW: Epoch = Epoch([3; 16]);

fn last(snapshot: &Snapshot) -> (u64, u64, u64) {
    let Reserved { person, device, room } = snapshot.last;
    let numbers = (person.unwrap(), device.unwrap(), room.unwrap());
    (numbers.0.value(), numbers.1.value(), numbers.2.value())
}

/// Many guests come, and some rooms are made, some of them told before they are stored.
fn tell_numbers(store: &SqliteStore) -> (u64, u64, u64) {
    let shape = RoomShape::Public { name: "late".to_owned() };
    let seen = Millis(5);
    let numbers =
        Reserved { person: Some(person(90_000)), device: Some(device(95_000)), room: Some(room(700)) };
    change(
        store,
        vec![
            Change::Reserve { numbers },
            Change::Person { person: person(80_000), name: "late".to_owned(), credential: None },
            Change::Device { device: device(85_000), id: DeviceId([9; 16]), person: person(80_000), seen },
            Change::Room { room: room(600), shape, topic: String::new() },
        ],
    );
    last(&block_on(store.load()).unwrap())
}

fn check_left_out(path: &Path, accept_loss: bool, told: (u64, u64, u64)) {
    let store = open(path, accept_loss).unwrap();
    let snapshot = block_on(store.load()).unwrap();
    let now = last(&snapshot);
    assert!(now.0 >= told.0 && now.1 >= told.1 && now.2 >= told.2, "{now:?} after {told:?}");
    assert!(now.2 < 1 << 20, "rooms have few numbers: {now:?}");
    // And it stays so.
    drop(store);
    assert_eq!(last(&block_on(open(path, false).unwrap().load()).unwrap()), now);
}

#[test]
fn a_restore_gives_no_number_again_that_was_told_after_its_backup() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let store = sqlite.create();
    change(&store, found());
    let to = tempfile::tempdir().unwrap();
    let saved = to.path().join("saved");
    task(|task| backup(&Folder::look(sqlite.folder.path()).unwrap(), &saved, task)).unwrap();
    let told = tell_numbers(&store);
    let restored = to.path().join("restored");
    task(|task| restore(&saved, &Folder::create(&restored).unwrap(), NEW, task)).unwrap();
    check_left_out(&restored, false, told);
}

#[test]
fn a_history_that_goes_on_without_its_end_gives_no_number_again() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let store = sqlite.create();
    change(&store, found());
    let store = sqlite.reopen(store);
    let path = sqlite.folder.path().to_owned();
    let older = fs::read(path.join("natter.db")).unwrap();
    let told = tell_numbers(&store);
    drop(store);
    fs::write(path.join("natter.db"), older).unwrap();
    fs::remove_file(path.join("natter.db-wal")).unwrap();
    assert!(matches!(open(&path, false), Err(OpenError::Lost { .. })));
    check_left_out(&path, true, told);
}

#[test]
fn a_commit_into_a_file_that_is_gone_is_not_counted() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let store = sqlite.create();
    change(&store, found());
    post(&store, (1..=9).map(|n| from(1, n, text("said"))).collect());
    let path = sqlite.folder.path().to_owned();
    let (log, witness) = (path.join("natter.db-wal"), path.join("witness"));
    let (kept, before) = (fs::read(&log).unwrap(), fs::read(&witness).unwrap());
    fs::remove_file(&log).unwrap();
    block_on(store.close()).unwrap_err();
    drop(store);
    assert_eq!(fs::read(&witness).unwrap(), before, "nobody was told of it");
    // Once it is put back, nothing is missing.
    fs::write(&log, kept).unwrap();
    let store = open(&path, false).unwrap();
    append(&store, vec![from(1, 10, text("and goes on"))], Vec::new());
}
