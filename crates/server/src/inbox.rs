//! The reading half of a connection: bytes come in through one buffer of the thread and leave as frames.

use crate::clock::Clock;
use crate::conn::Conn;
use crate::inbound::{Bundle, Dialect, Login, Refusal, first_frame};
use bytes::Bytes;
use protocol::code::Code;
use protocol::frame::{Deframer, FrameError, Item, OwnedItem};
use protocol::limits::MAX_FRAME_BEFORE_LOGIN;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of one read: a full window of small posts.
const READ: usize = 64 * 1024;

/// Aligned, because a copy out of the kernel into memory that is not takes up to ten times as long.
#[repr(align(64))]
struct Scratch([u8; READ]);

thread_local! {
    /// What is read lands here first, so that an idle connection has no buffer of its own.
    static SCRATCH: RefCell<Box<Scratch>> = RefCell::new(Box::new(Scratch([0; READ])));
}

/// The reading half.
#[derive(Debug)]
pub struct Inbox<R> {
    read: R,
    deframer: Deframer,
    /// Bytes of the last read that were not taken yet. Invariant: taken <= carry.len().
    carry: Vec<u8>,
    taken: usize,
}

impl<R: AsyncRead + Unpin> Inbox<R> {
    /// Reads as from a stranger: only small frames are taken.
    pub fn new(read: R) -> Self {
        Self { read, deframer: Deframer::new(MAX_FRAME_BEFORE_LOGIN), carry: Vec::new(), taken: 0 }
    }

    /// Takes larger frames from here on, and the file frames of the classic dialect in pieces.
    pub fn set_limit(&mut self, limit: u32, dialect: Dialect) {
        self.deframer.set_limit(limit);
        if dialect == Dialect::Classic {
            self.deframer.set_streamed(protocol::classic::ty::FILE);
        }
    }

    /// The first frame.
    ///
    /// # Errors
    /// The last words to a peer that can't log in; `None` if it is gone.
    pub async fn login(&mut self) -> Result<Login, Option<Bytes>> {
        let mut is_first = true;
        let login = self.take(|deframer, input| {
            if std::mem::take(&mut is_first)
                && let Err(last_words) = check_first_byte(input[0])
            {
                return Some(Err(last_words));
            }
            match deframer.next(input) {
                Ok(None) => None,
                Ok(Some(item)) => Some(first_frame(item)),
                Err(FrameError::Empty) => Some(Err(Refusal::of(Code::EmptyFrame).encode_closing())),
            }
        });
        login.await.ok_or(None)?.map_err(Some)
    }

    /// The next frames; `None` at the end of the stream.
    pub async fn next_bundle(&mut self, conn: &Conn, dialect: Dialect, clock: &dyn Clock) -> Option<Bundle> {
        self.take(|deframer, input| {
            let mut bundle = Bundle::default();
            bundle.fill(dialect, deframer, input);
            conn.hear(clock.now().steady, deframer.is_mid_frame());
            (!bundle.is_empty()).then_some(bundle)
        })
        .await
    }

    /// What `read` makes of the next frame; `None` at the end of the stream.
    pub async fn next_frame<T>(
        &mut self,
        mut read: impl FnMut(Result<Item<'_>, FrameError>) -> T,
    ) -> Option<T> {
        self.take(|deframer, input| match deframer.next(input) {
            Ok(None) => None,
            Ok(Some(item)) => Some(read(Ok(item))),
            Err(error) => Some(read(Err(error))),
        })
        .await
    }

    /// The same for large frames, and `Some(None)` where a part of one came: a sign of life. Nothing is lost if this is
    /// not waited for to its end.
    pub async fn next_frame_or_part<T>(
        &mut self,
        mut read: impl FnMut(Result<OwnedItem, FrameError>) -> T,
    ) -> Option<Option<T>> {
        self.take(|deframer, input| Some(deframer.next_owned(input).transpose().map(&mut read))).await
    }

    /// The next piece of the payload of a streamed frame, and how many bytes follow; `None` at the end.
    pub async fn next_piece(&mut self) -> Option<(Bytes, u32)> {
        self.take(|deframer, input| {
            let piece = deframer.take_piece(input);
            (!piece.is_empty()).then(|| (Bytes::copy_from_slice(piece), deframer.to_skip()))
        })
        .await
    }

    /// Reads to the end without looking.
    pub async fn discard(&mut self) {
        let nothing: Option<()> = self
            .take(|_, input| {
                *input = &[];
                None
            })
            .await;
        debug_assert!(nothing.is_none(), "the stream has ended");
    }

    /// Reads until `step` finds something in what came; it leaves nothing over unless it did.
    /// `None` at the end of the stream.
    async fn take<T>(&mut self, mut step: impl FnMut(&mut Deframer, &mut &[u8]) -> Option<T>) -> Option<T> {
        loop {
            let found = if self.carry.is_empty() {
                poll_fn(|cx| self.poll_read(cx, &mut step)).await?
            } else {
                self.take_carried(&mut step)
            };
            if found.is_some() {
                return found;
            }
        }
    }

    fn take_carried<T>(
        &mut self,
        step: &mut impl FnMut(&mut Deframer, &mut &[u8]) -> Option<T>,
    ) -> Option<T> {
        let mut input = &self.carry[self.taken..];
        let found = step(&mut self.deframer, &mut input);
        self.taken = self.carry.len() - input.len();
        if input.is_empty() {
            (self.carry, self.taken) = (Vec::new(), 0);
        }
        found
    }

    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: &mut impl FnMut(&mut Deframer, &mut &[u8]) -> Option<T>,
    ) -> Poll<Option<Option<T>>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(&mut scratch.0);
            let read = ready!(Pin::new(&mut self.read).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(None);
            }
            let mut input = buf.filled();
            let found = step(&mut self.deframer, &mut input);
            self.carry.extend_from_slice(input);
            Poll::Ready(Some(found))
        })
    }
}

/// Tells plain frames from TLS and from everything else.
fn check_first_byte(byte: u8) -> Result<(), Bytes> {
    match byte {
        0x00 => Ok(()),
        0x16 => Err(Refusal::of(Code::NoTls).encode_closing()),
        _ => Err(Refusal::of(Code::BadFirstByte).encode_closing()),
    }
}
