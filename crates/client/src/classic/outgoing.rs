//! A FILE frame that goes: `filename::bytes`, its bytes straight from the disk.

use crate::transfer::{Failure, Source};
use bytes::{BufMut, Bytes, BytesMut};
use protocol::classic::{SEPARATOR, ty};

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// Largest length of a frame, which is all that limits a classic file.
const MAX_FRAME: u64 = u32::MAX as u64;

/// A FILE frame as far as it has gone.
#[derive(Debug)]
pub(super) struct Outgoing {
    source: Source,
    /// Bytes of the file that are still to be read. Invariant: left <= source.size().
    left: u64,
    buffer: Vec<u8>,
}

impl Outgoing {
    /// A frame, and what stands in front of the file's bytes.
    pub(super) fn new(source: Source) -> Result<(Self, Bytes), Failure> {
        // A separator in the name would cut it short.
        let name = source.name().replace(SEPARATOR, "-");
        let around = 1 + name.len() as u64 + SEPARATOR.len() as u64;
        let (size, limit) = (source.size(), MAX_FRAME - around);
        let len = u32::try_from(around.saturating_add(size));
        let len = len.map_err(|_| Failure::TooLarge { size, limit })?;
        let mut head = BytesMut::new();
        head.put_u32(len);
        head.put_u8(ty::FILE);
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(SEPARATOR.as_bytes());
        Ok((Self { left: size, source, buffer: vec![0; PIECE] }, head.freeze()))
    }

    /// The file's name.
    pub(super) fn name(&self) -> &str {
        self.source.name()
    }

    /// The file's size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.source.size()
    }

    /// Bytes that were read.
    pub(super) fn read(&self) -> u64 {
        self.source.size() - self.left
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let read = self.source.read(&mut self.buffer[..most])?;
        self.left -= read as u64;
        Ok(Some(Bytes::copy_from_slice(&self.buffer[..read])))
    }
}
