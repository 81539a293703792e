//! A connection that searches: it reads the index as well, and stops when its time is over.

use super::fault::Fault;
use super::reader;
use crate::clock::{Clock as _, SystemClock};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Steps of SQLite's machine between two looks at the clock. The index reads a page in a few of them, so a list of
/// many thousand entries is given up within a page or two.
const STEPS: i32 = 16;

/// A connection for one search at a time.
#[derive(Debug)]
pub(super) struct Searcher {
    /// Reads the log, and the index under the name `search`.
    pub db: Connection,
    pub deadline: Deadline,
}

impl Searcher {
    pub fn connect(path: &Path, index: &Path) -> Result<Self, Fault> {
        let mut db = reader::connect(path)?;
        db.execute("ATTACH ? AS search", [index.to_string_lossy()])?;
        let deadline = Deadline { clock: SystemClock::start(), at: Arc::new(AtomicU64::new(u64::MAX)) };
        let watched = deadline.clone();
        db.progress_handler(STEPS, Some(move || watched.is_over()))?;
        Ok(Self { db, deadline })
    }
}

/// Until when the search under way may go on.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    clock: SystemClock,
    /// On the steady clock.
    at: Arc<AtomicU64>,
}

impl Deadline {
    /// Lets a search go on for so many ms from now.
    pub fn begin(&self, ms: u64) {
        self.at.store(self.clock.now().steady.after(ms).0, Ordering::Relaxed);
    }

    /// Lets the connection read without one.
    pub fn end(&self) {
        self.at.store(u64::MAX, Ordering::Relaxed);
    }

    /// For work that SQLite does not do.
    pub fn check(&self) -> Result<(), Fault> {
        if self.is_over() { Err(Fault::interrupted()) } else { Ok(()) }
    }

    fn is_over(&self) -> bool {
        self.clock.now().steady.0 >= self.at.load(Ordering::Relaxed)
    }
}
