//! A page that says wrongly which rows it has, because one bit of it was turned around: the bit is found by trying.
//!
//! Checksums tell which bit of a row it was, but not which one of what a page says about its rows. With the right one
//! every row fits its checksum, and all of them the seal, which nothing else does.

use super::backup::{remove_database, with_suffix};
use super::fault::{Fault, unless_damaged};
use super::load::load;
use super::reader;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a page.
const PAGE: usize = 4_096;

/// A database that is larger is not tried: it is copied first.
const LARGEST: u64 = 1 << 30;

/// Pages all of whose bits are tried: each takes some seconds.
const WHOLE_PAGES: usize = 4;

/// Bytes in front of a row's checksum in which the row begins, and what it says of its columns.
const ROW: usize = 128;

/// Makes a copy of a database, with its log, in which the bit is turned back. False if there is no such bit; there is
/// no copy then.
pub(super) fn mend_in_copy(path: &Path, copy: &Path) -> Result<bool, Fault> {
    if is_sound(path) || fs::metadata(path)?.len() > LARGEST {
        return Ok(false);
    }
    remove_database(copy)?;
    fs::copy(path, copy)?;
    match fs::copy(with_suffix(path, "-wal"), with_suffix(copy, "-wal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        copied => drop(copied?),
    }
    let is_mended = match unless_damaged(merge(copy))? {
        Some(places) => search(copy, places)?,
        None => false,
    };
    if !is_mended {
        remove_database(copy)?;
    }
    Ok(is_mended)
}

/// Whether every row of the small tables can be read and is what was written.
pub(super) fn is_sound(path: &Path) -> bool {
    reader::connect(path).is_ok_and(|db| load(&db).is_ok_and(|loaded| loaded.rows.is_sound()))
}

/// Moves the log into the copy, so that each page is in one place, and tells the places where the bit may be.
fn merge(copy: &Path) -> Result<Vec<Range<usize>>, Fault> {
    let db = Connection::open(copy)?;
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    db.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    let mut places = Vec::new();
    let bytes = fs::read(copy)?;
    if let Some(loaded) = unless_damaged(load(&db))? {
        // A row whose columns are said to be others: its checksum is on the page as it was written.
        let [(_, row)] = loaded.rows.damaged.as_slice() else {
            // No bit damages more than one.
            return Ok(places);
        };
        let sum = row.stored_sum().unwrap_or_default().to_be_bytes();
        let at = bytes.windows(8).position(|window| window == sum);
        places.extend(at.map(|at| at.saturating_sub(ROW)..at + 8));
    }
    let roots = roots(&db)?;
    places.extend(roots.iter().map(|page| directory(&bytes, *page)));
    let reported = reported(&db)?;
    places.extend(reported.iter().filter(|page| !roots.contains(page)).map(|page| directory(&bytes, *page)));
    places.extend(reported.iter().take(WHOLE_PAGES).map(|page| (page - 1) * PAGE..page * PAGE));
    Ok(places)
}

/// The first pages of all tables but that of the entries.
fn roots(db: &Connection) -> Result<Vec<usize>, Fault> {
    let mut statement = db.prepare(
        "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND rootpage > 1 AND name <> 'entry'",
    )?;
    let pages = statement.query_map([], |row| row.get::<_, i64>(0))?;
    let pages = pages.map(|page| Ok(usize::try_from(page?).unwrap_or(1)));
    Ok(pages.collect::<rusqlite::Result<_>>()?)
}

/// The pages of which SQLite says that they are not what they should be.
fn reported(db: &Connection) -> Result<BTreeSet<usize>, Fault> {
    let mut statement = db.prepare("PRAGMA integrity_check(20)")?;
    let mut rows = statement.query([])?;
    let mut pages = BTreeSet::new();
    while let Some(Some(row)) = unless_damaged(rows.next().map_err(Fault::from))? {
        let said: String = row.get(0)?;
        let words: Vec<_> = said.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
        let numbers = words.windows(2).filter(|pair| pair[0].eq_ignore_ascii_case("page"));
        pages.extend(numbers.filter_map(|pair| pair[1].parse::<usize>().ok()).filter(|page| *page > 1));
    }
    Ok(pages)
}

/// Where a page says which rows it has: its head, and where each of them is.
fn directory(bytes: &[u8], page: usize) -> Range<usize> {
    let from = (page - 1) * PAGE;
    let rows =
        bytes.get(from + 3..from + 5).map_or(0, |count| usize::from(count[0]) << 8 | usize::from(count[1]));
    from..from + (12 + 2 * rows).min(PAGE)
}

/// Tries the bits at these places, each once.
fn search(copy: &Path, places: Vec<Range<usize>>) -> Result<bool, Fault> {
    let bytes = fs::read(copy)?;
    let file = File::options().write(true).open(copy)?;
    let mut tried = BTreeSet::new();
    for at in places.into_iter().flatten() {
        let Some(byte) = bytes.get(at).filter(|_| tried.insert(at)) else { continue };
        for bit in 0..8 {
            file.write_all_at(&[byte ^ (1 << bit)], at as u64)?;
            if is_sound(copy) {
                return Ok(true);
            }
        }
        file.write_all_at(&[*byte], at as u64)?;
    }
    Ok(false)
}
