//! Where logs are kept: the contract of a store, and what goes in and out of it.

mod change;
mod hiding;
mod history;
mod identity;
mod logs;
mod memory;
mod query;
mod snapshot;
mod sqlite;

pub use change::{
    Batch, Change, Commit, CredentialHash, ErasureId, Keep, NewEntry, Reserved, RoomShape, weight,
};
pub use hiding::Hiding;
pub use identity::server_id;
pub use logs::{Logs, Scan};
pub use memory::{MemoryLimits, MemoryStore};
pub use protocol::search_terms::{Words, folded, searchable};
pub use query::{Hits, Query, Read, nearest};
pub use snapshot::{
    Closed, ClosedPerson, ClosedRoom, Snapshot, StoredClock, StoredDevice, StoredFile, StoredMember,
    StoredOffer, StoredRoom,
};
pub use sqlite::{
    Compacted, Expiry, Exported, Folder, FolderError, MissingFiles, OpenError, OperateError, Options,
    Repaired, Report, SqliteStore, Stage, Task, backup, compact, export, mend_times, repair, restore,
    verify_backup, verify_folder,
};

use protocol::id::{RoomId, Seq};
use protocol::message::{Durability, Range};
use std::future::Future;
use std::path::PathBuf;
use thiserror::Error;

/// A store that can't be trusted any more. The process ends: nothing is retried, nothing acknowledged.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A read, write or sync failed.
    #[error("the store failed while it {doing}")]
    Io {
        /// What it was doing.
        doing: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// What was read is not what was written.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// What does not fit.
        what: String,
    },
    /// Somebody else deleted, replaced or wrote to a file that is open: what is written to it is lost.
    #[error("'{}' {how} while the server ran", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What happened to it.
        how: &'static str,
    },
}

/// Where each history begins: known without waiting.
pub trait Oldest: Send + Sync + std::fmt::Debug {
    /// The oldest entry of a room that is kept; one more than the newest if there is none.
    fn oldest(&self, room: RoomId) -> Seq;
}

/// A store of logs. Clones share it.
///
/// Contract: a number is given to one entry only; the numbers of a room are gapless; an entry that was
/// numbered is found by every later read until it is trimmed, and trimming takes the oldest first.
///
/// A batch is judged in order, each post by what all before it left. An **edit** or a **delete** is an entry
/// like any other that also changes the one that it refers to, in the same transaction, if that is kept in the
/// room (else [`Code::NoSuchEntry`](protocol::code::Code::NoSuchEntry)) and [`NewEntry::check_target`] allows it:
/// what changes is told by [`NewEntry::revise`]. The target's mentions are then those of the edit, or none after
/// a delete, and searches see only what is there now. Once `append` returns, nothing that was deleted is in the
/// store's files any more, unless the commit names an erasure.
///
/// A refusal does not move a device's counter: when a post is refused, the later ones of its device in the
/// batch are refused as [`Code::OutOfOrder`](protocol::code::Code::OutOfOrder).
pub trait Store: Oldest + Clone + 'static {
    /// What an appended entry survives.
    fn durability(&self) -> Durability;

    /// What the server knew when it ended; everything that was appended by now.
    fn load(&self) -> impl Future<Output = Result<Snapshot, StoreError>> + Send;

    /// Commits a batch; it is as durable as [`Store::durability`] says when this returns.
    fn append(&self, batch: Batch) -> impl Future<Output = Result<Commit, StoreError>> + Send;

    /// Returns when an erasure has ended, and all before it: the deleted texts have left the store's files. If somebody
    /// reads these for too long, that is not so; then the operator was told.
    fn erased(&self, _erasure: ErasureId) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Reads at most `limit` entries, whose [`weight`]s are at most `bytes` (at least one, if there is one).
    ///
    /// The entries that are nearest to what was asked for stay: the last ones for latest, before and before-time,
    /// the first ones for after, between and since-time. For around they are those that [`nearest`] tells, and
    /// there are more if there are any on either side.
    fn read(
        &self,
        room: RoomId,
        range: Range,
        limit: usize,
        bytes: usize,
    ) -> impl Future<Output = Result<Read, StoreError>> + Send;

    /// Finds entries by their words.
    fn search(&self, query: Query) -> impl Future<Output = Result<Hits, StoreError>> + Send;
}
