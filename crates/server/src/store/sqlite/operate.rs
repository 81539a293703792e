//! What operators do with a data folder: what all of it has in common.

use super::fault::Fault;
use super::schema::{self, Unusable};
use crate::store::StoreError;
use protocol::id::Millis;
use protocol::system_words::plain_words;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why something was not done.
#[derive(Debug, Error)]
pub enum OperateError {
    /// There is something already where something new was to be.
    #[error("'{}' is there already", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// A folder without a log.
    #[error("there is no log in '{}'", path.display())]
    NoLog {
        /// The folder.
        path: PathBuf,
    },
    /// A later version wrote it.
    #[error("'{}' has layout {found}, and this natterd knows {} at most", path.display(), schema::VERSION)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: usize,
    },
    /// It is something else.
    #[error("'{}' was not written by natterd", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// No room has that name.
    #[error("there is no room '{name}'")]
    NoSuchRoom {
        /// The name.
        name: String,
    },
    /// There is no space.
    #[error("there is no space left for '{}'", path.display())]
    Full {
        /// What was written.
        path: PathBuf,
    },
    /// The reader of the output is gone.
    #[error("nobody reads the output any more")]
    Closed,
    /// It can't be read or written, or is damaged.
    #[error("'{}': {}", path.display(), plain_words(source))]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

impl OperateError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "name another one: nothing is ever overwritten",
            Self::NoLog { .. } => "name the folder of a server with --data",
            Self::Newer { .. } => "use the natterd that wrote it, or a later one",
            Self::Foreign { .. } => "name a backup, or a data folder",
            Self::NoSuchRoom { .. } => "give its name without #, or the number of a conversation of two",
            Self::Full { .. } => "make space, or name another place",
            Self::Closed => "",
            Self::Store { source: StoreError::Damaged { .. }, .. } => {
                "run natterd verify to see how much is damaged, then natterd repair, or restore a backup"
            }
            Self::Store { .. } => "check the disk, and who owns the file",
        }
    }

    pub(super) fn from_fault(path: &Path, fault: Fault) -> Self {
        let path = path.to_owned();
        if fault.is_full() {
            return Self::Full { path };
        }
        if fault.is_foreign() {
            return Self::Foreign { path };
        }
        Self::Store { path, source: fault.while_it("read or wrote it") }
    }

    pub(super) fn from_unusable(path: &Path, unusable: Unusable) -> Self {
        match unusable {
            Unusable::Foreign => Self::Foreign { path: path.to_owned() },
            Unusable::Newer(found) => Self::Newer { path: path.to_owned(), found },
            Unusable::Fault(fault) => Self::from_fault(path, fault),
        }
    }
}

/// Something that takes a while, and who is told how far it is.
pub struct Task<'a> {
    tell: &'a mut dyn FnMut(&Stage),
    stage: Stage,
    /// The time by which it is judged what has expired.
    pub(super) now: Millis,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stage {
    /// What is done, such as "copying".
    pub doing: &'static str,
    /// Of what, such as "entries".
    pub what: &'static str,
    /// How many are done.
    pub done: u64,
    /// How many there are.
    pub all: u64,
}

impl<'a> Task<'a> {
    /// Something that has not begun.
    pub fn new(tell: &'a mut dyn FnMut(&Stage)) -> Self {
        Self { tell, stage: Stage { doing: "", what: "", done: 0, all: 0 }, now: Millis(0) }
    }

    /// The same, at this time.
    #[must_use]
    pub fn at(self, now: Millis) -> Self {
        Self { now, ..self }
    }

    pub(super) fn begin(&mut self, doing: &'static str, what: &'static str, all: u64) {
        self.stage = Stage { doing, what, done: 0, all };
        (self.tell)(&self.stage);
    }

    pub(super) fn advance(&mut self, n: u64) {
        self.stage.done += n;
        (self.tell)(&self.stage);
    }
}
