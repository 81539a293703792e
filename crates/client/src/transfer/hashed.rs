//! What of a file to be sent has been hashed, in this process or an earlier one: no byte of it is hashed again.

use super::{Failure, Opened, Source};
use crate::files::Files;
use protocol::blocks::{BlockHasher, Tree, values_of};
use protocol::id::{BlockValue, ContentHash};
use protocol::limits::BLOCK;
use std::cell::RefCell;

/// The file of the values, in the profile.
const FILE: &str = "hashed";

/// Bytes in front of the values: the transfer, the size and the stamp of what they are of.
const HEAD: usize = 16 + 8 + 8;

/// Bytes that are read at once.
pub(super) const PIECE: usize = 256 * 1024;

/// The hashes of the one file that is being sent.
#[derive(Debug)]
pub(super) struct Hashed<'a, F> {
    files: &'a RefCell<F>,
    head: [u8; HEAD],
    /// One for each block in front of the hasher's. Invariant: values.len() == hasher.index().
    values: Vec<BlockValue>,
    hasher: BlockHasher,
}

impl<'a, F: Files> Hashed<'a, F> {
    /// What an earlier process knew of this source.
    pub(super) fn restore(files: &'a RefCell<F>, opened: &Opened) -> Self {
        let mut head = [0; HEAD];
        head[..16].copy_from_slice(&opened.transfer.0);
        head[16..24].copy_from_slice(&opened.size.to_be_bytes());
        head[24..].copy_from_slice(&opened.stamp.to_be_bytes());
        // What can't be read is hashed again.
        let kept = files.borrow().read(FILE).ok().flatten().unwrap_or_default();
        let values = match kept.split_first_chunk::<HEAD>() {
            Some((known, values)) if *known == head => values,
            _ => &[],
        };
        let most = usize::try_from(values_of(opened.size)).unwrap_or(usize::MAX);
        let values: Vec<_> = values.as_chunks().0.iter().take(most).map(|value| BlockValue(*value)).collect();
        let hasher = BlockHasher::after(values.iter().copied().collect());
        let mut hashed = Self { files, head, values, hasher };
        if hashed.values.is_empty() {
            hashed.rewrite();
        }
        hashed
    }

    /// Writes all values anew. A crash loses them at worst, and they are made again then.
    fn rewrite(&mut self) {
        let mut content = self.head.to_vec();
        self.values.iter().for_each(|value| content.extend_from_slice(&value.0));
        let _ = self.files.borrow_mut().replace(FILE, &content, false);
    }

    /// Bytes that have been hashed.
    pub(super) fn len(&self) -> u64 {
        self.hasher.len()
    }

    /// The file's bytes from `offset` on, which may have been hashed already.
    pub(super) fn feed(&mut self, offset: u64, bytes: &[u8]) {
        let known = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(new) = bytes.get(known..).filter(|new| !new.is_empty() && offset <= self.len()) else {
            return;
        };
        let (values, files) = (&mut self.values, self.files);
        self.hasher.update(new, |_, value| {
            values.push(value);
            let _ = files.borrow_mut().append(FILE, &value.0, false);
        });
    }

    /// The value of this block, once it has been hashed.
    pub(super) fn value(&self, index: u64) -> Option<BlockValue> {
        if index == self.hasher.index() {
            return self.hasher.value();
        }
        usize::try_from(index).ok().and_then(|at| self.values.get(at)).copied()
    }

    /// Forgets what was hashed from the block of this byte on: it was wrong.
    pub(super) fn forget(&mut self, offset: u64) {
        self.values.truncate(usize::try_from(offset / BLOCK).unwrap_or(usize::MAX));
        self.hasher = BlockHasher::after(self.values.iter().copied().collect::<Tree>());
        self.rewrite();
    }

    /// Reads and hashes the next piece, up to `end`; whether more is left.
    pub(super) fn advance(
        &mut self,
        source: &mut Source,
        buffer: &mut [u8],
        end: u64,
    ) -> Result<bool, Failure> {
        let offset = self.len();
        if offset >= end {
            return Ok(false);
        }
        let most = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buffer.len());
        let read = source.read_at(offset, &mut buffer[..most])?;
        self.feed(offset, &buffer[..read]);
        Ok(self.len() < end)
    }

    /// The hash of the whole, if all of it has been hashed.
    pub(super) fn hash(&self, size: u64) -> Option<ContentHash> {
        self.hasher.hash().filter(|_| self.len() == size)
    }

    /// It is over: the values are of no use any more.
    pub(super) fn clear(&self) {
        let _ = self.files.borrow_mut().replace(FILE, &[], false);
    }
}
