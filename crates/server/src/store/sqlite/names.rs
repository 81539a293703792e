//! The names that a server writes in its folder: whether something of somebody else's has one of them, and that
//! nobody else on the machine reads what has.
//!
//! A folder may have been somebody's before, who has a `witness` or a `search.db` of their own. Nothing of theirs is
//! written to, removed or made private. What has another name (`lost+found`, what begins with a dot, a note of the
//! operator's) is no reason for anything.

use super::Folder;
use super::{erasure, expiry, reader, schema, witness};
use crate::files::is_content_file;
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// How a database begins; its application follows at byte 68.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";
const APPLICATION: usize = 68;

/// Bytes of which nobody but the owner may do anything.
const OTHERS: u32 = 0o077;

/// Something in the folder that has a name of ours, and is not ours.
///
/// # Errors
/// As the file system says.
pub(super) fn find_foreign(folder: &Folder) -> io::Result<Option<PathBuf>> {
    let has_log = is_log(&folder.database());
    let files = [folder.database(), folder.wal(), folder.index(), folder.witness(), folder.expiry()];
    for path in files.into_iter().chain([folder.unerased(), folder.half_restored()]) {
        let Some(found) = metadata(&path)? else { continue };
        // Beside a log of ours all of them are: a damaged one is not taken for somebody else's.
        if !found.is_file() || !has_log && !is_ours(folder, &path)? {
            return Ok(Some(path));
        }
    }
    let socket = folder.operator_socket();
    if metadata(&socket)?.is_some_and(|found| !found.file_type().is_socket()) {
        return Ok(Some(socket));
    }
    let contents = folder.contents();
    let is_foreign = match metadata(&contents)? {
        None => false,
        Some(found) if !found.is_dir() => true,
        Some(_) => !has_log && holds_others(&contents)?,
    };
    Ok(is_foreign.then_some(contents))
}

/// Whether a file may be what a server wrote under this name.
fn is_ours(folder: &Folder, path: &Path) -> io::Result<bool> {
    if path == folder.witness() {
        has_form(path, witness::MAGIC, witness::LEN)
    } else if path == folder.expiry() {
        has_form(path, expiry::MAGIC, expiry::LEN)
    } else if path == folder.unerased() {
        has_form(path, erasure::MAGIC, erasure::MAGIC.len())
    } else if path == folder.index() {
        Ok(is_index(path))
    } else if path == folder.half_restored() {
        may_be_replaced(path)
    } else {
        // What a database is, and what its log belongs to, is told when it is opened.
        Ok(true)
    }
}

/// Whether a file has our mark and no more bytes than we write. What a crash left of it has none, or zeros.
fn has_form(path: &Path, magic: [u8; 8], len: usize) -> io::Result<bool> {
    let mut bytes = Vec::new();
    File::open(path)?.take(len as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes.len() <= len && (bytes.starts_with(&magic) || bytes.iter().all(|byte| *byte == 0)))
}

/// Whether nothing of a file reached the disk before the power was lost: it has its length, and zeros.
fn begins_with_zeros(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    File::open(path)?.take(4_096).read_to_end(&mut begin)?;
    Ok(begin.iter().all(|byte| *byte == 0))
}

/// Whether a file is an index of words, or has nothing in it. It is not opened as one that may change: SQLite would
/// write beside it.
fn is_index(path: &Path) -> bool {
    if begins_with_zeros(path).unwrap_or(false) {
        return true;
    }
    let query =
        "SELECT count(*), count(*) FILTER (WHERE name IN ('origin', 'done', 'word')) FROM sqlite_schema";
    let count = reader::connect_to_unchanging(path).and_then(|db| {
        Ok(db.query_row(query, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?)
    });
    match count {
        Ok((_, 3)) => true,
        // All of it may be in its log.
        Ok((0, _)) => is_log_of_index(path),
        _ => false,
    }
}

fn is_log_of_index(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let mut begin = Vec::new();
    // What can't be read is as good as not there.
    let _ = File::open(log).and_then(|log| log.take(1 << 16).read_to_end(&mut begin));
    let is_made = b"CREATE TABLE origin";
    begin.is_empty() || begin.windows(is_made.len()).any(|bytes| bytes == is_made)
}

/// Whether a database that is written in several steps may have been left at this name by one that was cut off, so
/// that the next may begin anew.
///
/// # Errors
/// As the file system says.
pub(super) fn may_be_replaced(path: &Path) -> io::Result<bool> {
    match metadata(path)? {
        None => Ok(true),
        Some(found) if !found.is_file() => Ok(false),
        Some(_) if begins_with_zeros(path)? => Ok(true),
        Some(_) => Ok(matches!(application(path)?, Some(0 | schema::APPLICATION | schema::BACKUP))),
    }
}

fn is_log(path: &Path) -> bool {
    matches!(application(path), Ok(Some(schema::APPLICATION)))
}

/// What made a database; `None` if it is none.
fn application(path: &Path) -> io::Result<Option<i32>> {
    let mut header = [0; APPLICATION + 4];
    match File::open(path).and_then(|mut file| file.read_exact(&mut header)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let application = i32::from_be_bytes(*header[APPLICATION..].first_chunk().expect("four bytes"));
    Ok(header.starts_with(SQLITE).then_some(application))
}

/// Whether a folder of contents holds what no server wrote.
fn holds_others(contents: &Path) -> io::Result<bool> {
    let (mut ours, mut others) = (0, 0);
    for file in fs::read_dir(contents)? {
        let name = file?.file_name();
        match name.to_str() {
            Some(name) if is_content_file(name) => ours += 1,
            Some(name) if name.starts_with('.') || name == "lost+found" => {}
            _ => others += 1,
        }
    }
    Ok(others > 0 && ours == 0)
}

/// Makes what a server wrote in a folder of its own private, and warns if the folder itself is not.
pub(super) fn protect(folder: &Folder) {
    let mode = |path: &Path| fs::metadata(path).ok().map(|found| found.permissions().mode() & 0o777);
    let path = folder.path().display();
    if let Some(mode) = mode(folder.path()).filter(|mode| mode & OTHERS != 0) {
        let mode = format!("{mode:03o}");
        tracing::warn!(%path, %mode, "others on this machine can look into the data folder: chmod 700 keeps them out");
    }
    // What stands under the name of a database and is none of ours is refused later, and left as it is.
    let (database, has_log) = (folder.database(), is_log(&folder.database()));
    for path in folder.files().into_iter().filter(|path| has_log || *path != database) {
        let Some(mode) = mode(&path).filter(|mode| mode & OTHERS != 0) else { continue };
        if let Err(error) = fs::set_permissions(&path, Permissions::from_mode(mode & !OTHERS)) {
            tracing::warn!(path = %path.display(), %error, "others on this machine may read what is in it");
        }
    }
}

fn metadata(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link to nowhere is not ours, and would be followed.
            Ok(fs::symlink_metadata(path).ok())
        }
        found => found.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use std::os::unix::net::UnixListener;

    fn check(foreign: Option<&str>, make: impl FnOnce(&Path)) {
        let parent = tempfile::tempdir().unwrap();
        make(parent.path());
        let found = find_foreign(&Folder::look(parent.path()).unwrap()).unwrap();
        assert_eq!(found, foreign.map(|name| parent.path().join(name)));
    }

    fn write(name: &str, bytes: &[u8]) -> impl FnOnce(&Path) {
        move |folder| fs::write(folder.join(name), bytes).unwrap()
    }

    fn database(path: &Path, sql: &str) {
        Connection::open(path).unwrap().execute_batch(sql).unwrap();
    }

    #[test]
    fn what_somebody_else_wrote_under_a_name_of_ours_is_named() {
        check(Some("witness"), write("witness", b"I saw it all"));
        check(Some("witness"), write("witness", &[0; 41]));
        check(Some("expiry"), write("expiry", b"2027-01-01"));
        check(Some("unerased"), write("unerased", b"the tape of 1974"));
        check(Some("search.db"), write("search.db", b"a list"));
        check(Some("search.db"), |folder| database(&folder.join("search.db"), "CREATE TABLE mine (a)"));
        check(Some("natter.db.part"), write("natter.db.part", b"half a thought"));
        check(Some("admin.sock"), write("admin.sock", b"socks for the admin"));
        check(Some("natter.db"), |folder| fs::create_dir(folder.join("natter.db")).unwrap());
        check(Some("witness"), |folder| fs::create_dir(folder.join("witness")).unwrap());
        check(Some("contents"), write("contents", b"1 introduction"));
        check(Some("contents"), |folder| {
            fs::create_dir(folder.join("contents")).unwrap();
            fs::write(folder.join("contents/holiday.jpg"), "").unwrap();
        });
    }

    #[test]
    fn an_empty_folder_and_all_that_a_server_leaves_is_no_reason() {
        check(None, |_| {});
        check(None, |folder| {
            for name in
                [".bashrc", "notes.txt", "natter.db", "search.db", "witness", "expiry", "natter.db.part"]
            {
                fs::write(folder.join(name), "").unwrap();
            }
            fs::create_dir_all(folder.join("contents/lost+found")).unwrap();
            fs::create_dir(folder.join("lost+found")).unwrap();
        });
        check(None, |folder| drop(UnixListener::bind(folder.join("admin.sock")).unwrap()));
        check(None, write("witness", &[0; 40]));
        check(None, write("search.db", &[0; 8_192]));
        check(None, write("natter.db.part", &[0; 8_192]));
        check(None, write("witness", b"nttrack1 and so on"));
        check(None, |folder| database(&folder.join("natter.db.part"), "CREATE TABLE half (a)"));
    }

    #[test]
    fn what_is_ours_is_made_private_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let names = ["natter.db", "search.db-wal", "witness", "lock", "notes.txt"];
        let modes = || {
            let mode =
                |name: &str| fs::metadata(parent.path().join(name)).unwrap().permissions().mode() & 0o777;
            names.map(mode)
        };
        for name in names {
            write(name, b"")(parent.path());
            fs::set_permissions(parent.path().join(name), Permissions::from_mode(0o644)).unwrap();
        }
        let folder = Folder::look(parent.path()).unwrap();
        protect(&folder);
        assert_eq!(modes(), [0o644, 0o600, 0o600, 0o600, 0o644], "it is no database of ours yet");
        let ours = format!("PRAGMA application_id = {}", schema::APPLICATION);
        database(&folder.database(), &ours);
        protect(&folder);
        assert_eq!(modes(), [0o600, 0o600, 0o600, 0o600, 0o644]);
    }

    #[test]
    fn beside_a_log_of_ours_a_damaged_file_is_ours() {
        check(None, |folder| {
            database(&folder.join("natter.db"), &format!("PRAGMA application_id = {}", schema::APPLICATION));
            for name in ["witness", "search.db", "expiry"] {
                fs::write(folder.join(name), [7; 100]).unwrap();
            }
            fs::create_dir(folder.join("contents")).unwrap();
            fs::write(folder.join("contents/notes"), "").unwrap();
        });
    }
}
