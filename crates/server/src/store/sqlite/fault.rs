//! What can go wrong inside, and what it means to those outside.

use crate::store::StoreError;
use std::io;
use std::path::PathBuf;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite says no.
    Sql(rusqlite::Error),
    /// The system says no.
    Io(io::Error),
    /// What was read is not what was written.
    Damaged(String),
    /// A file that is open is not the one at its path any more, or others wrote to it.
    Changed {
        /// The file.
        path: PathBuf,
        /// What happened to it.
        how: &'static str,
    },
}

impl Fault {
    /// Damage, in words.
    pub fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// The same in words.
    pub fn words(&self) -> String {
        match self {
            Self::Sql(error) => error.to_string(),
            Self::Io(error) => error.to_string(),
            Self::Damaged(what) => what.clone(),
            Self::Changed { path, how } => format!("'{}' {how}", path.display()),
        }
    }

    /// Whether there is only no space: then nothing was done, and it may be tried again.
    pub fn is_full(&self) -> bool {
        match self {
            // An index of the log that can't grow (SQLITE_IOERR_SHMSIZE) is not among them: the commit is in the
            // log by then, and would be found after a crash.
            Self::Sql(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Io(error) => {
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Damaged(_) | Self::Changed { .. } => false,
        }
    }

    /// Whether what was read can't be what was written.
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            // No code: a value of another type than ours, or a row that must be there and is not.
            Self::Sql(error) => {
                matches!(error.sqlite_error_code(), None | Some(DatabaseCorrupt | NotADatabase))
            }
            Self::Io(_) | Self::Changed { .. } => false,
            Self::Damaged(_) => true,
        }
    }

    /// Whether something can't be written that would have to be.
    pub fn is_read_only(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
        let Self::Sql(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(CannotOpen | PermissionDenied | ReadOnly))
    }

    /// Whether a file is no database at all.
    pub fn is_foreign(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase)
    }

    /// What SQLite says when its time is over.
    pub fn interrupted() -> Self {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERRUPT);
        Self::Sql(rusqlite::Error::SqliteFailure(code, None))
    }

    /// Whether its time was over.
    pub fn is_interrupted(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted)
    }

    /// Whether somebody else holds what it needs.
    pub fn is_busy(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        let code = error.sqlite_error_code();
        matches!(code, Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
    }

    /// The same for those outside.
    pub fn while_it(self, doing: &'static str) -> StoreError {
        match self {
            fault if fault.is_damage() => StoreError::Damaged { what: fault.words() },
            fault if fault.is_busy() => {
                let source = io::Error::other("another program has locked the database for more than 10 s");
                StoreError::Io { doing, source }
            }
            Self::Damaged(what) => StoreError::Damaged { what },
            Self::Changed { path, how } => StoreError::Changed { path, how },
            Self::Io(source) => StoreError::Io { doing, source },
            Self::Sql(error) => StoreError::Io { doing, source: io::Error::other(error) },
        }
    }
}

/// What was read, or `None` if that can't be what was written; what failed in another way is still a fault.
pub(super) fn unless_damaged<T>(result: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(fault) if fault.is_damage() => Ok(None),
        Err(fault) => Err(fault),
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
