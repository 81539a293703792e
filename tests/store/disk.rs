//! What the store on disk claims beyond the contract: what is in its files, and what becomes of damage.

use super::damage::holes;
use super::posts::{
    bodies, by, change, delete, edit, entries, file, found, from, in_room, post, room, seq, text,
};
use super::{FOREVER, Sqlite, StoreFactory, block_on};
use protocol::entry::EntryKind;
use protocol::id::Epoch;
use protocol::message::{Durability, Range};
use server::store::{
    Batch, Change, Folder, Keep, OpenError, OperateError, Options, Query, Report, SqliteStore, Stage, Store,
    Task, backup, compact, export, restore, verify_backup, verify_folder,
};
use std::fs;
use std::path::Path;

const NEW: Epoch = Epoch([9; 16]);

fn sqlite() -> Sqlite {
    Sqlite::new(Durability::Disk)
}

/// Ends a store as a crash of the program does: nothing is put in order.
fn crash(store: SqliteStore) {
    drop(store);
}

pub(super) fn open(path: &Path, accept_loss: bool) -> Result<SqliteStore, OpenError> {
    let options = Options { durability: Durability::Process, fresh_epoch: NEW, accept_loss };
    SqliteStore::open(Folder::create(path).unwrap(), &options)
}

fn epoch(store: &SqliteStore) -> Epoch {
    block_on(store.load()).unwrap().epoch
}

/// Does something that tells how far it is.
pub(super) fn task<T>(act: impl FnOnce(&mut Task<'_>) -> T) -> T {
    let mut last: Option<Stage> = None;
    let mut tell = |stage: &Stage| {
        assert!(stage.all == 0 || stage.done <= stage.all.max(1_000), "{stage:?} after {last:?}");
        last = Some(*stage);
    };
    act(&mut Task::new(&mut tell))
}

pub(super) fn verify(path: &Path) -> Report {
    task(|task| verify_folder(&Folder::lock(path).unwrap(), false, task)).unwrap()
}

fn holds(path: &Path, word: &str) -> bool {
    let is_in = |path: &Path| fs::read(path).unwrap().windows(word.len()).any(|w| w == word.as_bytes());
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).any(|path| path.is_file() && is_in(&path))
}

#[test]
fn a_crash_of_the_program_loses_nothing_and_keeps_the_history() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    change(&store, found());
    post(&store, (1..=50).map(|n| from(1, n, text(&n.to_string()))).collect());
    let before = (block_on(store.load()).unwrap(), entries(&store, 1));
    crash(store);
    let store = sqlite.open();
    assert_eq!((block_on(store.load()).unwrap(), entries(&store, 1)), before);
    crash(store);
    assert_eq!(verify(sqlite.folder.path()).findings, [""; 0]);
}

#[test]
fn what_was_deleted_is_in_no_file() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    change(&store, found());
    let path = sqlite.folder.path().to_owned();
    post(
        &store,
        vec![text("meet at the zebracrossing"), text("the giraffehouse is open"), text("walrusbay")],
    );
    // Searches look for beginnings of three letters in an index of their own.
    post(&store, vec![text("qxjlane"), text("qxjroad")]);
    post(&store, (0..500).map(|n| text(&format!("word{n} between zebra giraffe walrus"))).collect());
    post(&store, vec![edit(2, "the pelicanhouse is open"), edit(2, "closed, see okapilane")]);
    block_on(store.settle()).unwrap();
    assert!(holds(&path, "zebracrossing") && holds(&path, "okapilane"));
    post(&store, vec![delete(1), delete(2), delete(4), delete(5)]);
    for word in ["zebracrossing", "giraffehouse", "pelicanhouse", "okapilane", "qxj"] {
        assert!(!holds(&path, word), "{word} is still there");
    }
    assert!(holds(&path, "walrusbay"), "what was not deleted stays");
    post(&store, vec![delete(3)]);
    crash(store);
    assert!(!holds(&path, "walrusbay"));
    assert_eq!(verify(&path).findings, [""; 0]);
}

/// Another program that reads the database.
fn read_on(folder: &Path) -> rusqlite::Connection {
    let reader = rusqlite::Connection::open(folder.join("natter.db")).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0)).unwrap();
    reader
}

#[test]
fn a_delete_waits_for_who_reads_its_text_and_nobody_else_does() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    let path = sqlite.folder.path().to_owned();
    change(&store, found());
    post(&store, vec![text("zebracrossing")]);
    let reader = read_on(&path);
    let batch = Batch { posts: vec![delete(1)], changes: Vec::new() };
    let erasure = block_on(store.append(batch)).unwrap().erasure.unwrap();
    post(&store, vec![text("this does not wait")]);
    assert!(holds(&path, "zebracrossing"));
    reader.execute_batch("COMMIT").unwrap();
    block_on(store.erased(erasure));
    assert!(!holds(&path, "zebracrossing"));
    crash(store);
    assert_eq!(verify(&path).notes, [""; 0]);
}

/// Deletes an entry while this reads the store, as soon as it has begun to read entries.
fn check_erased_beside(read: impl FnOnce(&Path, &mut Task<'_>)) {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    let path = sqlite.folder.path().to_owned();
    change(&store, found());
    post(&store, vec![text("zebracrossing")]);
    for _ in 0..3 {
        post(&store, (0..2_000).map(|n| text(&n.to_string())).collect());
    }
    let mut is_erased = false;
    let mut tell = |stage: &Stage| {
        if stage.done > 0 && !is_erased {
            post(&store, vec![delete(1)]);
            assert!(!holds(&path, "zebracrossing") && !path.join("unerased").exists());
            is_erased = true;
        }
    };
    read(&path, &mut Task::new(&mut tell));
    assert!(is_erased);
}

#[test]
fn a_backup_a_verification_and_an_export_keep_no_deleted_text_in_the_files() {
    check_erased_beside(|path, task| {
        let folder = tempfile::tempdir().unwrap();
        let report = backup(&Folder::look(path).unwrap(), &folder.path().join("saved"), task).unwrap();
        assert_eq!(report.findings, [""; 0]);
    });
    check_erased_beside(|path, task| {
        let report = verify_folder(&Folder::look(path).unwrap(), true, task).unwrap();
        assert_eq!(report.findings, [""; 0]);
    });
    check_erased_beside(|path, task| {
        export(&Folder::look(path).unwrap(), "r1", &mut Vec::new(), task).unwrap();
    });
}

#[test]
fn what_was_deleted_of_a_script_without_spaces_is_in_no_file() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    change(&store, found());
    let path = sqlite.folder.path().to_owned();
    post(&store, vec![text("鯨飲馬食"), text("ฆ้องวงใหญ่"), text("臥薪嘗胆")]);
    post(&store, (0..300).map(|n| text(&format!("昨日は{n}回、日本語を話した"))).collect());
    post(&store, vec![edit(3, "捲土重来")]);
    block_on(store.settle()).unwrap();
    for pair in ["鯨飲", "馬食", "วงให", "捲土"] {
        assert!(holds(&path, pair), "{pair} is indexed");
    }
    post(&store, vec![delete(1), delete(2), delete(3)]);
    for gone in ["鯨飲", "飲馬", "馬食", "食0", "ฆ้", "งใหญ", "臥薪", "嘗胆", "捲土", "来0"]
    {
        assert!(!holds(&path, gone), "{gone} is still there");
    }
    assert!(holds(&path, "日本"), "what was not deleted stays");
    crash(store);
    assert_eq!(verify(&path).findings, [""; 0]);
}

/// The index of the build before, which knew whole words only.
fn make_old_index(path: &Path, epoch: Epoch) {
    for file in ["search.db", "search.db-wal", "search.db-shm"] {
        drop(fs::remove_file(path.join(file)));
    }
    let db = rusqlite::Connection::open(path.join("search.db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE origin (id INTEGER PRIMARY KEY CHECK (id = 1), epoch BLOB NOT NULL);
         CREATE TABLE done (room INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
         CREATE VIRTUAL TABLE word USING fts5(text, content='', columnsize=0, tokenize='ascii');
         INSERT INTO word(word, rank) VALUES ('secure-delete', 1);
         PRAGMA user_version = 1;",
    )
    .unwrap();
    db.execute("INSERT INTO origin VALUES (1, ?)", [epoch.0]).unwrap();
    db.execute("INSERT INTO done VALUES (1, 2)", []).unwrap();
}

#[test]
fn the_index_of_the_build_before_is_made_anew_while_searches_go_on() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    let path = sqlite.folder.path().to_owned();
    post(&store, vec![text("日本語を話す"), text("a cake")]);
    let epoch = epoch(&store);
    block_on(store.close()).unwrap();
    drop(store);
    make_old_index(&path, epoch);
    let report = verify(&path);
    assert_eq!(report.findings, [""; 0]);
    assert!(
        report.notes.iter().any(|note| note.contains("index of words is of another version")),
        "{report:?}"
    );
    let store = sqlite.open();
    let found = |words: &str| {
        let (rooms, words) = (vec![room(1)], words.to_owned());
        let query =
            Query { rooms, words, before: None, limit: 10, bytes: 1 << 20, ms: FOREVER, comes_last: false };
        block_on(store.search(query)).unwrap().found.iter().map(|found| found.entry.seq.value()).collect()
    };
    let all = || -> [Vec<u64>; 2] { [found("本語"), found("cak")] };
    assert_eq!(all(), [vec![1], vec![2]], "at once, and");
    block_on(store.settle()).unwrap();
    assert_eq!(all(), [vec![1], vec![2]], "when it is made");
    block_on(store.close()).unwrap();
    drop(store);
    let report = verify(&path);
    assert_eq!((report.findings.len(), report.notes.len()), (0, 0), "{report:?}");
}

#[test]
fn verify_finds_an_index_that_lacks_pairs_of_characters() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    let path = sqlite.folder.path().to_owned();
    post(&store, vec![text("日本語を話す")]);
    block_on(store.settle()).unwrap();
    block_on(store.close()).unwrap();
    drop(store);
    let db = rusqlite::Connection::open(path.join("search.db")).unwrap();
    // Entry 1 of room 1.
    let (key, tokens) = ((1_i64 << 40) + 1, "日本 本語 語を を話 話す す0");
    db.execute("INSERT INTO word(word, rowid, text) VALUES ('delete', ?, ?)", (key, tokens)).unwrap();
    drop(db);
    let findings = verify(&path).findings;
    assert!(findings.len() == 1 && findings[0].contains("does not find entry 1 of room 1"), "{findings:?}");
}

#[test]
fn what_was_trimmed_makes_room_for_what_comes() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    change(&store, found());
    let path = sqlite.folder.path().to_owned();
    let size = || fs::metadata(path.join("natter.db")).unwrap().len();
    let mut sizes = Vec::new();
    for _ in 0..6 {
        post(&store, (0..900).map(|n| text(&format!("{n} {}", "x".repeat(500)))).collect());
        block_on(store.settle()).unwrap();
        change(
            &store,
            vec![Change::Trim { room: room(1), keep: Keep { count: Some(100), ..Keep::default() } }],
        );
        // A delete makes everything go from the log into the database.
        post(&store, vec![text("soon gone")]);
        let last = entries(&store, 1).last().unwrap().seq.value();
        post(&store, vec![delete(last)]);
        sizes.push(size());
    }
    assert!(sizes[5] < sizes[1] * 5 / 4, "{sizes:?}");
    let hits = block_on(store.search(Query {
        rooms: vec![room(1)],
        words: "x*".to_owned(),
        before: None,
        limit: 1_000,
        bytes: 1 << 30,
        ms: FOREVER,
        comes_last: false,
    }));
    assert_eq!(hits.unwrap().found.len(), 100, "nothing that is gone is found");
    crash(store);
    assert_eq!(verify(&path).findings, [""; 0]);
}

#[test]
fn a_long_trim_goes_on_with_the_next_ones() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    post(&store, (0..2_500).map(|n| text(&n.to_string())).collect());
    let trim = || Change::Trim { room: room(1), keep: Keep { count: Some(1), ..Keep::default() } };
    let commits = (0..4).map(|_| change(&store, vec![trim()]));
    let begins: Vec<_> = commits.map(|commit| (commit.trimmed, commit.untrimmed)).collect();
    let at = |n| vec![(room(1), seq(n))];
    let rest = || vec![room(1)];
    assert_eq!(
        begins,
        [(at(1_001), rest()), (at(2_001), rest()), (at(2_500), vec![]), (vec![], vec![])],
        "and it says whether it is done"
    );
    assert_eq!(bodies(&store, 1), ["2499"]);
}

#[test]
fn a_large_room_ends_in_pieces_and_a_crash_between_them_leaves_it_sound() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    let path = sqlite.folder.path().to_owned();
    change(&store, found());
    let posts = (0..2_500).map(|n| in_room(2, text(&format!("tea {n}"))));
    post(&store, posts.chain([text("tea stays")]).collect());
    block_on(store.settle()).unwrap();
    let end = |store: &SqliteStore| change(store, vec![Change::RoomGone { room: room(2) }]);
    let commit = end(&store);
    assert_eq!((commit.trimmed, commit.untrimmed), (vec![(room(2), seq(1_001))], vec![room(2)]));
    crash(store);
    assert_eq!(verify(&path).findings, [""; 0]);
    let store = open(&path, false).unwrap();
    let rooms = |store: &SqliteStore| block_on(store.load()).unwrap().rooms.len();
    assert_eq!(rooms(&store), 2, "it is there until it is gone to its end");
    assert_eq!(end(&store).untrimmed, [room(2)]);
    assert_eq!(end(&store).untrimmed, []);
    assert_eq!((rooms(&store), bodies(&store, 1)), (1, vec!["tea stays".to_owned()]));
    crash(store);
    assert_eq!(verify(&path).findings, [""; 0]);
    let store = open(&path, false).unwrap();
    block_on(store.settle()).unwrap();
    let query = Query {
        rooms: vec![room(1), room(2)],
        words: "tea".into(),
        before: None,
        limit: 99,
        bytes: 1 << 20,
        ms: 60_000,
        comes_last: false,
    };
    assert_eq!(block_on(store.search(query)).unwrap().found.len(), 1);
    block_on(store.close()).unwrap();
    drop(store);
    assert_eq!(verify(&path).findings, [""; 0]);
}

#[test]
fn a_content_is_named_until_the_last_entry_that_names_it_is_gone() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    post(&store, vec![file(1, "a"), file(1, "b"), file(2, "c"), in_room(2, file(2, "d"))]);
    post(&store, vec![delete(1)]);
    let commit = change(
        &store,
        vec![Change::Trim { room: room(1), keep: Keep { count: Some(1), ..Keep::default() } }],
    );
    assert_eq!(commit.trimmed, [(room(1), seq(4))]);
    let named: Vec<_> = block_on(store.contents()).unwrap().into_iter().map(|hash| hash.0).collect();
    assert_eq!(named, [[2; 32]], "another room names it");
}

#[test]
fn commits_that_are_gone_are_missed_unless_that_is_accepted() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    let path = sqlite.folder.path().to_owned();
    change(&store, found());
    post(&store, vec![text("a")]);
    let kept = fs::read(path.join("natter.db-wal")).unwrap();
    post(&store, vec![text("b")]);
    crash(store);
    // The log of commits as it was before the last one: whole in itself.
    fs::write(path.join("natter.db-wal"), kept).unwrap();
    assert!(matches!(open(&path, false), Err(OpenError::Lost { .. })));
    assert!(verify(&path).findings[0].contains("1 commits"), "{:?}", verify(&path));
    let store = open(&path, true).unwrap();
    assert_eq!((bodies(&store, 1), epoch(&store)), (vec!["a".to_owned()], NEW));
    block_on(store.close()).unwrap();
    drop(store);
    assert_eq!(epoch(&open(&path, false).unwrap()), NEW);
}

#[test]
fn a_flipped_bit_is_found_or_changes_nothing() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    let path = sqlite.folder.path().to_owned();
    change(&store, found());
    post(&store, (1..=60).map(|n| from(1, n, text(&format!("text {n} {}", "y".repeat(100))))).collect());
    post(&store, vec![by(1, edit(3, "another text")), delete(4), in_room(2, file(1, "f"))]);
    let before = (block_on(store.load()).unwrap(), entries(&store, 1), entries(&store, 2));
    block_on(store.close()).unwrap();
    drop(store);
    let sound = fs::read(path.join("natter.db")).unwrap();
    let mut found = 0;
    // Every 241st byte, another bit each time: some two hundred of a small database.
    for (n, at) in (0..sound.len()).step_by(241).enumerate() {
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (n % 8);
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("natter.db"), flipped).unwrap();
        let Ok(store) = open(copy.path(), false) else {
            found += 1;
            continue;
        };
        let read = |n| block_on(store.read(room(n), Range::Latest, 1_000, 1 << 30)).map(|read| read.entries);
        let Ok(snapshot) = block_on(store.load()) else {
            found += 1;
            continue;
        };
        let (one, two) = (read(1).unwrap(), read(2).unwrap());
        let holes = holes(&one, &before.1).unwrap() + holes(&two, &before.2).unwrap();
        // What is known of a file goes with the entry that says it.
        assert!(snapshot == before.0 || holes > 0 && snapshot.files.is_empty(), "byte {at}");
        found += usize::from(holes > 0);
    }
    assert!(found > 10, "{found} were found");
}

#[test]
fn a_damaged_index_of_words_is_made_anew() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    let path = sqlite.folder.path().to_owned();
    post(&store, (0..100).map(|n| text(&format!("needle {n}"))).collect());
    block_on(store.settle()).unwrap();
    block_on(store.close()).unwrap();
    drop(store);
    fs::write(path.join("search.db"), [7; 40_000]).unwrap();
    let store = sqlite.open();
    block_on(store.settle()).unwrap();
    let query = |limit| Query {
        rooms: vec![room(1)],
        words: "needle".to_owned(),
        before: None,
        limit,
        bytes: 1 << 20,
        ms: FOREVER,
        comes_last: false,
    };
    assert_eq!(block_on(store.search(query(1_000))).unwrap().found.len(), 100);
}

#[test]
fn a_backup_of_a_running_server_is_whole_and_makes_a_new_history() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    let path = sqlite.folder.path().to_owned();
    change(&store, found());
    post(&store, (1..=3_000).map(|n| from(1, n, text(&n.to_string()))).collect());
    let content = b"the bytes of a file";
    let hash = blake3::hash(content);
    fs::create_dir(path.join("contents")).unwrap();
    fs::write(path.join("contents").join(hash.to_hex().as_str()), content).unwrap();
    let body = protocol::message::FileBody {
        hash: protocol::id::ContentHash(*hash.as_bytes()),
        size: content.len() as u64,
        name: "f".to_owned(),
        shape: protocol::message::Shape::File,
    };
    let named = server::store::NewEntry { kind: EntryKind::File, body: body.encode(), ..text("") };
    post(&store, vec![edit(7, "seven"), delete(8), named]);
    let to = tempfile::tempdir().unwrap();
    let saved = to.path().join("saved");
    let report = task(|task| backup(&Folder::look(&path).unwrap(), &saved, task)).unwrap();
    assert_eq!((report.entries, report.contents, report.findings.len()), (3_003, 1, 0));
    let before = (block_on(store.load()).unwrap(), entries(&store, 1));
    post(&store, vec![text("after the backup")]);
    let again = task(|task| backup(&Folder::look(&path).unwrap(), &saved, task));
    assert!(matches!(again, Err(OperateError::Exists { .. })), "nothing is overwritten");

    let restored = to.path().join("restored");
    task(|task| restore(&saved, &Folder::create(&restored).unwrap(), NEW, task)).unwrap();
    assert_eq!(verify(&restored).findings, [""; 0]);
    let found = restored.join("contents").join(hash.to_hex().as_str());
    assert_eq!(fs::read(found).unwrap(), content);
    let store = open(&restored, false).unwrap();
    let (mut snapshot, all) = before;
    let left = block_on(store.load()).unwrap();
    snapshot.epoch = NEW;
    assert!(left.last.person > snapshot.last.person, "what was told since is left out");
    snapshot.last = left.last;
    // What is left is all, and the server is still the same one: its people find their profiles.
    assert!((left, entries(&store, 1)) == (snapshot, all));
}

#[test]
fn a_backup_and_a_folder_of_an_older_layout_are_verified_saved_and_restored_as_the_same_server() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/store/fixtures");
    let root = tempfile::tempdir().unwrap();
    let older = root.path().join("older");
    fs::create_dir(&older).unwrap();
    fs::copy(fixtures.join("layout-2.db"), older.join("natter.db")).unwrap();
    // The fixture is the database alone.
    assert_eq!(verify(&older).findings, ["3 files that messages name are missing in 'contents'"]);
    let saved = root.path().join("saved");
    task(|task| backup(&Folder::look(&older).unwrap(), &saved, task)).unwrap();
    let id = server::store::server_id(Epoch([7; 16]));
    for (n, file) in [saved, fixtures.join("backup-2.db")].into_iter().enumerate() {
        let restored = root.path().join(format!("restored-{n}"));
        let report = task(|task| restore(&file, &Folder::create(&restored).unwrap(), NEW, task)).unwrap();
        assert_eq!((report.people, report.findings.len()), (3, 0), "{report:?}");
        let snapshot = block_on(open(&restored, false).unwrap().load()).unwrap();
        assert_eq!((snapshot.epoch, snapshot.server), (NEW, id));
    }
    let snapshot = block_on(open(&older, false).unwrap().load()).unwrap();
    assert_eq!(snapshot.server, id);
}

#[test]
fn a_damaged_backup_is_told_and_not_restored() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    post(&store, (1..=200).map(|n| text(&format!("message {n}"))).collect());
    let to = tempfile::tempdir().unwrap();
    let saved = to.path().join("saved");
    task(|task| backup(&Folder::look(sqlite.folder.path()).unwrap(), &saved, task)).unwrap();
    let mut bytes = fs::read(&saved).unwrap();
    let at = bytes.windows(11).position(|w| w == b"message 100").unwrap();
    bytes[at] ^= 1;
    fs::write(&saved, bytes).unwrap();
    let report = task(|task| verify_backup(&saved, task)).unwrap();
    assert_eq!(report.findings, ["entry 100 of room 1 does not fit its checksum"]);
    let restored = to.path().join("restored");
    let report = task(|task| restore(&saved, &Folder::create(&restored).unwrap(), NEW, task)).unwrap();
    assert!(!report.findings.is_empty() && !restored.join("natter.db").exists());
}

#[test]
fn a_room_is_exported_line_by_line() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    change(&store, found());
    post(&store, vec![text("one \"quoted\""), text("two"), edit(1, "eins"), delete(2), file(1, "f.txt")]);
    let mut out = Vec::new();
    let folder = Folder::look(sqlite.folder.path()).unwrap();
    assert_eq!(task(|task| export(&folder, "R1", &mut out, task)).unwrap().written, 5);
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
    {"seq":1,"time":1000,"person":1,"name":"p1","kind":"text","revision":"edited","text":"eins"}
    {"seq":2,"time":1000,"person":1,"name":"p1","kind":"text","revision":"deleted"}
    {"seq":3,"time":1000,"person":1,"name":"p1","kind":"edit","reply_to":1,"text":"eins"}
    {"seq":4,"time":1000,"person":1,"name":"p1","kind":"delete","reply_to":2}
    {"seq":5,"time":1000,"person":1,"name":"p1","kind":"file","file":{"name":"f.txt","size":1,"blake3":"0101010101010101010101010101010101010101010101010101010101010101"}}
    "#);
    let nowhere = task(|task| export(&folder, "nowhere", &mut Vec::new(), task));
    assert!(matches!(nowhere, Err(OperateError::NoSuchRoom { .. })));
}

#[test]
fn compacting_gives_space_back_and_changes_nothing() {
    let mut sqlite = sqlite();
    let store = sqlite.create();
    let path = sqlite.folder.path().to_owned();
    change(&store, found());
    post(&store, (0..2_000).map(|n| text(&format!("{n} {}", "x".repeat(400)))).collect());
    for _ in 0..2 {
        let keep = Keep { count: Some(10), ..Keep::default() };
        change(&store, vec![Change::Trim { room: room(1), keep }]);
    }
    let before = (block_on(store.load()).unwrap(), entries(&store, 1));
    block_on(store.close()).unwrap();
    drop(store);
    let done = task(|task| compact(&Folder::lock(&path).unwrap(), task)).unwrap();
    assert!(done.after < done.before / 5, "{done:?}");
    assert_eq!(verify(&path).findings, [""; 0]);
    let store = sqlite.open();
    assert!((block_on(store.load()).unwrap(), entries(&store, 1)) == before);
}
