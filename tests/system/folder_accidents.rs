//! What happens to a data folder while no server runs: a server starts as if nothing had been, or says what to do.
//! It never begins anew without a word, and never throws away what is left.

use super::harness::bulk::{Bulk, Sent, content, files as listed, post};
use super::harness::{Finished, Identity, Native, Server, bounded, eventually, files, run};
use protocol::entry::EntryKind;
use protocol::message::{FileState, OpenFrom, Target};
use rusqlite::Connection;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What befalls a folder.
type Accident = fn(&Path);

/// Lines that are said in each folder.
const LINES: usize = 20;

/// Runs `natterd` on a folder.
pub(super) async fn natterd(data: &Path, args: &[&str]) -> Finished {
    let data = data.to_str().expect("temporary folders have plain names");
    run("natterd", &[args, &["--data", data]].concat()).await
}

/// Tries to serve a folder.
pub(super) async fn serve(data: &Path, more: &[&str]) -> Finished {
    natterd(data, &[&["--host", "127.0.0.1", "-p", "0"], more].concat()).await
}

pub(super) fn check(finished: &Finished, code: i32, said: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    for part in said {
        let all = [&finished.out[..], &finished.err[..]].concat();
        assert!(all.contains(part), "no {part:?} in {finished:?}");
    }
}

/// A folder in which a server was killed: with lines, of which some are in the log of commits only, and a file.
pub(super) struct Served {
    pub(super) folder: TempDir,
    pub(super) saved: PathBuf,
    pub(super) texts: Vec<String>,
    content: PathBuf,
}

impl Served {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let data = folder.path().join("data");
        let mut server = Server::start_in(&data).await;
        let me = Identity::new("alice");
        let mut alice = Native::login(server.addr(), &me).await;
        let texts: Vec<_> = (0..LINES).map(|n| format!("line {n}")).collect();
        let lobby = alice.lobby();
        alice.say_all(lobby, texts.clone()).await;
        alice.acked(LINES as u64).await;
        let target = Target::Room { room: lobby };
        let sent = Sent::new(1, target.clone(), content(5_000, 1));
        Bulk::login(server.addr(), &me).await.upload(&sent).await;
        post(&mut alice, &target, EntryKind::File, None, sent.body()).await;
        let saved = folder.path().join("saved");
        check(&natterd(&data, &["backup", saved.to_str().expect("a plain name")]).await, 0, &["\nok"]);
        server.stop_by(Signal::KILL).await;
        let name = blake3::Hash::from_bytes(sent.hash().0).to_hex().to_string();
        Self { folder, saved, texts, content: PathBuf::from("contents").join(name) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A copy of it after an accident.
    pub(super) fn after(&self, name: &str, accident: impl FnOnce(&Path)) -> PathBuf {
        let copy = self.folder.path().join(name);
        fs::create_dir(&copy).expect("it is new");
        for file in files(&self.path()) {
            let to = copy.join(file.strip_prefix(self.path()).expect("it is below"));
            fs::create_dir_all(to.parent().expect("it has a folder")).expect("a folder can be made");
            fs::copy(file, to).expect("there is space");
        }
        accident(&copy);
        copy
    }

    /// What somebody new finds in a folder: the lines, and whether the file is there.
    async fn found(data: &Path) -> (Vec<String>, Vec<FileState>) {
        let server = Server::start_in(data).await;
        let mut reader = Native::enter(server.addr(), "reader").await;
        let lobby = reader.lobby();
        let files = listed(&mut reader, lobby).await.into_iter().map(|file| file.state).collect();
        let newest = reader.open(lobby, OpenFrom::After { epoch: reader.epoch, seq: None }).await.newest;
        let count = newest.map_or(0, |newest| newest.value());
        let mut texts = reader.reads(lobby, usize::try_from(count).expect("few")).await;
        texts.truncate(LINES);
        (texts, files)
    }

    async fn is_whole(&self, data: &Path) {
        assert_eq!(Self::found(data).await, (self.texts.clone(), vec![FileState::Here]));
    }
}

/// All files but the lock, whose owner changes.
pub(super) fn all_files(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files(data).into_iter().filter(|file| !file.ends_with("lock"));
    files.map(|file| (file.clone(), fs::read(&file).expect("it is there"))).collect()
}

fn remove(data: &Path, names: &[&str]) {
    names.iter().for_each(|name| fs::remove_file(data.join(name)).expect("it was there"));
}

fn cut_to_nothing(data: &Path) {
    fs::write(data.join("natter.db"), "").expect("it can be written");
}

/// What SQLite leaves of a database that was about to be made.
fn without_tables(data: &Path) {
    remove(data, &["natter.db", "natter.db-wal", "natter.db-shm"]);
    let db = Connection::open(data.join("natter.db")).expect("it can be made");
    db.pragma_update(None, "journal_mode", "WAL").expect("it is a database");
    drop(db);
    assert!(fs::metadata(data.join("natter.db")).expect("it was made").len() > 0);
}

#[tokio::test]
async fn a_folder_without_its_database_is_not_taken_for_a_new_one() {
    bounded(150, async {
        let served = Served::new().await;
        let accidents: [(&str, &str, Accident); 6] = [
            ("deleted", "witness", |data| remove(data, &["natter.db", "natter.db-wal", "natter.db-shm"])),
            ("its log left", "write-ahead log", |data| remove(data, &["natter.db", "natter.db-shm"])),
            ("emptied", "write-ahead log", cut_to_nothing),
            ("without tables", "witness", without_tables),
            ("contents alone", "1 files in 'contents'", |data| {
                remove(data, &["natter.db", "natter.db-wal", "natter.db-shm", "witness", "lock"]);
            }),
            ("log alone", "write-ahead log", |data| {
                remove(data, &["natter.db", "witness"]);
                fs::remove_dir_all(data.join("contents")).expect("it was there");
            }),
        ];
        for (name, trace, accident) in accidents {
            let data = served.after(name, accident);
            let before = all_files(&data);
            let refused = serve(&data, &[]).await;
            check(&refused, 3, &["has no database", trace, "hint: ", "natterd restore", "--accept-loss"]);
            // Neither those who only look change anything.
            for args in [&["verify"][..], &["export", "lobby", "--jsonl"], &["backup", "/nowhere"]] {
                let looked = natterd(&data, args).await;
                assert_ne!(looked.code, Some(0), "{looked:?}");
            }
            let mut after = all_files(&data);
            // SQLite makes an empty log beside a database that it looks into.
            after.retain(|file, bytes| before.contains_key(file) || !bytes.is_empty());
            after.remove(&data.join("natter.db-shm"));
            assert!(
                after.iter().eq(before.iter().filter(|(file, _)| !file.ends_with("natter.db-shm"))),
                "{name}: nothing was changed"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_database_that_came_back_alone_is_not_taken_for_all_there_was() {
    bounded(90, async {
        let served = Served::new().await;
        let data = served.after("alone", |data| remove(data, &["natter.db-wal", "natter.db-shm", "witness"]));
        check(&serve(&data, &[]).await, 3, &["neither its write-ahead log nor its witness", "--accept-loss"]);
        check(&natterd(&data, &["verify"]).await, 3, &["neither its write-ahead log nor its witness"]);
        // One that ended as it should has all in the database, and a witness that is gone is missed by nobody.
        let data = served.after("stopped", |_| ());
        let mut server = Server::start_in(&data).await;
        assert_eq!(server.stop().await.code, Some(0));
        remove(&data, &["witness"]);
        served.is_whole(&data).await;
    })
    .await;
}

#[tokio::test]
async fn a_loss_that_is_accepted_begins_a_new_history_and_deletes_nothing() {
    bounded(90, async {
        let served = Served::new().await;
        let data = served.after("emptied", cut_to_nothing);
        let before = all_files(&data);
        let free = Server::start_in_with(&data, &["--accept-loss"]).await;
        free.err().line("set aside").await;
        drop(free);
        for name in [Path::new("natter.db-wal"), Path::new("witness"), &served.content] {
            let aside = fs::read(data.join("set-aside-1").join(name)).expect("it is there");
            assert!(aside == before[&data.join(name)], "{} is as it was", name.display());
        }
        let (texts, listed) = Served::found(&data).await;
        assert_eq!((texts.len(), listed.len()), (0, 0), "and the new history has nothing of it");
    })
    .await;
}

#[tokio::test]
async fn a_restore_that_was_cut_off_is_not_served_and_can_be_run_again() {
    bounded(90, async {
        let served = Served::new().await;
        let saved = served.saved.to_str().expect("a plain name").to_owned();
        let half = served.folder.path().join("half");
        fs::create_dir_all(half.join("contents")).expect("a folder can be made");
        fs::copy(served.path().join("natter.db"), half.join("natter.db.part")).expect("there is space");
        fs::write(half.join("natter.db.part-wal"), [7; 5_000]).expect("there is space");
        let name = served.content.file_name().expect("it has a name").to_str().expect("a plain name");
        fs::write(half.join("contents").join(format!("upload-{name}")), [0; 99]).expect("there is space");
        check(&serve(&half, &[]).await, 3, &["a restore that was not finished", "natterd restore"]);
        check(&natterd(&half, &["restore", &saved]).await, 0, &["\nok"]);
        check(&natterd(&half, &["verify"]).await, 0, &["\nok"]);
        served.is_whole(&half).await;
    })
    .await;
}

#[tokio::test]
async fn a_restored_database_does_not_take_in_the_log_of_a_lost_one() {
    bounded(90, async {
        let served = Served::new().await;
        let saved = served.saved.to_str().expect("a plain name").to_owned();
        let accidents: [(&str, Accident); 3] = [
            ("deleted", |data| remove(data, &["natter.db"])),
            ("emptied", cut_to_nothing),
            ("without tables", without_tables),
        ];
        for (name, accident) in accidents {
            let data = served.after(name, accident);
            fs::write(data.join("contents").join("5".repeat(64)), "newer than the backup")
                .expect("there is space");
            let restored = natterd(&data, &["restore", &saved]).await;
            check(&restored, 0, &["set-aside-1", "1 files in 'contents' are not in this backup", "\nok"]);
            check(&natterd(&data, &["verify"]).await, 0, &["\nok"]);
            served.is_whole(&data).await;
        }
        let again = natterd(&served.path(), &["restore", &saved]).await;
        check(&again, 1, &["is there already", "hint: "]);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_was_killed_in_its_first_start_starts_again() {
    bounded(90, async {
        let beginnings: [Accident; 4] = [
            |data| fs::write(data.join("natter.db"), "").expect("there is space"),
            |data| {
                ["lock", "natter.db", "natter.db-wal", "witness", "search.db"].iter().for_each(|name| {
                    fs::write(data.join(name), "").expect("there is space");
                });
                fs::create_dir_all(data.join("contents/lost+found")).expect("a folder can be made");
            },
            |data| {
                fs::write(data.join("natter.db"), "").expect("there is space");
                fs::write(data.join("natter.db-shm"), "").expect("there is space");
                fs::write(data.join("natter.db-wal"), "").expect("there is space");
                without_tables(data);
            },
            |data| fs::write(data.join("witness"), [0; 40]).expect("there is space"),
        ];
        for begin in beginnings {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            begin(folder.path());
            assert_eq!(Served::found(folder.path()).await.0.len(), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_removes_the_lock_lets_nobody_in() {
    bounded(90, async {
        let served = Served::new().await;
        let data = served.path();
        let mut server = Server::start_in(&data).await;
        fs::remove_file(data.join("lock")).expect("it was there");
        for args in [&["--host", "127.0.0.1", "-p", "0"][..], &["compact"], &["restore", "/nowhere"]] {
            check(&natterd(&data, args).await, 3, &["in use by another program", "hint: "]);
        }
        check(&natterd(&data, &["verify"]).await, 0, &["a server is running", "\nok"]);
        let alice = Native::enter(server.addr(), "carol").await;
        alice.say_all(alice.lobby(), vec!["still here".to_owned()]).await;
        alice.acked(1).await;
        assert_eq!(server.stop().await.code, Some(0));
        served.is_whole(&data).await;
    })
    .await;
}

/// Puts the log's own row and the ends of the logs back to what they were before the last lines: what a program
/// leaves that did not know of another one which wrote.
async fn written_to_by_two(data: &Path) {
    let db = Connection::open(data.join("natter.db")).expect("it is a database");
    db.execute_batch("CREATE TEMP TABLE l AS SELECT * FROM log; CREATE TEMP TABLE h AS SELECT * FROM head")
        .expect("they can be read");
    let mut server = Server::start_in(data).await;
    let carol = Native::enter(server.addr(), "carol").await;
    carol.say_all(carol.lobby(), vec!["one".to_owned(), "two".to_owned()]).await;
    carol.acked(2).await;
    server.stop_by(Signal::KILL).await;
    db.execute_batch(
        "BEGIN; DELETE FROM log; DELETE FROM head; INSERT INTO log SELECT * FROM l;
         INSERT INTO head SELECT * FROM h; COMMIT",
    )
    .expect("they can be written");
}

#[tokio::test]
async fn what_two_programs_wrote_to_is_served_again_if_a_loss_is_accepted() {
    bounded(90, async {
        let served = Served::new().await;
        let data = served.path();
        written_to_by_two(&data).await;
        check(&natterd(&data, &["verify"]).await, 3, &["damage: "]);
        check(&serve(&data, &[]).await, 3, &["is damaged", "hint: ", "--accept-loss"]);
        let mut server = Server::start_in_with(&data, &["--accept-loss"]).await;
        let mut reader = Native::enter(server.addr(), "reader").await;
        let lobby = reader.lobby();
        let opened = reader.open(lobby, OpenFrom::After { epoch: reader.epoch, seq: None }).await;
        assert_eq!(opened.newest.map(|newest| newest.value()), Some(LINES as u64 + 3), "nothing is lost");
        drop(reader);
        assert_eq!(server.stop().await.code, Some(0));
        check(&natterd(&data, &["verify"]).await, 0, &["\nok"]);
        served.is_whole(&data).await;
    })
    .await;
}

#[tokio::test]
async fn files_that_are_missing_are_counted_at_each_start_and_by_verify() {
    bounded(90, async {
        let served = Served::new().await;
        let missing = "1 files that messages name are missing";
        let accidents: [(&str, Accident); 2] = [
            ("no contents", |data| fs::remove_dir_all(data.join("contents")).expect("it was there")),
            ("one content", |data| {
                files(&data.join("contents"))
                    .iter()
                    .for_each(|file| fs::remove_file(file).expect("it was there"));
            }),
        ];
        for (name, accident) in accidents {
            let data = served.after(name, accident);
            check(&natterd(&data, &["verify"]).await, 3, &[missing]);
            for _ in 0..2 {
                let mut server = Server::start_in(&data).await;
                server.err().line("files that messages name are missing in 'contents'").await;
                check(&natterd(&data, &["verify"]).await, 3, &[missing]);
                assert_eq!(server.stop().await.code, Some(0));
            }
            assert_eq!(Served::found(&data).await, (served.texts.clone(), vec![FileState::Gone]));
            let mut server = Server::start_in_with(&data, &["--accept-loss"]).await;
            assert_eq!(server.stop().await.code, Some(0));
            check(&natterd(&data, &["verify"]).await, 0, &["note: 1 files are not kept any more", "\nok"]);
        }
    })
    .await;
}

#[tokio::test]
async fn files_whose_time_was_over_are_not_missed() {
    bounded(90, async {
        let served = Served::new().await;
        let data = served.path();
        let mut server = Server::start_in_with(&data, &["--keep-files", "1s"]).await;
        let content = data.join(&served.content);
        eventually("the file's end", || (!content.exists()).then_some(())).await;
        let expired = &["note: 1 files are not kept any more", "\nok"][..];
        check(&natterd(&data, &["verify"]).await, 0, expired);
        server.stop_by(Signal::KILL).await;
        check(&natterd(&data, &["verify"]).await, 0, expired);
        assert_eq!(Served::found(&data).await.1, [FileState::Gone]);
        check(&natterd(&data, &["verify"]).await, 0, expired);
        let saved = served.folder.path().join("without");
        let saved = saved.to_str().expect("a plain name");
        check(
            &natterd(&data, &["backup", saved]).await,
            0,
            &["note: 1 files that messages name were not there"],
        );
        let restored = served.folder.path().join("restored");
        check(&natterd(&restored, &["restore", saved]).await, 0, &["\nok"]);
        check(&natterd(&restored, &["verify"]).await, 0, expired);
    })
    .await;
}
