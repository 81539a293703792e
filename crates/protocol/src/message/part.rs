//! The parts that messages are made of.
#![expect(missing_docs, reason = "the sentence of a choice's variant says what its fields are")]

use super::file::FileListing;
use crate::entry::Entry;
use crate::id::{Epoch, Millis, PersonId, RoomId, RunId, Seq, ServerId};
use crate::limits::MAX_CHUNK;
use crate::wire::{DecodeError, Wire, take_slice, wire_choice, wire_list, wire_struct};
use bytes::{BufMut, Bytes, BytesMut};
use std::fmt;

/// 32 random bytes that make a person: whoever has them is that person. Never shown, stored only hashed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Wire for Secret {
    fn put(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.0);
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let (front, rest) = input.split_first_chunk().ok_or(DecodeError::Truncated)?;
        *input = rest;
        Ok(Self(*front))
    }
}

/// A piece of a file: `u32` length and bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob(
    /// Invariant: at most [`MAX_CHUNK`] bytes.
    pub Bytes,
);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Wire for Blob {
    fn put(&self, out: &mut BytesMut) {
        out.put_u32(u32::try_from(self.0.len()).expect("a chunk is at most MAX_CHUNK bytes"));
        out.extend_from_slice(&self.0);
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        Self::take_bytes(input).map(|bytes| Self(Bytes::copy_from_slice(bytes)))
    }
}

impl Blob {
    fn take_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
        let len = u32::take(input)?;
        if len > MAX_CHUNK {
            return Err(DecodeError::Number(u64::from(len)));
        }
        take_slice(input, len as usize)
    }

    /// Takes it off the front of `input`, a part of `payload`, which it then shares instead of copying.
    pub(super) fn share(payload: &Bytes, input: &mut &[u8]) -> Result<Self, DecodeError> {
        Self::take_bytes(input).map(|bytes| Self(payload.slice_ref(bytes)))
    }
}

/// How a person is to others: one byte of bits, of which unknown ones are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Presence {
    /// Bit 0: connected, or gone for less than the grace time.
    pub online: bool,
    /// Bit 1: away.
    pub away: bool,
    /// Bit 2: typing in this room.
    pub typing: bool,
    /// Bit 3: without a credential, so the name is only lent.
    pub guest: bool,
    /// Bit 4: only there for [errands](Attempt::errand).
    pub errand: bool,
}

impl Wire for Presence {
    fn put(&self, out: &mut BytesMut) {
        let bits = [self.online, self.away, self.typing, self.guest, self.errand];
        out.put_u8(bits.iter().enumerate().map(|(at, bit)| u8::from(*bit) << at).sum());
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let bits = u8::take(input)?;
        let bit = |at: u8| bits >> at & 1 == 1;
        Ok(Self { online: bit(0), away: bit(1), typing: bit(2), guest: bit(3), errand: bit(4) })
    }
}

wire_choice! {
    /// Who a client is.
    pub enum Proof {
        /// A guest: a new person for this connection only.
        None = 0,
        /// Whoever has these bytes.
        Secret = 1 { secret: Secret, },
    }
}

/// Which of several connections of one device is the youngest, and what it is for, told by the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// 16 random bytes of this run of the client's process.
    pub run: RunId,
    /// Counts the connections of this run, from 1.
    pub number: u32,
    /// Log in only if no other connection of the device is alive.
    pub only_if_free: bool,
    /// Nobody sits there: a script sends or gets something. Others need not be told that it comes and goes.
    pub errand: bool,
}

/// `errand` may be absent, and is if it is not so: a payload may end before it.
impl Wire for Attempt {
    fn put(&self, out: &mut BytesMut) {
        self.run.put(out);
        self.number.put(out);
        self.only_if_free.put(out);
        if self.errand {
            self.errand.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let (run, number, only_if_free) = (Wire::take(input)?, Wire::take(input)?, Wire::take(input)?);
        let errand = !input.is_empty() && bool::take(input)?;
        Ok(Self { run, number, only_if_free, errand })
    }
}

/// At the end of a payload, where it may be absent: clients that know nothing of it end before.
impl Wire for Option<Attempt> {
    fn put(&self, out: &mut BytesMut) {
        if let Some(attempt) = self {
            attempt.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        if input.is_empty() { Ok(None) } else { Attempt::take(input).map(Some) }
    }
}

/// At the end of a payload, where it may be absent: servers that have none end before.
impl Wire for Option<ServerId> {
    fn put(&self, out: &mut BytesMut) {
        if let Some(id) = self {
            id.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        if input.is_empty() { Ok(None) } else { ServerId::take(input).map(Some) }
    }
}

wire_choice! {
    /// What a connection is for.
    pub enum Purpose {
        /// Everything but files.
        Chat = 0,
        /// Files.
        Bulk = 1,
    }
}

wire_choice! {
    /// Where a cursor begins.
    pub enum OpenFrom {
        /// After the newest entry.
        Now = 0,
        /// So many entries before the end, at most [`MAX_FETCH`](crate::limits::MAX_FETCH).
        Last = 1 { count: u16, },
        /// After this entry of this history; `None` begins at the oldest.
        After = 2 { epoch: Epoch, seq: Option<Seq>, },
    }
}

wire_choice! {
    /// Where a post goes.
    pub enum Target {
        /// A room that I am in.
        Room = 0 { room: RoomId, },
        /// A person: the room of us two, which is made if there is none.
        Person = 1 { person: PersonId, },
    }
}

wire_choice! {
    /// Which entries to read.
    pub enum Range {
        /// The newest.
        Latest = 0,
        /// The last ones before this one.
        Before = 1 { seq: Seq, },
        /// The first ones after this one.
        After = 2 { seq: Option<Seq>, },
        /// This one in the middle.
        Around = 3 { seq: Seq, },
        /// From the first to the last, both included.
        Between = 4 { first: Seq, last: Seq, },
        /// The last ones before this time.
        BeforeTime = 5 { time: Millis, },
        /// The first ones at or after this time.
        SinceTime = 6 { time: Millis, },
    }
}

wire_choice! {
    /// A change of my own state.
    pub enum StateChange {
        /// I type, or stopped, in this room; told to its members. Not answered.
        Typing = 0 { room: RoomId, on: bool, },
        /// I am away, with these words, which may be empty.
        Away = 1 { text: String, },
        /// I am back.
        Back = 2,
        /// I want this name.
        Name = 3 { name: String, },
    }
}

wire_choice! {
    /// A question.
    pub enum Question {
        /// The public rooms, by name, after this one (empty: from the first).
        Rooms = 0 { after: String, },
        /// The people online, in a room or everywhere, by number, after this one.
        People = 1 { room: Option<RoomId>, after: Option<PersonId>, },
        /// Who has this name?
        Whois = 2 { name: String, },
        /// The files of a room, newest first, whose entries come before this one (`None`: from the newest).
        Files = 3 { room: RoomId, before: Option<Seq>, },
        /// Those whom I block, by number, after this one.
        Blocks = 7 { after: Option<PersonId>, },
    }
}

wire_choice! {
    /// An action, mostly on a room.
    pub enum Action {
        /// Set the topic; empty takes it away.
        Topic = 0 { text: String, },
        /// Let somebody in.
        Invite = 1 { person: PersonId, },
        /// Put somebody out.
        Kick = 2 { person: PersonId, reason: String, },
        /// Keep somebody out for so many ms (0: until unbanned).
        Ban = 3 { person: PersonId, ms: u64, reason: String, },
        /// Let somebody in again.
        Unban = 4 { person: PersonId, },
        /// Keep somebody from posting for so many ms (0: until unmuted).
        Mute = 5 { person: PersonId, ms: u64, },
        /// Let somebody post again.
        Unmute = 6 { person: PersonId, },
        /// Give somebody a role: 0 member, 1 operator, 2 owner.
        Role = 7 { person: PersonId, role: u8, },
        /// Refuse what somebody writes to me directly. About no room.
        Block = 11 { person: PersonId, },
        /// Take it again. About no room.
        Unblock = 12 { person: PersonId, },
    }
}

wire_choice! {
    /// What happened to rooms of mine.
    pub enum RoomsChange {
        /// The list after login.
        All = 0,
        /// I am in them now.
        Added = 1,
        /// Their name, topic, read mark or beginning is new.
        Changed = 2,
        /// I am no longer in them.
        Removed = 3,
    }
}

wire_choice! {
    /// What a room is.
    pub enum RoomKind {
        /// Anyone may join.
        Public = 0,
        /// The room of two people.
        Direct = 1 { peer: PersonId, },
    }
}

wire_choice! {
    /// Why a cursor was moved.
    pub enum TrimReason {
        /// Older entries are not kept any more.
        Trimmed = 0,
        /// The cursor came from another history: the server's log was lost or restored.
        NewHistory = 1,
    }
}

wire_choice! {
    /// What an acknowledged post survives.
    pub enum Durability {
        /// Nothing: it lives in the server's memory.
        Memory = 0,
        /// A crash of the server program.
        Process = 1,
        /// A crash of the machine.
        Disk = 2,
    }
}

wire_choice! {
    /// An answer.
    pub enum Reply {
        /// Done.
        Done = 0,
        /// Rooms.
        Rooms = 1 { rooms: Vec<RoomListing>, },
        /// People.
        People = 2 { people: Vec<RosterItem>, },
        /// A person, the names of the rooms that the asker shares with them, and when they were last heard.
        Whois = 3 { person: RosterItem, rooms: Vec<String>, seen: Millis, agent: String, },
        /// Your name is this now.
        Named = 4 { name: String, },
        /// Files.
        Files = 5 { files: Vec<FileListing>, },
    }
}

wire_struct! {
    /// What a client must keep to.
    pub struct Limits {
        /// Largest frame in bytes, type and payload.
        frame: u32,
        /// Largest body in bytes.
        body: u32,
        /// Largest piece of a file in bytes.
        chunk: u32,
        /// Posts that may be unacknowledged.
        window_posts: u16,
        /// Bytes of posts that may be unacknowledged.
        window_bytes: u32,
        /// Ping after so much silence, in ms.
        ping_after_ms: u32,
        /// The other side is dead after so long without a byte, in ms.
        dead_after_ms: u32,
        /// Largest file in bytes; 0 says that there are no files.
        file: u64,
    }
}

wire_struct! {
    /// A room of mine.
    pub struct RoomInfo {
        /// The room.
        room: RoomId,
        /// What it is.
        kind: RoomKind,
        /// Its name; a direct room has the other person's.
        name: String,
        /// Its topic.
        topic: String,
        /// The oldest entry that is kept; one more than the newest when there is none.
        oldest: Seq,
        /// The newest entry.
        newest: Option<Seq>,
        /// The last entry that I have read.
        read: Option<Seq>,
        /// Entries after it.
        unread: u32,
        /// Those of them that name me.
        mentions: u32,
    }
}

wire_struct! {
    /// A room that may be joined.
    pub struct RoomListing {
        /// The room.
        room: RoomId,
        /// Its name.
        name: String,
        /// Its topic.
        topic: String,
        /// Its members.
        members: u32,
        /// Those that are online.
        online: u32,
    }
}

wire_struct! {
    /// A person, as others see them.
    pub struct RosterItem {
        /// Who.
        person: PersonId,
        /// Their name.
        name: String,
        /// How they are.
        presence: Presence,
        /// What they say about being away.
        away: String,
    }
}

wire_struct! {
    /// An entry and its room.
    pub struct Found {
        /// The room.
        room: RoomId,
        /// The entry.
        entry: Entry,
    }
}

wire_list!(RoomInfo, RoomListing, RosterItem, Found, String);
