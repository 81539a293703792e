//! What a store knew when the server ended: everything but the entries.

use super::{CredentialHash, Reserved, RoomShape};
use protocol::entry::{Entry, EntryKind, Revision};
use protocol::id::{
    ContentHash, Counter, DeviceId, DeviceNo, Epoch, Millis, PersonId, RoomId, Seq, ServerId, TransferId,
};
use protocol::message::{FileBody, OfferBody};
use std::collections::{BTreeMap, BTreeSet};

/// All that a server needs to know when it starts, except the entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Which history this is.
    pub epoch: Epoch,
    /// Which server this is.
    pub server: ServerId,
    /// People, guests that had no end included: number, name, credential. By number.
    pub people: Vec<(PersonId, String, Option<CredentialHash>)>,
    /// Devices, by number.
    pub devices: Vec<StoredDevice>,
    /// Rooms, by number.
    pub rooms: Vec<StoredRoom>,
    /// The entries that name a content and are kept and not deleted, by room and number.
    pub files: Vec<StoredFile>,
    /// The entries that offer a file, are kept and not deleted, and that no file's entry has ended; in that order, too.
    pub offers: Vec<StoredOffer>,
    /// Who has fetched which of the files, in that order.
    pub fetched: Vec<(RoomId, Seq, PersonId)>,
    /// Who has written in a room of two or opened it; in the first room of all, who has ever posted.
    pub spoke: BTreeSet<(RoomId, PersonId)>,
    /// Who has blocked whom.
    pub blocks: BTreeSet<(PersonId, PersonId)>,
    /// The largest numbers that a change or an entry ever named, or that were reserved: they are not given out again,
    /// because entries are judged by their author's number, a device and its counter are unique, and direct messages
    /// would go to a stranger.
    pub last: Reserved,
    /// What time it was when the server stored it last.
    pub clock: Option<StoredClock>,
    /// What is closed because it is damaged.
    pub closed: Closed,
}

/// What can't be used because what was stored of it is damaged, as far as that can be read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Closed {
    /// Rooms.
    pub rooms: BTreeMap<RoomId, ClosedRoom>,
    /// People.
    pub people: Vec<ClosedPerson>,
    /// Devices.
    pub devices: BTreeSet<DeviceId>,
}

/// A room that is closed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClosedRoom {
    /// What it is, if that is known.
    pub shape: Option<RoomShape>,
    /// Who is in it.
    pub members: BTreeSet<PersonId>,
}

/// A person who can't be let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClosedPerson {
    /// Who.
    pub person: Option<PersonId>,
    /// The name.
    pub name: Option<String>,
    /// What proves them.
    pub credential: Option<CredentialHash>,
}

/// What a server knew of the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredClock {
    /// The time that it trusts.
    pub trusted: Millis,
    /// What the wall clock said.
    pub wall: Millis,
    /// For how long the server has run since it doubts the wall clock, in ms; `None` if it does not.
    pub doubted_ms: Option<u64>,
}

/// An entry that names a content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StoredFile {
    /// The room.
    pub room: RoomId,
    /// Its number there.
    pub seq: Seq,
    /// When it was stored.
    pub time: Millis,
    /// Who sent it.
    pub person: Option<PersonId>,
    /// The content.
    pub hash: ContentHash,
    /// Its size in bytes, as the entry says.
    pub size: u64,
    /// The offer that it has ended.
    pub offer: Option<Seq>,
}

/// An entry that offers a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StoredOffer {
    /// The room.
    pub room: RoomId,
    /// Its number there.
    pub seq: Seq,
    /// When it was stored.
    pub time: Millis,
    /// Who sends it.
    pub person: Option<PersonId>,
    /// The upload.
    pub transfer: TransferId,
    /// Its size in bytes, as the entry says.
    pub size: u64,
}

impl StoredFile {
    /// What an entry says of a content, if it does.
    pub fn of(room: RoomId, entry: &Entry) -> Option<Self> {
        let is_file = entry.kind == EntryKind::File && entry.revision != Revision::Deleted;
        let FileBody { hash, size, .. } = is_file.then(|| FileBody::decode(&entry.body).ok())??;
        let Entry { seq, time, person, reply_to: offer, .. } = *entry;
        Some(Self { room, seq, time, person, hash, size, offer })
    }
}

impl StoredOffer {
    /// What an entry says of an upload, if it does.
    pub fn of(room: RoomId, entry: &Entry) -> Option<Self> {
        let is_offer = entry.kind == EntryKind::FileOffer && entry.revision != Revision::Deleted;
        let OfferBody { transfer, size, .. } = is_offer.then(|| OfferBody::decode(&entry.body).ok())??;
        Some(Self { room, seq: entry.seq, time: entry.time, person: entry.person, transfer, size })
    }
}

/// A device as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredDevice {
    /// Its public number.
    pub device: DeviceNo,
    /// Its own id.
    pub id: DeviceId,
    /// Whose it is.
    pub person: PersonId,
    /// The last of its posts that is stored.
    pub counter: Option<Counter>,
    /// When it was seen.
    pub seen: Millis,
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
    /// Members, by number.
    pub members: Vec<StoredMember>,
}

/// A member of a room as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredMember {
    /// Who.
    pub person: PersonId,
    /// The last entry read.
    pub read: Option<Seq>,
    /// Entries after `read` that are kept and name them, ascending: at most the newest
    /// [`MAX_UNREAD_MENTIONS`](protocol::limits::MAX_UNREAD_MENTIONS).
    pub mentions: Vec<Seq>,
}
