//! The parts of messages that are about files.
#![expect(missing_docs, reason = "the sentence of a choice's variant says what its fields are")]

use crate::id::{ContentHash, Millis, PersonId, Seq, TransferId};
use crate::wire::{DecodeError, Wire, wire_choice, wire_list, wire_struct};
use bytes::{BufMut, Bytes, BytesMut};

/// What a content is. One that is not known is treated as a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Shape {
    /// A file.
    #[default]
    File,
    /// A folder: an index of what is in it, then the bytes of all its files.
    Folder,
    /// A shape of a later version.
    Other(
        /// Invariant: none of the numbers above.
        u8,
    ),
}

impl Wire for Shape {
    fn put(&self, out: &mut BytesMut) {
        out.put_u8(match self {
            Self::File => 0,
            Self::Folder => 1,
            Self::Other(number) => *number,
        });
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        Ok(match u8::take(input)? {
            0 => Self::File,
            1 => Self::Folder,
            other => Self::Other(other),
        })
    }
}

wire_choice! {
    /// What a download is of.
    pub enum Source {
        /// A content that the server has whole.
        Content = 0 { hash: ContentHash, },
        /// An upload that was offered; it may be under way.
        Transfer = 1 { transfer: TransferId, },
    }
}

wire_choice! {
    /// How far a file has come.
    pub enum FileState {
        /// So many bytes of it are on the server, and more are to come.
        Offered = 0 { bytes: u64, },
        /// The server has it whole.
        Here = 1,
        /// Its entry is there, but the content is not kept any more.
        Gone = 2,
    }
}

wire_struct! {
    /// The body of an entry of the kind `File`: a file that the server has whole.
    pub struct FileBody {
        /// The hash of its content, by which it is fetched.
        hash: ContentHash,
        /// Its size in bytes.
        size: u64,
        /// Its name as the sender gave it: never to be used as a path.
        name: String,
        /// What it is.
        shape: Shape,
    }
}

wire_struct! {
    /// The body of an entry of the kind `FileOffer`: a file whose upload has begun.
    pub struct OfferBody {
        /// The upload, by which it is fetched until it is complete.
        transfer: TransferId,
        /// Its size in bytes.
        size: u64,
        /// Its name as the sender gave it: never to be used as a path.
        name: String,
        /// What it is.
        shape: Shape,
    }
}

wire_struct! {
    /// A file of a room.
    pub struct FileListing {
        /// Its entry.
        seq: Seq,
        /// When that was stored.
        time: Millis,
        /// Who sent it.
        person: PersonId,
        /// Their name as it was.
        sender: String,
        /// Its name as the sender gave it: never to be used as a path.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// By what it is fetched.
        source: Source,
        /// What it is.
        shape: Shape,
        /// How far it has come.
        state: FileState,
        /// When it goes; 0 if it stays as long as its entry.
        expires: Millis,
        /// Members who have fetched it …
        fetched: u32,
        /// … of so many, the sender not counted.
        members: u32,
    }
}

impl FileBody {
    /// The body of an entry.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.put(&mut out);
        out.freeze()
    }

    /// What an entry's body says.
    ///
    /// # Errors
    /// [`DecodeError`] if it is no such body.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let input = &mut body;
        let (hash, size, name) = (Wire::take(input)?, Wire::take(input)?, Wire::take(input)?);
        // Entries that are older than shapes end here.
        let shape = if input.is_empty() { Shape::File } else { Wire::take(input)? };
        Ok(Self { hash, size, name, shape })
    }
}

impl OfferBody {
    /// The body of an entry.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.put(&mut out);
        out.freeze()
    }

    /// What an entry's body says.
    ///
    /// # Errors
    /// [`DecodeError`] if it is no such body.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        Self::take(&mut body)
    }
}

wire_list!(FileListing);
