//! Where logs are kept: the contract of a store, and what goes in and out of it.

mod memory;

pub use memory::{Logs, MemoryLimits, MemoryStore};

use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind};
use protocol::id::{Counter, DeviceId, DeviceNo, Epoch, Millis, PersonId, RoomId, Seq};
use protocol::message::{Durability, Range};
use std::future::Future;
use thiserror::Error;

/// A BLAKE3 hash of a credential: what proves a person, never kept itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CredentialHash(pub [u8; 32]);

/// An entry that has no number yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEntry {
    /// The room.
    pub room: RoomId,
    /// The server's time; never before that of an earlier entry of the room.
    pub time: Millis,
    /// When it was written if that was earlier, else 0.
    pub written: Millis,
    /// The author; `None` for the server.
    pub person: Option<PersonId>,
    /// The author's name as it is now.
    pub name: String,
    /// The author's device and its number for this entry: unique in the store.
    pub origin: Option<(DeviceNo, Counter)>,
    /// What it is.
    pub kind: EntryKind,
    /// The entry that it refers to.
    pub reply_to: Option<Seq>,
    /// The body.
    pub body: Bytes,
}

impl NewEntry {
    /// The entry with its number.
    pub fn numbered(&self, seq: Seq) -> Entry {
        Entry {
            seq,
            time: self.time,
            written: self.written,
            person: self.person,
            name: self.name.clone(),
            device: self.origin.map(|(device, _)| device),
            counter: self.origin.map(|(_, counter)| counter),
            kind: self.kind,
            revision: protocol::entry::Revision::Original,
            reply_to: self.reply_to,
            body: self.body.clone(),
        }
    }

    /// Bytes that it stands for when batches and windows are bounded.
    pub fn weight(&self) -> usize {
        self.body.len() + self.name.len() + 80
    }
}

/// A change beside the logs, committed with them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A person is new or has a new name.
    Person {
        /// Who.
        person: PersonId,
        /// The name.
        name: String,
        /// What proves them; `None` for guests, who end with their connection.
        credential: Option<CredentialHash>,
    },
    /// A guest is gone.
    PersonGone {
        /// Who.
        person: PersonId,
    },
    /// A device was seen.
    Device {
        /// Its public number.
        device: DeviceNo,
        /// Its own id.
        id: DeviceId,
        /// Whose it is.
        person: PersonId,
        /// When.
        seen: Millis,
    },
    /// A room is new or has a new topic.
    Room {
        /// The room.
        room: RoomId,
        /// What it is.
        shape: RoomShape,
        /// The topic.
        topic: String,
    },
    /// A person became a member of a room or stopped being one.
    Member {
        /// The room.
        room: RoomId,
        /// Who.
        person: PersonId,
        /// Which of the two.
        joined: bool,
    },
    /// A person has read up to here.
    Mark {
        /// The room.
        room: RoomId,
        /// Who.
        person: PersonId,
        /// The last entry read.
        seq: Seq,
    },
}

/// What a room is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoomShape {
    /// Anyone may join it by its name.
    Public {
        /// The name.
        name: String,
    },
    /// The room of two people. Invariant: the first number is the smaller one, or they are equal.
    Direct(PersonId, PersonId),
}

/// What is committed in one transaction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// Entries, in the order of their numbers.
    pub posts: Vec<NewEntry>,
    /// Everything else, in order. They are made before the entries, which may need them.
    pub changes: Vec<Change>,
}

impl Batch {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty() && self.changes.is_empty()
    }
}

/// What became of a batch: for each post, in order, its number or why it was refused.
///
/// A batch whose changes were refused was refused whole; the hub then keeps the changes for its next batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// One for each post.
    pub posts: Vec<Result<Seq, Code>>,
    /// Whether the changes are stored.
    pub changes: Result<(), Code>,
}

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
}

/// All that a server needs to know when it starts, except the entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Which history this is.
    pub epoch: Epoch,
    /// People: number, name, credential.
    pub people: Vec<(PersonId, String, Option<CredentialHash>)>,
    /// Devices: number, own id, whose, last counter accepted.
    pub devices: Vec<(DeviceNo, DeviceId, PersonId, Option<Counter>)>,
    /// Rooms.
    pub rooms: Vec<StoredRoom>,
}

/// A room as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRoom {
    /// The room.
    pub room: RoomId,
    /// What it is.
    pub shape: RoomShape,
    /// The topic.
    pub topic: String,
    /// The newest entry.
    pub head: Option<Seq>,
    /// The time of the newest entry.
    pub time: Millis,
    /// Members and what each has read.
    pub members: Vec<(PersonId, Option<Seq>)>,
}

/// Entries that were read, in order and without a gap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The oldest entry that is kept; one more than the newest if there is none.
    pub oldest: Seq,
    /// Whether there are more in the direction of the request.
    pub more: bool,
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
pub trait Store: Oldest + Clone + 'static {
    /// What an appended entry survives.
    fn durability(&self) -> Durability;

    /// What the server knew when it ended.
    fn load(&self) -> impl Future<Output = Result<Snapshot, StoreError>> + Send;

    /// Commits a batch; it is as durable as [`Store::durability`] says when this returns.
    fn append(&self, batch: Batch) -> impl Future<Output = Result<Commit, StoreError>> + Send;

    /// Reads at most `limit` entries of about at most `bytes` (at least one, if there is one).
    fn read(
        &self,
        room: RoomId,
        range: Range,
        limit: usize,
        bytes: usize,
    ) -> impl Future<Output = Result<Read, StoreError>> + Send;
}
