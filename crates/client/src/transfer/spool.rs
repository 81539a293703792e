//! What a program writes, put into a file first, for a server that must know its size before it begins.

use super::Failure;
use super::piped::{Pieces, Piped};
use protocol::limits::MAX_NUMBER;
use protocol::system_words::plain_words;
use rustix::fs::fstatvfs;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

/// Bytes that are left to others of the file system that it is written to.
const LEFT: u64 = 64 * 1024 * 1024;

/// Writes all of it into its file, up to so many bytes; where that lies.
///
/// # Errors
/// [`Failure`]; the file goes with the folder that it lies in.
pub(super) async fn spool(piped: Piped, limit: u64) -> Result<String, Failure> {
    let Piped { open, spool, .. } = piped;
    let unwritable = |error: &io::Error| Failure::Unwritable(plain_words(error));
    let path = spool.ok_or_else(|| unwritable(&io::ErrorKind::NotFound.into()))?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let mut file = file.map_err(|error| unwritable(&error))?;
    let mut pieces: Pieces = open(limit.min(MAX_NUMBER).saturating_add(1));
    let mut size = 0;
    while let Some(piece) = pieces.recv().await {
        let piece = piece.map_err(|error| Failure::Unreadable(plain_words(&error)))?;
        size += piece.len() as u64;
        if size > limit {
            return Err(Failure::TooLarge { size, limit });
        }
        check_room(&file, piece.len() as u64, &path.display().to_string())?;
        file.write_all(&piece).map_err(|error| unwritable(&error))?;
    }
    Ok(path.display().to_string())
}

/// The machine's last space is not taken.
fn check_room(file: &File, more: u64, path: &str) -> Result<(), Failure> {
    let needed = more + LEFT;
    // What a file system does not tell is found out.
    match fstatvfs(file).map(|found| found.f_bavail.saturating_mul(found.f_frsize)) {
        Ok(free) if free < needed => Err(Failure::NoRoom { needed, free, folder: path.to_owned() }),
        _ => Ok(()),
    }
}
