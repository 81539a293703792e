//! What goes into a store: entries that have no number yet, and changes beside them.

use super::StoredClock;
use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{Counter, DeviceId, DeviceNo, Millis, PersonId, RoomId, Seq};
use protocol::message::Secret;

/// A BLAKE3 hash of a credential: what proves a person, never kept itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CredentialHash(pub [u8; 32]);

impl CredentialHash {
    /// That of the secret that makes a person.
    pub fn of(secret: &Secret) -> Self {
        Self(*blake3::hash(&secret.0).as_bytes())
    }
}

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
    /// The entry that it refers to; the one that an edit or a delete changes.
    pub reply_to: Option<Seq>,
    /// The body.
    pub body: Bytes,
    /// Members of the room that it names, for their counts; those of an edit belong to what it changes.
    /// At most [`MAX_MENTIONS`](protocol::limits::MAX_MENTIONS), each once.
    pub mentions: Vec<PersonId>,
}

/// Bytes of an entry beside its name and body.
const OVERHEAD: usize = 80;

impl NewEntry {
    /// The entry with its number.
    pub fn numbered(&self, seq: Seq) -> Entry {
        self.clone().into_numbered(seq)
    }

    /// The same, without a copy of the name.
    pub fn into_numbered(self, seq: Seq) -> Entry {
        Entry {
            seq,
            time: self.time,
            written: self.written,
            person: self.person,
            name: self.name,
            device: self.origin.map(|(device, _)| device),
            counter: self.origin.map(|(_, counter)| counter),
            kind: self.kind,
            revision: Revision::Original,
            reply_to: self.reply_to,
            body: self.body,
        }
    }

    /// Bytes that it stands for when batches and windows are bounded.
    pub fn weight(&self) -> usize {
        self.body.len() + self.name.len() + OVERHEAD
    }

    /// Whether it may change this entry, which is the one that it refers to.
    ///
    /// # Errors
    /// [`Code::NotAllowed`] if somebody else wrote that or it is of a kind that stays as it is,
    /// [`Code::NoSuchEntry`] if it is deleted already.
    pub fn check_target(&self, target: &Entry) -> Result<(), Code> {
        let changes = match target.kind {
            EntryKind::Text | EntryKind::Action => true,
            EntryKind::Reaction | EntryKind::File | EntryKind::FileOffer | EntryKind::Opaque => {
                self.kind == EntryKind::Delete
            }
            _ => false,
        };
        // An upload that nobody goes on with is taken back by the server.
        let is_author = self.person.is_some() && target.person == self.person;
        let by_server = self.person.is_none() && target.kind == EntryKind::FileOffer;
        if !(is_author || by_server) || !changes {
            return Err(Code::NotAllowed);
        }
        if target.revision == Revision::Deleted { Err(Code::NoSuchEntry) } else { Ok(()) }
    }

    /// Changes an entry that this one revises, if it does: its target, and for a delete also the target's edits.
    /// True if it did.
    ///
    /// [`NewEntry::check_target`] must have allowed it.
    pub fn revise(&self, entry: &mut Entry) -> bool {
        let is_target = Some(entry.seq) == self.reply_to;
        let is_edit = entry.kind == EntryKind::Edit && entry.reply_to == self.reply_to;
        match self.kind {
            EntryKind::Edit if is_target => {
                entry.body = self.body.clone();
                entry.revision = Revision::Edited;
                true
            }
            EntryKind::Delete if is_target || is_edit => {
                entry.body = Bytes::new();
                entry.revision = Revision::Deleted;
                true
            }
            _ => false,
        }
    }

    /// Whether it changes another entry.
    pub fn revises(&self) -> bool {
        matches!(self.kind, EntryKind::Edit | EntryKind::Delete)
    }
}

/// Bytes that a kept entry stands for: what [`Keep::bytes`] and the limits of reads count.
pub fn weight(entry: &Entry) -> usize {
    entry.body.len() + entry.name.len() + OVERHEAD
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
    /// A person is forgotten. That they have posted stays known.
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
    /// A device is forgotten, and its counter with it.
    DeviceGone {
        /// Its public number.
        device: DeviceNo,
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
    /// A room ends, with its entries and all that is known of it. It has no members any more, or they go with it. A batch
    /// lets go of so much only: then the room is told in [`Commit::untrimmed`], and the same change goes on with it.
    RoomGone {
        /// The room.
        room: RoomId,
    },
    /// A person has written in a room of two or opened it; in the first room of all: has posted at all.
    Spoke {
        /// The room.
        room: RoomId,
        /// Who.
        person: PersonId,
    },
    /// A person blocks another one, or does not any more.
    Block {
        /// Who blocks.
        person: PersonId,
        /// Whom.
        other: PersonId,
        /// Which of the two.
        on: bool,
    },
    /// A person became a member of a room or stopped being one, and then their mark and mentions end.
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
    /// A person has fetched the file of an entry. Nothing happens if that is not kept.
    Fetched {
        /// The room.
        room: RoomId,
        /// The file's entry.
        seq: Seq,
        /// Who.
        person: PersonId,
    },
    /// Numbers up to these may be told: none of them is given out again.
    Reserve {
        /// The numbers.
        numbers: Reserved,
    },
    /// Show the entries of a room from this time on, or all of them; the newest is always shown. That is not stored:
    /// only [`Hiding`](super::Hiding) does it, and it ends with it.
    Hide {
        /// The room.
        room: RoomId,
        /// Entries of an earlier time are hidden.
        since: Option<Millis>,
    },
    /// What time it is.
    Clock {
        /// The time.
        clock: StoredClock,
    },
    /// Keep no more of a room than this: the oldest entries go. What went is told in
    /// [`Commit::trimmed`](super::Commit::trimmed).
    Trim {
        /// The room.
        room: RoomId,
        /// What stays.
        keep: Keep,
    },
}

/// The largest numbers that may have been told to anybody, whether or not anything was stored under them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reserved {
    /// Of people.
    pub person: Option<PersonId>,
    /// Of devices.
    pub device: Option<DeviceNo>,
    /// Of rooms.
    pub room: Option<RoomId>,
}

/// How much of a room is kept; all bounds hold at once. The newest entry always stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// Entries of an earlier time go.
    pub since: Option<Millis>,
    /// Entries.
    pub count: Option<u64>,
    /// The sum of their [`weight`]s.
    pub bytes: Option<u64>,
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
    /// Rooms whose history begins later than before, and where. Each once.
    pub trimmed: Vec<(RoomId, Seq)>,
    /// Rooms that a [`Change::Trim`] left with more than they are to keep: a batch lets go of so much only, and the
    /// same change goes on with it. Each once.
    pub untrimmed: Vec<RoomId>,
    /// The texts that the batch deleted are still in the store's files until this erasure has ended, see
    /// [`Store::erased`](super::Store::erased). Nobody may be told before that they are gone.
    pub erasure: Option<ErasureId>,
}

impl Commit {
    /// What became of these posts, in a batch that did nothing else.
    pub fn of(posts: Vec<Result<Seq, Code>>) -> Self {
        Self { posts, changes: Ok(()), trimmed: Vec::new(), untrimmed: Vec::new(), erasure: None }
    }

    /// There is no space for a batch with this many posts.
    pub fn disk_full(posts: usize) -> Self {
        Self { changes: Err(Code::DiskFull), ..Self::of(vec![Err(Code::DiskFull); posts]) }
    }
}

/// Deleted texts that leave the files of a store. Those of one store are numbered in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ErasureId(pub u64);
