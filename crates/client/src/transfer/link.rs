//! A bulk connection, seen from the client.

use super::Trouble;
use crate::session::event::{Loss, Refusal};
use protocol::frame::{Deframer, Item};
use protocol::limits::{DEAD_AFTER_MS, MAX_BULK_FRAME};
use protocol::message::{ClientMsg, Limits, ServerMsg};
use protocol::wire::DecodeError;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long a transfer may stand still; the server gives as much.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest time for the login.
const LOGIN: Duration = Duration::from_secs(10);

/// Bytes that are read from the socket at once.
const SCRATCH: usize = 64 * 1024;

/// A bulk connection after its login.
#[derive(Debug)]
pub(super) struct Link<S> {
    stream: S,
    deframer: Deframer,
    scratch: Vec<u8>,
    /// Bytes of `scratch` that were read, and that were taken. Invariant: taken <= read <= scratch.len().
    read: usize,
    taken: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Logs in.
    pub(super) async fn log_in(stream: S, hello: &ClientMsg) -> Result<(Self, Limits), Trouble> {
        let deframer = Deframer::new(MAX_BULK_FRAME);
        let mut link = Self { stream, deframer, scratch: vec![0; SCRATCH], read: 0, taken: 0 };
        link.send(hello).await?;
        loop {
            if let ServerMsg::Welcome { limits, .. } = link.receive_within(LOGIN).await? {
                return Ok((link, limits));
            }
        }
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, message: &ClientMsg) -> Result<(), Trouble> {
        match timeout(PATIENCE, self.stream.write_all(&message.encode())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Trouble::Lost(Loss::Closed)),
            Err(_) => Err(Trouble::Lost(Loss::Silent)),
        }
    }

    /// The next message; an `Error` is trouble.
    pub(super) async fn receive(&mut self) -> Result<ServerMsg, Trouble> {
        self.receive_within(PATIENCE).await
    }

    /// The next message, when the server has all that it needs to go on: then silence is that of a dead link, as it is
    /// on a connection for chat.
    pub(super) async fn receive_flowing(&mut self) -> Result<ServerMsg, Trouble> {
        self.receive_within(Duration::from_millis(DEAD_AFTER_MS)).await
    }

    async fn receive_within(&mut self, patience: Duration) -> Result<ServerMsg, Trouble> {
        loop {
            match self.take_message()? {
                Some(ServerMsg::Error { code, detail, text, .. }) => {
                    return Err(Trouble::Refused(Refusal { code, detail, text }));
                }
                Some(ServerMsg::GoAway { .. }) => return Err(Trouble::Lost(Loss::Announced)),
                Some(message) => return Ok(message),
                None => self.fill(patience).await?,
            }
        }
    }

    async fn fill(&mut self, patience: Duration) -> Result<(), Trouble> {
        self.taken = 0;
        self.read = match timeout(patience, self.stream.read(&mut self.scratch)).await {
            Ok(Ok(read)) => read,
            Ok(Err(_)) => 0,
            Err(_) => return Err(Trouble::Lost(Loss::Silent)),
        };
        if self.read == 0 { Err(Trouble::Lost(Loss::Closed)) } else { Ok(()) }
    }

    fn take_message(&mut self) -> Result<Option<ServerMsg>, Trouble> {
        let garbled = Trouble::Lost(Loss::Garbled);
        loop {
            let mut input = &self.scratch[self.taken..self.read];
            let item = self.deframer.next(&mut input).map_err(|_| garbled.clone())?;
            self.taken = self.read - input.len();
            let frame = match item {
                None => return Ok(None),
                Some(Item::Oversized { .. }) => return Err(garbled),
                Some(Item::Frame(frame)) => frame,
            };
            match ServerMsg::decode(frame.ty, frame.payload) {
                Ok(Some(message)) => return Ok(Some(message)),
                Err(DecodeError::Truncated | DecodeError::UnknownType(_)) => return Err(garbled),
                // A newer server may say what this version does not know.
                Ok(None) | Err(DecodeError::Utf8 | DecodeError::Number(_) | DecodeError::UnknownTag(_)) => {}
            }
        }
    }
}
