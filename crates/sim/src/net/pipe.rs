//! What both ends of a connection share: how much is on its way, and what goes wrong with it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Client,
    Server,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Bytes that were written and not read yet; those that a cut dropped stay in it for ever.
    pub(crate) under_way: usize,
    /// Bytes that stand in a queue in front of the link, and when they have left it, in microseconds.
    pub(crate) queue: VecDeque<(usize, u64)>,
    /// Who waits for room.
    pub(crate) writer: Option<Waker>,
    /// Who waits for bytes.
    pub(crate) reader: Option<Waker>,
}

impl Flow {
    /// How many bytes have left the queue, or when the first of them do; no number if nothing is queued.
    pub(crate) fn left_queue(&self, now: u64) -> Result<Option<usize>, u64> {
        match self.queue.front() {
            Some((_, at)) if *at > now => Err(*at),
            front => Ok(front.map(|(bytes, _)| *bytes)),
        }
    }

    /// So many of the first bytes were read.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.under_way = self.under_way.saturating_sub(bytes);
        if let Some((left, _)) = self.queue.front_mut() {
            *left -= bytes.min(*left);
            if *left == 0 {
                self.queue.pop_front();
            }
        }
    }
}

/// The state of a connection.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Whose it is, once its owner knows.
    pub(crate) owner: Option<Owner>,
    pub(crate) up: Flow,
    pub(crate) down: Flow,
    /// A reset came: both ends fail.
    pub(crate) reset: bool,
    /// The client's machine is gone without a word: what is written disappears.
    pub(crate) dark: bool,
    /// A cut dropped bytes: TCP would send them again or give up, here the stream is stuck.
    pub(crate) lossy: bool,
    /// Nothing moves before this time.
    pub(crate) stalled_until: u64,
}

/// Whose a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner {
    pub(crate) client: u16,
    /// It carries files.
    pub(crate) bulk: bool,
    /// It has no heartbeat.
    pub(crate) classic: bool,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// The client's host.
    pub(crate) host: usize,
    state: Mutex<State>,
}

impl Pipe {
    pub(crate) fn new(host: usize) -> Self {
        Self { host, state: Mutex::default() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both ends learn that it is reset.
    pub(crate) fn reset(&self) {
        let mut state = self.state();
        state.reset = true;
        state.wake_all();
    }

    /// Nothing moves for a while; those who wait look again then.
    pub(crate) fn stall_until(&self, until: u64) {
        let mut state = self.state();
        state.stalled_until = state.stalled_until.max(until);
        state.wake_all();
    }

    /// The client's end goes away without a word.
    pub(crate) fn darken(&self) {
        self.state().dark = true;
    }
}

impl State {
    fn wake_all(&mut self) {
        let Self { up, down, .. } = self;
        let wakers = [up.writer.take(), up.reader.take(), down.writer.take(), down.reader.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// What this end writes to.
    pub(crate) fn outward(&mut self, end: End) -> &mut Flow {
        match end {
            End::Client => &mut self.up,
            End::Server => &mut self.down,
        }
    }

    /// What this end reads from.
    pub(crate) fn inward(&mut self, end: End) -> &mut Flow {
        match end {
            End::Client => &mut self.down,
            End::Server => &mut self.up,
        }
    }
}
