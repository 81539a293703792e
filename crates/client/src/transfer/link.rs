//! A bulk connection, seen from the client.
//!
//! What is written never keeps what comes from being read, and a file's bytes are not copied on their way.

use super::Trouble;
use crate::session::event::{Loss, Refusal};
use protocol::limits::{DEAD_AFTER_MS, HEADER, MAX_BULK_FRAME, PING_AFTER_MS};
use protocol::message::{ClientMsg, Limits, ServerMsg, ty};
use protocol::wire::DecodeError;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

/// The longest time for the login.
const LOGIN: Duration = Duration::from_secs(10);

/// Nothing is heard for so long: the link is dead. The other side shows every 5 s that it is there.
const DEAD: Duration = Duration::from_millis(DEAD_AFTER_MS);

/// Nothing is said for so long: this side shows that it is there.
const QUIET: Duration = Duration::from_millis(PING_AFTER_MS);

/// Bytes that are kept of what comes: two of the largest frames, so that one is whole while the next one begins.
const ROOM: usize = 2 * (MAX_BULK_FRAME as usize + 4);

/// Bytes in front of a file's bytes in a `Data` or a `Chunk`: request, offset and length.
const PIECE_HEAD: usize = 4 + 8 + 4;

/// Something that came.
#[derive(Debug)]
pub(super) enum Heard {
    /// A piece of a file, which lies in the link's memory until more is heard.
    Data {
        /// Where it begins in the file.
        offset: u64,
        /// Where it lies.
        at: Range<usize>,
    },
    /// Everything else.
    Said(ServerMsg),
}

/// What of an exchange has moved.
enum Moved {
    Wrote(usize),
    Read(usize),
}

/// A bulk connection after its login.
#[derive(Debug)]
pub(super) struct Link<S> {
    stream: S,
    /// What came. Invariant: taken <= read <= memory.len().
    memory: Vec<u8>,
    taken: usize,
    read: usize,
    /// When something was said last, and when something was heard.
    said: Instant,
    heard: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// Logs in; what the server's limits are, and the features that both sides have.
    pub(super) async fn log_in(stream: S, hello: &ClientMsg) -> Result<(Self, Limits, u64), Trouble> {
        let now = Instant::now();
        let mut link = Self { stream, memory: vec![0; ROOM], taken: 0, read: 0, said: now, heard: now };
        let welcome = async {
            link.send(hello).await?;
            loop {
                if let Heard::Said(ServerMsg::Welcome { limits, features, .. }) = link.hear().await? {
                    return Ok((limits, features));
                }
            }
        };
        let (limits, features) = timeout(LOGIN, welcome).await.map_err(|_| Trouble::Lost(Loss::Silent))??;
        Ok((link, limits, features))
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, message: &ClientMsg) -> Result<(), Trouble> {
        self.write(&message.encode(), &[]).await
    }

    /// Sends a piece of a file.
    pub(super) async fn send_chunk(&mut self, req: u32, offset: u64, bytes: &[u8]) -> Result<(), Trouble> {
        let mut head = [0; HEADER + PIECE_HEAD];
        let whole = 1 + PIECE_HEAD + bytes.len();
        let (whole, len) = match (u32::try_from(whole), u32::try_from(bytes.len())) {
            (Ok(whole), Ok(len)) => (whole, len),
            _ => return Err(Trouble::Lost(Loss::Garbled)),
        };
        head[..4].copy_from_slice(&whole.to_be_bytes());
        head[4] = ty::CHUNK;
        head[5..9].copy_from_slice(&req.to_be_bytes());
        head[9..17].copy_from_slice(&offset.to_be_bytes());
        head[17..].copy_from_slice(&len.to_be_bytes());
        self.write(&head, bytes).await
    }

    /// Shows that this side is there, if it has said nothing for a while.
    pub(super) async fn keep_alive(&mut self) -> Result<(), Trouble> {
        if self.said.elapsed() >= QUIET {
            self.send(&ClientMsg::Ping { nonce: 0 }).await?;
        }
        Ok(())
    }

    async fn write(&mut self, mut head: &[u8], mut body: &[u8]) -> Result<(), Trouble> {
        while !(head.is_empty() && body.is_empty()) {
            let moved = timeout(DEAD, poll_fn(|cx| self.poll_exchange(cx, head, body))).await;
            match moved.map_err(|_| Trouble::Lost(Loss::Silent))? {
                Ok(Moved::Wrote(0)) | Ok(Moved::Read(0)) | Err(_) => return Err(Trouble::Lost(Loss::Closed)),
                Ok(Moved::Read(more)) => self.note_read(more),
                Ok(Moved::Wrote(sent)) => {
                    let of_head = sent.min(head.len());
                    (head, body) = (&head[of_head..], &body[sent - of_head..]);
                }
            }
        }
        self.said = Instant::now();
        Ok(())
    }

    /// Writes, and reads while that has to wait.
    fn poll_exchange(&mut self, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<Moved>> {
        let parts = [IoSlice::new(head), IoSlice::new(body)];
        let parts = if head.is_empty() { &parts[1..] } else { &parts[..] };
        if let Poll::Ready(sent) = Pin::new(&mut self.stream).poll_write_vectored(cx, parts) {
            return Poll::Ready(sent.map(Moved::Wrote));
        }
        // What is told while this side sends is little: it waits in memory until it is looked at.
        if self.read == self.memory.len() {
            return Poll::Pending;
        }
        Poll::Ready(ready!(self.poll_read(cx)).map(Moved::Read))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = ReadBuf::new(&mut self.memory[self.read..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
        Poll::Ready(Ok(space.filled().len()))
    }

    fn note_read(&mut self, more: usize) {
        self.read += more;
        self.heard = Instant::now();
    }

    /// What comes next; an `Error` is trouble, and so is silence.
    pub(super) async fn hear(&mut self) -> Result<Heard, Trouble> {
        loop {
            if let Some(heard) = self.take()? {
                return Ok(heard);
            }
            self.fill().await?;
        }
    }

    /// What has come already.
    pub(super) fn heard(&mut self) -> Result<Option<Heard>, Trouble> {
        self.take()
    }

    /// The bytes of a piece that was heard last.
    pub(super) fn bytes(&self, at: Range<usize>) -> &[u8] {
        &self.memory[at]
    }

    /// Reads more, and shows meanwhile that this side is there.
    async fn fill(&mut self) -> Result<(), Trouble> {
        self.make_room();
        loop {
            let dead = self.heard + DEAD;
            let quiet = self.said + QUIET;
            let more = timeout_at(dead.min(quiet), poll_fn(|cx| self.poll_read(cx))).await;
            match more {
                Ok(Ok(0)) | Ok(Err(_)) => return Err(Trouble::Lost(Loss::Closed)),
                Ok(Ok(more)) => {
                    self.note_read(more);
                    return Ok(());
                }
                Err(_) if Instant::now() >= dead => return Err(Trouble::Lost(Loss::Silent)),
                Err(_) => {
                    self.send(&ClientMsg::Ping { nonce: 0 }).await?;
                    if self.read > self.taken {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Moves what is begun to the front, if what is missing of it would not fit behind it.
    fn make_room(&mut self) {
        if self.taken == self.read {
            (self.taken, self.read) = (0, 0);
        } else if self.memory.len() - self.taken < ROOM / 2 {
            self.memory.copy_within(self.taken..self.read, 0);
            (self.taken, self.read) = (0, self.read - self.taken);
        }
    }

    fn take(&mut self) -> Result<Option<Heard>, Trouble> {
        let garbled = || Trouble::Lost(Loss::Garbled);
        loop {
            let input = &self.memory[self.taken..self.read];
            let Some(len) = input.first_chunk().map(|len| u32::from_be_bytes(*len)) else {
                return Ok(None);
            };
            if len == 0 || len > MAX_BULK_FRAME {
                return Err(garbled());
            }
            let end = 4 + len as usize;
            if input.len() < end {
                return Ok(None);
            }
            let (ty, payload) = (input[4], &input[HEADER..end]);
            let begin = self.taken + HEADER;
            if ty == ty::DATA {
                let (offset, len) = piece(payload).ok_or_else(garbled)?;
                let at = begin + PIECE_HEAD..begin + PIECE_HEAD + len;
                self.taken += end;
                return Ok(Some(Heard::Data { offset, at }));
            }
            let message = ServerMsg::decode(ty, payload);
            self.taken += end;
            match message {
                Ok(Some(ServerMsg::Error { code, detail, text, .. })) => {
                    return Err(Trouble::Refused(Refusal { code, detail, text }));
                }
                Ok(Some(ServerMsg::GoAway { .. })) => return Err(Trouble::Lost(Loss::Announced)),
                Ok(Some(message)) => return Ok(Some(Heard::Said(message))),
                Err(DecodeError::Truncated | DecodeError::UnknownType(_)) => return Err(garbled()),
                // A newer server may say what this version does not know.
                Ok(None) | Err(DecodeError::Utf8 | DecodeError::Number(_) | DecodeError::UnknownTag(_)) => {}
            }
        }
    }
}

/// The offset and the length of a piece, if it is as long as it says.
fn piece(payload: &[u8]) -> Option<(u64, usize)> {
    let (head, bytes) = payload.split_first_chunk::<PIECE_HEAD>()?;
    let offset = u64::from_be_bytes(*head[4..].first_chunk()?);
    let len = u32::from_be_bytes(*head[12..].first_chunk()?) as usize;
    (len <= bytes.len()).then_some((offset, len))
}
