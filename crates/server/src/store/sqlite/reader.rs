//! The readers: a few threads with read-only connections, so that no read waits for a commit or stops the runtime.

use super::fault::Fault;
use crate::priority::come_last;
use crate::store::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for a thread; more wait where they come from.
const WAITING: usize = 64;

/// How important what a thread does is, next to what people say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Importance {
    /// As important.
    Usual,
    /// It takes long, and people wait for it knowingly: everything else comes first.
    Low,
}

impl Importance {
    /// Makes the thread that calls it so important.
    fn apply(self) {
        if self == Self::Low {
            come_last();
        }
    }
}

type Job<C> = Box<dyn FnOnce(&C) + Send>;

/// The way to the threads. They end when the last of these is gone.
#[derive(Debug)]
pub(super) struct Readers<C = Connection>(mpsc::Sender<Job<C>>);

impl<C: Send + 'static> Readers<C> {
    /// Starts threads, one for each connection, of this importance.
    pub fn start(connections: Vec<C>, importance: Importance) -> Result<(Self, Vec<JoinHandle<()>>), Fault> {
        let (jobs, waiting) = mpsc::channel::<Job<C>>(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        let start = |db: C| {
            let waiting = waiting.clone();
            // The one that waits holds the lock; the others wait for that.
            let next = move || waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            Builder::new().name("reader".to_owned()).spawn(move || {
                importance.apply();
                while let Some(job) = next() {
                    job(&db);
                }
            })
        };
        let threads = connections.into_iter().map(start).collect::<std::io::Result<_>>()?;
        Ok((Self(jobs), threads))
    }

    /// A way to nobody.
    pub fn none() -> Self {
        Self(mpsc::channel(1).0)
    }

    /// Has a thread do this.
    pub async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&C) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<C> = Box::new(move |db| {
            // Whoever asked may be gone.
            let _ = answer.send(job(db));
        });
        let gone = || Fault::Io(std::io::Error::other("the reader's thread has ended"));
        self.0.send(job).await.map_err(|_| gone().while_it(doing))?;
        let answer = answered.await.map_err(|_| gone().while_it(doing))?;
        answer.map_err(|fault| fault.while_it(doing))
    }
}

/// A connection that only reads.
pub(super) fn connect(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(super::BUSY)?;
    db.pragma_update(None, "cache_size", -4_096)?;
    // A cell that can't be right must not hide the others of its page: each row that is read is checked by us.
    db.pragma_update(None, "cell_size_check", false)?;
    db.set_prepared_statement_cache_capacity(super::STATEMENTS);
    Ok(db)
}

/// A connection that only reads, also where nothing can be written.
///
/// SQLite needs a file beside a database with a write-ahead log, in which all who use it find what is in the log. It
/// makes it where it can, and one that serves has made it. If it can't, and the log is empty, the database is all
/// there is; else the log is read alone, as by a program that has it for itself, and without the locks for which it
/// would have to write.
pub(super) fn connect_anywhere(path: &Path) -> Result<Connection, Fault> {
    let can_open = |db: Connection| {
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(db)
    };
    match connect(path).and_then(can_open) {
        Err(fault) if fault.is_read_only() => {}
        // What else is wrong with it is told by what is read from it.
        _ => return connect(path),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let db = if std::fs::metadata(log).map_or(0, |found| found.len()) == 0 {
        connect_to_unchanging(path)?
    } else {
        let db = Connection::open_with_flags_and_vfs(path, flags, "unix-none")?;
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db
    };
    db.pragma_update(None, "cell_size_check", true)?;
    Ok(db)
}

/// A connection to a file that does not change: what is in a log beside it is not seen, and nothing is written there.
pub(super) fn connect_to_unchanging(path: &Path) -> Result<Connection, Fault> {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Ok(Connection::open_with_flags(uri, flags)?)
}
