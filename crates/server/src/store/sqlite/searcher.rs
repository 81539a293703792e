//! A connection that searches: it reads the index as well, and stops when its time is over.

use super::fault::Fault;
use super::reader;
use crate::clock::{Clock as _, Steady, SystemClock};
use rusqlite::Connection;
use rustix::time::{ClockId, clock_gettime};
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
        let deadline = Deadline::never();
        let watched = deadline.clone();
        db.progress_handler(STEPS, Some(move || watched.is_over()))?;
        Ok(Self { db, deadline })
    }
}

/// How many times as long as its processor's time a search may take on the clock: a busy machine gives it little of the
/// one, and a slow disk none while it reads.
const ON_THE_CLOCK: u64 = 4;

/// Until when the search under way may go on: for so long as its thread really works, since others would be called slow
/// whenever the machine is busy.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    clock: SystemClock,
    search: Arc<Search>,
}

/// The search under way, in ms.
#[derive(Debug)]
struct Search {
    /// When its time is looked at next, on the steady clock.
    look: AtomicU64,
    /// When it is over however little of its processor's time it had.
    last: AtomicU64,
    /// When its time is over, on the clock of its thread.
    over: AtomicU64,
}

/// The time that the calling thread has worked, in ms.
fn worked() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000 + time.tv_nsec / 1_000_000).unwrap_or_default()
}

impl Deadline {
    fn never() -> Self {
        let [look, last, over] = [(); 3].map(|()| AtomicU64::new(u64::MAX));
        Self { clock: SystemClock::start(), search: Arc::new(Search { look, last, over }) }
    }

    /// Lets a search of the calling thread go on for so many ms from now.
    pub fn begin(&self, ms: u64) {
        let now = self.clock.now().steady;
        let Search { look, last, over } = &*self.search;
        look.store(now.after(ms).0, Ordering::Relaxed);
        last.store(now.after(ms.saturating_mul(ON_THE_CLOCK)).0, Ordering::Relaxed);
        over.store(worked().saturating_add(ms), Ordering::Relaxed);
    }

    /// Lets the connection read without one.
    pub fn end(&self) {
        self.search.look.store(u64::MAX, Ordering::Relaxed);
    }

    /// For work that SQLite does not do.
    pub fn check(&self) -> Result<(), Fault> {
        if self.is_over() { Err(Fault::interrupted()) } else { Ok(()) }
    }

    fn is_over(&self) -> bool {
        let now = self.clock.now().steady;
        let Search { look, last, over } = &*self.search;
        if now < Steady(look.load(Ordering::Relaxed)) {
            return false;
        }
        let left = over.load(Ordering::Relaxed).saturating_sub(worked());
        // It can't be over sooner than it has worked for as long as is left.
        look.store(now.after(left).0, Ordering::Relaxed);
        left == 0 || now >= Steady(last.load(Ordering::Relaxed))
    }
}
