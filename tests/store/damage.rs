//! Damaged entries: each is a hole with its number, and hides no other.

use super::disk::{open, task, verify};
use super::posts::{
    append, at, by, change, delete, edit, entries, file, found, from, in_room, offer, post, room, seq, text,
};
use super::{FOREVER, Sqlite, StoreFactory, block_on};
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind};
use protocol::id::{Counter, Epoch, Millis};
use protocol::message::{Durability, Range};
use server::store::{
    Change, Exported, Folder, Keep, OpenError, Query, Repaired, SqliteStore, Store, backup, export, repair,
    restore, verify_backup,
};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Bytes of a frame of the write-ahead log.
const FRAME: usize = 24 + 4096;

/// How many of these entries are holes; the others must be those of `whole`, and all must have the same numbers.
pub(super) fn holes(read: &[Entry], whole: &[Entry]) -> Result<usize, String> {
    if read.len() != whole.len() {
        return Err(format!("{} entries of {}", read.len(), whole.len()));
    }
    let mut holes = 0;
    for (read, whole) in read.iter().zip(whole) {
        if read == whole {
            continue;
        }
        let is_hole = read.kind == EntryKind::System && read.person.is_none() && read.device.is_none();
        if !is_hole || read.seq != whole.seq {
            return Err(format!("{read:?} instead of {whole:?}"));
        }
        holes += 1;
    }
    Ok(holes)
}

/// A store of 300 posts of device 1, one each second, that was closed; and all its entries.
fn three_hundred(sqlite: &mut Sqlite) -> (SqliteStore, Vec<Entry>) {
    let store = sqlite.create();
    change(&store, found());
    let posts = (1..=300).map(|n| at(1_000 * n, from(1, n, text(&format!("message number {n:03}.")))));
    post(&store, posts.collect());
    block_on(store.settle()).unwrap();
    let all = entries(&store, 1);
    (sqlite.reopen(store), all)
}

fn close(store: SqliteStore) {
    block_on(store.close()).unwrap();
    drop(store);
}

/// Changes one bit of each of these texts in the database.
fn spoil(path: &Path, texts: &[&str]) {
    let path = path.join("natter.db");
    let mut bytes = fs::read(&path).unwrap();
    for text in texts {
        let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
        bytes[at.unwrap()] ^= 4;
    }
    fs::write(path, bytes).unwrap();
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq.value()).collect()
}

#[test]
fn a_damaged_entry_is_a_hole_and_every_other_one_is_read() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (store, whole) = three_hundred(&mut sqlite);
    close(store);
    spoil(sqlite.folder.path(), &["message number 100.", "message number 101.", "message number 300."]);
    let store = sqlite.open();
    let read = entries(&store, 1);
    assert_eq!(holes(&read, &whole), Ok(3));
    let hole = &read[99];
    assert_eq!((hole.seq, hole.time, hole.counter), (seq(100), Millis(99_000), None));
    assert!(hole.text().contains("damaged"), "{}", hole.text());
    let ranges = [
        (Range::Latest, (251..=300).collect::<Vec<_>>()),
        (Range::Before { seq: seq(102) }, (52..=101).collect()),
        (Range::After { seq: Some(seq(99)) }, (100..=149).collect()),
        (Range::Around { seq: seq(100) }, (75..=124).collect()),
        (Range::Between { first: seq(99), last: seq(102) }, (99..=102).collect()),
        (Range::SinceTime { time: Millis(101_000) }, (102..=151).collect()),
        (Range::BeforeTime { time: Millis(102_000) }, (52..=101).collect()),
    ];
    for (range, expected) in ranges {
        let page = block_on(store.read(room(1), range.clone(), 50, 1 << 20)).unwrap().entries;
        assert_eq!(numbers(&page), expected, "{range:?}");
        for entry in page {
            let at = usize::try_from(entry.seq.value()).unwrap() - 1;
            assert_eq!(entry, read[at], "an entry is the same however it is asked for: {range:?}");
        }
    }
}

#[test]
fn a_hole_is_not_found_and_not_changed_and_its_counter_stays() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (store, _) = three_hundred(&mut sqlite);
    post(&store, vec![edit(7, "another text"), edit(7, "yet another one")]);
    close(store);
    spoil(sqlite.folder.path(), &["message number 100.", "another text"]);
    let store = sqlite.open();
    let words = |words: &str| Query {
        rooms: vec![room(1)],
        words: words.to_owned(),
        before: None,
        limit: 1_000,
        bytes: 1 << 20,
        ms: FOREVER,
        comes_last: false,
    };
    let find = |query| block_on(store.search(query)).unwrap().found.len();
    assert_eq!(find(words("100")), 0);
    assert_eq!(find(words("message number")), 298, "all but the hole and what was edited");
    let before = Query { before: Some((room(1), seq(200))), ..words("message") };
    assert_eq!(find(before), 197);
    let commit = append(&store, vec![edit(100, "x"), delete(100)], Vec::new());
    assert_eq!(commit.posts, [Err(Code::NoSuchEntry), Err(Code::NoSuchEntry)]);
    // The edit of the entry is damaged: what it said goes all the same.
    post(&store, vec![delete(7)]);
    assert_eq!(entries(&store, 1).len(), 303);
    let snapshot = block_on(store.load()).unwrap();
    assert_eq!(snapshot.devices[0].counter, Counter::new(300), "a resend is known");
    close(store);
    let bytes = fs::read(sqlite.folder.path().join("natter.db")).unwrap();
    assert!(!bytes.windows(11).any(|window| window == b"nother text"), "what was deleted is in no file");
}

#[test]
fn history_is_trimmed_past_a_hole() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (store, _) = three_hundred(&mut sqlite);
    close(store);
    spoil(sqlite.folder.path(), &["message number 001.", "message number 050.", "message number 100."]);
    let store = sqlite.open();
    let trim = |keep| change(&store, vec![Change::Trim { room: room(1), keep }]).trimmed;
    let since = Keep { since: Some(Millis(100_000)), ..Keep::default() };
    assert_eq!(trim(since), [(room(1), seq(100))], "a hole goes with the one behind it");
    assert_eq!(trim(Keep { count: Some(1), ..Keep::default() }), [(room(1), seq(300))]);
}

#[test]
fn a_damaged_entry_of_a_file_keeps_nobody_out() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let store = sqlite.create();
    change(&store, found());
    post(
        &store,
        vec![file(1, "one.txt"), file(2, "two.txt"), offer(3), text("a"), by(2, in_room(2, text("b")))],
    );
    close(store);
    spoil(sqlite.folder.path(), &["one.txt"]);
    let store = sqlite.open();
    let snapshot = block_on(store.load()).unwrap();
    assert_eq!(snapshot.files.iter().map(|file| file.seq).collect::<Vec<_>>(), [seq(2)]);
    assert_eq!(numbers(&entries(&store, 1)), [1, 2, 3, 4]);
    let trim = Change::Trim { room: room(1), keep: Keep { count: Some(1), ..Keep::default() } };
    change(&store, vec![trim]);
    close(store);
    assert_eq!(verify(sqlite.folder.path()).findings, [""; 0], "nothing is known of what is gone");
}

#[test]
fn a_page_that_is_damaged_hides_no_entry_of_another_page() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (store, whole) = three_hundred(&mut sqlite);
    close(store);
    let sound = fs::read(sqlite.folder.path().join("natter.db")).unwrap();
    let is_leaf =
        |page: &&[u8]| page[0] == 0x0d && page.windows(15).any(|window| window == b"message number ");
    let leaves: Vec<_> = sound.chunks(4_096).enumerate().filter(|(_, page)| is_leaf(page)).collect();
    assert!(leaves.len() > 4, "{}", leaves.len());
    let (number, page) = leaves[2];
    let on_page = usize::from(u16::from_be_bytes([page[3], page[4]]));
    // Its head and the first of its pointers, bit by bit.
    for byte in 0..16 {
        for bit in [0, 3, 6] {
            let mut bytes = sound.clone();
            bytes[number * 4_096 + byte] ^= 1 << bit;
            let copy = TempDir::new().unwrap();
            fs::write(copy.path().join("natter.db"), bytes).unwrap();
            let store = open(copy.path(), false).unwrap();
            let holes = holes(&entries(&store, 1), &whole);
            assert!(holes.as_ref().is_ok_and(|holes| *holes <= on_page), "byte {byte}, bit {bit}: {holes:?}");
        }
    }
}

#[test]
fn an_export_and_a_backup_go_past_damage_and_count_it() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (store, whole) = three_hundred(&mut sqlite);
    close(store);
    let path = sqlite.folder.path();
    spoil(path, &["message number 001.", "message number 100.", "message number 300."]);
    let named = [1, 100, 300].map(|n| format!("entry {n} of room 1 does not fit its checksum"));
    assert_eq!(verify(path).findings, named, "each is named");
    let mut out = Vec::new();
    let folder = Folder::look(path).unwrap();
    let exported = task(|task| export(&folder, "r1", &mut out, task)).unwrap();
    assert_eq!(exported, Exported { written: 297, damaged: 3 });
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 297);
    let to = TempDir::new().unwrap();
    let saved = to.path().join("saved");
    let report = task(|task| backup(&folder, &saved, task)).unwrap();
    assert_eq!((report.entries, report.damaged, report.findings.len()), (300, 3, 0));
    assert_eq!(task(|task| verify_backup(&saved, task)).unwrap().findings, [""; 0]);
    let restored = to.path().join("restored");
    let new = Epoch([3; 16]);
    task(|task| restore(&saved, &Folder::create(&restored).unwrap(), new, task)).unwrap();
    assert_eq!(verify(&restored).findings, [""; 0]);
    assert_eq!(holes(&entries(&open(&restored, false).unwrap(), 1), &whole), Ok(3));
}

fn mend(path: &Path) -> Repaired {
    let repaired = task(|task| repair(&Folder::lock(path).unwrap(), Epoch([3; 16]), task)).unwrap();
    assert_eq!(repaired.report.findings, [""; 0], "{repaired:?}");
    assert_eq!(verify(path).findings, [""; 0]);
    repaired
}

/// Runs statements on the database of a closed store.
fn run_sql(path: &Path, sql: &str) {
    let db = rusqlite::Connection::open(path.join("natter.db")).unwrap();
    db.execute_batch(sql).unwrap();
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

#[test]
fn a_repair_turns_back_single_bits_and_leaves_holes_for_the_rest() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (store, whole) = three_hundred(&mut sqlite);
    let before = block_on(store.load()).unwrap();
    close(store);
    let path = sqlite.folder.path().to_owned();
    assert_eq!(mend(&path).before, None, "what is whole is left alone");
    spoil(&path, &["message number 100.", "message number 200.", "message number 300.", "number 300"]);
    spoil(&path, &["message numbe"]);
    run_sql(&path, "UPDATE entry SET body = x'00' WHERE key % 1024 IN (50, 51)");
    let repaired = mend(&path);
    assert_eq!(repaired.holes, 3, "{repaired:?}");
    assert!(repaired.before.is_some_and(|before| before.join("natter.db").is_file()));
    let store = sqlite.open();
    assert_eq!(holes(&entries(&store, 1), &whole), Ok(3));
    let mut after = block_on(store.load()).unwrap();
    // The hole at the end has the time of the message before it.
    after.rooms[0].time = before.rooms[0].time;
    assert_eq!(after, before, "it is the same history");
    // It goes on: the holes are entries like others by now.
    post(&store, vec![at(400_000, from(1, 301, text("after")))]);
    assert_eq!(append(&store, vec![edit(50, "x")], Vec::new()).posts, [Err(Code::NotAllowed)]);
    close(store);
    assert_eq!(verify(&path).findings, [""; 0]);
}

#[test]
fn a_flipped_bit_in_the_write_ahead_log_is_turned_back() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let store = sqlite.create();
    change(&store, found());
    post(&store, (1..=50).map(|n| from(1, n, text(&format!("message {n}")))).collect());
    post(&store, (51..=60).map(|n| from(1, n, text(&format!("message {n}")))).collect());
    let (before, whole) = (block_on(store.load()).unwrap(), entries(&store, 1));
    drop(store);
    let path = sqlite.folder.path().to_owned();
    let wal = path.join("natter.db-wal");
    let mut bytes = fs::read(&wal).unwrap();
    let at = bytes.windows(10).position(|window| window == b"message 25").unwrap();
    bytes[at] ^= 2;
    fs::write(&wal, bytes).unwrap();
    assert!(matches!(open(&path, false), Err(OpenError::Lost { .. } | OpenError::Damaged { .. })));
    let repaired = mend(&path);
    assert_eq!(repaired.holes, 0, "{repaired:?}");
    let store = sqlite.open();
    assert_eq!((block_on(store.load()).unwrap(), entries(&store, 1)), (before, whole));
}

#[test]
fn a_flipped_bit_in_a_log_that_was_moved_already_is_turned_back() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let store = sqlite.create();
    change(&store, found());
    for n in 0..12 {
        let posts = (50 * n + 1..=50 * (n + 1)).map(|n| from(1, n, text(&format!("message number {n}."))));
        post(&store, posts.collect());
    }
    let path = sqlite.folder.path();
    // Everything is moved, and the server is killed before it writes over the log: without one of the frames the old
    // state of some pages would be read with the new one of others.
    let db = rusqlite::Connection::open(path.join("natter.db")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    let killed =
        ["natter.db", "natter.db-wal", "witness"].map(|name| (name, fs::read(path.join(name)).unwrap()));
    let (before, whole) = (block_on(store.load()).unwrap(), entries(&store, 1));
    let frames = (killed[1].1.len() - 32) / FRAME;
    assert!(frames > 30, "{frames}");
    for frame in (0..frames).step_by(3) {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in &killed {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let wal = folder.path().join("natter.db-wal");
        let mut bytes = fs::read(&wal).unwrap();
        // The highest bit of a word is one of many that would make the sums right.
        let (at, bit) = [(1, 3), (9, 0), (17, 5), (24, 2), (2_003, 7), (4_003, 7), (4_100, 6)][frame % 7];
        bytes[32 + frame * FRAME + at] ^= 1 << bit;
        fs::write(&wal, bytes).unwrap();
        let repaired = task(|task| repair(&Folder::lock(folder.path()).unwrap(), Epoch([3; 16]), task));
        let repaired = repaired.unwrap_or_else(|error| panic!("frame {frame} of {frames}: {error:?}"));
        assert_eq!((repaired.holes, &repaired.report.findings[..]), (0, &[][..]), "{repaired:?}");
        let store = open(folder.path(), false).unwrap();
        assert_eq!((block_on(store.load()).unwrap(), entries(&store, 1)), (before.clone(), whole.clone()));
    }
}

#[test]
fn a_lost_head_is_found_out_again() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (store, whole) = three_hundred(&mut sqlite);
    post(&store, vec![in_room(2, text("elsewhere"))]);
    let before = block_on(store.load()).unwrap();
    close(store);
    let path = sqlite.folder.path().to_owned();
    run_sql(&path, "DELETE FROM head WHERE room = 1; DELETE FROM entry WHERE key % 1024 = 300");
    let refused = open(&path, false).map(drop);
    // What is left is sound in itself: it could be served as a new history, too.
    assert!(matches!(refused, Err(OpenError::Lost { .. })), "{refused:?}");
    assert_eq!(mend(&path).holes, 1, "the last message is known to have been one");
    let store = sqlite.open();
    assert_eq!(holes(&entries(&store, 1), &whole), Ok(1));
    let mut after = block_on(store.load()).unwrap();
    // The hole at the end has the time of the message before it.
    after.rooms[0].time = before.rooms[0].time;
    assert_eq!(after, before);
}

#[test]
fn a_room_whose_row_is_lost_is_closed_and_the_others_go_on() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (store, whole) = three_hundred(&mut sqlite);
    post(&store, vec![in_room(2, text("elsewhere"))]);
    close(store);
    let path = sqlite.folder.path().to_owned();
    run_sql(
        &path,
        "UPDATE room SET name = 'another' WHERE room = 2; UPDATE person SET name = 'p9' WHERE person = 2",
    );
    assert!(verify(&path).findings[0].contains("of table"), "{:?}", verify(&path));
    let repaired = mend(&path);
    for what in ["row (2) of table 'room' is lost", "row (2) of table 'person' is lost", "room 2 is closed"] {
        assert!(repaired.notes.iter().any(|note| note.contains(what)), "{what}: {repaired:?}");
    }
    let store = sqlite.open();
    assert_eq!(entries(&store, 1), whole);
    let snapshot = block_on(store.load()).unwrap();
    assert_eq!((snapshot.rooms.len(), snapshot.people.len(), snapshot.epoch), (1, 2, Epoch([3; 16])));
    post(&store, vec![at(400_000, text("after"))]);
    close(store);
    assert_eq!(verify(&path).findings, [""; 0]);
}

#[test]
fn a_repair_makes_whole_whatever_one_bit_broke() {
    let mut sqlite = Sqlite::new(Durability::Disk);
    let (store, whole) = three_hundred(&mut sqlite);
    close(store);
    let sound = fs::read(sqlite.folder.path().join("natter.db")).unwrap();
    // The first page only at its beginning: a bit far behind costs thousands of attempts.
    let places = [16, 18, 22, 100, 103].into_iter().chain((4_096..sound.len()).step_by(1_499));
    let mut lost = Vec::new();
    for (n, at) in places.enumerate() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (n % 8);
        let copy = TempDir::new().unwrap();
        fs::write(copy.path().join("natter.db"), bytes).unwrap();
        mend(copy.path());
        let store = open(copy.path(), false).unwrap();
        let holes = holes(&entries(&store, 1), &whole);
        let holes = holes.unwrap_or_else(|why| panic!("byte {at}: {why}"));
        lost.extend((holes > 0).then_some((at, holes)));
    }
    println!("messages lost: {lost:?}");
}
