//! Files of the data folder that are deleted, cut short, replaced or moved while the server runs: it acknowledges
//! nothing that would be lost, and ends with the reason.

use super::harness::{Finished, Native, Server, bounded, eventually, run};
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long it may take until an idle server notices.
const IDLE: Duration = Duration::from_secs(5);

const OWN: &str = "the folder is the test's own";

/// What somebody does to a data folder, and what the server says about it.
type Accident = (&'static str, fn(&Path), &'static str);

const ACCIDENTS: [Accident; 10] = [
    (
        "the database is deleted",
        |data| fs::remove_file(data.join("natter.db")).expect(OWN),
        "natter.db' was deleted",
    ),
    (
        "the log is deleted",
        |data| fs::remove_file(data.join("natter.db-wal")).expect(OWN),
        "natter.db-wal' was deleted",
    ),
    ("the database is emptied", |data| cut(&data.join("natter.db"), 0), "natter.db' was cut short"),
    ("the database is cut in half", |data| cut(&data.join("natter.db"), 2), "natter.db' was cut short"),
    ("the database is replaced", |data| replace(&data.join("natter.db")), "natter.db' was replaced"),
    ("the database is written over", |data| write_over(&data.join("natter.db")), "natter.db' was "),
    (
        "the folder is renamed",
        |data| fs::rename(data, data.with_extension("old")).expect(OWN),
        "natter.db' was deleted or moved",
    ),
    ("the folder is replaced", replace_folder, "natter.db' was deleted or moved"),
    (
        "the contents are deleted",
        |data| fs::remove_dir_all(data.join("contents")).expect(OWN),
        "contents' was deleted or moved",
    ),
    ("the contents are replaced", replace_contents, "contents' was "),
];

/// Leaves this part of a file.
fn cut(path: &Path, part: u64) {
    let file = OpenOptions::new().write(true).open(path).expect(OWN);
    let bytes = file.metadata().expect(OWN).len();
    file.set_len(bytes.checked_div(part).unwrap_or(0)).expect(OWN);
}

/// Puts a copy in the place of a file, as an editor or a restore does.
fn replace(path: &Path) {
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).expect(OWN);
    fs::rename(copy, path).expect(OWN);
}

/// Copies an older state over a file, as `cp` does: it is cut short first, and the server may look in between.
fn write_over(path: &Path) {
    fs::write(path, fs::read(path).expect(OWN)).expect(OWN);
}

fn replace_folder(data: &Path) {
    fs::rename(data, data.with_extension("old")).expect(OWN);
    fs::create_dir(data).expect(OWN);
}

/// Two steps, and the server may look in between.
fn replace_contents(data: &Path) {
    fs::rename(data.join("contents"), data.with_extension("contents")).expect(OWN);
    fs::create_dir(data.join("contents")).expect(OWN);
}

fn check(name: &str, finished: &Finished, reason: &str) {
    assert_eq!(finished.code, Some(3), "{name}: {finished:?}");
    let last: Vec<_> = finished.err.lines().rev().take(2).collect();
    assert!(last[1].contains(reason), "{name}: no {reason:?} in {}", finished.err);
    assert!(last[0].starts_with("hint: stop what changes files in the data folder"), "{name}: {}", last[0]);
}

#[tokio::test]
async fn nothing_is_acknowledged_once_its_files_are_gone() {
    bounded(120, async {
        for (name, happens, reason) in ACCIDENTS {
            let parent = tempfile::tempdir().expect("a temporary folder can be made");
            let data = parent.path().join("data");
            let mut server = Server::start_in(&data).await;
            let alice = Native::enter(server.addr(), "alice").await;
            let lobby = alice.lobby();
            alice.say_all(lobby, (0..50).map(|n| format!("line {n}"))).await;
            happens(&data);
            alice.say(lobby, "this would be lost");
            check(name, &server.ended().await, reason);
            assert_eq!(alice.view(|view| view.acked), 50, "{name}: it was acknowledged");
        }
    })
    .await;
}

#[tokio::test]
async fn an_idle_server_notices_within_five_seconds() {
    bounded(120, async {
        for (name, happens, reason) in ACCIDENTS {
            let parent = tempfile::tempdir().expect("a temporary folder can be made");
            let data = parent.path().join("data");
            let mut server = Server::start_in(&data).await;
            Native::enter(server.addr(), "alice").await.leave().await;
            // Whatever is moved into the database after a while is there by then.
            let log = data.join("natter.db-wal");
            eventually("an idle server", || {
                let age = fs::metadata(&log).ok()?.modified().ok()?.elapsed().ok()?;
                (age > Duration::from_millis(1_500)).then_some(())
            })
            .await;
            let begun = Instant::now();
            happens(&data);
            check(name, &server.ended().await, reason);
            assert!(begun.elapsed() < IDLE, "{name}: {:?}", begun.elapsed());
        }
    })
    .await;
}

#[tokio::test]
async fn a_witness_that_is_deleted_is_written_anew_and_the_server_goes_on() {
    bounded(60, async {
        let parent = tempfile::tempdir().expect("a temporary folder can be made");
        let data = parent.path().join("data");
        let mut server = Server::start_in(&data).await;
        let alice = Native::enter(server.addr(), "alice").await;
        alice.say_all(alice.lobby(), (0..50).map(|n| format!("line {n}"))).await;
        let witness = data.join("witness");
        fs::remove_file(&witness).expect(OWN);
        let begun = Instant::now();
        eventually("a new witness", || witness.exists().then_some(())).await;
        assert!(begun.elapsed() < IDLE, "an idle server notices: {:?}", begun.elapsed());
        fs::remove_file(&witness).expect(OWN);
        alice.say_all(alice.lobby(), (50..51).map(|n| format!("line {n}"))).await;
        assert!(witness.exists(), "before the next acknowledgement");
        let finished = server.stop().await;
        assert_eq!(finished.code, Some(0));
        assert!(finished.err.contains("it is written anew"), "{}", finished.err);
    })
    .await;
}

#[tokio::test]
async fn a_stop_with_its_files_gone_is_no_clean_stop() {
    bounded(60, async {
        let parent = tempfile::tempdir().expect("a temporary folder can be made");
        let data = parent.path().join("data");
        let mut server = Server::start_in(&data).await;
        Native::enter(server.addr(), "alice").await.leave().await;
        fs::remove_dir_all(&data).expect(OWN);
        check("a stop", &server.stop().await, "was deleted or moved");
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_is_read_while_it_is_served_is_still_in_place() {
    bounded(120, async {
        let parent = tempfile::tempdir().expect("a temporary folder can be made");
        let data = parent.path().join("data");
        let mut server = Server::start_in(&data).await;
        let alice = Native::enter(server.addr(), "alice").await;
        alice.say_all(alice.lobby(), (0..50).map(|n| format!("line {n}"))).await;
        let folder = data.to_str().expect("temporary folders have plain names");
        let backup = parent.path().join("backup");
        let backup = backup.to_str().expect("temporary folders have plain names");
        for args in [&["verify"][..], &["export", "--jsonl", "lobby"], &["backup", backup]] {
            let finished = run("natterd", &[args, &["--data", folder]].concat()).await;
            assert_eq!(finished.code, Some(0), "{finished:?}");
        }
        alice.say_all(alice.lobby(), (50..100).map(|n| format!("line {n}"))).await;
        assert_eq!(server.stop().await.code, Some(0));
    })
    .await;
}
