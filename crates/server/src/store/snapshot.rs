//! What a store knew when the server ended: everything but the entries.

use super::{CredentialHash, RoomShape};
use protocol::id::{ContentHash, Counter, DeviceId, DeviceNo, Epoch, Millis, PersonId, RoomId, Seq};

/// All that a server needs to know when it starts, except the entries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Which history this is.
    pub epoch: Epoch,
    /// People, guests that had no end included: number, name, credential. By number.
    pub people: Vec<(PersonId, String, Option<CredentialHash>)>,
    /// Devices, by number.
    pub devices: Vec<StoredDevice>,
    /// Rooms, by number.
    pub rooms: Vec<StoredRoom>,
    /// Which rooms have an entry that names a content and is kept and not deleted. In order, each once.
    pub files: Vec<(RoomId, ContentHash)>,
    /// The largest number of a person that a change or an entry ever named: it is not given out again, because
    /// entries are judged by their author's number.
    pub last_person: Option<PersonId>,
    /// The largest number of a device that a change or an entry ever named: it is not given out again, because
    /// a device and its counter are unique.
    pub last_device: Option<DeviceNo>,
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
