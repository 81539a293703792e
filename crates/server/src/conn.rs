//! A connection as the hub and its own task share it.

use crate::clock::Steady;
use crate::limits::Limits;
use crate::outlet::{Outlet, Sink};
use crate::places::Place;
use protocol::limits::SMALL_QUEUE;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore};

/// The number of a connection, for as long as the process lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Bundles of one connection that may be on their way to the hub.
pub const BUNDLES: u32 = 2;

/// A connection.
pub struct Conn {
    /// Its number.
    pub id: ConnId,
    /// The other end.
    pub peer: SocketAddr,
    outlet: Mutex<Outlet>,
    /// Wakes the connection's own task: the outlet became busy, or is to be closed.
    pub kick: Notify,
    /// Wakes the reading half: answers were written.
    pub drained: Notify,
    /// Wakes whoever waits for either half: the connection is to end.
    pub closing: Notify,
    /// Bytes of posts that may still be accepted; a small post counts as a full share of the window.
    pub window: Arc<Semaphore>,
    /// All of it.
    window_bytes: u32,
    /// What the smallest post takes of it.
    least_share: u32,
    /// Bytes of answers beyond which it is not read.
    max_control: usize,
    /// Bundles that may still be handed to the hub.
    pub bundles: Arc<Semaphore>,
    /// Nothing more of it is taken before this time.
    held_until: AtomicU64,
    heard: AtomicU64,
    mid_frame: AtomicBool,
    /// Whether it is of a stranger or of somebody new, who wait for turns.
    is_new: AtomicBool,
    /// Whether what comes from it goes to the hub by the lane of new people.
    in_new_lane: AtomicBool,
    /// Why it is not read; [`READ`] if it is.
    pause: AtomicU8,
    /// Its place among all connections, if these are counted.
    place: Option<Arc<Place>>,
}

/// Why a connection is not read for a while. Its silence then says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// The server has not caught up with it, or its sender is to go slower.
    Server,
    /// Its peer does not take the answers that it has asked for.
    Answers,
}

/// It is read.
const READ: u8 = 0;

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conn({} from {})", self.id, self.peer)
    }
}

impl Conn {
    /// A connection that writes to this socket.
    pub fn new(id: ConnId, peer: SocketAddr, socket: Sink, limits: &Limits, now: Steady) -> Self {
        Self {
            id,
            peer,
            outlet: Mutex::new(Outlet::new(socket, limits.max_unasked)),
            kick: Notify::new(),
            drained: Notify::new(),
            closing: Notify::new(),
            window: Arc::new(Semaphore::new(limits.window_bytes as usize)),
            window_bytes: limits.window_bytes,
            least_share: (limits.window_bytes / u32::from(limits.window_posts)).max(1),
            max_control: limits.max_control,
            bundles: Arc::new(Semaphore::new(BUNDLES as usize)),
            held_until: AtomicU64::new(0),
            heard: AtomicU64::new(now.0),
            mid_frame: AtomicBool::new(false),
            is_new: AtomicBool::new(true),
            in_new_lane: AtomicBool::new(true),
            pause: AtomicU8::new(READ),
            place: None,
        }
    }

    /// The same with its place.
    #[must_use]
    pub fn in_place(self, place: Arc<Place>) -> Self {
        Self { place: Some(place), ..self }
    }

    /// It is logged in and keeps its place; false if it had to give that away before.
    pub fn admit(&self) -> bool {
        self.place.as_ref().is_none_or(|place| place.admit())
    }

    /// Its session has ended, so that it may have to give its place away.
    pub fn linger(&self) {
        self.place.iter().for_each(|place| place.linger());
    }

    /// The writing half, locked for a moment.
    pub fn outlet(&self) -> MutexGuard<'_, Outlet> {
        // No code panics while it holds the lock; if one did, only this connection would suffer.
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is new if the socket takes it, else leaves it to the connection's own task.
    pub fn offer(&self) {
        let mut outlet = self.outlet();
        let was_full = outlet.control_bytes() >= self.max_control;
        let is_busy = outlet.offer();
        let drained = was_full && outlet.control_bytes() < self.max_control;
        drop(outlet);
        if is_busy {
            self.kick.notify_one();
        }
        // The reading half may have found no room before this: where all is written now, nobody else wakes it.
        if drained {
            self.drained.notify_one();
        }
    }

    /// Ends the connection when everything queued is written.
    pub fn close(&self) {
        self.outlet().close();
        self.kick.notify_one();
        self.drained.notify_one();
        self.closing.notify_one();
    }

    /// Whether there is room for more answers.
    pub fn takes_answers(&self) -> bool {
        self.outlet().control_bytes() < self.max_control
    }

    /// Whether there is room for more answers in its outlet, which is locked.
    pub fn takes_more(&self, outlet: &Outlet) -> bool {
        outlet.control_bytes() < self.max_control
    }

    /// Whoever logged in is new, and waits for turns, or is not.
    pub fn set_new(&self, is_new: bool) {
        self.is_new.store(is_new, Ordering::Relaxed);
        self.place.iter().for_each(|place| place.set_new(is_new));
    }

    /// Whether it is of a stranger or of somebody new.
    pub fn is_new(&self) -> bool {
        self.is_new.load(Ordering::Relaxed)
    }

    /// Whether what comes from it next goes to the hub by the lane of new people. It changes to the other one when nothing
    /// is under way any more: it must not overtake itself.
    pub fn is_in_new_lane(&self) -> bool {
        let is_in_new = self.in_new_lane.load(Ordering::Relaxed);
        if is_in_new && !self.is_new() && self.bundles.available_permits() == BUNDLES as usize {
            self.in_new_lane.store(false, Ordering::Relaxed);
            return false;
        }
        is_in_new
    }

    /// Its sender was too fast: nothing more of it is taken before this time.
    pub fn hold_until(&self, until: Steady) {
        self.held_until.fetch_max(until.0, Ordering::Relaxed);
    }

    /// Until when nothing more of it is taken; `None` if it was never too fast.
    pub fn held_until(&self) -> Option<Steady> {
        match self.held_until.load(Ordering::Relaxed) {
            0 => None,
            until => Some(Steady(until)),
        }
    }

    /// Notes that bytes came, and whether a frame is only half there.
    pub fn hear(&self, now: Steady, mid_frame: bool) {
        self.heard.store(now.0, Ordering::Relaxed);
        self.mid_frame.store(mid_frame, Ordering::Relaxed);
    }

    /// When bytes came last, or enough of a frame that is half there.
    pub fn heard(&self) -> Steady {
        Steady(self.heard.load(Ordering::Relaxed))
    }

    /// Notes that the connection is not read for a while.
    pub fn set_paused(&self, pause: Pause, now: Steady) {
        let pause = match pause {
            Pause::Server => 1,
            Pause::Answers => 2,
        };
        self.pause.store(pause, Ordering::Relaxed);
        self.heard.store(now.0, Ordering::Relaxed);
    }

    /// Notes that the connection is read again: its silence counts from here on.
    pub fn set_reading(&self, now: Steady) {
        self.pause.store(READ, Ordering::Relaxed);
        self.heard.store(now.0, Ordering::Relaxed);
    }

    /// Why it is not read, if it is not.
    pub fn pause(&self) -> Option<Pause> {
        match self.pause.load(Ordering::Relaxed) {
            READ => None,
            1 => Some(Pause::Server),
            _ => Some(Pause::Answers),
        }
    }

    /// Whether a frame is only half there.
    pub fn is_mid_frame(&self) -> bool {
        self.mid_frame.load(Ordering::Relaxed)
    }
}

/// The share of some posts in their connection's and the server's window, given back when all are committed.
#[derive(Debug)]
pub struct Held {
    window: Arc<Semaphore>,
    server: Arc<Semaphore>,
    share: u32,
    /// Of the server's window; 0 for posts that needed none of it.
    bytes: u32,
}

impl Held {
    /// Waits until both windows have room for posts of so many bytes each; `None` if there are none.
    ///
    /// A small post takes a full share of the connection's window, so that it bounds both posts and bytes;
    /// together they take at most all of it, so that they never wait for themselves. What a connection may always
    /// have under way needs nothing of the server's window: whoever has little to say would wait for it behind all
    /// who keep their windows full.
    pub async fn acquire(
        conn: &Conn,
        server: &Arc<Semaphore>,
        posts: impl Iterator<Item = usize>,
    ) -> Option<Arc<Self>> {
        let (share, bytes) = posts.fold((0, 0), |(share, bytes): (u32, u32), post| {
            let post = u32::try_from(post).unwrap_or(u32::MAX);
            (share.saturating_add(post.max(conn.least_share)), bytes.saturating_add(post))
        });
        if bytes == 0 {
            return None;
        }
        let share = share.min(conn.window_bytes);
        // Neither semaphore is ever closed. Who stops to wait gives back what they had.
        let window = conn.window.acquire_many(share).await;
        let under_way = (conn.window_bytes as usize).saturating_sub(conn.window.available_permits());
        let bytes = if under_way <= SMALL_QUEUE { 0 } else { bytes };
        let server_window = server.acquire_many(bytes).await;
        for permit in [window, server_window].into_iter().flatten() {
            permit.forget();
        }
        Some(Arc::new(Self { window: conn.window.clone(), server: server.clone(), share, bytes }))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.window.add_permits(self.share as usize);
        self.server.add_permits(self.bytes as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocol::limits::MAX_CONTROL;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_connection_with_little_under_way_waits_for_no_room_in_the_server() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let conn = Conn::new(ConnId(1), peer, Box::pin(tokio::io::sink()), &Limits::default(), Steady(0));
        let server = Arc::new(Semaphore::new(0));
        let acquire = |posts: Vec<usize>| {
            let mut acquired = pin!(Held::acquire(&conn, &server, posts.into_iter()));
            acquired.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        let Poll::Ready(Some(few)) = acquire(vec![100, 1_000]) else { panic!("two lines wait") };
        assert!(acquire(vec![100, 100, 100]).is_pending(), "and five are not little any more");
        assert!(acquire(vec![SMALL_QUEUE + 1]).is_pending());
        drop(few);
        assert_eq!(server.available_permits(), 0, "what was not taken is not given back");
        assert!(acquire(vec![SMALL_QUEUE]).is_ready());
    }

    #[test]
    fn a_reader_that_found_no_room_is_woken_when_the_hub_writes_all() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let conn = Conn::new(ConnId(1), peer, Box::pin(tokio::io::sink()), &Limits::default(), Steady(0));
        conn.outlet().push_control(Bytes::from(vec![0; MAX_CONTROL + 1]));
        // The reading half looks between the hub's answers and its write.
        assert!(!conn.takes_answers());
        conn.offer();
        assert!(conn.takes_answers(), "all of it is written");
        let mut woken = pin!(conn.drained.notified());
        assert_eq!(woken.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
    }
}
