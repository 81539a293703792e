//! An entry of a room's log, as it goes on the wire.

use crate::id::{Counter, DeviceNo, Millis, PersonId, Seq};
use crate::wire::{DecodeError, Wire, put_varint, take_short_string, take_slice, take_varint, wire_list};
use bytes::{BufMut, Bytes, BytesMut};

/// What an entry is. A reader that does not know a kind still moves its cursor past it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EntryKind {
    /// A line of text.
    Text,
    /// What a person does (`/me`).
    Action,
    /// The room's topic from here on.
    Topic,
    /// A reaction to the entry in `reply_to`.
    Reaction,
    /// The new body of the entry in `reply_to`.
    Edit,
    /// The entry in `reply_to` is gone.
    Delete,
    /// A file whose upload has begun.
    FileOffer,
    /// A file whose content is complete.
    File,
    /// Said by the server.
    System,
    /// Bytes that the server does not understand, for encryption between ends.
    Opaque,
    /// A kind of a later version.
    Other(
        /// Invariant: none of the numbers above.
        u8,
    ),
}

impl EntryKind {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Action => 2,
            Self::Topic => 3,
            Self::Reaction => 4,
            Self::Edit => 5,
            Self::Delete => 6,
            Self::FileOffer => 7,
            Self::File => 8,
            Self::System => 9,
            Self::Opaque => 10,
            Self::Other(number) => number,
        }
    }

    /// The kind with this number.
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Text,
            2 => Self::Action,
            3 => Self::Topic,
            4 => Self::Reaction,
            5 => Self::Edit,
            6 => Self::Delete,
            7 => Self::FileOffer,
            8 => Self::File,
            9 => Self::System,
            10 => Self::Opaque,
            other => Self::Other(other),
        }
    }
}

impl Wire for EntryKind {
    fn put(&self, out: &mut BytesMut) {
        out.put_u8(self.number());
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        u8::take(input).map(Self::from_number)
    }
}

/// What happened to an entry after it was written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Revision {
    /// As written.
    #[default]
    Original,
    /// The body is a later one.
    Edited,
    /// The body is gone.
    Deleted,
}

impl Wire for Revision {
    fn put(&self, out: &mut BytesMut) {
        out.put_u8(*self as u8);
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        match u8::take(input)? {
            0 => Ok(Self::Original),
            1 => Ok(Self::Edited),
            2 => Ok(Self::Deleted),
            other => Err(DecodeError::UnknownTag(other)),
        }
    }
}

/// One entry. On the wire a `u16` length of what follows stands in front, so that entries can grow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its place in the room.
    pub seq: Seq,
    /// The server's time, never before that of the previous entry in the room.
    pub time: Millis,
    /// When it was written if that was earlier, by the author's clock; 0 otherwise.
    pub written: Millis,
    /// The author; `None` for the server.
    pub person: Option<PersonId>,
    /// The author's name as it was.
    pub name: String,
    /// The author's device.
    pub device: Option<DeviceNo>,
    /// The author's number for it: unique for each device.
    pub counter: Option<Counter>,
    /// What it is.
    pub kind: EntryKind,
    /// What happened to it since.
    pub revision: Revision,
    /// The entry that it refers to.
    pub reply_to: Option<Seq>,
    /// At most [`MAX_BODY`](crate::limits::MAX_BODY) bytes; UTF-8 unless the kind is opaque or unknown.
    pub body: Bytes,
}

impl Entry {
    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

impl Wire for Entry {
    fn put(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u16(0);
        put_varint(out, self.seq.value());
        put_varint(out, self.time.0);
        put_varint(out, self.written.0);
        put_varint(out, self.person.map_or(0, PersonId::value));
        put_varint(out, self.name.len() as u64);
        out.extend_from_slice(self.name.as_bytes());
        put_varint(out, self.device.map_or(0, DeviceNo::value));
        put_varint(out, self.counter.map_or(0, Counter::value));
        self.kind.put(out);
        self.revision.put(out);
        put_varint(out, self.reply_to.map_or(0, Seq::value));
        self.body.put(out);
        let len = u16::try_from(out.len() - start - 2).expect("name and body are bounded far below 64 KiB");
        out[start..start + 2].copy_from_slice(&len.to_be_bytes());
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let len = u16::take(input)?;
        let mut fields = take_slice(input, usize::from(len))?;
        let fields = &mut fields;
        Ok(Self {
            seq: Seq::new(take_varint(fields)?).ok_or(DecodeError::Number(0))?,
            time: Millis(take_varint(fields)?),
            written: Millis(take_varint(fields)?),
            person: PersonId::new(take_varint(fields)?),
            name: take_short_string(fields)?,
            device: DeviceNo::new(take_varint(fields)?),
            counter: Counter::new(take_varint(fields)?),
            kind: Wire::take(fields)?,
            revision: Wire::take(fields)?,
            reply_to: Seq::new(take_varint(fields)?),
            body: Wire::take(fields)?,
        })
    }
}

wire_list!(Entry);
