//! Frames: `[u32 length, big endian, of what follows][u8 type][payload]`, in both dialects.
//!
//! [`Deframer`] cuts a stream into frames. It checks a frame's length before it keeps a byte of it, keeps
//! bytes only of a frame that is not complete yet, and can skip a frame that is too large without keeping it.

use crate::limits::HEADER;
use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// A frame that lies whole in memory: its type and its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// The type byte.
    pub ty: u8,
    /// The bytes after the type.
    pub payload: &'a [u8],
}

/// What [`Deframer::next`] finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item<'a> {
    /// A whole frame.
    Frame(Frame<'a>),
    /// A frame begins that is over the limit or of a streamed type; its payload will be skipped, unless the
    /// caller takes it. The caller may also end the connection.
    Oversized {
        /// The type byte.
        ty: u8,
        /// The declared length of type and payload, in bytes.
        len: u32,
    },
}

/// An [`Item`] that owns its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedItem {
    /// A frame.
    Frame {
        /// Frame type.
        ty: u8,
        /// What follows the type.
        payload: Bytes,
    },
    /// A frame that is too large.
    Oversized {
        /// Frame type.
        ty: u8,
        /// The length that it announced, in bytes.
        len: u32,
    },
}

/// A stream that can't be cut into frames any more: the connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FrameError {
    /// A length of 0, which has no room for a type. Close.
    #[error("a frame of length 0")]
    Empty,
}

/// Cuts a byte stream into frames.
///
/// The caller reads into a buffer of its own and hands out what it read; most frames are then found in that
/// buffer without a copy. Memory held between calls is at most one incomplete frame of at most `limit` bytes.
#[derive(Debug)]
pub struct Deframer {
    /// Largest accepted length (type and payload), in bytes.
    limit: u32,
    /// The beginning of a frame that is not complete yet, header included. `partial.len() < 4 + length`
    /// unless `delivered`.
    partial: Vec<u8>,
    /// The frame in `partial` has been given out and is dropped by the next call.
    delivered: bool,
    /// Bytes of an oversized frame that are still to be skipped.
    skip: u32,
    /// A type whose frames are never kept, whatever their size.
    streamed: Option<u8>,
    /// Set for good by the first error.
    failed: Option<FrameError>,
}

impl Deframer {
    /// A deframer that takes frames of at most `limit` bytes (type and payload).
    pub fn new(limit: u32) -> Self {
        Self { limit, partial: Vec::new(), delivered: false, skip: 0, streamed: None, failed: None }
    }

    /// Changes the limit for all frames whose header has not been read yet.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Reports all frames of this type whose header has not been read yet as [`Item::Oversized`], so that the
    /// caller can take their payload piece by piece with [`Deframer::take_piece`].
    pub fn set_streamed(&mut self, ty: u8) {
        self.streamed = Some(ty);
    }

    /// Bytes of the payload of an oversized frame that are still to come.
    pub fn to_skip(&self) -> u32 {
        self.skip
    }

    /// Takes what `input` has of the payload of an oversized frame, which would be skipped otherwise.
    pub fn take_piece<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let taken = input.len().min(self.skip as usize);
        let (piece, rest) = input.split_at(taken);
        *input = rest;
        self.skip -= u32::try_from(taken).expect("at most `skip`, which is a u32");
        piece
    }

    /// Whether bytes of an unfinished frame are held or being skipped.
    pub fn is_mid_frame(&self) -> bool {
        self.skip > 0 || (!self.delivered && !self.partial.is_empty())
    }

    /// Bytes of memory reserved.
    pub fn capacity(&self) -> usize {
        self.partial.capacity()
    }

    /// Bytes that are held of a frame that is not complete yet, header included.
    pub fn held(&self) -> usize {
        if self.delivered { 0 } else { self.partial.len() }
    }

    /// Bytes of the frame of which [`held`](Self::held) bytes are held, header included, once its header is there.
    pub fn frame_bytes(&self) -> Option<usize> {
        let (len, _) = peek_header(&self.partial);
        len.filter(|_| !self.delivered).map(|len| HEADER - 1 + len as usize)
    }

    /// Gives the memory back of a frame that was given out. The next call does so as well, but may come late.
    pub fn forget_delivered(&mut self) {
        if std::mem::take(&mut self.delivered) {
            self.partial = Vec::new();
        }
    }

    /// The next item, taken off the front of `input`; `None` when `input` is used up.
    ///
    /// # Errors
    /// [`FrameError`] when the stream can't be understood; every later call repeats it and consumes nothing.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Item<'a>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        // An idle connection holds no memory.
        self.forget_delivered();
        self.take_piece(input);
        if self.partial.is_empty() { self.next_in_place(input) } else { self.next_across(input) }
    }

    /// Like [`next`](Self::next), but for large frames: one that came in parts, and so was put together here, is handed
    /// over as it is. Another one is copied.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_owned(&mut self, input: &mut &[u8]) -> Result<Option<OwnedItem>, FrameError> {
        let begun = !self.delivered && !self.partial.is_empty();
        let (ty, copied) = match self.next(input)? {
            None => return Ok(None),
            Some(Item::Oversized { ty, len }) => return Ok(Some(OwnedItem::Oversized { ty, len })),
            Some(Item::Frame(Frame { ty, payload })) => {
                (ty, (!begun).then(|| Bytes::copy_from_slice(payload)))
            }
        };
        let payload = copied.unwrap_or_else(|| {
            self.delivered = false;
            Bytes::from(std::mem::take(&mut self.partial)).slice(HEADER..)
        });
        Ok(Some(OwnedItem::Frame { ty, payload }))
    }

    /// No frame is begun: look at `input` itself.
    fn next_in_place<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Item<'i>>, FrameError> {
        let Some((len, ty)) = self.check_header(peek_header(input))? else {
            self.partial.extend_from_slice(input);
            *input = &[];
            return Ok(None);
        };
        if !self.is_kept(len, ty) {
            *input = &input[HEADER..];
            return Ok(Some(self.oversized(ty, len)));
        }
        let end = HEADER - 1 + len as usize;
        if input.len() < end {
            self.fill(input, end);
            return Ok(None);
        }
        let payload = &input[HEADER..end];
        *input = &input[end..];
        Ok(Some(Item::Frame(Frame { ty, payload })))
    }

    /// A frame is begun: go on filling `partial`.
    fn next_across(&mut self, input: &mut &[u8]) -> Result<Option<Item<'_>>, FrameError> {
        let judged = self.partial.len() >= HEADER;
        self.fill(input, HEADER);
        let Some((len, ty)) = self.check_header(peek_header(&self.partial))? else {
            return Ok(None);
        };
        if !judged && !self.is_kept(len, ty) {
            self.partial = Vec::new();
            return Ok(Some(self.oversized(ty, len)));
        }
        let end = HEADER - 1 + len as usize;
        self.fill(input, end);
        if self.partial.len() < end {
            return Ok(None);
        }
        self.delivered = true;
        Ok(Some(Item::Frame(Frame { ty, payload: &self.partial[HEADER..end] })))
    }

    /// Whether a frame with this header is kept until it is whole.
    fn is_kept(&self, len: u32, ty: u8) -> bool {
        len <= self.limit && self.streamed != Some(ty)
    }

    /// Adds bytes of a frame that has `upto` of them. Memory for it grows as they come, at most to twice of what is
    /// there: a header alone costs nothing.
    fn fill(&mut self, input: &mut &[u8], upto: usize) {
        let taken = input.len().min(upto.saturating_sub(self.partial.len()));
        let needed = self.partial.len() + taken;
        if needed > self.partial.capacity() {
            self.partial.reserve_exact((2 * needed).min(upto) - self.partial.len());
        }
        self.partial.extend_from_slice(&input[..taken]);
        *input = &input[taken..];
    }

    fn oversized<'a>(&mut self, ty: u8, len: u32) -> Item<'a> {
        self.skip = len - 1;
        Item::Oversized { ty, len }
    }

    /// Fails for good on a length of 0; `None` while length and type are not all there.
    fn check_header(
        &mut self,
        (len, ty): (Option<u32>, Option<u8>),
    ) -> Result<Option<(u32, u8)>, FrameError> {
        if len == Some(0) {
            self.failed = Some(FrameError::Empty);
            self.partial = Vec::new();
            return Err(FrameError::Empty);
        }
        Ok(len.zip(ty))
    }
}

/// The length and type at the front of `bytes`, as far as they are there.
fn peek_header(bytes: &[u8]) -> (Option<u32>, Option<u8>) {
    (bytes.first_chunk().map(|len| u32::from_be_bytes(*len)), bytes.get(HEADER - 1).copied())
}

/// Appends one frame to `out`: the header is written when the payload's length is known.
///
/// # Panics
/// If the payload is longer than 4 GiB, which no limit allows.
pub fn put_frame(out: &mut BytesMut, ty: u8, payload: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(ty);
    payload(out);
    let len = u32::try_from(out.len() - start - 4).expect("payloads are bounded far below 4 GiB");
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

/// One frame with this type and payload.
pub fn frame(ty: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER + payload.len());
    put_frame(&mut out, ty, |out| out.extend_from_slice(payload));
    out.freeze()
}
