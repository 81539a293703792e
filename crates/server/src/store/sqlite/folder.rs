//! The data folder: where it is, what lies in it, and that only one program writes to it.

use super::lock::{Locks, Refused};
use super::names;
use protocol::system_words::plain_words;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a folder can't be had.
#[derive(Debug, Error)]
pub enum FolderError {
    /// Another program has it.
    #[error("the data folder '{}' is in use by another program{}", path.display(), said(owner))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process that has it, as it wrote down itself.
        owner: String,
    },
    /// There is no such folder, and none is to be made.
    #[error("there is no data folder '{}'", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// Something of somebody else's has a name that would be written to.
    #[error("'{}' is not natterd's, which would write something of that name", path.display())]
    Foreign {
        /// What has that name.
        path: PathBuf,
    },
    /// It can't be made or opened.
    #[error("can't use the data folder '{}': {}", path.display(), reason(source))]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FolderError {
    fn refused(folder: &Path, refused: Refused) -> Self {
        match refused {
            Refused::InUse(owner) => Self::InUse { path: folder.to_owned(), owner },
            Refused::Foreign(path) => Self::Foreign { path },
            Refused::Io(source) => Self::Io { path: folder.to_owned(), source },
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InUse { .. } => {
                "another server may serve it: stop that one, or name another folder with --data"
            }
            Self::Foreign { .. } => "name another folder with --data, or move that file away",
            Self::Missing { .. } | Self::Io { .. } => "name a folder that may be written to with --data",
        }
    }
}

/// What is in the way, where the system only says that something is.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            "there is a file of that name".to_owned()
        }
        _ => plain_words(error),
    }
}

fn said(owner: &str) -> String {
    if owner.is_empty() { String::new() } else { format!(" (process {owner})") }
}

/// A data folder. Nobody else on the machine may read what is in it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// `None` for one to which somebody else may write.
    locks: Option<Locks>,
}

impl Folder {
    /// Where data is kept unless the operator says otherwise.
    pub fn default_path() -> PathBuf {
        let given = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || given("HOME").map(|home| home.join(".local/share"));
        given("XDG_DATA_HOME").or_else(home).unwrap_or_else(|| PathBuf::from("/var/lib")).join("natterd")
    }

    /// Opens a folder for one writer, and makes it if there is none.
    ///
    /// # Errors
    /// [`FolderError`]
    pub fn create(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Io { path: path.to_owned(), source };
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
            // The new name must be there after a crash as well, and so must that of a parent that was made too.
            for parent in path.ancestors().skip(1).take(2) {
                // Above a folder with a relative name is the one that we are in.
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
            }
        }
        Self::lock(path)
    }

    /// Opens a folder that is there for one writer.
    ///
    /// # Errors
    /// [`FolderError`]
    pub fn lock(path: &Path) -> Result<Self, FolderError> {
        if !path.is_dir() {
            return Err(FolderError::Missing { path: path.to_owned() });
        }
        Self::take_locks(path, true)
    }

    /// Opens a folder that is there to read it while nobody writes to it. Nothing is written to the folder itself.
    ///
    /// # Errors
    /// [`FolderError`]
    pub fn lock_to_read(path: &Path) -> Result<Self, FolderError> {
        if !path.is_dir() {
            return Err(FolderError::Missing { path: path.to_owned() });
        }
        Self::take_locks(path, false)
    }

    fn take_locks(path: &Path, writes: bool) -> Result<Self, FolderError> {
        let mut folder = Self { path: path.to_owned(), locks: None };
        if writes {
            // Before anything is written, the lock included.
            match names::find_foreign(&folder) {
                Ok(None) => {}
                Ok(Some(path)) => return Err(FolderError::Foreign { path }),
                Err(source) => return Err(FolderError::Io { path: path.to_owned(), source }),
            }
        }
        let database = folder.has_database().then(|| folder.database());
        let locks = Locks::take(path, database.as_deref(), writes);
        folder.locks = Some(locks.map_err(|refused| FolderError::refused(path, refused))?);
        if writes {
            names::protect(&folder);
        }
        Ok(folder)
    }

    /// Locks a database that was made since the folder was locked.
    ///
    /// # Errors
    /// [`FolderError`]
    pub(super) fn lock_database(&self) -> Result<(), FolderError> {
        let taken = self.locks.as_ref().map_or(Ok(()), |locks| locks.take_database(&self.database()));
        taken.map_err(|refused| FolderError::refused(&self.path, refused))
    }

    /// Looks at a folder that somebody else may write to.
    ///
    /// # Errors
    /// [`FolderError`]
    pub fn look(path: &Path) -> Result<Self, FolderError> {
        if path.is_dir() {
            Ok(Self { path: path.to_owned(), locks: None })
        } else {
            Err(FolderError::Missing { path: path.to_owned() })
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join("natter.db")
    }

    /// Whether there is a database, or at least the beginning of one. A file of 0 bytes is none, and must not be opened
    /// as one: SQLite deletes the log beside it.
    pub fn has_database(&self) -> bool {
        fs::metadata(self.database()).is_ok_and(|found| found.is_file() && found.len() > 0)
    }

    /// The database of a restore that is under way.
    pub fn half_restored(&self) -> PathBuf {
        self.path.join("natter.db.part")
    }

    /// The database's log of commits that are not in it yet.
    pub fn wal(&self) -> PathBuf {
        self.path.join("natter.db-wal")
    }

    /// The index of words, which can be made again from the database.
    pub fn index(&self) -> PathBuf {
        self.path.join("search.db")
    }

    /// What tells how much was acknowledged.
    pub fn witness(&self) -> PathBuf {
        self.path.join("witness")
    }

    /// The operator's socket, while a server runs.
    pub fn operator_socket(&self) -> PathBuf {
        self.path.join(crate::operator_socket::NAME)
    }

    /// All that is written here, but what is in a folder of its own.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let databases = ["natter.db", "natter.db.part", "search.db"];
        let logs = databases
            .iter()
            .flat_map(|name| ["", "-wal", "-shm", "-journal"].map(|end| format!("{name}{end}")));
        let others = ["witness", "expiry", "unerased", "lock", "contents"].map(str::to_owned);
        logs.chain(others).map(|name| self.path.join(name)).collect()
    }

    /// What tells which contents may be gone.
    pub fn expiry(&self) -> PathBuf {
        self.path.join("expiry")
    }

    /// It is there while deleted texts are in a write-ahead log and nobody waits for them to leave it.
    pub fn unerased(&self) -> PathBuf {
        self.path.join("unerased")
    }

    /// File contents, by their hashes.
    pub fn contents(&self) -> PathBuf {
        self.path.join("contents")
    }
}

/// The run of the machine: another one after each of its starts. Empty where it can't be told.
pub(super) fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_writer_who_is_named_to_the_second() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = Folder::create(&path).unwrap();
        let error = Folder::create(&path).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(Folder::look(&path).is_ok());
        drop(first);
        Folder::lock(&path).unwrap();
    }

    #[test]
    fn a_missing_folder_is_made_for_a_server_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("none");
        assert!(matches!(Folder::lock(&path), Err(FolderError::Missing { .. })));
        assert!(matches!(Folder::look(&path), Err(FolderError::Missing { .. })));
        Folder::create(&path).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700);
    }
}
