//! Deleted texts leave the files before anybody is told that they are gone.
//!
//! A delete overwrites its text in the database's pages and takes its words out of the index, but the write-ahead logs
//! of both hold the old pages until they are emptied, which can't be done while somebody reads from them. Our own
//! readers take milliseconds; another program may take any time. So each batch with deletes is answered first, then
//! the logs are emptied once for all of it, and if that fails tried again beside the other commits. After
//! [`ERASE_MS`] nobody waits any more: the operator is told, by the log and by `natterd verify`.

use super::checkpoint;
use super::fault::Fault;
use super::folder::Folder;
use super::writer::Writer;
use crate::store::ErasureId;
use protocol::limits::ERASE_MS;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How the file begins that says that deleted texts are still there.
pub(super) const MAGIC: [u8; 8] = *b"nterase1";

/// How long any reader of ours may see the log as it was: the last try waits that long, and commits with it.
pub(super) const SNAPSHOT: Duration = Duration::from_millis(250);

/// The time until the second try: a reader of ours has mostly ended by then.
const FIRST: Duration = Duration::from_millis(10);

/// The longest time between two tries.
const LONGEST: Duration = Duration::from_secs(1);

/// How long a try waits for readers at most, and commits with it.
const PATIENCE: Duration = Duration::from_millis(50);

/// What is known of deleted texts.
#[derive(Debug)]
pub(super) struct Erasure {
    /// The newest erasure.
    newest: u64,
    /// Nobody waits for those up to this one.
    ended: watch::Sender<u64>,
    pending: Option<Pending>,
    /// How long somebody waits at most.
    bound: Duration,
    /// The file that says that deleted texts are still there.
    note: PathBuf,
}

/// Deleted texts that are still in one of the write-ahead logs.
#[derive(Clone, Copy, Debug)]
struct Pending {
    since: Instant,
    next: Instant,
    /// The time from the last try to the next one; none before the first.
    pause: Duration,
    /// Nobody waits any more, and the operator was told.
    is_late: bool,
}

/// What became of a try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tried {
    Erased,
    /// Somebody reads what is in the log.
    Read,
    /// There is no space to move what is in the log into the database.
    Full,
}

impl Erasure {
    /// Nothing was deleted yet.
    pub fn new(folder: &Folder) -> Self {
        Self {
            newest: 0,
            ended: watch::Sender::new(0),
            pending: None,
            bound: Duration::from_millis(ERASE_MS),
            note: folder.unerased(),
        }
    }

    /// Tells up to which erasure nobody waits any more.
    pub fn ended(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    /// The time until something is to be done.
    pub fn wait(&self) -> Duration {
        self.pending.map_or(Duration::MAX, |pending| pending.next.saturating_duration_since(Instant::now()))
    }

    /// Whether deleted texts may still be there.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// A batch with deletes is committed: its erasure begins as soon as it is due.
    pub fn begin(&mut self) -> ErasureId {
        let now = Instant::now();
        self.newest += 1;
        match &mut self.pending {
            Some(pending) => pending.next = now,
            None => {
                self.pending = Some(Pending { since: now, next: now, pause: Duration::ZERO, is_late: false });
            }
        }
        ErasureId(self.newest)
    }

    fn end(&mut self) {
        if let Err(error) = remove(&self.note) {
            tracing::warn!(path = %self.note.display(), %error, "could not be removed: verify is told too much");
        }
        if self.pending.take().is_some_and(|pending| pending.is_late) {
            tracing::info!("what was deleted is erased");
        }
        self.ended.send_replace(self.newest);
    }

    /// A try failed: there will be another one. If it was the last for which somebody waits, the operator is told.
    fn postpone(&mut self, tried: Tried, is_last: bool) {
        let Some(pending) = &mut self.pending else { return };
        pending.pause = (pending.pause * 2).clamp(FIRST, LONGEST);
        pending.next = Instant::now() + pending.pause;
        if is_last && !std::mem::replace(&mut pending.is_late, true) {
            let why = if tried == Tried::Full { "the disk is full" } else { "another program reads it" };
            tracing::error!("what was deleted is still in the write-ahead log of the database: {why}");
            if let Err(error) = write(&self.note) {
                tracing::warn!(path = %self.note.display(), %error, "could not be written: verify is not told");
            }
        }
        if pending.is_late {
            self.ended.send_replace(self.newest);
        }
    }
}

/// Whether deleted texts were still there when that was looked at last.
pub(super) fn is_unerased(folder: &Folder) -> bool {
    fs::read(folder.unerased()).is_ok_and(|bytes| bytes == MAGIC)
}

fn write(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(&MAGIC)
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

impl Writer {
    /// Goes on with what is to be erased, if a try is due.
    pub fn erase_when_due(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        let Some(pending) = self.erasure.pending.filter(|pending| pending.next <= now) else { return Ok(()) };
        let is_last = !pending.is_late && now.duration_since(pending.since) >= self.erasure.bound;
        let patience = match is_last {
            true => SNAPSHOT,
            // Once nobody waits for it, no commit does either.
            false if pending.is_late => Duration::ZERO,
            false => (pending.pause / 4).min(PATIENCE),
        };
        self.try_to_erase(patience, is_last)
    }

    /// Erases what was deleted by now, as the last that is done or before anything else is: the operator is told if it
    /// can't be.
    pub fn erase_now(&mut self) -> Result<(), Fault> {
        self.erasure.begin();
        self.try_to_erase(SNAPSHOT, true)
    }

    fn try_to_erase(&mut self, patience: Duration, is_last: bool) -> Result<(), Fault> {
        match self.empty_logs(patience)? {
            Tried::Erased => self.erasure.end(),
            tried => self.erasure.postpone(tried, is_last),
        }
        Ok(())
    }

    /// Empties the write-ahead logs of the index and of the database.
    fn empty_logs(&mut self, patience: Duration) -> Result<Tried, Fault> {
        let index = match self.indexing.truncate_within(patience) {
            Err(fault) if fault.is_full() => return Ok(Tried::Full),
            result => result?,
        };
        let log = match self.move_commits(|db| checkpoint::truncate_within(db, patience)) {
            Err(fault) if fault.is_full() => return Ok(Tried::Full),
            result => result?,
        };
        if log {
            self.dirty = false;
        }
        Ok(if index && log { Tried::Erased } else { Tried::Read })
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::Heads;
    use super::super::open::open;
    use super::super::{Options, reader};
    use super::*;
    use crate::store::{Batch, Commit, NewEntry};
    use bytes::Bytes;
    use protocol::entry::EntryKind;
    use protocol::id::{Epoch, Millis, PersonId, RoomId, Seq};
    use protocol::message::Durability;
    use rusqlite::Connection;
    use std::sync::Arc;
    use tempfile::TempDir;

    /// A store without its threads.
    struct Log {
        writer: Writer,
        folder: Folder,
        path: TempDir,
    }

    impl Log {
        fn new() -> Self {
            Self::open_in(tempfile::tempdir().unwrap())
        }

        fn open_in(path: TempDir) -> Self {
            let options =
                Options { durability: Durability::Disk, fresh_epoch: Epoch([1; 16]), accept_loss: false };
            let folder = Folder::create(path.path()).unwrap();
            let writer = open(&folder, &options, Arc::new(Heads::default())).unwrap().writer;
            Self { writer, folder, path }
        }

        /// Ends it as a crash of the program does, and opens what it left.
        fn crash(self) -> Self {
            let Self { writer, folder, path } = self;
            drop(writer);
            drop(folder);
            Self::open_in(path)
        }

        fn post(&mut self, posts: impl Iterator<Item = (EntryKind, Option<u64>, String)>) -> Commit {
            let entry = |(kind, target, body): (_, Option<u64>, String)| NewEntry {
                room: RoomId::FIRST,
                time: Millis(0),
                written: Millis(0),
                person: Some(PersonId::FIRST),
                name: String::new(),
                origin: None,
                kind,
                reply_to: target.and_then(Seq::new),
                body: Bytes::from(body),
                mentions: Vec::new(),
            };
            let batch = Batch { posts: posts.map(entry).collect(), changes: Vec::new() };
            let commit = self.writer.append(&batch).unwrap();
            assert!(commit.posts.iter().all(Result::is_ok), "{:?}", commit.posts);
            commit
        }

        fn say(&mut self, text: &str) {
            assert_eq!(self.post([(EntryKind::Text, None, text.to_owned())].into_iter()).erasure, None);
        }

        fn delete(&mut self, targets: impl Iterator<Item = u64>) -> ErasureId {
            let delete = |target| (EntryKind::Delete, Some(target), String::new());
            self.post(targets.map(delete)).erasure.unwrap()
        }

        fn retry(&mut self) {
            self.writer.erasure.pending.as_mut().unwrap().next = Instant::now();
            self.writer.erase_when_due().unwrap();
        }

        fn ended(&self) -> ErasureId {
            ErasureId(*self.writer.erasure.ended().borrow())
        }

        /// How often the write-ahead log was begun anew: it says so at its beginning, if it has one.
        fn restarts(&self) -> u32 {
            let log = fs::read(self.folder.wal()).unwrap();
            u32::from_be_bytes(*log[12..].first_chunk().unwrap())
        }

        fn holds(&self, word: &str) -> bool {
            let is_in =
                |path: PathBuf| fs::read(path).unwrap().windows(word.len()).any(|w| w == word.as_bytes());
            let files = fs::read_dir(self.path.path()).unwrap().map(|file| file.unwrap().path());
            files.filter(|path| path.is_file()).any(is_in)
        }

        /// Another program that reads the database.
        fn reader(&self) -> Connection {
            let reader = reader::connect(&self.folder.database()).unwrap();
            reader.execute_batch("BEGIN").unwrap();
            reader.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0)).unwrap();
            reader
        }
    }

    #[test]
    fn a_batch_with_any_number_of_deletes_empties_the_log_once_and_one_of_edits_never() {
        let mut log = Log::new();
        (1..=20).for_each(|n| log.say(&format!("line {n}")));
        let begun = log.restarts();
        let edits = (1..=20).map(|n| (EntryKind::Edit, Some(n), format!("changed {n}")));
        assert_eq!(log.post(edits).erasure, None);
        log.say("and on");
        assert_eq!(log.restarts(), begun, "no edit waits for it");
        log.delete(1..=20);
        log.writer.erase_when_due().unwrap();
        assert_eq!(fs::metadata(log.folder.wal()).unwrap().len(), 0);
        log.say("and on");
        assert_eq!(log.restarts(), begun + 1);
    }

    #[test]
    fn what_somebody_reads_is_erased_when_they_have_ended() {
        let mut log = Log::new();
        log.say("meet at the zebracrossing");
        log.writer.indexing.catch_up().unwrap();
        let reader = log.reader();
        let erasure = log.delete([1].into_iter());
        log.writer.erase_when_due().unwrap();
        log.say("nobody else waits");
        log.retry();
        assert!(log.holds("zebracrossing") && log.ended() < erasure);
        drop(reader);
        log.retry();
        assert!(!log.holds("zebracrossing") && log.ended() == erasure);
        assert!(!is_unerased(&log.folder));
    }

    #[test]
    fn what_somebody_reads_for_too_long_is_told_and_nobody_waits_for_it_any_more() {
        let mut log = Log::new();
        log.say("zebracrossing");
        log.say("walrusbay");
        log.writer.erasure.bound = Duration::ZERO;
        let reader = log.reader();
        let first = log.delete([1].into_iter());
        log.writer.erase_when_due().unwrap();
        assert!(log.holds("zebracrossing") && log.ended() == first);
        assert!(is_unerased(&log.folder));
        log.writer.erasure.bound = Duration::from_secs(3_600);
        let second = log.delete([2].into_iter());
        log.writer.erase_when_due().unwrap();
        assert!(log.holds("walrusbay") && log.ended() == second, "the operator knows");
        drop(reader);
        log.retry();
        assert!(!log.holds("zebracrossing") && !log.holds("walrusbay"));
        assert!(!is_unerased(&log.folder) && log.writer.erasure.wait() == Duration::MAX);
    }

    #[test]
    fn the_next_start_erases_what_a_killed_server_had_no_time_for() {
        let mut log = Log::new();
        log.say("zebracrossing");
        log.writer.indexing.catch_up().unwrap();
        log.writer.erasure.bound = Duration::ZERO;
        let reader = log.reader();
        log.delete([1].into_iter());
        log.writer.erase_when_due().unwrap();
        drop(reader);
        let log = log.crash();
        assert!(!log.holds("zebracrossing") && !is_unerased(&log.folder));
    }

    #[test]
    fn tries_become_rarer_and_their_patience_stays_short() {
        let mut log = Log::new();
        log.say("zebracrossing");
        let _reader = log.reader();
        log.delete([1].into_iter());
        let mut pauses = Vec::new();
        for _ in 0..9 {
            log.retry();
            pauses.push(log.writer.erasure.pending.unwrap().pause.as_millis());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
    }
}
