//! Backups: a whole log with the contents of its files, in one file that is a database of its own.

use super::copy::copy;
use super::fault::Fault;
use super::folder::Folder;
use super::load::{Loaded, load};
use super::schema::{self, Unusable};
use super::verify::{self, Report};
use super::{Expiry, MissingFiles, OperateError, Task, mark, names, number, reader, traces, writer};
use crate::files::{open_folder, write_blocks};
use protocol::id::{ContentHash, Epoch, Millis};
use protocol::message::Durability;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// What a backup has beside the tables of a log.
const CONTENTS: &str = "\
    CREATE TABLE content (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, size INTEGER NOT NULL);
    CREATE TABLE piece (content INTEGER NOT NULL, number INTEGER NOT NULL, bytes BLOB NOT NULL,
        PRIMARY KEY (content, number)) WITHOUT ROWID;";

/// Bytes of a piece of a content.
const PIECE: usize = 256 * 1024;

/// Writes a backup of a folder, which may be in use, to a new file, and reads it again.
///
/// # Errors
/// [`OperateError`]; there is no such file then.
pub fn backup(folder: &Folder, file: &Path, task: &mut Task<'_>) -> Result<Report, OperateError> {
    if file.exists() {
        return Err(OperateError::Exists { path: file.to_owned() });
    }
    let part = with_suffix(file, ".part");
    let failed = |path: &Path, fault: Fault| OperateError::from_fault(path, fault);
    if !names::may_be_replaced(&part).map_err(|error| failed(&part, error.into()))? {
        return Err(OperateError::Exists { path: part });
    }
    remove_database(&part).map_err(|error| failed(&part, error.into()))?;
    let written =
        write(folder, &part, task).and_then(|damaged| Ok((damaged, verify::verify_backup(&part, task)?)));
    let report = match written {
        Ok((damaged, report)) if report.findings.is_empty() => Report { damaged, ..report },
        other => {
            let _ = fs::remove_file(&part);
            return other.map(|(_, report)| report);
        }
    };
    fs::rename(&part, file).and_then(|()| sync_parent(file)).map_err(|error| failed(file, error.into()))?;
    Ok(report)
}

/// Writes it, and tells how many entries are damaged.
fn write(folder: &Folder, part: &Path, task: &mut Task<'_>) -> Result<u64, OperateError> {
    let source = folder.database();
    let failed = |fault| OperateError::from_fault(&source, fault);
    if !folder.has_database() {
        return Err(OperateError::NoLog { path: folder.path().to_owned() });
    }
    let from = reader::connect_anywhere(&source).map_err(failed)?;
    schema::version(&from).map_err(|unusable| OperateError::from_unusable(&source, unusable))?;
    let mut loaded = load(&from).map_err(failed)?;
    loaded.record.clean = true;
    let mut to = create(part, loaded.record.epoch).map_err(|fault| OperateError::from_fault(part, fault))?;
    let entries = loaded.heads.values().map(super::head::Head::len).sum();
    task.begin("copying", "entries", entries);
    let damaged =
        copy(&from, &mut to, &mut loaded, None, |n| task.advance(n)).map_err(failed)?.holes.len() as u64;
    drop(from);
    store_contents(&mut to, &folder.contents(), &loaded, task)
        .map_err(|fault| OperateError::from_fault(part, fault))?;
    drop(to);
    // Nothing was synced while it was written: all of it is now.
    File::open(part)
        .and_then(|file| file.sync_all())
        .map_err(|error| OperateError::from_fault(part, error.into()))?;
    Ok(damaged)
}

fn create(path: &Path, epoch: Epoch) -> Result<Connection, Fault> {
    let mut db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "OFF")?;
    db.pragma_update(None, "synchronous", "OFF")?;
    db.set_prepared_statement_cache_capacity(super::STATEMENTS);
    schema::migrate(&mut db, epoch).map_err(|unusable| match unusable {
        Unusable::Fault(fault) => fault,
        other => Fault::damaged(format!("{other:?}")),
    })?;
    db.execute_batch(CONTENTS)?;
    db.pragma_update(None, "application_id", schema::BACKUP)?;
    Ok(db)
}

fn store_contents(
    db: &mut Connection,
    folder: &Path,
    loaded: &Loaded,
    task: &mut Task<'_>,
) -> Result<(), Fault> {
    let hashes: BTreeSet<_> = loaded.snapshot.files.iter().map(|file| file.hash).collect();
    task.begin("copying", "files", hashes.len() as u64);
    for (content, hash) in (1_i64..).zip(hashes) {
        let path = folder.join(blake3::Hash::from_bytes(hash.0).to_hex().as_str());
        match File::open(path) {
            Ok(file) => store_content(db, content, hash, file)?,
            // It had to make room for newer ones, or was deleted since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        task.advance(1);
    }
    Ok(())
}

fn store_content(db: &mut Connection, content: i64, hash: ContentHash, mut file: File) -> Result<(), Fault> {
    let transaction = db.transaction()?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = Vec::with_capacity(PIECE);
    let mut size = 0;
    for number in 0_i64.. {
        buffer.clear();
        (&mut file).take(PIECE as u64).read_to_end(&mut buffer)?;
        if buffer.is_empty() {
            break;
        }
        hasher.update(&buffer);
        size += buffer.len() as u64;
        let mut insert = transaction.prepare_cached("INSERT INTO piece VALUES (?, ?, ?)")?;
        insert.execute(params![content, number, buffer])?;
    }
    if *hasher.finalize().as_bytes() != hash.0 {
        let name = blake3::Hash::from_bytes(hash.0).to_hex();
        return Err(Fault::damaged(format!("the content {name} does not fit its hash")));
    }
    transaction
        .execute("INSERT INTO content VALUES (?, ?, ?)", params![content, hash.0, number::int(size)])?;
    transaction.commit()?;
    Ok(())
}

/// Makes a folder out of a backup: a new history, since entries after the backup are gone.
///
/// # Errors
/// [`OperateError`]; the folder has no log then.
pub fn restore(
    file: &Path,
    folder: &Folder,
    epoch: Epoch,
    task: &mut Task<'_>,
) -> Result<Report, OperateError> {
    let database = folder.database();
    if folder.has_database() && !is_without_tables(&database) {
        return Err(OperateError::Exists { path: database });
    }
    let mut report = verify::verify_backup(file, task)?;
    if !report.findings.is_empty() {
        return Ok(report);
    }
    let failed = |fault| OperateError::from_fault(folder.path(), fault);
    let part = folder.half_restored();
    // What an earlier restore left that did not come to its end.
    remove_database(&part).map_err(|error| failed(error.into()))?;
    fill(file, folder, &part, epoch, task).map_err(failed)?;
    let aside = traces::set_aside_database(folder).map_err(|error| failed(error.into()))?;
    fs::rename(&part, &database)
        .and_then(|()| sync_parent(&database))
        .map_err(|error| failed(error.into()))?;
    let unknown = count_unknown(file, &folder.contents()).map_err(failed)?;
    if unknown > 0 {
        let note =
            format!("{unknown} files in 'contents' are not in this backup: the next start removes them");
        report.notes.push(note);
    }
    report.notes.extend(aside.map(|aside| format!("what was there of a database is in {}", aside.display())));
    Ok(report)
}

/// Files in a folder of contents that a backup has not: they were there before.
fn count_unknown(backup: &Path, contents: &Path) -> Result<usize, Fault> {
    let known = hashes_of(&reader::connect(backup)?)?;
    let mut count = 0;
    for file in fs::read_dir(contents)? {
        let name = file?.file_name();
        let hash = name.to_str().and_then(|name| blake3::Hash::from_hex(name).ok());
        count += usize::from(hash.is_some_and(|hash| !known.contains(&ContentHash(*hash.as_bytes()))));
    }
    Ok(count)
}

/// The contents that a backup has.
fn hashes_of(backup: &Connection) -> Result<BTreeSet<ContentHash>, Fault> {
    let mut statement = backup.prepare("SELECT hash FROM content")?;
    let hashes = statement.query_map([], |row| row.get(0).map(ContentHash))?;
    Ok(hashes.collect::<Result<_, _>>()?)
}

/// Whether a database has nothing in it, as one whose making was cut off.
fn is_without_tables(path: &Path) -> bool {
    reader::connect(path).is_ok_and(|db| schema::version(&db).is_ok_and(|version| version == 0))
}

fn fill(file: &Path, folder: &Folder, part: &Path, epoch: Epoch, task: &mut Task<'_>) -> Result<(), Fault> {
    let from = reader::connect(file)?;
    let mut loaded = load(&from)?;
    loaded.record.epoch = epoch;
    loaded.record.clean = true;
    // What was told after the backup was made is known to others, and not to it.
    loaded.marks.reserved = mark::leave_out(&loaded.snapshot.last, false);
    let mut to = Connection::open(part)?;
    writer::prepare(&to, &Durability::Process)?;
    schema::migrate(&mut to, epoch).map_err(|_| Fault::damaged("a new database is not what it should be"))?;
    let entries = loaded.heads.values().map(super::head::Head::len).sum();
    task.begin("restoring", "entries", entries);
    copy(&from, &mut to, &mut loaded, None, |n| task.advance(n))?;
    super::checkpoint::truncate(&to)?;
    drop(to);
    // Its log is empty, and would belong to nobody under its later name.
    remove_all(part, &["-wal", "-shm"])?;
    restore_contents(&from, &folder.contents(), task)?;
    write_expiry(&from, folder, &loaded)?;
    File::open(part)?.sync_all()?;
    Ok(())
}

/// What the backup had no contents of is not missed.
fn write_expiry(from: &Connection, folder: &Folder, loaded: &Loaded) -> Result<(), Fault> {
    let hashes = hashes_of(from)?;
    let files = &loaded.snapshot.files;
    let missing = MissingFiles::find(files, Millis(0), |hash| hashes.contains(&hash));
    let before = missing.newest.map_or(Millis(0), |newest| Millis(newest.0 + 1));
    Ok(Expiry { keep_ms: None, before }.write(&folder.expiry())?)
}

fn restore_contents(db: &Connection, folder: &Path, task: &mut Task<'_>) -> Result<(), Fault> {
    open_folder(folder)?;
    let mut statement = db.prepare("SELECT number, hash FROM content ORDER BY number")?;
    let contents = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?)))?;
    let contents = contents.collect::<Result<Vec<_>, _>>()?;
    task.begin("restoring", "files", contents.len() as u64);
    for (content, hash) in contents {
        let name = blake3::Hash::from_bytes(hash).to_hex();
        let part = folder.join(format!("upload-{name}"));
        let mut file = File::create(&part)?;
        let mut pieces = db.prepare_cached("SELECT bytes FROM piece WHERE content = ? ORDER BY number")?;
        let mut rows = pieces.query([content])?;
        while let Some(row) = rows.next()? {
            file.write_all(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        }
        file.sync_all()?;
        fs::rename(part, folder.join(name.as_str()))?;
        write_blocks(folder, ContentHash(hash))?;
        task.advance(1);
    }
    File::open(folder)?.sync_all()?;
    Ok(())
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn remove_database(path: &Path) -> io::Result<()> {
    remove_all(path, &["", "-wal", "-shm"])
}

pub(super) fn remove_all(path: &Path, suffixes: &[&str]) -> io::Result<()> {
    let mut paths = suffixes.iter().map(|suffix| with_suffix(path, suffix));
    paths.try_for_each(|path| fs::remove_file(path).or_else(ignore_missing))
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// What a backup's layout is beside that of a log.
pub(super) fn extra() -> &'static str {
    CONTENTS
}
