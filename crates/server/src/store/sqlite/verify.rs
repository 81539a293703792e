//! Verifying: everything is read and compared with everything that is known of it.

use super::entry::{self, Kept};
use super::fault::Fault;
use super::file::ended_offer;
use super::folder::Folder;
use super::head::Head;
use super::load::{Loaded, load};
use super::number::int;
use super::schema::{self, Kind};
use super::slots::slots;
use super::unique::Unique;
use super::{Expiry, MissingFiles, OperateError, Stage, Task, erasure, index, open, reader, wal};
use crate::files::blocks_fit;
use crate::store::{RoomShape, StoredClock, StoredFile, StoredOffer, StoredRoom, weight};
use protocol::entry::{Entry, EntryKind};
use protocol::id::{ContentHash, DeviceNo, Millis, RoomId, Seq};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Entries that are read at once, so that a running server is kept from nothing.
const SLICE: u64 = 2_000;

/// Findings that are told one by one.
const MOST: usize = 100;

/// What was read, and what does not fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Entries.
    pub entries: u64,
    /// Rooms that have some.
    pub rooms: u64,
    /// People.
    pub people: u64,
    /// Devices.
    pub devices: u64,
    /// Contents of files.
    pub contents: u64,
    /// Entries that were damaged where a copy was made from: it says so in their places.
    pub damaged: u64,
    /// What is damaged: at most a hundred sentences.
    pub findings: Vec<String>,
    /// What could not be checked, or is no damage.
    pub notes: Vec<String>,
    /// What time it was when the server stored it last.
    pub clock: Option<StoredClock>,
    /// The room with the newest entry, and the time of that.
    pub newest: Option<(String, Millis)>,
}

impl Report {
    pub(super) fn find(&mut self, what: impl Into<String>) {
        if self.findings.len() < MOST {
            self.findings.push(what.into());
        } else if self.findings.len() == MOST {
            self.findings.push("and more".to_owned());
        }
    }

    /// Takes damage down; what failed in another way is no finding.
    fn take<T>(&mut self, result: Result<T, Fault>) -> Result<Option<T>, Fault> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(fault) if fault.is_damage() => {
                self.find(fault.words());
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }
}

/// Where the contents of files are.
enum Contents<'a> {
    /// In a folder; those of entries from before this time may be gone.
    Folder(PathBuf, Millis),
    Pieces(&'a Connection),
}

/// Verifies a folder; `is_live` if a server may be writing to it.
///
/// # Errors
/// [`OperateError`] if it can't be read. Damage is no error, but a finding.
pub fn verify_folder(folder: &Folder, is_live: bool, task: &mut Task<'_>) -> Result<Report, OperateError> {
    let path = folder.database();
    if !folder.has_database() {
        return Err(OperateError::NoLog { path: folder.path().to_owned() });
    }
    let failed = |fault| OperateError::from_fault(&path, fault);
    let tail = wal::examine(&folder.wal()).map_err(|error| failed(error.into()))?;
    let mut report = Report::default();
    let Some(db) = open_to_verify(&path, Kind::Log, &mut report)? else { return Ok(report) };
    let mut verify = || {
        let Some(loaded) = report.take(load(&db))? else { return Ok(()) };
        loaded.rows.words().into_iter().for_each(|what| report.find(what));
        if erasure::is_unerased(folder) {
            let until = if is_live { "as long as another program reads it" } else { "until the next start" };
            let note = format!("deleted messages are still in the write-ahead log of the database, {until}");
            report.notes.push(note);
        }
        if is_live {
            let note = "a server is running: the ends of its logs, its pages and its index were not checked";
            report.notes.push(note.to_owned());
        } else {
            if let Some(what) = open::judge(folder, &loaded.record, tail) {
                report.find(what);
            }
            verify_pages(&db, &mut report, task)?;
        }
        verify_log(&db, &loaded, is_live, &mut report, task)?;
        let horizon = Expiry::read(&folder.expiry()).horizon(task.now);
        verify_contents(&loaded, &Contents::Folder(folder.contents(), horizon), &mut report, task)?;
        if !is_live {
            index::verify(&folder.index(), &db, &loaded, &mut report, task)?;
        }
        Ok(())
    };
    verify().map_err(failed)?;
    Ok(report)
}

/// Verifies a backup.
///
/// # Errors
/// [`OperateError`] if it can't be read. Damage is no error, but a finding.
pub fn verify_backup(path: &Path, task: &mut Task<'_>) -> Result<Report, OperateError> {
    let failed = |fault| OperateError::from_fault(path, fault);
    // SQLite would make a file that is not there.
    File::open(path).map_err(|error| failed(error.into()))?;
    let mut report = Report::default();
    let Some(db) = open_to_verify(path, Kind::Backup, &mut report)? else { return Ok(report) };
    let mut verify = || {
        let Some(loaded) = verify_database(&db, &mut report, task)? else { return Ok(()) };
        verify_contents(&loaded, &Contents::Pieces(&db), &mut report, task)
    };
    verify().map_err(failed)?;
    Ok(report)
}

/// Whether nothing is wrong with a database in itself, contents and index apart.
pub(super) fn is_whole(path: &Path) -> bool {
    let mut report = Report::default();
    let Ok(Some(db)) = open_to_verify(path, Kind::Log, &mut report) else { return false };
    let mut silent = |_: &Stage| {};
    let verified = verify_database(&db, &mut report, &mut Task::new(&mut silent));
    verified.is_ok() && report.findings.is_empty()
}

/// A database that nobody writes to, in itself; `None` if it can't be read at all.
fn verify_database(
    db: &Connection,
    report: &mut Report,
    task: &mut Task<'_>,
) -> Result<Option<Loaded>, Fault> {
    let Some(loaded) = report.take(load(db))? else { return Ok(None) };
    loaded.rows.words().into_iter().for_each(|what| report.find(what));
    verify_pages(db, report, task)?;
    verify_log(db, &loaded, false, report, task)?;
    Ok(Some(loaded))
}

fn open_to_verify(path: &Path, kind: Kind, report: &mut Report) -> Result<Option<Connection>, OperateError> {
    let failed = |fault| OperateError::from_fault(path, fault);
    let db = reader::connect_anywhere(path).map_err(failed)?;
    match schema::version_of(&db, kind) {
        Err(schema::Unusable::Fault(fault)) if fault.is_damage() => {
            report.find(fault.words());
            return Ok(None);
        }
        result => drop(result.map_err(|unusable| OperateError::from_unusable(path, unusable))?),
    }
    let checked = report.take(schema::check(&db, kind)).map_err(failed)?;
    Ok(checked.map(|()| db))
}

/// The structure of the file, as SQLite checks it.
fn verify_pages(db: &Connection, report: &mut Report, task: &mut Task<'_>) -> Result<(), Fault> {
    task.begin("checking", "pages", 0);
    let mut statement = db.prepare("PRAGMA integrity_check(100)")?;
    let mut rows = statement.query([])?;
    loop {
        match rows.next() {
            Ok(None) => return Ok(()),
            Ok(Some(row)) => {
                let said: String = row.get(0)?;
                if said != "ok" {
                    report.find(said);
                }
            }
            Err(error) => return report.take::<()>(Err(error.into())).map(drop),
        }
    }
}

/// What is known of all entries together.
#[derive(Default)]
struct Seen {
    unique: Unique,
    files: BTreeSet<StoredFile>,
    offers: BTreeSet<StoredOffer>,
    ended: BTreeSet<(RoomId, Seq)>,
    edits: BTreeSet<(RoomId, Seq, Seq)>,
}

/// The entries of one room, as far as they were read.
struct Room {
    room: RoomId,
    last: Option<Kept>,
    bytes: u64,
}

fn verify_log(
    db: &Connection,
    loaded: &Loaded,
    is_live: bool,
    report: &mut Report,
    task: &mut Task<'_>,
) -> Result<(), Fault> {
    report.rooms = loaded.heads.len() as u64;
    report.people = loaded.snapshot.people.len() as u64;
    report.devices = loaded.snapshot.devices.len() as u64;
    report.clock = loaded.snapshot.clock;
    let newest = loaded.snapshot.rooms.iter().filter(|room| room.head.is_some()).max_by_key(|room| room.time);
    report.newest = newest.map(|room| (room_name(room), room.time));
    let mut seen = Seen::default();
    let known: u64 = loaded.heads.values().map(Head::len).sum();
    task.begin("reading", "entries", known);
    for (room, head) in &loaded.heads {
        let mut read = Room { room: *room, last: None, bytes: 0 };
        let (mut at, end) = (head.first.value(), head.first.value() + head.len());
        while at < end {
            let to = end.min(at + SLICE);
            let transaction = db.unchecked_transaction()?;
            if is_live && Head::find(&transaction, *room)?.is_some_and(|now| now.first.value() > at) {
                // It was trimmed meanwhile.
                read.last = None;
            } else {
                verify_slice(&transaction, &mut read, at, to, &mut seen, report)?;
            }
            drop(transaction);
            task.advance(to - at);
            at = to;
        }
        if !is_live && report.findings.is_empty() {
            verify_head(&read, *head, report);
        }
    }
    if is_live {
        return Ok(());
    }
    let stored = db.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0));
    if let Some(stored) = report.take(stored.map_err(Fault::from))?
        && stored != int(known)
    {
        report.find(format!("there are {stored} entries, and {known} by the heads of the rooms"));
    }
    verify_counters(loaded, &seen, report);
    verify_references(db, loaded, &seen, report)
}

fn room_name(room: &StoredRoom) -> String {
    match &room.shape {
        RoomShape::Public { name } => format!("#{name}"),
        RoomShape::Direct(..) => format!("room {}", room.room),
    }
}

/// The entries of a room from one number to before another.
fn verify_slice(
    db: &Connection,
    read: &mut Room,
    at: u64,
    to: u64,
    seen: &mut Seen,
    report: &mut Report,
) -> Result<(), Fault> {
    let room = read.room;
    for (number, slot) in (at..).zip(slots(db, room, at, to)?) {
        let Some(kept) = slot else {
            find_damaged(db, room, number, report)?;
            continue;
        };
        report.entries += 1;
        read.bytes += weight(&kept.entry) as u64;
        if let Some(last) = &read.last {
            verify_order(last, &kept, report);
        }
        note(&kept, seen, report);
        read.last = Some(kept);
    }
    Ok(())
}

/// Names an entry that could not be read.
fn find_damaged(db: &Connection, room: RoomId, number: u64, report: &mut Report) -> Result<(), Fault> {
    let seq = Seq::new(number).ok_or_else(|| Fault::damaged("the numbers of a room ran out"))?;
    match entry::find(db, room, seq) {
        Err(Fault::Damaged(what)) => report.find(what),
        Err(fault) if fault.is_damage() => report.find(format!("entry {seq} of room {room} can't be read")),
        Err(fault) => return Err(fault),
        Ok(_) => report.find(format!("entry {seq} of room {room} is missing")),
    }
    Ok(())
}

fn verify_head(read: &Room, head: Head, report: &mut Report) {
    let time = read.last.as_ref().map(|kept| kept.entry.time);
    if read.bytes != head.bytes || time.is_some_and(|time| time != head.time) {
        report.find(format!("the head of room {} does not fit its entries", read.room));
    }
}

fn verify_order(last: &Kept, kept: &Kept, report: &mut Report) {
    let (room, seq) = (kept.room, kept.entry.seq);
    if last.place >= kept.place {
        report.find(format!("entry {seq} of room {room} was stored before the one in front of it"));
    }
    if last.entry.time > kept.entry.time {
        report.find(format!("entry {seq} of room {room} has an earlier time than the one in front of it"));
    }
}

/// Takes down what must be unique, and what an entry refers to.
fn note(kept: &Kept, seen: &mut Seen, report: &mut Report) {
    let Kept { room, place, entry } = kept;
    if !seen.unique.add_place(*place) {
        report.find(format!("entry {} of room {room} has the place of another one", entry.seq));
    }
    if let Some((device, counter)) = entry.device.zip(entry.counter)
        && !seen.unique.add(device, counter)
    {
        report.find(format!(
            "post {counter} of device {device} is stored twice: in room {room} as {}",
            entry.seq
        ));
    }
    seen.files.extend(StoredFile::of(*room, entry));
    seen.offers.extend(StoredOffer::of(*room, entry));
    seen.ended.extend(ended_offer(entry).map(|offer| (*room, offer)));
    if let Some(target) = target(entry) {
        seen.edits.insert((*room, target, entry.seq));
    }
}

fn target(entry: &Entry) -> Option<Seq> {
    entry.reply_to.filter(|_| entry.kind == EntryKind::Edit)
}

/// No device has a post beyond its counter: it would be stored again.
fn verify_counters(loaded: &Loaded, seen: &Seen, report: &mut Report) {
    let highest: BTreeMap<DeviceNo, _> = seen.unique.highest();
    for known in &loaded.snapshot.devices {
        if highest.get(&known.device).copied().flatten() > known.counter {
            report.find(format!("device {} has posts beyond its counter", known.device));
        }
    }
    let last = highest.keys().next_back().copied();
    if last > loaded.record.last_device {
        report.find("there are posts of devices that were never given a number".to_owned());
    }
    if seen.unique.places() > loaded.record.places {
        report.find("there are entries that were never counted".to_owned());
    }
}

/// What the small tables know of entries is what entries say.
fn verify_references(
    db: &Connection,
    loaded: &Loaded,
    seen: &Seen,
    report: &mut Report,
) -> Result<(), Fault> {
    if seen.files != loaded.snapshot.files.iter().copied().collect() {
        report.find("which files are kept is not what the entries say");
    }
    let open = seen.offers.iter().filter(|offer| !seen.ended.contains(&(offer.room, offer.seq)));
    if !open.eq(&loaded.snapshot.offers) {
        report.find("which files are offered is not what the entries say");
    }
    let is_file: BTreeSet<_> = seen.files.iter().map(|file| (file.room, file.seq)).collect();
    if loaded.snapshot.fetched.iter().any(|(room, seq, _)| !is_file.contains(&(*room, *seq))) {
        report.find("somebody has fetched a file that no entry names");
    }
    let mut statement = db.prepare("SELECT room, target, seq FROM edit")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let number = |at| row.get::<_, i64>(at).map(|value| u64::try_from(value).unwrap_or_default());
        let known = RoomId::new(number(0)?).zip(Seq::new(number(1)?)).zip(Seq::new(number(2)?));
        if !known.is_some_and(|((room, target), seq)| seen.edits.contains(&(room, target, seq))) {
            report.find("an edit is known that no entry is");
        }
    }
    Ok(())
}

fn verify_contents(
    loaded: &Loaded,
    contents: &Contents<'_>,
    report: &mut Report,
    task: &mut Task<'_>,
) -> Result<(), Fault> {
    let hashes: BTreeSet<_> = loaded.snapshot.files.iter().map(|file| file.hash).collect();
    task.begin("reading", "files", hashes.len() as u64);
    let mut missing = BTreeSet::new();
    for hash in hashes {
        let found = match contents {
            Contents::Folder(folder, _) => hash_file(folder, hash)?,
            Contents::Pieces(db) => hash_pieces(db, hash)?,
        };
        match found {
            None => drop(missing.insert(hash)),
            Some(found) => {
                report.contents += 1;
                if found != hash {
                    let name = blake3::Hash::from_bytes(hash.0).to_hex();
                    report.find(format!("the content {name} does not fit its hash"));
                } else if let Contents::Folder(folder, _) = contents
                    && !blocks_fit(folder, hash)?
                {
                    let name = blake3::Hash::from_bytes(hash.0).to_hex();
                    report.find(format!("the values of the blocks of {name} are not those of its content"));
                }
            }
        }
        task.advance(1);
    }
    find_missing(loaded, contents, &missing, report);
    Ok(())
}

fn find_missing(
    loaded: &Loaded,
    contents: &Contents<'_>,
    missing: &BTreeSet<ContentHash>,
    report: &mut Report,
) {
    let Contents::Folder(_, horizon) = contents else {
        if !missing.is_empty() {
            let count = missing.len();
            report
                .notes
                .push(format!("{count} files that messages name were not there any more when it was made"));
        }
        return;
    };
    let MissingFiles { lost, expired, .. } =
        MissingFiles::find(&loaded.snapshot.files, *horizon, |hash| !missing.contains(&hash));
    if lost > 0 {
        report.find(format!("{lost} files that messages name are missing in 'contents'"));
    }
    if expired > 0 {
        report.notes.push(format!("{expired} files are not kept any more: their time was over"));
    }
}

pub(super) fn hash_file(folder: &Path, hash: ContentHash) -> Result<Option<ContentHash>, Fault> {
    let path = folder.join(blake3::Hash::from_bytes(hash.0).to_hex().as_str());
    let mut hasher = blake3::Hasher::new();
    match fs::File::open(path).and_then(|file| hasher.update_reader(file).map(drop)) {
        Ok(()) => Ok(Some(ContentHash(*hasher.finalize().as_bytes()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn hash_pieces(db: &Connection, hash: ContentHash) -> Result<Option<ContentHash>, Fault> {
    let mut statement = db.prepare_cached("SELECT number FROM content WHERE hash = ?")?;
    let mut rows = statement.query([hash.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut pieces = db.prepare_cached("SELECT bytes FROM piece WHERE content = ? ORDER BY number")?;
    let mut pieces = pieces.query([row.get::<_, i64>(0)?])?;
    let mut hasher = blake3::Hasher::new();
    while let Some(row) = pieces.next()? {
        hasher.update(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
    }
    Ok(Some(ContentHash(*hasher.finalize().as_bytes())))
}
