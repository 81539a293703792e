//! The writing half of a connection: answers, and a cursor for each open room.
//!
//! It is *idle* (all is written, the fan-out loop may write to it), *busy* (its socket was full or a cursor
//! lags, its own task writes until it has caught up) or *closed*. There is no queue of room data: what a
//! reader has not got stays in the log, and a stalled reader pins at most one begun piece.

use crate::files::ClassicFile;
use crate::log::{LogPiece, Next, RoomLog, View};
use bytes::{Bytes, BytesMut};
use protocol::id::{RoomId, Seq};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Slices of one vectored write; the kernel takes up to 1,024.
const MAX_SLICES: usize = 64;

/// Bytes that are gathered for one write: what a socket's buffer may hold.
const GATHER: usize = 256 * 1024;

/// Bytes that are begun at once: the rest of one piece, and what was read for it from the store or a file.
const MAX_BEGUN: usize = 96 * 1024;

/// The socket, whatever it is.
pub type Sink = Pin<Box<dyn AsyncWrite + Send>>;

/// Who writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// All is written; whoever has news writes it.
    Idle,
    /// The connection's own task writes, until it has caught up.
    Busy,
    /// Nothing is written any more.
    Closed,
}

/// The writing half of a connection.
pub struct Outlet {
    socket: Sink,
    /// Bytes that nobody asked for and that may wait.
    max_unasked: usize,
    state: State,
    /// Begun pieces, the first of which may be a rest: they come before everything else. Invariant: together they
    /// have at most `MAX_BEGUN` bytes, however much its reader has not read.
    begun: VecDeque<Bytes>,
    /// Answers. Invariant: `control_bytes` is their sum.
    control: VecDeque<Control>,
    control_bytes: usize,
    /// Invariant: those of `control` that nobody asked for.
    unasked_bytes: usize,
    /// The newest unsent notice of how each room has changed; older ones are of no use to anybody.
    notices: BTreeMap<RoomId, Bytes>,
    /// The newest unsent `Pong`; older ones are of no use to anybody.
    pong: Option<Bytes>,
    cursors: Vec<Cursor>,
    /// A file whose frame is being written: until it is complete nothing else is.
    file: Option<Arc<ClassicFile>>,
    /// Bytes of its content that were taken; `None` while its head was not.
    file_at: Option<u64>,
    closing: bool,
    /// Bytes that the socket ever took.
    written: u64,
}

/// A frame that is written in its order.
struct Control {
    bytes: Bytes,
    /// Nobody asked for it.
    is_unasked: bool,
}

/// Where a reader stands in a room.
#[derive(Debug)]
struct Cursor {
    log: Arc<RoomLog>,
    view: View,
    /// Everything before it is written or begun; only grows. Invariant: next <= head + 1.
    next: Seq,
    /// The roster version that is written or begun; 0 before the first.
    roster: u64,
}

/// Why writing stopped without a full socket.
#[derive(Debug)]
pub enum Drained {
    /// All is written.
    CaughtUp,
    /// A cursor stands before the tail: its entries are to be read from the store.
    Lagging(Lag),
    /// The next bytes of this file are to be read from the disk.
    File(Arc<ClassicFile>),
}

/// A cursor whose entries are no longer in memory.
#[derive(Clone, Debug)]
pub struct Lag {
    /// The room.
    pub log: Arc<RoomLog>,
    /// How the reader sees it.
    pub view: View,
    /// The entry that they want next.
    pub next: Seq,
}

/// Something to write, and what is true once it is begun.
struct Piece {
    bytes: Bytes,
    then: Then,
    /// A file that follows it at once.
    file: Option<Arc<ClassicFile>>,
}

impl Piece {
    fn new(bytes: Bytes, then: Then) -> Self {
        Self { bytes, then, file: None }
    }
}

#[derive(Clone, Copy)]
enum Then {
    Begun,
    Control,
    Pong,
    Notice(RoomId),
    Roster { cursor: usize, version: u64 },
    Entries { cursor: usize, next: Seq },
}

impl Outlet {
    /// An idle outlet, for which so many bytes may wait that nobody asked for.
    pub fn new(socket: Sink, max_unasked: usize) -> Self {
        Self {
            socket,
            max_unasked,
            state: State::Idle,
            begun: VecDeque::new(),
            control: VecDeque::new(),
            control_bytes: 0,
            unasked_bytes: 0,
            notices: BTreeMap::new(),
            pong: None,
            cursors: Vec::new(),
            file: None,
            file_at: None,
            closing: false,
            written: 0,
        }
    }

    /// Who writes.
    pub fn state(&self) -> State {
        self.state
    }

    /// Bytes of answers that wait.
    pub fn control_bytes(&self) -> usize {
        self.control_bytes
    }

    /// Whether the connection ends when all is written.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Bytes that the socket ever took: whether it makes progress.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Adds an answer.
    pub fn push_control(&mut self, bytes: Bytes) {
        self.push(bytes, false);
    }

    /// Adds a frame that nobody asked for; false if its peer has not taken too many of those, so that this one is lost.
    #[must_use]
    pub fn push_unasked(&mut self, bytes: Bytes) -> bool {
        // One that is idle was not offered any of them yet.
        let takes = self.state == State::Idle || self.unasked_bytes + bytes.len() <= self.max_unasked;
        if takes {
            self.push(bytes, true);
        }
        takes
    }

    /// Sets what a room is like now, unless it is told otherwise before this is written.
    pub fn set_notice(&mut self, room: RoomId, bytes: Bytes) {
        if self.state != State::Closed && !self.closing {
            self.notices.insert(room, bytes);
        }
    }

    /// A newer frame about a room is on its way: what was to be told of it before is of no use.
    pub fn drop_notice(&mut self, room: RoomId) {
        self.notices.remove(&room);
    }

    fn push(&mut self, bytes: Bytes, is_unasked: bool) {
        if self.state != State::Closed && !self.closing {
            self.control_bytes += bytes.len();
            self.unasked_bytes += if is_unasked { bytes.len() } else { 0 };
            self.control.push_back(Control { bytes, is_unasked });
        }
    }

    /// Sets the pong to send next.
    pub fn set_pong(&mut self, bytes: Bytes) {
        self.pong = Some(bytes);
    }

    /// Sets a cursor, in the place of one of the same room.
    ///
    /// `roster` is the version that the reader knows, 0 for none.
    pub fn open(&mut self, log: Arc<RoomLog>, view: View, next: Seq, roster: u64) {
        self.close_room(log.room);
        // Most connections stand in few rooms: room for four at once would be the larger part of what they hold.
        self.cursors.reserve_exact(1);
        self.cursors.push(Cursor { log, view, next, roster });
    }

    /// Takes a cursor away; false if there was none.
    pub fn close_room(&mut self, room: RoomId) -> bool {
        let before = self.cursors.len();
        self.cursors.retain(|cursor| cursor.log.room != room);
        self.cursors.len() < before
    }

    /// The entry that a reader of a room is given next; `None` without a cursor there.
    pub fn next_in(&self, room: RoomId) -> Option<Seq> {
        self.cursors.iter().find(|cursor| cursor.log.room == room).map(|cursor| cursor.next)
    }

    /// Changes how a reader sees a room.
    pub fn set_view(&mut self, room: RoomId, view: View) {
        if let Some(cursor) = self.cursors.iter_mut().find(|cursor| cursor.log.room == room) {
            cursor.view = view;
        }
    }

    /// Takes no more news: what is queued is written, then the connection ends.
    pub fn close(&mut self) {
        self.closing = true;
        self.cursors.clear();
        if self.state == State::Idle {
            // The connection's own task writes what is left, and then ends.
            self.state = State::Busy;
        }
    }

    /// Gives up: the socket is broken or its time is over.
    pub fn abandon(&mut self) {
        self.state = State::Closed;
        self.begun.clear();
        self.control.clear();
        (self.control_bytes, self.unasked_bytes) = (0, 0);
        self.notices.clear();
        self.cursors.clear();
    }

    /// Writes what there is, if nobody else does. True if the connection's own task must go on.
    ///
    /// The socket is asked with a waker that nobody listens to, so the state tells who writes next.
    pub fn offer(&mut self) -> bool {
        if self.state != State::Idle {
            return false;
        }
        let mut nobody = Context::from_waker(std::task::Waker::noop());
        match self.poll_write(&mut nobody) {
            Poll::Ready(Ok(Drained::CaughtUp)) if !self.closing => false,
            Poll::Ready(_) | Poll::Pending => {
                self.state = State::Busy;
                true
            }
        }
    }

    /// For the connection's own task: writes until all is written, then the outlet is idle again.
    ///
    /// # Errors
    /// The socket's error; the outlet is then closed.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Drained>> {
        if self.state != State::Busy {
            return Poll::Ready(Ok(Drained::CaughtUp));
        }
        let drained = ready!(self.poll_write(cx));
        match &drained {
            Ok(Drained::CaughtUp) => self.state = State::Idle,
            Ok(Drained::Lagging(_) | Drained::File(_)) => {}
            Err(_) => self.abandon(),
        }
        Poll::Ready(drained)
    }

    /// Takes entries that were read from the store, unless the cursor was moved meanwhile.
    pub fn put_stored(&mut self, lag: &Lag, bytes: Bytes, next: Seq) {
        let same = |cursor: &&mut Cursor| cursor.log.room == lag.log.room && cursor.next == lag.next;
        if let Some(cursor) = self.cursors.iter_mut().find(same) {
            cursor.next = next;
            if !bytes.is_empty() {
                self.begun.push_back(bytes);
            }
        }
    }

    /// How much of the content of the file that is being written was taken; `None` while its head was not. Whoever
    /// writes it may be stopped anywhere, and another one goes on from here.
    pub fn file_at(&self) -> Option<u64> {
        self.file_at
    }

    /// Takes the next bytes of the file that is being written, up to this place of its content.
    pub fn put_file(&mut self, bytes: Bytes, at: u64) {
        self.begun.push_back(bytes);
        self.file_at = Some(at);
    }

    /// The file is complete; `last` comes behind it.
    pub fn end_file(&mut self, last: Bytes) {
        (self.file, self.file_at) = (None, None);
        if !last.is_empty() {
            self.begun.push_back(last);
        }
    }

    /// Ends the stream in order.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.as_mut().poll_shutdown(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Drained>> {
        loop {
            let begun = || self.begun.iter().map(Bytes::len).sum::<usize>();
            debug_assert!(
                std::thread::panicking() || begun() <= MAX_BEGUN,
                "{} bytes are queued for one reader",
                begun()
            );
            let (pieces, lag) = self.gather();
            if pieces.is_empty() {
                let file = self.file.clone().map(Drained::File);
                return Poll::Ready(Ok(file.or(lag.map(Drained::Lagging)).unwrap_or(Drained::CaughtUp)));
            }
            let total: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
            let written = if total == 0 { 0 } else { ready!(self.poll_pieces(cx, &pieces))? };
            if written == 0 && total > 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written as u64;
            self.advance(pieces, written);
        }
    }

    fn poll_pieces(&mut self, cx: &mut Context<'_>, pieces: &[Piece]) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut used = 0;
        for piece in pieces.iter().filter(|piece| !piece.bytes.is_empty()).take(MAX_SLICES) {
            slices[used] = IoSlice::new(&piece.bytes);
            used += 1;
        }
        self.socket.as_mut().poll_write_vectored(cx, &slices[..used])
    }

    /// What to write next, in order, and the first cursor that lags.
    fn gather(&self) -> (Vec<Piece>, Option<Lag>) {
        let mut lag = None;
        let mut pieces: Vec<_> = self.begun.iter().map(|b| Piece::new(b.clone(), Then::Begun)).collect();
        if self.file.is_some() {
            return (pieces, None);
        }
        // No more than one write takes: whoever does not read must not make each write as long as its queue.
        let control = self.control.iter().map(|control| Piece::new(control.bytes.clone(), Then::Control));
        pieces.extend(control.take(MAX_SLICES));
        pieces.extend(self.pong.iter().map(|b| Piece::new(b.clone(), Then::Pong)));
        let notices = self.notices.iter().map(|(room, b)| Piece::new(b.clone(), Then::Notice(*room)));
        pieces.extend(notices.take(MAX_SLICES));
        for (at, cursor) in self.cursors.iter().enumerate() {
            if pieces.len() >= MAX_SLICES {
                break;
            }
            let (frames, version) = cursor.log.read_roster(cursor.roster, cursor.view);
            if version != cursor.roster {
                pieces.push(Piece::new(join(&frames), Then::Roster { cursor: at, version }));
            }
            match cursor.log.read(cursor.next, cursor.view, GATHER) {
                Next::Pieces(entries) => {
                    for LogPiece { bytes, next, file } in entries {
                        let is_last = file.is_some();
                        pieces.push(Piece { bytes, then: Then::Entries { cursor: at, next }, file });
                        if is_last {
                            return (pieces, lag);
                        }
                    }
                }
                Next::InStore if lag.is_none() => {
                    lag = Some(Lag { log: cursor.log.clone(), view: cursor.view, next: cursor.next });
                }
                Next::InStore => {}
            }
        }
        (pieces, lag)
    }

    /// Takes note of `written` bytes of the pieces.
    fn advance(&mut self, pieces: Vec<Piece>, mut written: usize) {
        for Piece { bytes, then, file } in pieces {
            let whole = bytes.len() <= written;
            if !whole && written == 0 {
                return;
            }
            self.begin(then);
            if file.is_some() {
                self.file = file;
            }
            if !whole {
                self.begun.push_front(bytes.slice(written..));
                return;
            }
            written -= bytes.len();
        }
    }

    fn begin(&mut self, then: Then) {
        match then {
            Then::Begun => drop(self.begun.pop_front()),
            Then::Control => {
                if let Some(Control { bytes, is_unasked }) = self.control.pop_front() {
                    self.control_bytes -= bytes.len();
                    self.unasked_bytes -= if is_unasked { bytes.len() } else { 0 };
                }
                if self.control.is_empty() {
                    // Give the memory back: an idle connection holds none.
                    self.control = VecDeque::new();
                }
            }
            Then::Pong => self.pong = None,
            Then::Notice(room) => drop(self.notices.remove(&room)),
            Then::Roster { cursor, version } => self.cursors[cursor].roster = version,
            Then::Entries { cursor, next } => self.cursors[cursor].next = next,
        }
    }
}

/// Frames in one piece, so that they are begun together.
fn join(frames: &[Bytes]) -> Bytes {
    match frames {
        [one] => one.clone(),
        many => {
            let mut all = BytesMut::new();
            many.iter().for_each(|frame| all.extend_from_slice(frame));
            all.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(outlet: &Outlet) -> Vec<Bytes> {
        outlet.gather().0.into_iter().map(|piece| piece.bytes).collect()
    }

    #[test]
    fn a_write_is_gathered_from_no_more_than_it_takes() {
        let mut outlet = Outlet::new(Box::pin(tokio::io::sink()), 0);
        (0..10_000).for_each(|_| outlet.push_control(Bytes::from_static(b"answer")));
        assert_eq!(texts(&outlet).len(), MAX_SLICES);
        assert!(!outlet.offer(), "and all of it is written");
        assert_eq!(outlet.control_bytes(), 0);
    }

    #[test]
    fn of_what_a_room_is_like_only_the_newest_is_written() {
        let mut outlet = Outlet::new(Box::pin(tokio::io::sink()), 0);
        let (one, two) = (RoomId::FIRST, RoomId::FIRST.next());
        outlet.set_notice(one, Bytes::from_static(b"old"));
        outlet.set_notice(two, Bytes::from_static(b"before it was left"));
        outlet.set_notice(one, Bytes::from_static(b"new"));
        outlet.drop_notice(two);
        outlet.push_control(Bytes::from_static(b"left"));
        assert_eq!(texts(&outlet), ["left", "new"]);
        assert!(!outlet.offer() && texts(&outlet).is_empty());
    }

    #[test]
    fn what_nobody_asked_for_is_bounded_while_it_is_not_taken() {
        let (socket, _peer) = tokio::io::duplex(1);
        let mut outlet = Outlet::new(Box::pin(socket), 100);
        outlet.push_control(Bytes::from_static(b"more than the socket takes"));
        assert!(outlet.offer());
        let taken = (0..20).filter(|_| outlet.push_unasked(Bytes::from_static(b"ten bytes.")));
        assert_eq!(taken.count(), 10);
        outlet.abandon();
        assert_eq!((outlet.control_bytes(), outlet.unasked_bytes), (0, 0));
    }
}
