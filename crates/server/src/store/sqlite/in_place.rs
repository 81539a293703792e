//! Whether the files that are open are still the ones at their paths.
//!
//! A file that was deleted or replaced goes on taking writes, and loses all of them when the server ends; one that was
//! cut short has lost some already. SQLite notices neither. So the writer looks before each acknowledgement, before it
//! moves commits from the log into the database, and whenever it is idle.

use super::fault::Fault;
use super::folder::Folder;
use super::wal;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A file that is open, by what does not change about it.
#[derive(Debug)]
struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: PathBuf) -> io::Result<Self> {
        let found = fs::metadata(&path)?;
        Ok(Self { path, device: found.dev(), inode: found.ino() })
    }

    /// The file at the path, if it is still this one.
    fn find(&self) -> Result<Metadata, Fault> {
        match fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => Ok(found),
            Ok(_) => Err(self.changed("was replaced by another one")),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(self.changed("was deleted or moved"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn changed(&self, how: &'static str) -> Fault {
        Fault::Changed { path: self.path.clone(), how }
    }
}

/// What a file holds, as far as its folder knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Contents {
    bytes: u64,
    /// When it was written to: seconds and nanoseconds.
    written: (i64, i64),
}

impl Contents {
    fn of(found: &Metadata) -> Self {
        Self { bytes: found.len(), written: (found.mtime(), found.mtime_nsec()) }
    }
}

/// The files of a database that is written to.
#[derive(Debug)]
pub(super) struct InPlace {
    database: Identity,
    log: Identity,
    /// The index of the log, which all who read the database share.
    log_index: Identity,
    /// The folder of contents, once there is one.
    files: Option<Identity>,
    /// Where that folder is.
    files_at: PathBuf,
    /// Those of the database since commits were last moved into it: only that writes to it.
    contents: Contents,
    /// Bytes of a page.
    page: u64,
}

impl InPlace {
    /// Takes note of the files of a database that was just opened and written to, so that all of them are there.
    pub fn of(folder: &Folder, page: u64) -> Result<Self, Fault> {
        let database = Identity::of(folder.database())?;
        let contents = Contents::of(&database.find()?);
        let log_index = folder.path().join("natter.db-shm");
        Ok(Self {
            database,
            log: Identity::of(folder.wal())?,
            log_index: Identity::of(log_index)?,
            files: None,
            files_at: folder.contents(),
            contents,
            page,
        })
    }

    /// Looks whether they are all there, with at least these many frames in the log.
    pub fn check(&mut self, frames: i32) -> Result<(), Fault> {
        let found = Contents::of(&self.database.find()?);
        if found.bytes < self.contents.bytes {
            return Err(self.database.changed("was cut short"));
        }
        if found != self.contents {
            return Err(self.database.changed("was written to by another program"));
        }
        let least = wal::bytes_of(u64::try_from(frames).unwrap_or_default(), self.page);
        if self.log.find()?.len() < least {
            return Err(self.log.changed("was cut short"));
        }
        self.log_index.find()?;
        self.check_contents()
    }

    /// What was uploaded to a folder that is gone would be acknowledged and lost, like what all entries name.
    fn check_contents(&mut self) -> Result<(), Fault> {
        match &self.files {
            Some(files) => files.find().map(drop),
            None => {
                // It is made after the database was opened.
                self.files = Identity::of(self.files_at.clone()).ok();
                Ok(())
            }
        }
    }

    /// Takes note of the database after commits were moved into it.
    pub fn note_written(&mut self) -> Result<(), Fault> {
        self.contents = Contents::of(&self.database.find()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use std::fs::OpenOptions;
    use std::path::Path;

    const PAGE: u64 = 4_096;

    struct Opened {
        folder: Folder,
        db: Connection,
        files: InPlace,
        _parent: tempfile::TempDir,
    }

    impl Opened {
        /// A database with one page of frames in its log.
        fn new() -> Self {
            let parent = tempfile::tempdir().unwrap();
            let folder = Folder::create(&parent.path().join("data")).unwrap();
            let db = Connection::open(folder.database()).unwrap();
            db.execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t (a);
                 PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES (1)",
            )
            .unwrap();
            let files = InPlace::of(&folder, PAGE).unwrap();
            Self { folder, db, files, _parent: parent }
        }

        fn check(&mut self) -> Result<(), String> {
            let frames = super::super::checkpoint::frames(&self.db).unwrap();
            assert!(frames > 0);
            self.files.check(frames).map_err(|fault| fault.words())
        }
    }

    fn check_refused(change: impl FnOnce(&Folder), words: &str) {
        let mut opened = Opened::new();
        fs::create_dir(opened.folder.contents()).unwrap();
        assert_eq!(opened.check(), Ok(()));
        change(&opened.folder);
        let found = opened.check().unwrap_err();
        assert!(found.contains(words), "{found:?} and not {words:?}");
    }

    fn copy_over(path: &Path) {
        let other = path.with_extension("other");
        fs::copy(path, &other).unwrap();
        fs::rename(other, path).unwrap();
    }

    fn cut(path: &Path, bytes: u64) {
        OpenOptions::new().write(true).open(path).unwrap().set_len(bytes).unwrap();
    }

    #[test]
    fn files_that_are_deleted_replaced_or_moved_are_missed() {
        let log_index = |folder: &Folder| folder.path().join("natter.db-shm");
        check_refused(
            |folder| fs::remove_file(folder.database()).unwrap(),
            "natter.db' was deleted or moved",
        );
        check_refused(|folder| fs::remove_file(folder.wal()).unwrap(), "natter.db-wal' was deleted or moved");
        check_refused(|folder| fs::remove_file(log_index(folder)).unwrap(), "natter.db-shm' was deleted");
        check_refused(|folder| copy_over(&folder.database()), "natter.db' was replaced");
        check_refused(|folder| copy_over(&folder.wal()), "natter.db-wal' was replaced");
        let renamed =
            |folder: &Folder| fs::rename(folder.path(), folder.path().with_extension("old")).unwrap();
        check_refused(renamed, "natter.db' was deleted or moved");
        check_refused(|folder| fs::remove_dir(folder.contents()).unwrap(), "contents' was deleted or moved");
        let replaced = |folder: &Folder| {
            fs::rename(folder.contents(), folder.path().join("moved")).unwrap();
            fs::create_dir(folder.contents()).unwrap();
        };
        check_refused(replaced, "contents' was replaced");
    }

    #[test]
    fn files_that_are_cut_short_or_overwritten_are_noticed() {
        check_refused(|folder| cut(&folder.database(), 0), "natter.db' was cut short");
        check_refused(|folder| cut(&folder.database(), PAGE), "natter.db' was cut short");
        check_refused(|folder| cut(&folder.wal(), 0), "natter.db-wal' was cut short");
        check_refused(|folder| cut(&folder.wal(), 32 + 24 + PAGE - 1), "natter.db-wal' was cut short");
        let overwrite = |folder: &Folder| {
            let bytes = fs::read(folder.database()).unwrap();
            fs::write(folder.database(), bytes).unwrap();
            // However coarse the file system's clock is.
            let later = fs::metadata(folder.database()).unwrap().modified().unwrap();
            let file = OpenOptions::new().write(true).open(folder.database()).unwrap();
            file.set_modified(later + std::time::Duration::from_millis(20)).unwrap();
        };
        check_refused(overwrite, "natter.db' was written to by another program");
    }

    #[test]
    fn what_the_server_itself_does_is_no_reason() {
        let mut opened = Opened::new();
        opened.db.execute_batch("INSERT INTO t VALUES (2); PRAGMA wal_checkpoint(PASSIVE)").unwrap();
        opened.files.note_written().unwrap();
        assert_eq!(opened.check(), Ok(()));
        opened.db.execute_batch("INSERT INTO t VALUES (zeroblob(100000))").unwrap();
        assert_eq!(opened.check(), Ok(()));
        opened.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        opened.files.note_written().unwrap();
        assert!(opened.files.check(0).is_ok());
    }
}
