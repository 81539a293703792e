//! Opening a log: what is there is judged before anything is written.

use super::erasure::Erasure;
use super::fault::{Fault, unless_damaged};
use super::folder::{Folder, boot};
use super::head::Head;
use super::in_place::InPlace;
use super::index::Index;
use super::indexer::Indexing;
use super::load::{Loaded, load};
use super::mark;
use super::number::{key, key_of};
use super::reader;
use super::record::Record;
use super::reseal::reseal;
use super::schema::{self, Unusable};
use super::traces::{self, Traces};
use super::witness::{self, Witness};
use super::writer::{self, Writer};
use super::{Heads, Options, checkpoint, wal};
use crate::store::StoreError;
use protocol::id::RoomId;
use protocol::message::Durability;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why a log can't be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A later version wrote it.
    #[error("'{}' has layout {found}, and this natterd knows {} at most", path.display(), schema::VERSION)]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its layout.
        found: usize,
    },
    /// It is something else.
    #[error("'{}' is not a database of natterd", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It is not what was written.
    #[error("'{}' is damaged: {what}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Commits that were acknowledged are gone.
    #[error("'{}' is damaged: {what}", path.display())]
    Lost {
        /// The database.
        path: PathBuf,
        /// How that is known.
        what: String,
    },
    /// There is no database, and the folder is that of one.
    #[error("'{}' has no database, and is not new: there is {traces}", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
        /// How that is known.
        traces: String,
    },
    /// There is no space to write that it is open.
    #[error("there is no space left on the disk of '{}'", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Another program has locked it.
    #[error("'{}' is locked by another program", path.display())]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// It can't be read or written.
    #[error("'{}' can't be opened: {}", path.display(), cause(source))]
    Store {
        /// The database.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "start the natterd that wrote it, or a later one",
            Self::Foreign { .. } => "name another folder with --data",
            Self::Damaged { .. } => {
                "run natterd verify to see how much, then natterd repair, or restore a backup"
            }
            Self::Lost { .. } => {
                "run natterd repair, restore a backup, or go on with what is left with --accept-loss"
            }
            Self::Missing { .. } => {
                "mount or put back what is missing, or run natterd restore BACKUP with this folder; --accept-loss \
                 begins a new history, and moves what is left of the old one into a folder beside it"
            }
            Self::Full { .. } => "make space there, then start again: what was stored is all there",
            Self::Locked { .. } => "stop the program that has the database open, then start again",
            Self::Store { .. } => "check the disk, and who owns the folder",
        }
    }
}

/// A log that is open.
pub(super) struct Opened {
    pub writer: Writer,
    /// Whether it was made just now.
    pub is_new: bool,
}

/// Opens a log to write to it; an empty folder gets a new one.
pub(super) fn open(folder: &Folder, options: &Options, heads: Arc<Heads>) -> Result<Opened, OpenError> {
    let path = folder.database();
    let failed = |fault: Fault| explain(path.clone(), fault);
    if !folder.has_database() {
        make_sure_it_is_new(folder, options, true)?;
    }
    let tail = wal::examine(&folder.wal()).map_err(|error| failed(error.into()))?;
    let unusable = |unusable| match unusable {
        Unusable::Foreign => OpenError::Foreign { path: path.clone() },
        Unusable::Newer(found) => OpenError::Newer { path: path.clone(), found },
        Unusable::Fault(fault) => failed(fault),
    };
    let mut db = Connection::open(&path).map_err(|error| failed(error.into()))?;
    let is_new = schema::version(&db).map_err(unusable)? == 0;
    if is_new {
        make_sure_it_is_new(folder, options, false)?;
    }
    writer::prepare(&db, &options.durability).map_err(failed)?;
    schema::migrate(&mut db, options.fresh_epoch).map_err(unusable)?;
    if is_new {
        // It must be on the disk before the witness says that there is one, whatever is promised for its commits.
        checkpoint::truncate(&db).and_then(|()| sync(folder.path())).map_err(failed)?;
    }
    folder.lock_database().map_err(|error| failed(std::io::Error::other(error).into()))?;
    let (loaded, unfit) = load_or_reseal(&db, folder, options)?;
    let mut closed = find_closed_ends(&db, &loaded.heads).map_err(failed)?;
    report_damage(&loaded, &closed);
    closed.extend(loaded.snapshot.closed.rooms.keys());
    let lost = unfit.or_else(|| judge(folder, &loaded.record, tail));
    if let (Some(what), false) = (&lost, options.accept_loss) {
        return Err(OpenError::Lost { path, what: what.clone() });
    }
    heads.write().clone_from(&loaded.heads);
    let record = begin(&loaded.record, options, lost.as_deref());
    let reserved =
        (record.epoch != loaded.record.epoch).then(|| mark::leave_out(&loaded.snapshot.last, lost.is_none()));
    let witness = Witness::open(&folder.witness()).map_err(|error| failed(error.into()))?;
    let log = reader::connect(&path).map_err(failed)?;
    let index = Index::open(&folder.index(), log, record.epoch).map_err(failed)?;
    let indexing = Arc::new(Indexing::new(index, heads.clone()));
    let page = db.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0));
    let page = page.map_err(|error| failed(error.into()))?;
    let files = InPlace::of(folder, page.into()).map_err(failed)?;
    let erasure = Erasure::new(folder);
    let (dirty, is_full) = (false, false);
    let mut writer = Writer { db, record, heads, closed, witness, files, indexing, erasure, dirty, is_full };
    writer.write_first_record(&loaded, reserved.as_ref()).and_then(|()| writer.truncate()).map_err(failed)?;
    // What a server deleted that was killed before it was erased.
    writer.erase_now().map_err(failed)?;
    sync(folder.path()).map_err(failed)?;
    Ok(Opened { writer, is_new })
}

/// Loads what a start needs. If that does not add up and can be made to, tells as well what did not; it is sealed anew
/// only if that is accepted.
fn load_or_reseal(
    db: &Connection,
    folder: &Folder,
    options: &Options,
) -> Result<(Loaded, Option<String>), OpenError> {
    let path = folder.database();
    let fault = match load(db) {
        Ok(loaded) => return Ok((loaded, None)),
        Err(fault) => fault,
    };
    if !fault.is_damage() {
        return Err(explain(path, fault));
    }
    let what = fault.words();
    match reseal(db, witness::commits(&folder.witness()), options) {
        Ok(()) if options.accept_loss => {}
        Ok(()) => return Err(OpenError::Lost { path, what }),
        // There is more damage than that.
        Err(other) if other.is_damage() => return Err(explain(path, fault)),
        Err(other) => return Err(explain(path, other)),
    }
    let loaded = load(db).map_err(|fault| explain(path, fault))?;
    Ok((loaded, Some(what)))
}

/// Refuses a folder without a database that had one, or makes room for a new one if that is accepted.
fn make_sure_it_is_new(folder: &Folder, options: &Options, with_log: bool) -> Result<(), OpenError> {
    let failed = |error: std::io::Error| explain(folder.path().to_owned(), error.into());
    let Some(traces) = Traces::find(folder, with_log).map_err(failed)?.words() else { return Ok(()) };
    if !options.accept_loss {
        return Err(OpenError::Missing { path: folder.path().to_owned(), traces });
    }
    if let Some(aside) = traces::set_aside_history(folder).map_err(failed)? {
        let aside = aside.display();
        tracing::warn!(%traces, %aside, "there is no database: this is a new history, and what is left of the old one was set aside");
    }
    Ok(())
}

fn sync(folder: &Path) -> Result<(), Fault> {
    Ok(File::open(folder)?.sync_all()?)
}

/// Says what is damaged, and that the rest goes on.
fn report_damage(loaded: &Loaded, closed: &BTreeSet<RoomId>) {
    for what in loaded.rows.words() {
        tracing::error!("damaged: {what}");
    }
    for room in closed {
        tracing::error!(%room, "damaged: nothing can be stored behind the last message of this room, and it takes none");
    }
    for room in loaded.snapshot.closed.rooms.keys() {
        tracing::error!(%room, "this room is closed, because what is stored of it is damaged");
    }
    if !loaded.rows.damaged.is_empty() || !closed.is_empty() {
        tracing::error!("going on without what is damaged: stop the server, then run natterd repair");
    }
}

/// Rooms in which new entries would not find their places: behind the last one, on pages that can be read.
fn find_closed_ends(db: &Connection, heads: &BTreeMap<RoomId, Head>) -> Result<BTreeSet<RoomId>, Fault> {
    let mut find = db.prepare("SELECT key FROM entry WHERE key <= ? ORDER BY key DESC LIMIT 1")?;
    let mut closed = BTreeSet::new();
    for (room, head) in heads {
        let Some(last) = head.last.filter(|_| head.len() > 0) else { continue };
        let found = find.query_row([key_of(*room, u64::MAX)], |row| row.get::<_, i64>(0));
        let found = unless_damaged(found.map_err(Fault::from))?;
        if found != Some(key(*room, last)) {
            closed.insert(*room);
        }
    }
    Ok(closed)
}

/// How it is known that commits are gone, if they are.
pub(super) fn judge(folder: &Folder, record: &Record, tail: wal::Tail) -> Option<String> {
    let boot = boot();
    let same_boot = !boot.is_empty() && boot == record.boot;
    if record.durability == Durability::Process && !same_boot {
        // Nothing more was promised; the epoch says so.
        return None;
    }
    let acknowledged = witness::read(&folder.witness(), record.epoch);
    if acknowledged > record.commits {
        let lost = acknowledged - record.commits;
        return Some(format!("its last {lost} commits, which were acknowledged, are gone"));
    }
    // Whoever copies the database alone leaves both behind. The file of the witness is made before the row says that
    // the log is in use, so a server that is killed as it starts has it.
    if tail.is_absent && !record.clean && !folder.witness().exists() {
        return Some("it was in use, and neither its write-ahead log nor its witness is there".to_owned());
    }
    tail.is_damage(same_boot).then(|| "commits at the end of its write-ahead log can't be read".to_owned())
}

/// The log's own row for a new run.
fn begin(record: &Record, options: &Options, lost: Option<&str>) -> Record {
    let boot = boot();
    let same_boot = !boot.is_empty() && boot == record.boot;
    let may_have_lost = record.durability == Durability::Process && !record.clean && !same_boot;
    if let Some(what) = lost {
        tracing::warn!(what, "going on with what is left, as a new history");
    } else if may_have_lost {
        tracing::warn!("the machine stopped before everything was on the disk: this is a new history");
    }
    let is_new_history = lost.is_some() || may_have_lost;
    let epoch = if is_new_history { options.fresh_epoch } else { record.epoch };
    Record { epoch, durability: options.durability.clone(), boot, clean: false, ..record.clone() }
}

/// What the system said, where it did.
fn cause(error: &StoreError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn explain(path: PathBuf, fault: Fault) -> OpenError {
    if fault.is_full() {
        return OpenError::Full { path };
    }
    if fault.is_busy() {
        return OpenError::Locked { path };
    }
    match fault.while_it("opened the database") {
        StoreError::Damaged { what } => OpenError::Damaged { path, what },
        source => OpenError::Store { path, source },
    }
}
