//! Bytes to messages and back, over any stream.

use bytes::{Buf, BytesMut};
use protocol::frame::{Deframer, Item};
use protocol::limits::MAX_FRAME;
use protocol::message::{ClientMsg, ServerMsg};
use protocol::wire::DecodeError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::session::event::Loss;

/// A connection on its way up.
pub type Connecting<S> = Pin<Box<dyn Future<Output = io::Result<S>> + Send>>;

/// Connects to the server.
pub trait Connect {
    /// What a connection is.
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// A new connection.
    fn connect(&self) -> Connecting<Self::Stream>;
}

/// What a transport did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moved {
    /// Bytes came; [`Transport::messages`] has them.
    Read,
    /// Bytes went.
    Wrote,
}

/// One connection's bytes.
#[derive(Debug)]
pub(super) struct Transport<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    deframer: Deframer,
    unsent: BytesMut,
    scratch: Vec<u8>,
    read: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    pub(super) fn new(stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let scratch = vec![0; 64 * 1024];
        Self { reader, writer, deframer: Deframer::new(MAX_FRAME), unsent: BytesMut::new(), scratch, read: 0 }
    }

    /// Reads (if `reading`) or writes some bytes, whatever goes first. Cancelling it loses nothing.
    pub(super) async fn next(&mut self, reading: bool) -> io::Result<Moved> {
        tokio::select! {
            biased;
            // What waits is soon written; what comes may never end.
            wrote = self.writer.write(&self.unsent), if !self.unsent.is_empty() => {
                self.unsent.advance(wrote?);
                Ok(Moved::Wrote)
            }
            read = self.reader.read(&mut self.scratch), if reading => {
                self.read = read?;
                if self.read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Moved::Read) }
            }
            else => std::future::pending().await,
        }
    }

    /// Takes the messages that are whole.
    ///
    /// # Errors
    /// [`Loss::Garbled`]: the stream can't be understood.
    pub(super) fn messages(&mut self, mut handle: impl FnMut(ServerMsg)) -> Result<(), Loss> {
        let mut input = &self.scratch[..self.read];
        while let Some(item) = self.deframer.next(&mut input).map_err(|_| Loss::Garbled)? {
            let Item::Frame(frame) = item else {
                return Err(Loss::Garbled);
            };
            match ServerMsg::decode(frame.ty, frame.payload) {
                Ok(message) => message.into_iter().for_each(&mut handle),
                Err(DecodeError::Truncated | DecodeError::UnknownType(_)) => return Err(Loss::Garbled),
                // A newer server may say what this version does not know.
                Err(DecodeError::Utf8 | DecodeError::Number(_) | DecodeError::UnknownTag(_)) => {}
            }
        }
        Ok(())
    }

    /// Puts a message behind what waits for the socket.
    pub(super) fn push(&mut self, message: &ClientMsg) {
        message.encode_into(&mut self.unsent);
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
