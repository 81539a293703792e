//! The first page of the database, which tells what all others are: the one bit of it that was turned around.

use super::backup::with_suffix;
use super::fault::Fault;
use super::schema::{self, Kind};
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a page.
const PAGE: usize = 4_096;

/// Bytes of the pages that the layout may be written on: it fits on two.
const LAYOUT: u64 = 8 * PAGE as u64;

/// Where the header says twice that there is a write-ahead log, and the number that says so.
const FORMAT: std::ops::Range<usize> = 18..20;
const WITH_LOG: u8 = 2;

/// The bit with which the layout of a database becomes what it should be, if there is one.
pub(super) fn find_flip(path: &Path) -> Result<Option<(u64, u8)>, Fault> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LAYOUT).read_to_end(&mut bytes)?;
    if bytes.len() < PAGE {
        return Ok(None);
    }
    for at in FORMAT {
        let changed = bytes[at] ^ WITH_LOG;
        if changed.count_ones() == 1 {
            return Ok(Some((at as u64, u8::try_from(changed.trailing_zeros()).unwrap_or_default())));
        }
        // The copy has no log, and is to need none.
        bytes[at] = 1;
    }
    let copy = with_suffix(path, ".page");
    fs::write(&copy, &bytes)?;
    // One that is shorter than it says is none; what is not written takes no space.
    File::options().write(true).open(&copy)?.set_len(fs::metadata(path)?.len())?;
    let found = search(&copy, &bytes);
    fs::remove_file(&copy)?;
    found
}

fn search(copy: &Path, bytes: &[u8]) -> Result<Option<(u64, u8)>, Fault> {
    let expected = schema::expected(Kind::Log, schema::VERSION)?;
    let is_right = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(copy, flags).is_ok_and(|db| {
            schema::version_of(&db, Kind::Log).is_ok_and(|version| version == schema::VERSION)
                && schema::layout(&db).is_ok_and(|layout| layout == expected)
        })
    };
    let file = File::options().write(true).open(copy)?;
    for (offset, byte) in (0_u64..).zip(&bytes[..PAGE]) {
        for bit in 0..8 {
            file.write_all_at(&[byte ^ (1 << bit)], offset)?;
            if is_right() {
                return Ok(Some((offset, bit)));
            }
        }
        file.write_all_at(&[*byte], offset)?;
    }
    Ok(None)
}
