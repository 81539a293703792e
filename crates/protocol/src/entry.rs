//! An entry of a room's log, as it goes on the wire.

use crate::id::{Counter, DeviceNo, Millis, PersonId, Seq};
use crate::wire::{DecodeError, Wire, take_slice, wire_list};
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
        self.seq.put(out);
        self.time.put(out);
        self.written.put(out);
        self.person.put(out);
        self.name.put(out);
        self.device.put(out);
        self.counter.put(out);
        self.kind.put(out);
        self.revision.put(out);
        self.reply_to.put(out);
        self.body.put(out);
        let len = u16::try_from(out.len() - start - 2).expect("name and body are bounded far below 64 KiB");
        out[start..start + 2].copy_from_slice(&len.to_be_bytes());
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let len = u16::take(input)?;
        let mut fields = take_slice(input, usize::from(len))?;
        let fields = &mut fields;
        Ok(Self {
            seq: Wire::take(fields)?,
            time: Wire::take(fields)?,
            written: Wire::take(fields)?,
            person: Wire::take(fields)?,
            name: Wire::take(fields)?,
            device: Wire::take(fields)?,
            counter: Wire::take(fields)?,
            kind: Wire::take(fields)?,
            revision: Wire::take(fields)?,
            reply_to: Wire::take(fields)?,
            body: Wire::take(fields)?,
        })
    }
}

wire_list!(Entry);
