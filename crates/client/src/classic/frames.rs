//! Bytes to classic frames and back, over any stream. A FILE is never held: its payload comes piece by piece.

use crate::session::event::Loss;
use bytes::{Buf, Bytes, BytesMut};
use protocol::classic::ty;
use protocol::frame::{Deframer, Item};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// Largest frame that is kept, in bytes: a classic server has no limit for a line.
const MAX_KEPT: u32 = 1024 * 1024;

/// Bytes that are read from the socket at once.
const SCRATCH: usize = 64 * 1024;

/// What a transport did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moved {
    /// Bytes came; [`Frames::take`] has them.
    Read,
    /// Bytes went.
    Wrote,
}

/// What came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken<'a> {
    /// A whole frame.
    Frame(u8, &'a [u8]),
    /// A FILE begins, whose payload has so many bytes.
    File(u32),
    /// A piece of it; the frame is over after the last.
    Piece { bytes: &'a [u8], last: bool },
    /// A frame of another type that is too large, which is skipped.
    Oversized(u32),
}

/// One connection's bytes.
#[derive(Debug)]
pub(super) struct Frames<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    deframer: Deframer,
    /// Inside a FILE.
    in_file: bool,
    unsent: BytesMut,
    scratch: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub(super) fn new(stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let mut deframer = Deframer::new(MAX_KEPT);
        deframer.set_streamed(ty::FILE);
        let scratch = Vec::with_capacity(SCRATCH);
        Self { reader, writer, deframer, in_file: false, unsent: BytesMut::new(), scratch }
    }

    /// Reads (if `reading`) or writes some bytes, whatever goes first. Cancelling it loses nothing.
    pub(super) async fn next(&mut self, reading: bool) -> io::Result<Moved> {
        self.scratch.clear();
        tokio::select! {
            biased;
            wrote = self.writer.write(&self.unsent), if !self.unsent.is_empty() => {
                self.unsent.advance(wrote?);
                Ok(Moved::Wrote)
            }
            read = self.reader.read_buf(&mut self.scratch), if reading => {
                if read? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Moved::Read) }
            }
            else => std::future::pending().await,
        }
    }

    /// Takes all that came, in order.
    pub(super) fn take(&mut self, mut handle: impl FnMut(Taken<'_>)) -> Result<(), Loss> {
        let mut input = self.scratch.as_slice();
        loop {
            if self.in_file {
                let bytes = self.deframer.take_piece(&mut input);
                let last = self.deframer.to_skip() == 0;
                self.in_file = !last;
                handle(Taken::Piece { bytes, last });
                if !last {
                    return Ok(());
                }
            }
            match self.deframer.next(&mut input).map_err(|_| Loss::Garbled)? {
                None => return Ok(()),
                Some(Item::Frame(frame)) => handle(Taken::Frame(frame.ty, frame.payload)),
                Some(Item::Oversized { ty: ty::FILE, len }) => {
                    self.in_file = true;
                    handle(Taken::File(len - 1));
                }
                Some(Item::Oversized { len, .. }) => handle(Taken::Oversized(len)),
            }
        }
    }

    /// Puts bytes behind what waits for the socket.
    pub(super) fn push(&mut self, bytes: &Bytes) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Bytes that wait for the socket.
    pub(super) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Writes all that waits, and says that no more will come.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.unsent).await?;
        self.writer.shutdown().await
    }
}
