//! What can go wrong inside, and what it means to those outside.

use crate::store::StoreError;
use std::io;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite says no.
    Sql(rusqlite::Error),
    /// The system says no.
    Io(io::Error),
    /// What was read is not what was written.
    Damaged(String),
}

impl Fault {
    /// Damage, in words.
    pub fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
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
            Self::Damaged(_) => false,
        }
    }

    /// Whether somebody else holds what it needs.
    pub fn is_busy(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        let code = error.sqlite_error_code();
        matches!(code, Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
    }

    /// The same for those outside.
    pub fn while_it(self, doing: &'static str) -> StoreError {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Damaged(what) => StoreError::Damaged { what },
            Self::Io(source) => StoreError::Io { doing, source },
            Self::Sql(error) => match error.sqlite_error_code() {
                Some(DatabaseCorrupt | NotADatabase) => StoreError::Damaged { what: error.to_string() },
                Some(_) => StoreError::Io { doing, source: io::Error::other(error) },
                // A value of another type than ours, or a row that must be there and is not.
                None => StoreError::Damaged { what: error.to_string() },
            },
        }
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
