//! The two halves of a shaped connection: segments of 1,460 bytes at the pace of the link, within a window.

use super::pipe::{End, Pipe};
use super::{Net, Tap, Turn};
use crate::coverage::Sometimes;
use rand::RngExt;
use rand::rngs::SmallRng;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Bytes of one segment, as on most links.
const SEGMENT: usize = 1_460;

type SharedTap = Option<Arc<Mutex<Tap>>>;

/// The half that is read.
#[derive(Debug)]
pub(crate) struct Reading {
    net: Net,
    inner: Option<OwnedReadHalf>,
    pipe: Arc<Pipe>,
    end: End,
    tap: SharedTap,
    rng: SmallRng,
    wait: Wait,
}

/// The half that is written.
#[derive(Debug)]
pub(crate) struct Writing {
    net: Net,
    inner: Option<OwnedWriteHalf>,
    pipe: Arc<Pipe>,
    end: End,
    tap: SharedTap,
    rng: SmallRng,
    wait: Wait,
    /// Bytes for which the link is reserved.
    reserved: Option<(usize, Turn)>,
}

/// A timer that is armed as needed.
#[derive(Debug, Default)]
struct Wait(Option<Pin<Box<Sleep>>>);

impl Wait {
    /// Waits until this simulated time.
    fn poll_until(&mut self, until: u64, now: u64, cx: &mut Context<'_>) -> Poll<()> {
        if until <= now {
            self.0 = None;
            return Poll::Ready(());
        }
        let sleep = Box::pin(tokio::time::sleep(Duration::from_micros(until - now)));
        let done = self.0.insert(sleep).as_mut().poll(cx);
        if done.is_ready() {
            self.0 = None;
        }
        done
    }
}

impl Reading {
    pub(super) fn new(net: Net, inner: OwnedReadHalf, pipe: Arc<Pipe>, end: End, tap: SharedTap) -> Self {
        let rng = net.rng();
        Self { net, inner: Some(inner), pipe, end, tap, rng, wait: Wait::default() }
    }

    /// What keeps it from reading, if something does; or how many bytes it may read.
    fn poll_state(&mut self, now: u64, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (until, most) = {
            let mut state = self.pipe.state();
            if state.reset {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            state.inward(self.end).reader = Some(cx.waker().clone());
            if state.dark {
                return Poll::Pending;
            }
            let (queued, most) = match state.inward(self.end).left_queue(now) {
                Ok(most) => (0, most.unwrap_or(SEGMENT)),
                Err(at) => (at, 0),
            };
            (state.stalled_until.max(queued), most)
        };
        self.wait.poll_until(until, now, cx).map(|()| Ok(most))
    }

    fn take_note(&mut self, bytes: &[u8]) {
        let mut state = self.pipe.state();
        let flow = state.inward(self.end);
        flow.take(bytes.len());
        let writer = flow.writer.take();
        let bulk = state.owner.filter(|owner| owner.bulk && self.end == End::Client);
        drop(state);
        if let Some(owner) = bulk
            && let Some(sight) = self.net.record.pages().sights.get_mut(usize::from(owner.client))
        {
            sight.bulk_bytes += bytes.len() as u64;
        }
        if let Some(writer) = writer {
            writer.wake();
        }
        if let Some(tap) = &self.tap {
            tap.lock().unwrap_or_else(PoisonError::into_inner).hear(bytes);
        }
    }
}

impl AsyncRead for Reading {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.net.record.work();
        let now = this.net.record.pages().now();
        let there = ready!(this.poll_state(now, cx))?;
        let short = this.net.plan.short && this.rng.random_ratio(1, 4);
        let most = if short { this.rng.random_range(1..=16) } else { SEGMENT };
        let most = most.min(there).min(buf.remaining());
        let mut piece = ReadBuf::new(buf.initialize_unfilled_to(most));
        let Some(inner) = &mut this.inner else { return Poll::Ready(Ok(())) };
        ready!(Pin::new(inner).poll_read(cx, &mut piece))?;
        let n = piece.filled().len();
        if short && n > 0 {
            this.net.record.hit(Sometimes::ShortRead);
        }
        let from = buf.filled().len();
        buf.advance(n);
        this.net.record.pages().trace.mix_bytes(now, &buf.filled()[from..]);
        this.take_note(&buf.filled()[from..]);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let (silent, unread) = {
            let mut state = self.pipe.state();
            (state.dark || state.reset, state.reset && state.inward(self.end).under_way > 0)
        };
        if unread {
            self.net.record.hit(Sometimes::ResetUnread);
        }
        if silent {
            self.net.bury(self.inner.take(), None);
        }
    }
}

impl Writing {
    pub(super) fn new(net: Net, inner: OwnedWriteHalf, pipe: Arc<Pipe>, end: End, tap: SharedTap) -> Self {
        let rng = net.rng();
        Self { net, inner: Some(inner), pipe, end, tap, rng, wait: Wait::default(), reserved: None }
    }

    /// How many bytes the window takes now; waits if it takes none.
    fn poll_room(&mut self, now: u64, cx: &mut Context<'_>) -> Poll<io::Result<(usize, bool)>> {
        let window = self.net.plan.window as usize;
        let (until, room, dark) = {
            let mut state = self.pipe.state();
            if state.reset {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let (until, dark) = (state.stalled_until, state.dark);
            let flow = state.outward(self.end);
            let room = window.saturating_sub(flow.under_way);
            // Who finds room is not to be woken by every read of the other end.
            flow.writer = (room == 0).then(|| cx.waker().clone());
            (until, room, dark)
        };
        ready!(self.wait.poll_until(until, now, cx));
        if room == 0 {
            self.net.record.hit(Sometimes::WriterParked);
            return Poll::Pending;
        }
        Poll::Ready(Ok((room, dark)))
    }

    /// Waits for the link's turn, or for room in the queue in front of it; how many bytes may go then.
    fn poll_link(&mut self, wanted: usize, now: u64, cx: &mut Context<'_>) -> Poll<(usize, Turn)> {
        let (bytes, turn) = match self.reserved {
            Some(reserved) => reserved,
            None => (wanted, self.net.turn(self.pipe.host, self.end, wanted, now)),
        };
        self.reserved = Some((bytes, turn));
        if turn.leaves.unwrap_or(turn.goes) > now + 50_000 {
            self.net.record.hit(Sometimes::SlowLink);
        }
        ready!(self.wait.poll_until(turn.goes, now, cx));
        self.reserved = None;
        Poll::Ready((bytes.min(wanted), turn))
    }

    /// Writes one segment from the front of `slices`.
    fn poll_segment(
        &mut self,
        slices: &[IoSlice<'_>],
        skip: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let now = self.net.record.pages().now();
        let (room, dark) = ready!(self.poll_room(now, cx))?;
        let short = self.net.plan.short && self.rng.random_ratio(1, 8);
        let most = if short { self.rng.random_range(1..=64) } else { SEGMENT };
        let mut segment = [0; SEGMENT];
        let n = gather(slices, skip, &mut segment[..most.min(room)]);
        if n == 0 {
            return Poll::Ready(Ok(0));
        }
        let (n, turn) = ready!(self.poll_link(n, now, cx));
        if !dark {
            let Some(inner) = &mut self.inner else {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            };
            let written = ready!(Pin::new(inner).poll_write(cx, &segment[..n]))?;
            debug_assert_eq!(written, n, "a segment goes whole");
        }
        {
            let mut state = self.pipe.state();
            let flow = state.outward(self.end);
            flow.under_way += n;
            flow.queue.extend(turn.leaves.filter(|_| !dark).map(|at| (n, at)));
        }
        if !dark && self.net.is_cut(self.pipe.host, self.end) {
            self.net.note_loss(&self.pipe);
        }
        if let Some(tap) = &self.tap {
            tap.lock().unwrap_or_else(PoisonError::into_inner).say(&segment[..n]);
        }
        Poll::Ready(Ok(n))
    }
}

/// Copies what follows the first `skip` bytes of the slices, as much as fits.
fn gather(slices: &[IoSlice<'_>], mut skip: usize, into: &mut [u8]) -> usize {
    let mut filled = 0;
    for slice in slices {
        if skip >= slice.len() {
            skip -= slice.len();
            continue;
        }
        let rest = &slice[skip..];
        skip = 0;
        let n = rest.len().min(into.len() - filled);
        into[filled..filled + n].copy_from_slice(&rest[..n]);
        filled += n;
        if filled == into.len() {
            break;
        }
    }
    filled
}

impl AsyncWrite for Writing {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.net.record.work();
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut written = 0;
        while written < total {
            match self.poll_segment(slices, written, cx) {
                Poll::Ready(Ok(0)) => break,
                Poll::Ready(Ok(n)) => written += n,
                Poll::Ready(Err(error)) if written == 0 => return Poll::Ready(Err(error)),
                Poll::Pending if written == 0 => return Poll::Pending,
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let dark = self.pipe.state().dark;
        match &mut self.inner {
            Some(inner) if !dark => Pin::new(inner).poll_shutdown(cx),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let (silent, reaped) = {
            let state = self.pipe.state();
            (state.dark || state.reset, state.dark && self.end == End::Server)
        };
        if reaped && turmoil::in_simulation() && !self.net.state().server_ends {
            self.net.record.hit(Sometimes::HalfOpenReaped);
        }
        if silent {
            self.net.bury(None, self.inner.take());
        } else if self.net.is_cut(self.pipe.host, self.end) {
            // The end of the stream does not arrive either, and nobody sends it again.
            self.pipe.state().lossy = true;
        }
    }
}

/// Both halves in one.
#[derive(Debug)]
pub(crate) struct Shaped {
    pub(crate) read: Reading,
    pub(crate) write: Writing,
}

impl AsyncRead for Shaped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl AsyncWrite for Shaped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}
