//! The locks of a data folder: one program writes to it, whatever is removed, renamed or linked meanwhile.
//!
//! Locked are the folder itself (whoever removes a file in it removes no lock), the file `lock`, which says who has
//! it and which older servers lock, and the database, which may lie in more than one folder by a link. They are all
//! locks of an open file, flock(2). SQLite's are those of a process, fcntl(2): they don't see each other, but a
//! process loses those of a file when it closes any descriptor of it. So the database is opened here only after the
//! folder was locked, and closed after SQLite has closed it.

use rustix::fs::{FsWord, NFS_SUPER_MAGIC, fstatfs};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Bytes that a lock of ours has at most: the number of a process and a line feed.
const LONGEST: u64 = 20;

/// What the system calls the file systems of Windows networks: CIFS, SMB and SMB2.
const WINDOWS: [FsWord; 3] = [0xff53_4d42, 0x517b, 0xfe53_4d42];

/// Why a folder can't be locked.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another program has it: the process, as it wrote itself down.
    InUse(String),
    /// There is a file in the place of the lock that is not ours.
    Foreign(PathBuf),
    /// The system says no.
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The locks, for as long as this lives.
#[derive(Debug)]
pub(super) struct Locks {
    _folder: File,
    _owner: Option<File>,
    database: Mutex<Option<File>>,
}

impl Locks {
    /// Takes those of a folder and of its database, if it has one; `writes` if the owner is to be written down.
    pub fn take(folder: &Path, database: Option<&Path>, writes: bool) -> Result<Self, Refused> {
        let path = folder.join("lock");
        let in_use = || Refused::InUse(owner(&path));
        let opened = File::open(folder)?;
        match opened.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use()),
            // A file system that can't lock folders: the others have to do.
            Err(TryLockError::Error(error)) => {
                tracing::debug!(%error, "the data folder itself is not locked");
            }
        }
        let owner = lock_owner(&path, writes)?;
        let locks = Self { _folder: opened, _owner: owner, database: Mutex::default() };
        if let Some(database) = database {
            locks.take_database(database)?;
        }
        Ok(locks)
    }

    /// Takes that of the database, unless it is taken.
    pub fn take_database(&self, path: &Path) -> Result<(), Refused> {
        let mut taken = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.is_some() {
            return Ok(());
        }
        let database = File::open(path)?;
        // On a network the system makes of this lock one that keeps SQLite out as well.
        if !is_on_a_network(&database) {
            match database.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Refused::InUse(String::new())),
                Err(TryLockError::Error(error)) => {
                    tracing::debug!(%error, "the database itself is not locked");
                }
            }
        }
        // It stays open in any case: SQLite may have opened the file by now.
        *taken = Some(database);
        Ok(())
    }
}

fn is_on_a_network(file: &File) -> bool {
    fstatfs(file).is_ok_and(|found| found.f_type == NFS_SUPER_MAGIC || WINDOWS.contains(&found.f_type))
}

/// Locks the file that says who has the folder; `None` if there is none and none is to be made.
fn lock_owner(path: &Path, writes: bool) -> Result<Option<File>, Refused> {
    if !may_be_ours(path)? {
        return Err(Refused::Foreign(path.to_owned()));
    }
    let mut options = OpenOptions::new();
    let options = options.read(true).write(writes).create(writes).truncate(false).mode(0o600);
    let mut lock = match options.open(path) {
        Err(error) if !writes && error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Refused::InUse(owner(path))),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    if writes {
        // Only for a message to others: on a full disk the lock holds all the same.
        let _ = lock.set_len(0);
        let _ = lock.rewind().and_then(|()| writeln!(lock, "{}", std::process::id()));
    }
    Ok(Some(lock))
}

/// Whether there is nothing, or what a server wrote: the number of a process, nothing when it was killed first, or the
/// zeros that a loss of power leaves of bytes that were never synced.
fn may_be_ours(path: &Path) -> io::Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        found => found?,
    };
    if !found.is_file() || found.len() > LONGEST {
        return Ok(false);
    }
    let text = fs::read(path)?;
    Ok(text.trim_ascii().iter().all(u8::is_ascii_digit) || text.iter().all(|byte| *byte == 0))
}

/// The process that wrote itself down; empty if that can't be told.
fn owner(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    let is_number = read.is_ok() && text.trim().bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.trim().to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(folder: &Path) -> Result<Locks, Refused> {
        let database = folder.join("natter.db");
        Locks::take(folder, Some(&database).filter(|path| path.exists()).map(PathBuf::as_path), true)
    }

    fn is_in_use(taken: &Result<Locks, Refused>) -> bool {
        matches!(taken, Err(Refused::InUse(_)))
    }

    #[test]
    fn a_folder_stays_locked_when_its_lock_is_removed_or_it_is_renamed() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, renamed) = (parent.path().join("a"), parent.path().join("b"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("natter.db"), "").unwrap();
        let taken = take(&folder).unwrap();
        fs::remove_file(folder.join("lock")).unwrap();
        assert!(is_in_use(&take(&folder)));
        fs::rename(&folder, &renamed).unwrap();
        assert!(is_in_use(&take(&renamed)));
        drop(taken);
        assert!(take(&renamed).is_ok());
    }

    #[test]
    fn a_database_that_lies_in_two_folders_is_locked_in_both() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let taken = take(one.path()).unwrap();
        fs::write(one.path().join("natter.db"), "").unwrap();
        taken.take_database(&one.path().join("natter.db")).unwrap();
        fs::hard_link(one.path().join("natter.db"), two.path().join("natter.db")).unwrap();
        assert!(is_in_use(&take(two.path())));
        drop(taken);
        assert!(take(two.path()).is_ok());
    }

    #[test]
    fn what_only_an_older_server_has_locked_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lock"), "4711\n").unwrap();
        let other = File::open(folder.path().join("lock")).unwrap();
        other.try_lock().unwrap();
        assert!(matches!(take(folder.path()), Err(Refused::InUse(owner)) if owner == "4711"));
    }

    #[test]
    fn a_lock_that_somebody_else_wrote_is_left_as_it_is() {
        let check = |is_ours: bool, make: fn(&Path)| {
            let folder = tempfile::tempdir().unwrap();
            let lock = folder.path().join("lock");
            make(&lock);
            let before = fs::read(&lock).ok();
            let taken = take(folder.path());
            assert_eq!(taken.is_ok(), is_ours, "{before:?}");
            if !is_ours {
                assert!(matches!(taken, Err(Refused::Foreign(path)) if path == lock));
                assert_eq!(fs::read(&lock).ok(), before);
            }
        };
        check(true, |_| {});
        check(true, |lock| fs::write(lock, "").unwrap());
        check(true, |lock| fs::write(lock, "4194304\n").unwrap());
        check(true, |lock| fs::write(lock, [0; 6]).unwrap());
        check(false, |lock| fs::write(lock, "the combination is 4 8 15").unwrap());
        check(false, |lock| fs::write(lock, "1".repeat(30)).unwrap());
        check(false, |lock| fs::create_dir(lock).unwrap());
        check(false, |lock| std::os::unix::fs::symlink("/etc/hostname", lock).unwrap());
    }

    #[test]
    fn whoever_only_reads_writes_nothing_and_is_kept_out_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let reader = Locks::take(folder.path(), None, false).unwrap();
        assert!(!folder.path().join("lock").exists());
        assert!(is_in_use(&take(folder.path())));
        drop(reader);
        let _writer = take(folder.path()).unwrap();
        assert!(is_in_use(&Locks::take(folder.path(), None, false)));
    }
}
