//! Repairing: a damaged folder is made whole, with holes for the messages that are lost.
//!
//! What was there is kept as it was, in a folder of its own. Then a database is made anew beside the old one, from all
//! that is sound in it, or was but for one bit; and it takes the old one's place at once, or not at all.

use super::copy::{Mending, copy};
use super::fault::Fault;
use super::folder::Folder;
use super::salvage::{Salvaged, salvage};
use super::schema::{self, Unusable};
use super::verify::{self, Report};
use super::{
    OperateError, Task, backup, checkpoint, first_page, index, mark, open, page_flip, reader, wal, witness,
    writer,
};
use crate::files::{blocks_fit, write_blocks};
use protocol::id::{ContentHash, Epoch};
use protocol::message::Durability;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

/// How the names of folders begin that have what was there before a repair.
const BEFORE: &str = "damaged-";

/// What a repair did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Repaired {
    /// Where everything is as it was before; `None` if nothing was damaged, and nothing was done.
    pub before: Option<PathBuf>,
    /// What was done, and what is lost, in sentences.
    pub notes: Vec<String>,
    /// Messages that are lost: each is a hole with its number.
    pub holes: u64,
    /// What was read afterwards.
    pub report: Report,
}

/// Makes a folder whole that no server uses. `epoch` is for a new history, if it has to be one.
///
/// # Errors
/// [`OperateError`]; the folder is as it was then, or the next repair ends what this one began.
pub fn repair(folder: &Folder, epoch: Epoch, task: &mut Task<'_>) -> Result<Repaired, OperateError> {
    let path = folder.database();
    let failed = |fault| OperateError::from_fault(&path, fault);
    let mut repaired = Repaired::default();
    if finish_swap(folder).map_err(|error| failed(error.into()))? {
        repaired.notes.push("an earlier repair was finished".to_owned());
    }
    match verify::verify_folder(folder, false, task) {
        Ok(report) if report.findings.is_empty() => {
            repaired.report = report;
            return Ok(repaired);
        }
        // A header that is not ours any more may be one bit away from it.
        Ok(_) | Err(OperateError::Foreign { .. } | OperateError::Newer { .. }) => {}
        Err(OperateError::Store { source: crate::store::StoreError::Damaged { .. }, .. }) => {}
        Err(error) => return Err(error),
    }
    let before = keep(folder).map_err(|error| failed(error.into()))?;
    mend_contents(folder, &before, &mut repaired, task).map_err(failed)?;
    rebuild(folder, epoch, &mut repaired, task).map_err(failed)?;
    repaired.before = Some(before);
    repaired.report = verify::verify_folder(folder, false, task)?;
    Ok(repaired)
}

/// Keeps the database as it is, in a new folder.
fn keep(folder: &Folder) -> io::Result<PathBuf> {
    let mut number = 1;
    let before = loop {
        let before = folder.path().join(format!("{BEFORE}{number}"));
        match DirBuilder::new().mode(0o700).create(&before) {
            Ok(()) => break before,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    };
    for path in [folder.database(), folder.wal(), folder.witness()] {
        let to = before.join(path.file_name().unwrap_or_default());
        match fs::copy(&path, &to) {
            Ok(_) => File::open(&to)?.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    File::open(&before)?.sync_all()?;
    File::open(folder.path())?.sync_all()?;
    Ok(before)
}

/// Puts contents away that are not what their names say.
fn mend_contents(
    folder: &Folder,
    before: &Path,
    repaired: &mut Repaired,
    task: &mut Task<'_>,
) -> Result<(), Fault> {
    let contents = folder.contents();
    let entries = match fs::read_dir(&contents) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    task.begin("reading", "files", entries.len() as u64);
    for entry in entries {
        task.advance(1);
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(hash) = blake3::Hash::from_hex(&name) else { continue };
        let hash = ContentHash(*hash.as_bytes());
        if verify::hash_file(&contents, hash)? != Some(hash) {
            let away = before.join("contents");
            fs::create_dir_all(&away)?;
            fs::rename(entry.path(), away.join(&name))?;
            repaired.notes.push(format!("the content {name} is damaged and is put away"));
        } else if !blocks_fit(&contents, hash)? {
            write_blocks(&contents, hash)?;
            repaired.notes.push(format!("the values of the blocks of {name} are made anew"));
        }
    }
    File::open(contents)?.sync_all()?;
    Ok(())
}

/// Contents that this repair or an earlier one put away, and that did not come back. One that is only missing may: it is
/// for the operator to put back, or to accept its loss.
fn lost_contents(folder: &Folder) -> io::Result<BTreeSet<ContentHash>> {
    let mut lost = BTreeSet::new();
    for entry in fs::read_dir(folder.path())? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(BEFORE) {
            continue;
        }
        let away = match fs::read_dir(entry.path().join("contents")) {
            Ok(away) => away,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        for content in away {
            let name = content?.file_name();
            let hash = name.to_str().and_then(|name| blake3::Hash::from_hex(name).ok());
            let is_gone = !folder.contents().join(&name).exists();
            lost.extend(hash.filter(|_| is_gone).map(|hash| ContentHash(*hash.as_bytes())));
        }
    }
    Ok(lost)
}

/// Makes the database anew from what is left of it, in its place.
fn rebuild(folder: &Folder, epoch: Epoch, repaired: &mut Repaired, task: &mut Task<'_>) -> Result<(), Fault> {
    let path = folder.database();
    mend_bits(folder, repaired)?;
    let tail = wal::examine(&folder.wal())?;
    let trial = backup::with_suffix(&path, ".page");
    let is_mended = page_flip::mend_in_copy(&path, &trial)?;
    if is_mended {
        repaired.notes.push("a page of the database is what it was again".to_owned());
    }
    let from = reader::connect(if is_mended { &trial } else { &path })?;
    schema::check(&from, schema::Kind::Log)?;
    let Salvaged { mut loaded, is_new_history, notes } = salvage(&from, epoch)?;
    repaired.notes.extend(notes);
    if !is_new_history && let Some(what) = open::judge(folder, &loaded.record, tail) {
        repaired.notes.push(format!("{what}: it is a new history"));
        loaded.record.epoch = epoch;
        loaded.marks.reserved = mark::leave_out(&loaded.snapshot.last, false);
    }
    let acknowledged = witness::read(&folder.witness(), loaded.record.epoch);
    loaded.record.commits = loaded.record.commits.max(acknowledged) + 1;
    loaded.record.clean = true;
    let part = backup::with_suffix(&path, ".new");
    backup::remove_database(&part)?;
    let mut to = Connection::open(&part)?;
    writer::prepare(&to, &Durability::Process)?;
    schema::migrate(&mut to, loaded.record.epoch).map_err(unusable)?;
    let mut bench = Connection::open_in_memory()?;
    schema::migrate(&mut bench, epoch).map_err(unusable)?;
    let entries = loaded.heads.values().map(super::head::Head::len).sum();
    task.begin("repairing", "messages", entries);
    let lost = lost_contents(folder)?;
    let mending = Mending { bench: &bench, lost: &lost };
    let copied = copy(&from, &mut to, &mut loaded, Some(mending), |n| task.advance(n))?;
    repaired.holes = copied.holes.len() as u64;
    for (room, seq) in copied.corrected {
        repaired.notes.push(format!("message {seq} of room {room} is what it was again"));
    }
    for (room, seq) in copied.lost_files {
        repaired
            .notes
            .push(format!("the file of message {seq} of room {room} is lost, and the message says so"));
    }
    for (room, seq) in copied.holes {
        repaired.notes.push(format!("message {seq} of room {room} is lost"));
    }
    checkpoint::truncate(&to)?;
    drop((to, from));
    backup::remove_database(&trial)?;
    backup::remove_all(&part, &["-wal", "-shm"])?;
    File::open(&part)?.sync_all()?;
    index::remove(&folder.index())?;
    fs::rename(&part, ready(folder))?;
    File::open(folder.path())?.sync_all()?;
    backup::remove_all(&path, &["-wal", "-shm"])?;
    finish_swap(folder)?;
    Ok(())
}

/// Turns back bits of what all pages stand in: the log of commits, and the first page.
fn mend_bits(folder: &Folder, repaired: &mut Repaired) -> Result<(), Fault> {
    if mend_log(folder)? {
        repaired.notes.push("the write-ahead log is what it was again".to_owned());
    }
    let path = folder.database();
    let is_right = reader::connect(&path).is_ok_and(|db| {
        schema::version(&db).is_ok_and(|version| version > 0) && schema::check(&db, schema::Kind::Log).is_ok()
    });
    if !is_right && let Some((offset, bit)) = first_page::find_flip(&path)? {
        turn_bit(&path, offset, bit)?;
        repaired.notes.push("the first page of the database is what it was again".to_owned());
    }
    Ok(())
}

/// Turns a bit of the log of commits back. Of several that fit, it is the one with which most is right.
fn mend_log(folder: &Folder) -> io::Result<bool> {
    let (log, database) = (folder.wal(), folder.database());
    let flips = wal::find_flips(&log)?;
    let Some((first, others)) = flips.split_first() else { return Ok(false) };
    let tests: &[fn(&Path) -> bool] =
        if others.is_empty() { &[] } else { &[verify::is_whole, page_flip::is_sound] };
    for is_right in tests {
        for (offset, bit) in &flips {
            turn_bit(&log, *offset, *bit)?;
            if is_right(&database) {
                return Ok(true);
            }
            turn_bit(&log, *offset, *bit)?;
        }
    }
    turn_bit(&log, first.0, first.1)?;
    Ok(true)
}

fn unusable(unusable: Unusable) -> Fault {
    match unusable {
        Unusable::Fault(fault) => fault,
        _ => Fault::damaged("a new database is not what it should be"),
    }
}

/// The new database, complete, before it has taken the place of the old one.
fn ready(folder: &Folder) -> PathBuf {
    backup::with_suffix(&folder.database(), ".repaired")
}

/// Lets a complete new database take the place of the old one, if that is what was being done: the write-ahead log of
/// the old one, which must not come to the new one, is removed first, and a server that starts would make another.
fn finish_swap(folder: &Folder) -> io::Result<bool> {
    let ready = ready(folder);
    if !ready.is_file() {
        return Ok(false);
    }
    let begun = !folder.wal().exists();
    if begun {
        File::open(folder.path())?.sync_all()?;
        fs::rename(ready, folder.database())?;
    } else {
        fs::remove_file(ready)?;
    }
    File::open(folder.path())?.sync_all()?;
    Ok(begun)
}

fn turn_bit(path: &Path, offset: u64, bit: u8) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)?;
    file.write_all_at(&[byte[0] ^ (1 << bit)], offset)?;
    file.sync_all()
}
