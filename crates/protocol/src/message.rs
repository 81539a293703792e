//! The messages of the native dialect, one enum for each direction.
//!
//! Numbers are settled for version 1.

mod file;
mod operator;
mod part;

pub use file::*;
pub use operator::*;
pub use part::*;

use crate::entry::{Entry, EntryKind};
use crate::id::{
    BlockValue, ContentHash, Counter, DeviceId, DeviceNo, Epoch, Millis, PersonId, Req, RoomId, Seq,
    ServerId, TransferId,
};
use crate::wire::{DecodeError, Wire, messages};
use bytes::Bytes;

/// Frame types of either direction that a reader skips by their length: room for what comes later.
pub const SKIPPED: std::ops::RangeInclusive<u8> = 0x70..=0x7f;

/// All frame types of the native dialect; the classic ones are in [`crate::classic::ty`].
pub mod ty {
    #![expect(missing_docs, reason = "each is named after its message, which is documented")]
    pub const HELLO: u8 = 0x10;
    pub const JOIN: u8 = 0x11;
    pub const PART: u8 = 0x12;
    pub const OPEN: u8 = 0x13;
    pub const CLOSE: u8 = 0x14;
    pub const POST: u8 = 0x15;
    pub const FETCH: u8 = 0x16;
    pub const SEARCH: u8 = 0x17;
    pub const MARK: u8 = 0x18;
    pub const STATE: u8 = 0x19;
    pub const ASK: u8 = 0x1a;
    pub const DO: u8 = 0x1b;
    pub const PING: u8 = 0x1c;
    pub const BYE: u8 = 0x1d;
    pub const OPERATE: u8 = 0x1e;
    pub const PUT: u8 = 0x20;
    pub const CHUNK: u8 = 0x21;
    pub const DONE: u8 = 0x22;
    pub const DROP: u8 = 0x23;
    pub const GET: u8 = 0x24;
    pub const GRANT: u8 = 0x25;
    pub const FETCHED: u8 = 0x26;
    pub const CHECK: u8 = 0x27;

    pub const WELCOME: u8 = 0x40;
    pub const ROOMS: u8 = 0x41;
    pub const OPENED: u8 = 0x42;
    pub const ACK: u8 = 0x43;
    pub const ENTRIES: u8 = 0x44;
    pub const PAGE: u8 = 0x45;
    pub const TRIMMED: u8 = 0x46;
    pub const ROSTER: u8 = 0x47;
    pub const ANSWER: u8 = 0x48;
    pub const ERROR: u8 = 0x49;
    pub const PONG: u8 = 0x4a;
    pub const GO_AWAY: u8 = 0x4b;
    pub const OPERATED: u8 = 0x4c;
    pub const PUT_AT: u8 = 0x50;
    pub const DATA: u8 = 0x51;
    pub const CREDIT: u8 = 0x52;
    pub const END: u8 = 0x53;
    pub const CHECK_DATA: u8 = 0x54;
}

messages! {
    /// What a client says.
    pub enum ClientMsg {
        /// Login; must come first, once. Answered by `Welcome`, then `Rooms`.
        Hello = ty::HELLO {
            /// Smallest version that the client speaks.
            min_version: u16,
            /// Largest version that the client speaks.
            max_version: u16,
            /// Optional features that the client has, as bits: 1 uploads of unknown size.
            features: u64,
            /// Which device this is.
            device: DeviceId,
            /// Who this is.
            proof: Proof,
            /// What the connection is for.
            purpose: Purpose,
            /// The wanted name; a free one is given if it is taken.
            name: String,
            /// Program and version, at most [`MAX_AGENT`](crate::limits::MAX_AGENT) bytes.
            agent: String,
            /// Which attempt of which process this is; absent from clients that do not say.
            attempt: Option<Attempt>,
        },
        /// Become a member of a room, which is made if there is none. Answered by `Rooms` (added).
        Join = ty::JOIN {
            /// Repeated in the answer.
            req: Req,
            /// The room's name.
            name: String,
        },
        /// Stop being a member. Answered by `Rooms` (removed).
        Part = ty::PART {
            /// Repeated in the answer.
            req: Req,
            /// The room.
            room: RoomId,
        },
        /// Set a cursor in a room; entries flow from there on. Answered by `Opened`. Opening again moves it.
        Open = ty::OPEN {
            /// Repeated in the answer.
            req: Req,
            /// The room.
            room: RoomId,
            /// Where to begin.
            from: OpenFrom,
        },
        /// Take the cursor away. Answered by `Answer` (done).
        Close = ty::CLOSE {
            /// Repeated in the answer.
            req: Req,
            /// The room.
            room: RoomId,
        },
        /// Append an entry. Answered by `Ack` once it is as durable as `Welcome` said, or by `Error`.
        Post = ty::POST {
            /// The device's number for it: one more than the last.
            counter: Counter,
            /// Where to.
            target: Target,
            /// Text, action, reaction, edit, delete, file offer, file or opaque.
            kind: EntryKind,
            /// The entry that it refers to.
            reply_to: Option<Seq>,
            /// When it was written if that was noticeably earlier, else 0.
            written: Millis,
            /// At most [`MAX_BODY`](crate::limits::MAX_BODY) bytes.
            body: Bytes,
        },
        /// Read entries without a cursor. Answered by `Page`.
        Fetch = ty::FETCH {
            /// Repeated in the answer.
            req: Req,
            /// The room.
            room: RoomId,
            /// Which entries.
            range: Range,
            /// At most so many, 1 ..= [`MAX_FETCH`](crate::limits::MAX_FETCH).
            limit: u16,
        },
        /// Find entries with these words, newest first. Answered by `Page`.
        Search = ty::SEARCH {
            /// Repeated in the answer.
            req: Req,
            /// The room, or `None` for all that I may read.
            room: Option<RoomId>,
            /// The words, at most [`MAX_QUERY`](crate::limits::MAX_QUERY) bytes.
            words: String,
            /// At most so many, 1 ..= [`MAX_FETCH`](crate::limits::MAX_FETCH).
            limit: u16,
            /// Only entries stored before the entry of this room …
            before_room: Option<RoomId>,
            /// … with this number. `None` in either begins at the newest.
            before: Option<Seq>,
        },
        /// I have read up to here; moves only forward. Answered by `Answer` (done).
        Mark = ty::MARK {
            /// Repeated in the answer.
            req: Req,
            /// The room.
            room: RoomId,
            /// The last entry read.
            seq: Seq,
        },
        /// My state. Answered by `Answer` (done or named); typing is not answered.
        State = ty::STATE {
            /// Repeated in the answer.
            req: Req,
            /// What changes.
            change: StateChange,
        },
        /// A question. Answered by `Answer`.
        Ask = ty::ASK {
            /// Repeated in the answer.
            req: Req,
            /// The question.
            question: Question,
        },
        /// An action, mostly on a room. Answered by `Answer` (done).
        Do = ty::DO {
            /// Repeated in the answer.
            req: Req,
            /// The room; `None` for what is about none.
            room: Option<RoomId>,
            /// The action.
            action: Action,
        },
        /// Are you there? Answered by `Pong`.
        Ping = ty::PING {
            /// Repeated in the answer.
            nonce: u64,
        },
        /// I leave on purpose: no grace. The server closes.
        Bye = ty::BYE {},
        /// The operator's order, on their socket. Answered by `Operated`.
        Operate = ty::OPERATE {
            /// Repeated in the answer.
            req: Req,
            /// The order.
            order: Order,
        },
        /// Begin or resume an upload (bulk). Answered by `PutAt`.
        Put = ty::PUT {
            /// Repeated in the answer, and in all frames of this transfer.
            req: Req,
            /// Which transfer, so that it can be resumed.
            transfer: TransferId,
            /// Where to.
            target: Target,
            /// Size in bytes; [`UNKNOWN_SIZE`](crate::limits::UNKNOWN_SIZE) if only its end tells.
            size: u64,
            /// The BLAKE3 hash of its first [`BLOCK`](crate::limits::BLOCK), or of all if it is smaller.
            first: ContentHash,
            /// The file's name.
            name: String,
        },
        /// A piece of an upload (bulk).
        Chunk = ty::CHUNK {
            /// The transfer's request.
            req: Req,
            /// Where the piece begins.
            offset: u64,
            /// At most [`MAX_CHUNK`](crate::limits::MAX_CHUNK) bytes.
            data: Blob,
        },
        /// The upload is complete (bulk). Answered by `End`.
        Done = ty::DONE {
            /// The transfer's request.
            req: Req,
            /// The hash of the whole.
            hash: ContentHash,
        },
        /// Give up a transfer of either direction (bulk).
        Drop = ty::DROP {
            /// The transfer's request.
            req: Req,
        },
        /// Begin or resume a download (bulk). Answered by `Data` … `End`.
        Get = ty::GET {
            /// Repeated in all frames of this transfer.
            req: Req,
            /// What is wanted.
            source: Source,
            /// Where to begin: a border of blocks, or the size.
            offset: u64,
            /// Bytes that may come before the first `Grant`.
            credit: u32,
        },
        /// More of a download may come (bulk).
        Grant = ty::GRANT {
            /// The transfer's request.
            req: Req,
            /// So many bytes more.
            bytes: u32,
        },
        /// A download arrived whole.
        Fetched = ty::FETCHED {
            /// Repeated in the answer.
            req: Req,
            /// The room of the file's entry.
            room: RoomId,
            /// The file's entry.
            seq: Seq,
        },
        /// The value of a block that was sent, which more bytes follow (bulk). Not answered unless it is wrong.
        Check = ty::CHECK {
            /// The transfer's request.
            req: Req,
            /// Which block, from 0.
            index: u64,
            /// Its value.
            value: BlockValue,
        },
    }
}

impl ClientMsg {
    /// Like [`decode`](Self::decode), but the bytes of a `Chunk` stay where they are, in `payload`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_owned(ty: u8, payload: &Bytes) -> Result<Option<Self>, DecodeError> {
        if ty != ty::CHUNK {
            return Self::decode(ty, payload);
        }
        let mut input = &payload[..];
        let (req, offset) = (Wire::take(&mut input)?, Wire::take(&mut input)?);
        Ok(Some(Self::Chunk { req, offset, data: Blob::share(payload, &mut input)? }))
    }
}

messages! {
    /// What the server says.
    pub enum ServerMsg {
        /// The login worked.
        Welcome = ty::WELCOME {
            /// The version that is spoken from here on.
            version: u16,
            /// Optional features that both sides have, as bits; 0 on a chat connection.
            features: u64,
            /// What the client must keep to.
            limits: Limits,
            /// Who you are.
            person: PersonId,
            /// Your name, which may not be the wanted one.
            name: String,
            /// The number of your device, as entries show it.
            device: DeviceNo,
            /// The last of your device's posts that was accepted.
            last_counter: Option<Counter>,
            /// Which history this is.
            epoch: Epoch,
            /// How well what is acknowledged is kept.
            durability: Durability,
            /// The server's time.
            time: Millis,
            /// What is stored, for how long, and who can read it: a sentence for people.
            storage: String,
            /// The operator's words; may be empty.
            motd: String,
            /// Which server this is; absent from servers that do not say.
            server: Option<ServerId>,
        },
        /// Rooms of mine: all of them after `Welcome`, then each change.
        Rooms = ty::ROOMS {
            /// The request, or 0.
            req: Req,
            /// What happened to them.
            change: RoomsChange,
            /// Whether more pages of this list follow.
            more: bool,
            /// At most [`MAX_PAGE`](crate::limits::MAX_PAGE).
            rooms: Vec<RoomInfo>,
        },
        /// The cursor is set.
        Opened = ty::OPENED {
            /// The request.
            req: Req,
            /// The room.
            room: RoomId,
            /// The room's topic; may be empty.
            topic: String,
            /// The oldest entry that is kept; one more than the newest when there is none.
            oldest: Seq,
            /// The newest entry.
            newest: Option<Seq>,
            /// The first entry that will come. Invariant: oldest <= next <= newest + 1.
            next: Seq,
        },
        /// All posts of your device up to this one are as durable as `Welcome` said.
        Ack = ty::ACK {
            /// The last of them.
            counter: Counter,
            /// Its room, where known.
            room: Option<RoomId>,
            /// Its number there, where known.
            seq: Option<Seq>,
        },
        /// Entries after the cursor, in order and without a gap.
        Entries = ty::ENTRIES {
            /// The room.
            room: RoomId,
            /// The entries.
            entries: Vec<Entry>,
        },
        /// The answer to `Fetch` or `Search`, always one frame: what does not fit is asked for again.
        Page = ty::PAGE {
            /// The request.
            req: Req,
            /// Whether there is more in the direction of the request.
            more: bool,
            /// The entries.
            found: Vec<Found>,
        },
        /// The cursor stood before what is kept, or in another history.
        Trimmed = ty::TRIMMED {
            /// The room.
            room: RoomId,
            /// Which of the two.
            reason: TrimReason,
            /// The next entry that will come: history begins here.
            first: Seq,
        },
        /// Who is in an open room: a snapshot in pages, or what changed since the last version.
        Roster = ty::ROSTER {
            /// The room.
            room: RoomId,
            /// The version after this frame; only grows.
            version: u64,
            /// Whether this replaces all that was known (its first page) or changes it.
            snapshot: bool,
            /// Whether more pages of this snapshot follow.
            more: bool,
            /// Members that are online.
            online: u32,
            /// Members.
            members: u32,
            /// Empty above [`MAX_ROSTER`](crate::limits::MAX_ROSTER) online members: only the counts are told then.
            people: Vec<RosterItem>,
        },
        /// The answer to `Close`, `Mark`, `State`, `Ask`, `Do` or `Fetched`, always one frame.
        Answer = ty::ANSWER {
            /// The request.
            req: Req,
            /// Whether more of this answer can be asked for.
            more: bool,
            /// The answer.
            reply: Reply,
        },
        /// Something was refused.
        Error = ty::ERROR {
            /// [`Code::number`](crate::code::Code::number), or one of a later version.
            code: u16,
            /// The type of the frame that was refused, or 0.
            about: u8,
            /// Its request id, or a post's counter, or 0.
            req: u64,
            /// Whether the connection is closed now.
            close: bool,
            /// A number that some codes carry, else 0.
            detail: u64,
            /// A plain sentence.
            text: String,
        },
        /// I am here.
        Pong = ty::PONG {
            /// From the `Ping`.
            nonce: u64,
            /// The server's time.
            time: Millis,
        },
        /// The server stops: come back.
        GoAway = ty::GO_AWAY {
            /// Not before so many ms.
            after_ms: u32,
            /// Why, in words.
            text: String,
        },
        /// What became of an order, always one frame.
        Operated = ty::OPERATED {
            /// The request.
            req: Req,
            /// Whether more of this answer can be asked for.
            more: bool,
            /// The answer.
            outcome: Outcome,
        },
        /// The upload goes on here (bulk).
        PutAt = ty::PUT_AT {
            /// The transfer's request.
            req: Req,
            /// Where to go on: a border of blocks, or the size.
            offset: u64,
            /// Bytes that may be sent before the first `Credit`.
            credit: u32,
            /// Whether the content may be known already: try `Done` with its hash before a byte is sent.
            likely: bool,
        },
        /// A piece of a download (bulk).
        Data = ty::DATA {
            /// The transfer's request.
            req: Req,
            /// Where the piece begins.
            offset: u64,
            /// At most [`MAX_CHUNK`](crate::limits::MAX_CHUNK) bytes.
            data: Blob,
        },
        /// More of an upload may come (bulk).
        Credit = ty::CREDIT {
            /// The transfer's request.
            req: Req,
            /// So many bytes more.
            bytes: u32,
        },
        /// A transfer is complete (bulk).
        End = ty::END {
            /// The transfer's request.
            req: Req,
            /// Size of the whole, in bytes.
            size: u64,
            /// Hash of the whole.
            hash: ContentHash,
        },
        /// The value of a block that was sent, which more bytes follow (bulk).
        Check = ty::CHECK_DATA {
            /// The transfer's request.
            req: Req,
            /// Which block, from 0.
            index: u64,
            /// Its value.
            value: BlockValue,
        },
    }
}
