//! The store on disk: SQLite in a folder, one writer, a few readers.
//!
//! ```text
//! DIR/natter.db (-wal, -shm)   everything but the contents of files; the truth
//! DIR/search.db (-wal, -shm)   the index of words, made from it and made again when it is lost
//! DIR/contents/HASH            contents of files
//! DIR/witness                  how much was acknowledged
//! DIR/expiry                   how long contents are kept that entries name
//! DIR/unerased                 there while another program keeps deleted texts in a write-ahead log
//! DIR/lock                     locked by the one program that writes, as are the folder and the database
//! DIR/admin.sock               the operator's socket, while a server runs
//! DIR/natter.db.part           the database of a restore that is not finished
//! DIR/set-aside-1, -2 …        what was left of a history that has no database any more
//! ```
//!
//! Every row has a checksum over what it holds and where it stands; the numbers of a room have no gap, and its head
//! tells where they begin and end; the small tables add up to a seal. So a row that changed, moved or went is found
//! out when it is read, and nothing wrong is ever told. One that changed is left out, and the rest goes on.

mod backup;
mod change;
mod checkpoint;
mod checksum;
mod closed;
mod compact;
mod copy;
mod ending;
mod entry;
mod erasure;
mod expiry;
mod export;
mod fault;
mod file;
mod first_page;
mod folder;
mod head;
mod in_place;
mod index;
mod indexer;
mod load;
mod lock;
mod mark;
mod names;
mod number;
mod open;
mod operate;
mod page_flip;
mod raw;
mod read;
mod reader;
mod record;
mod repair;
mod reseal;
mod revise;
mod salvage;
mod schema;
mod search;
mod searcher;
mod server;
mod slots;
mod spoke;
mod survey;
mod table;
mod times;
mod traces;
mod trim;
mod unique;
mod verify;
mod wal;
mod witness;
mod work;
mod writer;

pub use backup::{backup, restore};
pub use compact::{Compacted, compact};
pub use expiry::{Expiry, MissingFiles};
pub use export::{Exported, export};
pub use folder::{Folder, FolderError};
pub use open::OpenError;
pub use operate::{OperateError, Stage, Task};
pub use repair::{Repaired, repair};
pub use times::mend_times;
pub use verify::{Report, verify_backup, verify_folder};

use super::{Batch, Commit, ErasureId, Hits, Oldest, Query, Read, Snapshot, Store, StoreError};
use fault::Fault;
use head::Heads;
use indexer::Indexing;
use open::Opened;
use protocol::id::{ContentHash, Epoch, RoomId, Seq};
use protocol::limits::SHORT_SEARCH_MS;
use protocol::message::{Durability, Range};
use reader::{Importance, Readers};
use searcher::Searcher;
use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use writer::Request;

/// How long a connection waits for another one.
const BUSY: Duration = Duration::from_millis(500);

/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS: usize = 128;

/// Threads that read: one for each core of the machines that we are made for.
const READERS: usize = 2;

/// Damaged entries that the log is told of one by one, each once: more say no more.
const REPORTED: usize = 1_000;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// What an appended entry is to survive: `Disk` or `Process`.
    pub durability: Durability,
    /// The epoch of a new history, drawn at random by the caller.
    pub fresh_epoch: Epoch,
    /// Go on, as a new history, with a log that has lost commits, or without one that is gone.
    pub accept_loss: bool,
}

/// The store. Clones share it.
#[derive(Clone, Debug)]
pub struct SqliteStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    writer: Sender<Request>,
    readers: Readers,
    /// For searches of at most [`SHORT_SEARCH_MS`].
    short: Readers<Searcher>,
    /// For longer ones.
    long: Readers<Searcher>,
    /// For those that come last.
    last: Readers<Searcher>,
    /// Ends the indexer.
    stop: Sender<()>,
    indexing: Arc<Indexing>,
    heads: Arc<Heads>,
    durability: Durability,
    is_new: bool,
    /// Nobody waits for erasures up to this one any more.
    erased: watch::Receiver<u64>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    failure: Mutex<mpsc::UnboundedReceiver<StoreError>>,
    /// Damaged entries that the log was told of: at most [`REPORTED`].
    reported: Mutex<BTreeSet<(RoomId, Seq)>>,
    /// Locked for as long as this lives. Dropped last: SQLite has closed the database by then.
    folder: Folder,
}

impl SqliteStore {
    /// Opens the store of a folder; an empty one gets a new log.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(folder: Folder, options: &Options) -> Result<Self, OpenError> {
        let path = folder.database();
        let failed = |fault: Fault| OpenError::Store {
            path: path.clone(),
            source: fault.while_it("started its threads"),
        };
        let heads = Arc::new(Heads::default());
        let Opened { writer, is_new } = open::open(&folder, options, heads.clone())?;
        let (indexing, erased) = (writer.indexing.clone(), writer.erasure.ended());
        let connections = (0..READERS).map(|_| reader::connect(&path)).collect::<Result<_, _>>();
        let (readers, mut threads) =
            Readers::start(connections.map_err(failed)?, Importance::Usual).map_err(failed)?;
        let mut searcher = |importance| {
            let connection = Searcher::connect(&path, &folder.index())?;
            let (searcher, thread) = Readers::start(vec![connection], importance)?;
            threads.extend(thread);
            Ok(searcher)
        };
        let short = searcher(Importance::Usual).map_err(failed)?;
        let long = searcher(Importance::Usual).map_err(failed)?;
        let last = searcher(Importance::Low).map_err(failed)?;
        let (requests, waiting) = channel();
        let (fail, failure) = mpsc::unbounded_channel();
        let (stop, stopped) = channel();
        let (failing, indexer) = (fail.clone(), indexing.clone());
        threads.push(start("writer", move || writer.run(&waiting, &fail)).map_err(failed)?);
        let run = move || {
            if let Err(fault) = indexer.run(&stopped) {
                let _ = failing.send(fault.while_it("wrote to the index of words"));
            }
        };
        threads.push(start("indexer", run).map_err(failed)?);
        Ok(Self(Arc::new(Shared {
            writer: requests,
            readers,
            short,
            long,
            last,
            stop,
            indexing,
            heads,
            durability: options.durability.clone(),
            is_new,
            erased,
            threads: Mutex::new(threads),
            failure: Mutex::new(failure),
            reported: Mutex::default(),
            folder,
        })))
    }

    /// Whether the log was made when it was opened: no entry names any content then.
    pub fn is_new(&self) -> bool {
        self.0.is_new
    }

    /// How long contents were kept in this folder.
    pub fn expiry(&self) -> Expiry {
        Expiry::read(&self.0.folder.expiry())
    }

    /// Takes that down.
    ///
    /// # Errors
    /// As the file system says.
    pub fn set_expiry(&self, expiry: Expiry) -> std::io::Result<()> {
        if expiry == self.expiry() { Ok(()) } else { expiry.write(&self.0.folder.expiry()) }
    }

    /// All contents that entries name.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn contents(&self) -> Result<BTreeSet<ContentHash>, StoreError> {
        self.0.readers.run("read which contents are named", load::contents).await
    }

    /// Returns when the disk fails while nobody waits for a commit. There is one of these for each store.
    pub async fn failed(&self) -> StoreError {
        let mut failure = {
            let (_, nothing) = mpsc::unbounded_channel();
            let mut failure = self.0.failure.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *failure, nothing)
        };
        match failure.recv().await {
            Some(error) => error,
            // The threads ended in another way, which others are told.
            None => std::future::pending().await,
        }
    }

    /// Returns when the index has every word that was committed by now: searches are fast then, and no different.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn settle(&self) -> Result<(), StoreError> {
        let indexing = self.0.indexing.clone();
        let caught_up = move |_: &_| indexing.catch_up();
        self.0.readers.run("took words into the index", caught_up).await
    }

    /// Leaves everything in order: call it last. What is appended afterwards fails.
    ///
    /// # Errors
    /// [`StoreError`] if the last sync fails; nothing that was acknowledged is lost then.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.0.writer.send(Request::Close(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Fault> {
    Ok(Builder::new().name(name.to_owned()).spawn(run)?)
}

fn gone() -> StoreError {
    Fault::Io(std::io::Error::other("the writer's thread has ended")).while_it("handed over a request")
}

impl Shared {
    /// Says in the log which entries of a page are damaged.
    fn report(&self, room: RoomId, damaged: &[Seq]) {
        if damaged.is_empty() {
            return;
        }
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        for seq in damaged {
            if reported.len() < REPORTED && reported.insert((room, *seq)) {
                tracing::error!(%room, %seq, "a message is damaged, and readers are told so: run natterd verify");
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The channels end first, and the threads with them; a folder may then be locked by the next.
        let (requests, _) = channel();
        self.writer = requests;
        self.readers = Readers::none();
        (self.short, self.long, self.last) = (Readers::none(), Readers::none(), Readers::none());
        // If it has ended, there is nobody to tell.
        let _ = self.stop.send(());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic in there was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Oldest for SqliteStore {
    fn oldest(&self, room: RoomId) -> Seq {
        self.0.heads.of(room).first
    }
}

impl Store for SqliteStore {
    fn durability(&self) -> Durability {
        self.0.durability.clone()
    }

    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.0.readers.run("read what a start needs", |db| Ok(load::load(db)?.snapshot)).await
    }

    async fn append(&self, batch: Batch) -> Result<Commit, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.0.writer.send(Request::Append(batch, answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    async fn erased(&self, erasure: ErasureId) {
        // If the writer has ended, nobody is told anything any more.
        let _ = self.0.erased.clone().wait_for(|ended| *ended >= erasure.0).await;
    }

    async fn read(&self, room: RoomId, range: Range, limit: usize, bytes: usize) -> Result<Read, StoreError> {
        let job = move |db: &_| read::read(db, room, &range, limit, bytes);
        let (read, damaged) = self.0.readers.run("read entries", job).await?;
        self.0.report(room, &damaged);
        Ok(read)
    }

    async fn search(&self, query: Query) -> Result<Hits, StoreError> {
        let searcher = match &query {
            Query { comes_last: true, .. } => &self.0.last,
            Query { ms: ..=SHORT_SEARCH_MS, .. } => &self.0.short,
            _ => &self.0.long,
        };
        searcher.run("searched", move |searcher| search::search(searcher, &query)).await
    }
}
