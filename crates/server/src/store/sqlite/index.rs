//! The index of words: a database of its own, made from the log and behind it by a moment.
//!
//! It is no part of a commit, so that a post does not wait for it; what it lacks is looked at entry by entry. But a
//! text that is changed or removed leaves the index first, and only then the log: nothing that was deleted can be
//! left in it. A lost or damaged index, and one of an older version, is made anew while the server runs. Its words, and
//! the pairs of characters of scripts without spaces, are those of [`folded`], so SQLite's tokenizer only has to part
//! them at spaces.

use super::Task;
use super::checkpoint;
use super::entry::{self, Kept};
use super::fault::{Fault, unless_damaged};
use super::head::Head;
use super::load::Loaded;
use super::number::{int, key};
use super::slots::slots;
use super::verify::Report;
use crate::store::{Words, folded, searchable};
use protocol::entry::Entry;
use protocol::id::{Epoch, RoomId, Seq};
use protocol::message::Durability;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Entries that go into the index at once: a few milliseconds in which an edit has to wait, and for which a sync keeps
/// the log's own waiting.
const SLICE: u64 = 250;

/// Frames of the index's own log from which they are moved: 16 MiB.
const FRAMES: i32 = 4_000;

/// Entries that are looked for when an index is checked.
const SAMPLES: u64 = 1_000;

/// The version of the layout and of the tokens in it. Version 1 had no pairs of characters.
const VERSION: i64 = 2;

/// The layout; another one is made anew. Words are looked for by their beginnings, most of them by three letters or
/// little more: these have an index of their own.
const LAYOUT: &str = "\
    CREATE TABLE origin (id INTEGER PRIMARY KEY CHECK (id = 1), epoch BLOB NOT NULL);
    CREATE TABLE done (room INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
    CREATE VIRTUAL TABLE word USING fts5(text, content='', columnsize=0, tokenize='ascii', prefix='3');
    INSERT INTO word(word, rank) VALUES ('secure-delete', 1);
    PRAGMA user_version = 2;";

/// A text that is another one now, or none.
pub(super) type Revised = (Kept, Option<Entry>);

/// The index, to write to it.
#[derive(Debug)]
pub(super) struct Index {
    /// `None` for one that turned out to be damaged: the next start makes it anew.
    db: Option<Connection>,
    path: PathBuf,
    /// The log, to read from it.
    log: Connection,
    /// The last entry of each room that is in.
    done: BTreeMap<RoomId, u64>,
}

impl Index {
    /// Opens the index of the log with this epoch, and makes it if there is none.
    pub fn open(path: &Path, log: Connection, epoch: Epoch) -> Result<Self, Fault> {
        let found = open(path).and_then(|db| if fits(&db, epoch)? { Ok(Some(db)) } else { Ok(None) });
        let db = match found {
            Ok(Some(db)) => db,
            Ok(None) => {
                tracing::info!("the index of words is made");
                make(path, epoch)?
            }
            Err(fault) if fault.is_damage() => {
                tracing::warn!("the index of words is damaged: it is made anew");
                make(path, epoch)?
            }
            Err(fault) => return Err(fault),
        };
        let done = read_done(&db)?;
        Ok(Self { db: Some(db), path: path.to_owned(), log, done })
    }

    /// Takes in a slice of what is not in yet. True if there is more.
    pub fn advance(&mut self, heads: &BTreeMap<RoomId, Head>) -> Result<bool, Fault> {
        let Some(db) = &mut self.db else { return Ok(false) };
        let transaction = db.transaction()?;
        let mut left = SLICE;
        let mut moved = Vec::new();
        for (room, head) in heads {
            let from = head.first.value().max(self.done.get(room).map_or(0, |last| last + 1));
            let to = (head.first.value() + head.len()).min(from.saturating_add(left));
            if from < to {
                take_in(&transaction, &self.log, *room, from, to)?;
                let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO done VALUES (?, ?)")?;
                put.execute(params![int(room.value()), int(to - 1)])?;
                moved.push((*room, to - 1));
                left -= to - from;
            }
            if left == 0 {
                break;
            }
        }
        transaction.commit()?;
        self.done.extend(moved);
        if checkpoint::frames(db)? > FRAMES {
            checkpoint::advance(db)?;
        }
        Ok(left == 0)
    }

    /// Lets go of texts that were taken in and will not be there any more, and takes in those in their place.
    pub fn revise(&mut self, revised: &[Revised]) -> Result<(), Fault> {
        self.replace(revised.iter().map(|(before, after)| (before, Some(&before.entry), after.as_ref())))
    }

    /// Forgets how far rooms were taken in that have ended.
    pub fn forget(&mut self, ended: &BTreeSet<RoomId>) -> Result<(), Fault> {
        let Some(db) = &mut self.db else { return Ok(()) };
        for room in ended {
            db.prepare_cached("DELETE FROM done WHERE room = ?")?.execute([int(room.value())])?;
            self.done.remove(room);
        }
        Ok(())
    }

    /// Takes that back: it was not committed.
    pub fn restore(&mut self, revised: &[Revised]) -> Result<(), Fault> {
        let back = revised.iter().rev();
        self.replace(back.map(|(before, after)| (before, after.as_ref(), Some(&before.entry))))
    }

    fn replace<'a>(
        &mut self,
        revised: impl Iterator<Item = (&'a Kept, Option<&'a Entry>, Option<&'a Entry>)>,
    ) -> Result<(), Fault> {
        let Some(db) = &mut self.db else { return Ok(()) };
        let transaction = db.transaction()?;
        for (kept, old, new) in revised {
            let seq = kept.entry.seq;
            if self.done.get(&kept.room).is_none_or(|last| seq.value() > *last) {
                continue;
            }
            let key = key(kept.room, seq);
            if let Some(text) = old.and_then(searchable) {
                let sql = "INSERT INTO word(word, rowid, text) VALUES ('delete', ?, ?)";
                transaction.prepare_cached(sql)?.execute(params![key, folded(&text)])?;
            }
            if let Some(text) = new.and_then(searchable) {
                add(&transaction, key, &text)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Leaves nothing in the index's own log; false if somebody reads what is in it for longer than this.
    pub fn truncate_within(&self, patience: Duration) -> Result<bool, Fault> {
        self.db.as_ref().map_or(Ok(true), |db| checkpoint::truncate_within(db, patience))
    }

    /// Gives the index up: its file is removed, and searches do without until the next start.
    pub fn give_up(&mut self) {
        tracing::error!(
            "the index of words is damaged: searches see the newest entries only until the next start"
        );
        self.db = None;
        if let Err(error) = remove(&self.path) {
            tracing::error!(%error, "the index of words could not be removed");
        }
    }
}

/// Checks the index of a log that nobody writes to: its structure, and that it finds entries by their words.
pub(super) fn verify(
    path: &Path,
    log: &Connection,
    loaded: &Loaded,
    report: &mut Report,
    task: &mut Task<'_>,
) -> Result<(), Fault> {
    if !path.is_file() {
        report.notes.push("there is no index of words: the next start makes it".to_owned());
        return Ok(());
    }
    task.begin("checking", "the index of words", SAMPLES);
    match check(path, log, loaded, task) {
        Ok(true) => {}
        Ok(false) => {
            let note = "the index of words is of another version or history: the next start makes it anew";
            report.notes.push(note.to_owned());
        }
        Err(fault) if fault.is_damage() => {
            let what = fault.words();
            report.find(format!(
                "the index of words ({what}); remove {}, and the next start makes it anew",
                path.display()
            ));
        }
        Err(fault) if fault.is_read_only() => {
            report.notes.push("the index of words was not checked: that writes to it".to_owned());
        }
        Err(fault) => return Err(fault),
    }
    Ok(())
}

/// False if it is not of this version, or not of this log.
fn check(path: &Path, log: &Connection, loaded: &Loaded, task: &mut Task<'_>) -> Result<bool, Fault> {
    let db = open(path)?;
    if !fits(&db, loaded.record.epoch)? {
        return Ok(false);
    }
    db.execute_batch("INSERT INTO word(word) VALUES ('integrity-check')")?;
    let done = read_done(&db)?;
    let find = "SELECT EXISTS (SELECT 1 FROM word WHERE word MATCH ? AND rowid = ?)";
    let mut find = db.prepare(find)?;
    let all = loaded.heads.values().map(Head::len).sum::<u64>();
    for (room, head) in &loaded.heads {
        let last = done.get(room).copied().unwrap_or(0);
        let every = usize::try_from(all / SAMPLES + 1).unwrap_or(usize::MAX);
        for seq in (head.first.value()..=last).step_by(every).filter_map(Seq::new) {
            let Some(kept) = unless_damaged(entry::find(log, *room, seq))?.flatten() else { continue };
            let words = searchable(&kept.entry).map(|text| Words::parse(&text).expression());
            let expression = words.filter(|words| !words.is_empty());
            let key = key(*room, seq);
            if let Some(expression) = expression
                && !find.query_row(params![expression, key], |row| row.get::<_, bool>(0))?
            {
                return Err(Fault::damaged(format!("it does not find entry {seq} of room {room}")));
            }
            task.advance(1);
        }
    }
    Ok(true)
}

fn take_in(db: &Connection, log: &Connection, room: RoomId, from: u64, to: u64) -> Result<(), Fault> {
    // One that is damaged has no words, and keeps nobody from finding the others.
    for kept in slots(log, room, from, to)?.into_iter().flatten() {
        if let Some(text) = searchable(&kept.entry) {
            add(db, key(room, kept.entry.seq), &text)?;
        }
    }
    Ok(())
}

fn add(db: &Connection, key: i64, text: &str) -> Result<(), Fault> {
    db.prepare_cached("INSERT INTO word(rowid, text) VALUES (?, ?)")?.execute(params![key, folded(text)])?;
    Ok(())
}

fn open(path: &Path) -> Result<Connection, Fault> {
    let db = Connection::open(path)?;
    super::writer::prepare(&db, &Durability::Disk)?;
    Ok(db)
}

/// Whether it is the index of this log, in our layout.
fn fits(db: &Connection, epoch: Epoch) -> Result<bool, Fault> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != VERSION {
        return Ok(false);
    }
    let found: Option<[u8; 16]> =
        db.query_row("SELECT epoch FROM origin WHERE id = 1", [], |row| row.get(0)).optional()?;
    Ok(found == Some(epoch.0))
}

fn make(path: &Path, epoch: Epoch) -> Result<Connection, Fault> {
    remove(path)?;
    let mut db = open(path)?;
    let transaction = db.transaction()?;
    transaction.execute_batch(LAYOUT)?;
    transaction.execute("INSERT INTO origin VALUES (1, ?)", [epoch.0])?;
    transaction.commit()?;
    Ok(db)
}

/// Removes the index, which the next start makes anew.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn read_done(db: &Connection) -> Result<BTreeMap<RoomId, u64>, Fault> {
    let mut statement = db.prepare("SELECT room, seq FROM done")?;
    let mut rows = statement.query([])?;
    let mut done = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (room, seq) =
            (super::number::number(row, 0, RoomId::new)?, super::number::number(row, 1, Seq::new)?);
        done.insert(room, seq.value());
    }
    Ok(done)
}
