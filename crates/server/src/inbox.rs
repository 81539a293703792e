//! The reading half of a connection: bytes come in through one buffer of the thread and leave as frames.

use crate::clock::Clock;
use crate::conn::Conn;
use crate::half_frames::Share;
use crate::inbound::{Bundle, Dialect, Login, Refusal, first_frame};
use crate::turns::Pace;
use bytes::Bytes;
use protocol::code::Code;
use protocol::frame::{Deframer, FrameError, Item, OwnedItem};
use protocol::limits::{MAX_FRAME_BEFORE_LOGIN, PROGRESS_BYTES};
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
    /// The room for a frame that is half there.
    share: Share,
    /// How far it may be read.
    pub pace: Pace,
    /// Bytes that came of a frame since it was last noted that its peer goes on with it.
    unnoted: usize,
    /// A frame came too slowly, while others waited for its room: the connection ends.
    is_over: bool,
}

impl<R: AsyncRead + Unpin> Inbox<R> {
    /// Reads as from a stranger: only small frames are taken.
    pub fn new(read: R, share: Share, pace: Pace) -> Self {
        Self {
            read,
            deframer: Deframer::new(MAX_FRAME_BEFORE_LOGIN),
            carry: Vec::new(),
            taken: 0,
            share,
            pace,
            unnoted: 0,
            is_over: false,
        }
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
        match login.await {
            Some(login) => login.map_err(Some),
            None if self.is_over => Err(Some(Refusal::of(Code::Stalled).encode_closing())),
            None => Err(None),
        }
    }

    /// Whether the connection has to end because its frame came too slowly, where `None` stands for the end.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next frames; `None` at the end of the stream.
    pub async fn next_bundle(&mut self, conn: &Conn, dialect: Dialect, clock: &dyn Clock) -> Option<Bundle> {
        let mut unnoted = 0;
        let next = self.take(|deframer, input| {
            let mut bundle = Bundle::default();
            let goes_on = deframer.is_mid_frame();
            unnoted += input.len();
            bundle.fill(dialect, deframer, input);
            let goes_on = goes_on && bundle.is_empty() && deframer.is_mid_frame();
            // A byte now and then keeps no frame alive: it has to come at a pace.
            if !goes_on || unnoted >= PROGRESS_BYTES {
                conn.hear(clock.now().steady, deframer.is_mid_frame());
                unnoted = 0;
            }
            (!bundle.is_empty()).then_some(bundle)
        });
        match next.await {
            None if self.is_over => Some(Bundle::refused(Refusal::of(Code::Stalled))),
            next => next,
        }
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

    /// The same for large frames, and `Some(None)` where [`PROGRESS_BYTES`] of one came: a sign of life. Nothing is lost
    /// if this is not waited for to its end.
    pub async fn next_frame_or_part<T>(
        &mut self,
        mut read: impl FnMut(Result<OwnedItem, FrameError>) -> T,
    ) -> Option<Option<T>> {
        let mut unnoted = self.unnoted;
        let next = self.take(|deframer, input| {
            unnoted += input.len();
            let next = deframer.next_owned(input).transpose().map(&mut read);
            let is_sign = next.is_some() || unnoted >= PROGRESS_BYTES;
            is_sign.then(|| {
                unnoted = 0;
                next
            })
        });
        let next = next.await;
        self.unnoted = unnoted;
        next
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
        self.share.set_read(true);
        loop {
            let found = if self.carry.is_empty() {
                self.pace.wait().await;
                if !self.share.may_read(self.deframer.held()) {
                    let (held, frame) = (self.deframer.held(), self.deframer.frame_bytes());
                    Box::pin(self.share.wait(held, frame.unwrap_or(held))).await;
                }
                poll_fn(|cx| self.poll_read(cx, &mut step)).await
            } else {
                Some(self.take_carried(&mut step))
            };
            self.deframer.forget_delivered();
            match found {
                Some(None) => {}
                None | Some(Some(_)) => {
                    self.share.set_read(false);
                    return found.flatten();
                }
            }
        }
    }

    fn take_carried<T>(
        &mut self,
        step: &mut impl FnMut(&mut Deframer, &mut &[u8]) -> Option<T>,
    ) -> Option<T> {
        let mut input = &self.carry[self.taken..];
        let (before, all) = (self.deframer.held(), input.len());
        let found = step(&mut self.deframer, &mut input);
        self.taken = self.carry.len() - input.len();
        self.share.note(before, all - input.len(), self.deframer.held(), self.deframer.frame_bytes());
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
        if self.share.is_over(cx) {
            self.is_over = true;
            return Poll::Ready(None);
        }
        let before = self.deframer.held();
        let rest = self.deframer.frame_bytes().unwrap_or(before) - before;
        let most = self.share.most(before, rest).min(READ);
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(&mut scratch.0[..most]);
            let read = ready!(Pin::new(&mut self.read).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(None);
            }
            let mut input = buf.filled();
            let all = input.len();
            self.pace.note_bytes(all);
            let found = step(&mut self.deframer, &mut input);
            self.share.note(before, all - input.len(), self.deframer.held(), self.deframer.frame_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Now, Steady};
    use crate::conn::ConnId;
    use crate::half_frames::HalfFrames;
    use crate::origin::Origin;
    use protocol::limits::MAX_FRAME;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::Waker;
    use tokio::io::{AsyncWriteExt, duplex};

    /// A clock that is set by hand.
    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Now {
            Now { steady: Steady(self.0.load(Ordering::Relaxed)), ..Now::default() }
        }
    }

    #[tokio::test]
    async fn a_byte_now_and_then_is_no_progress_of_a_frame() {
        let clock = Arc::new(Hand::default());
        let peer = std::net::SocketAddr::from(([192, 0, 2, 7], 1));
        let limits = crate::limits::Limits::default();
        let conn = Conn::new(ConnId(1), peer, Box::pin(tokio::io::sink()), &limits, Steady(0));
        let room = Arc::new(HalfFrames::new(1, 1, clock.clone()));
        let (ours, mut theirs) = duplex(1 << 20);
        let mut inbox = Inbox::new(ours, Share::new(room, Origin::of(peer.ip())), Pace::unbounded());
        inbox.set_limit(MAX_FRAME, Dialect::Native);
        let mut next = pin!(inbox.next_bundle(&conn, Dialect::Native, &*clock));
        let header = [0, 0, 0xea, 0x60, 0x12];
        for (ms, bytes, heard) in [
            (1_000, &header[..], 1_000),
            (5_000, &[0], 1_000),
            (9_000, &[0; PROGRESS_BYTES - 10], 1_000),
            (12_000, &[0; 10], 12_000),
            (20_000, &[0], 12_000),
        ] {
            clock.0.store(ms, Ordering::Relaxed);
            theirs.write_all(bytes).await.unwrap();
            assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!((conn.heard(), conn.is_mid_frame()), (Steady(heard), true), "after {ms} ms");
        }
    }
}
