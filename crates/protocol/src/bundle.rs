//! A folder as the content of a file: an index of what is in it, then the bytes of its files in that order.
//!
//! Nothing is packed: a sender reads the files where they lie, and a receiver knows from the index alone which
//! byte belongs to which of them. [`Index`] takes nothing that could be written outside a new folder.

mod order;
mod part;

pub use part::{PartError, check_part};

use crate::limits::{MAX_BUNDLE_DEPTH, MAX_BUNDLE_ENTRIES, MAX_BUNDLE_INDEX, MAX_NUMBER};
use crate::wire::{DecodeError, Wire, put_varint, take_short_string, take_varint};
use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// Bytes in front of an index, which say how long it is.
pub const HEAD: usize = 4;

/// Something in a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Where it lies: the names of its folders and its own, parted by `/`.
    pub path: String,
    /// What it is.
    pub shape: Shape,
}

/// What something in a folder is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A folder with nothing in it. All others are known by what is in them.
    Folder,
    /// A file.
    File {
        /// Its size in bytes.
        size: u64,
        /// Whether it is a program to its sender. Its receiver decides.
        executable: bool,
    },
}

/// All that is in a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Index {
    /// Invariant: the paths are good and in order, no two of them are the same, and none lies in a file.
    items: Vec<Item>,
    /// Where each item's bytes begin behind the index, and where the last one's end.
    /// Invariant: items + 1 of them, which never fall, the last at most [`MAX_NUMBER`].
    starts: Vec<u64>,
    /// Bytes of the encoded index without its head. Invariant: at most [`MAX_BUNDLE_INDEX`].
    length: usize,
}

/// Some bytes of a content and where they belong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which item, from 0.
    pub item: usize,
    /// Where in its file.
    pub offset: u64,
    /// How many of its bytes come from there on. Never 0.
    pub len: u64,
}

/// Why something is no bundle. Nothing of it is written.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BundleError {
    /// The index can't be read.
    #[error("its list can't be read: {0}")]
    Layout(#[from] DecodeError),
    /// Bytes behind the last entry.
    #[error("its list goes on behind its end")]
    Trailing,
    /// The index is longer than [`MAX_BUNDLE_INDEX`].
    #[error("its list is longer than {} MiB", MAX_BUNDLE_INDEX >> 20)]
    TooLong,
    /// More than [`MAX_BUNDLE_ENTRIES`].
    #[error("there is more in it than {MAX_BUNDLE_ENTRIES} files and folders")]
    TooMany,
    /// Folders in folders, more than [`MAX_BUNDLE_DEPTH`].
    #[error("'{0}' lies deeper than {MAX_BUNDLE_DEPTH} folders")]
    TooDeep(String),
    /// A name that is not allowed.
    #[error("'{path}': {error}")]
    Part {
        /// Where.
        path: String,
        /// Why.
        error: PartError,
    },
    /// Not in order.
    #[error("'{0}' is not where it belongs in the list")]
    Order(String),
    /// What stands before it is a file, or an empty folder, in which it would lie.
    #[error("'{0}' lies in what is no folder with anything in it")]
    InFile(String),
    /// More bytes than a number can say.
    #[error("it is larger than anything can be")]
    TooLarge,
}

impl Index {
    /// The index of these, in whatever order they are.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn new(mut items: Vec<Item>) -> Result<Self, BundleError> {
        items.sort_by(|a, b| order::compare(&a.path, &b.path));
        let mut index = Self::checked(items)?;
        index.length = index.encode().len() - HEAD;
        if index.length > MAX_BUNDLE_INDEX { Err(BundleError::TooLong) } else { Ok(index) }
    }

    fn checked(items: Vec<Item>) -> Result<Self, BundleError> {
        if items.len() > MAX_BUNDLE_ENTRIES {
            return Err(BundleError::TooMany);
        }
        order::check(&items)?;
        let mut starts = vec![0];
        let mut end: u64 = 0;
        for item in &items {
            end =
                end.checked_add(item.size()).filter(|end| *end <= MAX_NUMBER).ok_or(BundleError::TooLarge)?;
            starts.push(end);
        }
        Ok(Self { items, starts, length: 0 })
    }

    /// How long the index is of which this is the head.
    ///
    /// # Errors
    /// [`BundleError::TooLong`]
    pub fn length(head: [u8; HEAD]) -> Result<usize, BundleError> {
        let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
        if length > MAX_BUNDLE_INDEX { Err(BundleError::TooLong) } else { Ok(length) }
    }

    /// Reads what stands behind the head, all of it and nothing more.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE_INDEX {
            return Err(BundleError::TooLong);
        }
        let mut input = bytes;
        let count = take_varint(&mut input)?;
        if count > MAX_BUNDLE_ENTRIES as u64 {
            return Err(BundleError::TooMany);
        }
        // Grows as entries are found: a lying count reserves nothing.
        let items = (0..count).map(|_| Item::take(&mut input)).collect::<Result<Vec<_>, _>>()?;
        if !input.is_empty() {
            return Err(BundleError::Trailing);
        }
        Ok(Self { length: bytes.len(), ..Self::checked(items)? })
    }

    /// The beginning of the content: the head and what stands behind it.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::from(&[0; HEAD][..]);
        put_varint(&mut out, self.items.len() as u64);
        self.items.iter().for_each(|item| item.put(&mut out));
        // What is too long for this is far too long to be sent: `new` refuses it.
        let length = u32::try_from(out.len() - HEAD).unwrap_or(u32::MAX);
        out[..HEAD].copy_from_slice(&length.to_be_bytes());
        out.freeze()
    }

    /// What is in it, in order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// How many of these are files.
    pub fn files(&self) -> usize {
        self.items.iter().filter(|item| item.shape != Shape::Folder).count()
    }

    /// Bytes in front of the first file's.
    pub fn front(&self) -> u64 {
        (HEAD + self.length) as u64
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.starts.last().copied().unwrap_or_default()
    }

    /// Bytes of the whole content.
    pub fn size(&self) -> u64 {
        self.front().saturating_add(self.bytes())
    }

    /// Where in the content the bytes of this item end.
    pub fn end(&self, item: usize) -> u64 {
        self.front().saturating_add(self.starts.get(item + 1).copied().unwrap_or(self.bytes()))
    }

    /// Where the byte at this offset of the content belongs; `None` for the index itself and behind the end.
    pub fn place(&self, offset: u64) -> Option<Place> {
        let at = offset.checked_sub(self.front()).filter(|at| *at < self.bytes())?;
        // The last that begins at or before it: those before that one are empty or end there.
        let item = self.starts.partition_point(|start| *start <= at) - 1;
        Some(Place { item, offset: at - self.starts[item], len: self.starts[item + 1] - at })
    }
}

impl Item {
    /// Its bytes; a folder has none.
    pub fn size(&self) -> u64 {
        match self.shape {
            Shape::Folder => 0,
            Shape::File { size, .. } => size,
        }
    }

    fn put(&self, out: &mut BytesMut) {
        match self.shape {
            Shape::Folder => out.put_u8(0),
            Shape::File { size, executable } => {
                out.put_u8(1 + u8::from(executable));
                put_varint(out, size);
            }
        }
        put_varint(out, self.path.len() as u64);
        out.extend_from_slice(self.path.as_bytes());
    }

    fn take(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let shape = match u8::take(input)? {
            0 => Shape::Folder,
            tag @ 1..=2 => Shape::File { size: take_varint(input)?, executable: tag == 2 },
            other => return Err(DecodeError::UnknownTag(other)),
        };
        Ok(Self { path: take_short_string(input)?, shape })
    }
}
