//! Damaged rows of the small tables: each is put right or named, and only what it says is closed.

use super::disk::{open, task, verify};
use super::posts::{
    append, by, change, device, entries, found, from, in_room, person, post, room, seq, text,
};
use super::{Sqlite, StoreFactory, block_on};
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, DeviceId, Epoch, Millis};
use protocol::message::{Durability, FileBody, Shape};
use rusqlite::Connection;
use server::store::{
    Batch, Change, ClosedRoom, Folder, NewEntry, Repaired, Reserved, RoomShape, Snapshot, SqliteStore, Store,
    StoredClock, backup, repair,
};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms 1 and 2 with some posts and read marks, as a server leaves them; and what it knew.
fn two_rooms(sqlite: &mut Sqlite) -> (PathBuf, Snapshot) {
    let store = sqlite.create();
    change(&store, found());
    post(&store, (1..=5).map(|n| from(1, n, text(&format!("line {n}")))).collect());
    post(&store, (1..=3).map(|n| from(2, n, by(2, in_room(2, text("elsewhere"))))).collect());
    let numbers = Reserved { person: Some(person(4_004)), device: Some(device(4_004)), room: Some(room(66)) };
    change(
        &store,
        vec![
            Change::Mark { room: room(1), person: person(2), seq: seq(4) },
            Change::Reserve { numbers },
            Change::Clock { clock: CLOCK },
        ],
    );
    let store = sqlite.reopen(store);
    let known = block_on(store.load()).unwrap();
    close(store);
    (sqlite.folder.path().to_owned(), known)
}

fn close(store: SqliteStore) {
    block_on(store.close()).unwrap();
    drop(store);
}

fn run_sql(path: &Path, sql: &str) {
    let db = Connection::open(path.join("natter.db")).unwrap();
    db.execute_batch(sql).unwrap();
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

fn mend(path: &Path) -> Repaired {
    task(|task| repair(&Folder::lock(path).unwrap(), Epoch([3; 16]), task)).unwrap()
}

#[test]
fn a_row_with_one_bit_turned_around_is_what_it_was_and_is_written_back() {
    // 'p2' and 'r2', 'r1' and 's1' differ by a bit; the others have their lowest one turned around.
    for damage in [
        "UPDATE person SET name = 'r2' WHERE person = 2",
        "UPDATE room SET name = 's1' WHERE room = 1",
        "UPDATE device SET counter = (counter | 1) - (counter & 1) WHERE device = 1",
        "UPDATE device SET device = 6 WHERE device = 2",
        "UPDATE head SET last = (last | 1) - (last & 1) WHERE room = 1",
        "UPDATE member SET read = (read | 1) - (read & 1) WHERE room = 1 AND person = 2",
        "UPDATE mark SET value = (value | 1) - (value & 1) WHERE kind = 1",
        "UPDATE log SET last_person = (last_person | 1) - (last_person & 1)",
        "UPDATE log SET seal_sums = (seal_sums | 1) - (seal_sums & 1)",
        "UPDATE person SET sum = (sum | 1) - (sum & 1) WHERE person = 1",
    ] {
        let mut sqlite = Sqlite::new(Durability::Disk);
        let (path, known) = two_rooms(&mut sqlite);
        run_sql(&path, damage);
        let report = verify(&path);
        assert_eq!(report.findings.len(), 1, "{damage}: {report:?}");
        assert!(report.findings[0].contains("has a bit turned around"), "{damage}: {report:?}");
        let store = open(&path, false).unwrap();
        assert_eq!(block_on(store.load()).unwrap(), known, "{damage}");
        post(&store, vec![from(1, 6, text("goes on"))]);
        close(store);
        assert_eq!(verify(&path).findings, [""; 0], "{damage}");
    }
}

#[test]
fn a_bit_of_what_a_page_says_of_its_rows_is_turned_back() {
    // How many rows it has, where their bytes begin, and where the first two of them are.
    for (at, bit) in [(4, 0), (6, 1), (9, 2), (11, 4), (8, 3)] {
        for table in ["person", "device", "head", "room"] {
            let mut sqlite = Sqlite::new(Durability::Disk);
            let (path, known) = two_rooms(&mut sqlite);
            let db = Connection::open(path.join("natter.db")).unwrap();
            let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?";
            let root = db.query_row(root, [table], |row| row.get::<_, u32>(0)).unwrap() as usize;
            drop(db);
            let mut bytes = fs::read(path.join("natter.db")).unwrap();
            bytes[(root - 1) * 4_096 + at] ^= 1 << bit;
            fs::write(path.join("natter.db"), bytes).unwrap();
            let what = format!("byte {at} of table '{table}'");
            assert_eq!(mend(&path).holes, 0, "{what}");
            assert_eq!(verify(&path).findings, [""; 0], "{what}");
            let store = open(&path, false).unwrap();
            assert_eq!(block_on(store.load()).unwrap(), known, "{what}");
            close(store);
        }
    }
}

#[test]
fn damage_of_more_than_a_bit_closes_what_the_row_says_and_nothing_else() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (path, known) = two_rooms(&mut sqlite);
    run_sql(
        &path,
        "UPDATE person SET credential = x'070707' WHERE person = 3;
         UPDATE device SET seen = 70707 WHERE device = 3;
         UPDATE room SET topic = 'garbage' WHERE room = 2;
         UPDATE member SET read = 70707 WHERE room = 1 AND person = 3",
    );
    let named = |findings: &[String]| {
        for what in [
            "row (3) of table 'person'",
            "row (3) of table 'device'",
            "row (2) of table 'room'",
            "row (1, 3) of table 'member'",
        ] {
            assert!(findings.iter().any(|finding| finding.contains(what)), "{what}: {findings:?}");
        }
    };
    named(&verify(&path).findings);
    let store = open(&path, false).unwrap();
    let loaded = block_on(store.load()).unwrap();
    assert_eq!(loaded.epoch, known.epoch, "the history goes on");
    assert_eq!(loaded.last, known.last, "no number is given again");
    assert_eq!(loaded.people, known.people[..2]);
    assert_eq!(loaded.devices, known.devices[..2]);
    assert_eq!(loaded.rooms.iter().map(|room| room.room).collect::<Vec<_>>(), [room(1)]);
    assert_eq!(loaded.closed.people.len(), 1);
    assert_eq!(
        (loaded.closed.people[0].person, loaded.closed.people[0].name.as_deref()),
        (Some(person(3)), Some("p3"))
    );
    assert!(loaded.closed.devices.contains(&DeviceId([3; 16])));
    let shape = Some(RoomShape::Public { name: "r2".to_owned() });
    let members = (1..=3).map(person).collect();
    assert_eq!(loaded.closed.rooms.get(&room(2)), Some(&ClosedRoom { shape, members }));
    post(&store, vec![from(1, 6, text("goes on"))]);
    assert_eq!(entries(&store, 1).len(), 6);
    // Who joins again takes the place of the damaged row.
    change(&store, vec![Change::Member { room: room(1), person: person(3), joined: true }]);
    close(store);
    // At each start, until it is repaired.
    named_without_member(&verify(&path).findings);
    let to = tempfile::tempdir().unwrap();
    let saved = to.path().join("saved");
    let report = task(|task| backup(&Folder::look(&path).unwrap(), &saved, task)).unwrap();
    assert_eq!(report.findings, [""; 0], "a backup goes past it");
    let repaired = mend(&path);
    assert_eq!(repaired.report.findings, [""; 0], "{repaired:?}");
    assert!(repaired.before.is_some_and(|before| before.join("natter.db").is_file()));
    assert_eq!(verify(&path).findings, [""; 0]);
    let store = open(&path, false).unwrap();
    assert_eq!(entries(&store, 1).len(), 6);
    let after = block_on(store.load()).unwrap();
    assert!(after.last.person >= known.last.person && after.last.room >= known.last.room);
}

fn named_without_member(findings: &[String]) {
    assert_eq!(findings.iter().filter(|finding| finding.starts_with("row (")).count(), 3, "{findings:?}");
}

#[test]
fn a_lost_head_is_found_out_from_the_messages_when_the_server_starts() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (path, known) = two_rooms(&mut sqlite);
    run_sql(&path, "UPDATE head SET last = 70707, bytes = 70707 WHERE room = 1");
    let store = open(&path, false).unwrap();
    assert_eq!(block_on(store.load()).unwrap().rooms, known.rooms);
    let commit = append(&store, vec![from(1, 6, text("goes on"))], Vec::new());
    assert_eq!(commit.posts, [Ok(seq(6))]);
    close(store);
    assert_eq!(verify(&path).findings, [""; 0], "the next message wrote it anew");
}

#[test]
fn a_room_whose_end_is_not_known_takes_no_message_and_others_do() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (path, _) = two_rooms(&mut sqlite);
    run_sql(
        &path,
        "UPDATE head SET last = 70707 WHERE room = 1; DELETE FROM entry WHERE key = 1 * 1099511627776 + 5",
    );
    let store = open(&path, false).unwrap();
    let loaded = block_on(store.load()).unwrap();
    assert!(loaded.closed.rooms.contains_key(&room(1)), "{:?}", loaded.closed);
    let posts = vec![from(1, 6, text("a number that was used")), from(2, 4, by(2, in_room(2, text("b"))))];
    let commit = append(&store, posts, Vec::new());
    assert_eq!(commit.posts, [Err(Code::Damaged), Ok(seq(4))]);
}

#[test]
fn a_row_that_is_damaged_while_the_server_runs_refuses_its_own_and_nothing_else() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let store = sqlite.create();
    change(&store, found());
    post(&store, vec![from(1, 1, text("a")), from(2, 1, by(2, text("b")))]);
    let path = sqlite.folder.path().to_owned();
    let other = Connection::open(path.join("natter.db")).unwrap();
    other
        .execute_batch(
            "UPDATE device SET counter = 70707 WHERE device = 2;
             UPDATE member SET read = 70707 WHERE room = 1 AND person = 3;
             UPDATE head SET bytes = 70707 WHERE room = 1;
             UPDATE person SET name = 'garbage' WHERE person = 1",
        )
        .unwrap();
    let posts = vec![from(1, 2, text("c")), from(2, 2, by(2, text("d"))), from(2, 3, by(2, text("e")))];
    let changes = vec![
        Change::Mark { room: room(1), person: person(3), seq: seq(1) },
        Change::Mark { room: room(1), person: person(1), seq: seq(1) },
        Change::Person { person: person(1), name: "anew".to_owned(), credential: None },
    ];
    let commit = block_on(store.append(Batch { posts, changes })).unwrap();
    assert_eq!(commit.posts, [Ok(seq(3)), Err(Code::Damaged), Err(Code::OutOfOrder)]);
    assert_eq!(commit.changes, Ok(()));
    assert_eq!(append(&store, vec![from(3, 1, by(3, text("f")))], Vec::new()).posts, [Ok(seq(4))]);
    drop(other);
    close(store);
    let findings = verify(&path).findings;
    assert_eq!(findings.len(), 2, "what was written anew is right: {findings:?}");
    let store = open(&path, false).unwrap();
    let loaded = block_on(store.load()).unwrap();
    let read = |n: usize| loaded.rooms[0].members[n].read;
    assert_eq!((loaded.rooms[0].members.len(), read(0)), (2, Some(seq(1))));
    assert_eq!(loaded.people[0].1, "anew");
    assert_eq!(entries(&store, 1).len(), 4);
    close(store);
    assert_eq!(mend(&path).report.findings, [""; 0]);
}

#[test]
fn numbers_are_left_out_where_it_is_lost_which_were_told() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (path, known) = two_rooms(&mut sqlite);
    run_sql(&path, "UPDATE mark SET value = 0 WHERE kind <= 3");
    let store = open(&path, false).unwrap();
    let loaded = block_on(store.load()).unwrap();
    assert!(loaded.last.person > known.last.person, "{:?}", loaded.last);
    assert!(
        loaded.last.device > known.last.device && loaded.last.room > known.last.room,
        "{:?}",
        loaded.last
    );
    change(&store, vec![Change::Reserve { numbers: loaded.last }]);
    close(store);
    assert_eq!(verify(&path).findings, [""; 0], "they are reserved, and that is written anew");
}

const CLOCK: StoredClock = StoredClock { trusted: Millis(1), wall: Millis(1), doubted_ms: None };

#[test]
fn a_damaged_content_is_lost_once_and_a_missing_one_may_come_back() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let store = sqlite.create();
    change(&store, found());
    let path = sqlite.folder.path().to_owned();
    fs::create_dir_all(path.join("contents")).unwrap();
    let content = |bytes: &[u8]| {
        let hash = blake3::hash(bytes);
        let place = path.join("contents").join(hash.to_hex().as_str());
        fs::write(&place, bytes).unwrap();
        let name = String::from_utf8(bytes.to_vec()).unwrap();
        let hash = ContentHash(*hash.as_bytes());
        let body = FileBody { hash, size: bytes.len() as u64, name, shape: Shape::File }.encode();
        (place, NewEntry { kind: EntryKind::File, body, ..text("") })
    };
    let [(damaged, first), (missing, second), (_, third)] =
        [content(b"one"), content(b"two"), content(b"three")];
    post(&store, vec![from(1, 1, first), from(1, 2, second), from(1, 3, third), from(1, 4, text("after"))]);
    close(store);
    assert_eq!(verify(&path).findings, [""; 0]);
    fs::write(&damaged, "oNe").unwrap();
    let repaired = mend(&path);
    assert_eq!(repaired.report.findings, [""; 0], "{repaired:?}");
    let says = |what: &str| repaired.notes.iter().any(|note| note.contains(what));
    assert!(says("the file of message 1 of room 1 is lost"), "{repaired:?}");
    assert_eq!(verify(&path).findings, [""; 0]);
    let store = open(&path, false).unwrap();
    let read = entries(&store, 1);
    assert!(read[0].text().contains("'one' is damaged"), "{}", read[0].text());
    assert_eq!((read[0].kind, read[1].kind, read.len()), (EntryKind::System, EntryKind::File, 4));
    assert_eq!(block_on(store.load()).unwrap().devices[0].device, device(1));
    close(store);
    // What is only missing is not given up by a repair.
    let kept = fs::read(&missing).unwrap();
    fs::remove_file(&missing).unwrap();
    assert_eq!(mend(&path).report.findings, ["1 files that messages name are missing in 'contents'"]);
    fs::write(&missing, kept).unwrap();
    assert_eq!(verify(&path).findings, [""; 0]);
}
