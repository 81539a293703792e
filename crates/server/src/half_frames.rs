//! Half frames: memory for frames that are not complete yet, bounded in all and for each address.
//!
//! A connection may always hold the first [`FREE_HALF_FRAME`] bytes of a frame. Beyond that it reserves room for the whole
//! frame before it reads on, so that whoever holds a part of one can complete it. A connection that finds no room is not
//! read until there is some; if a frame comes slowly meanwhile, its connection ends.

use crate::clock::{Clock, Now, Steady};
use crate::origin::Origin;
use protocol::limits::{FREE_HALF_FRAME, MAX_BULK_FRAME, SLOW_FRAME_BYTES_PER_MS, SLOW_FRAME_MS};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a connection waits for room before it looks whether a frame has become slow.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Room that a read may need which finds the beginning of another frame: with less of it, reads are short.
const ROOM_FOR_A_READ: usize = MAX_BULK_FRAME as usize + 4;

/// The room for half frames of all connections.
pub struct HalfFrames {
    most: usize,
    most_per_address: usize,
    clock: Arc<dyn Clock>,
    /// Bytes that are reserved, to be read without the lock. Invariant: that of `state`.
    reserved: AtomicUsize,
    state: Mutex<State>,
    freed: Notify,
}

/// Invariant: `bytes` and each sum in `origins` is that of the holds, and none in `origins` is 0.
#[derive(Debug, Default)]
struct State {
    bytes: usize,
    origins: BTreeMap<Origin, usize>,
    holds: BTreeMap<u64, (Origin, Arc<Hold>)>,
    last: u64,
}

/// Room that one connection has reserved for a frame.
#[derive(Debug)]
struct Hold {
    /// Bytes that are reserved.
    bytes: usize,
    /// Bytes that came.
    came: AtomicUsize,
    /// When the frame began, moved on by the time in which it was not read.
    begun: AtomicU64,
    /// Whether its connection is read: while it is not, its peer is not slow.
    is_read: AtomicBool,
    /// It was too slow: its connection ends.
    is_over: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Hold {
    /// Bytes that came in each second, if the frame has had time.
    fn pace(&self, now: Steady) -> Option<u64> {
        let age = now.since(Steady(self.begun.load(Ordering::Relaxed)));
        let is_due = self.is_read.load(Ordering::Relaxed) && age >= SLOW_FRAME_MS;
        is_due.then(|| self.came.load(Ordering::Relaxed) as u64 * 1_000 / age)
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        let waker = self.waker().take();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn of_origin(&self, origin: Origin) -> usize {
        self.origins.get(&origin).copied().unwrap_or_default()
    }

    fn remove(&mut self, id: u64) {
        let Some((origin, hold)) = self.holds.remove(&id) else { return };
        self.bytes -= hold.bytes;
        if let Some(bytes) = self.origins.get_mut(&origin) {
            *bytes -= hold.bytes;
            if *bytes == 0 {
                self.origins.remove(&origin);
            }
        }
    }

    /// The slowest frame of an origin that comes with at most this pace.
    fn slowest(&self, origin: Origin, at_most: u64, now: Steady) -> Option<u64> {
        let of_origin = self.holds.iter().filter(|(_, (of, _))| *of == origin);
        let paces = of_origin.filter_map(|(id, (_, hold))| Some((hold.pace(now)?, *id)));
        paces.filter(|(pace, _)| *pace <= at_most).min().map(|(_, id)| id)
    }

    /// The frame whose connection ends for another one of this origin: the slowest of the origin itself or, where the room
    /// of all is used up, of the origin that holds most of it.
    fn victim(&self, origin: Origin, is_all_used: bool, now: Steady) -> Option<u64> {
        let slow = SLOW_FRAME_BYTES_PER_MS * 1_000;
        if !is_all_used {
            return self.slowest(origin, slow, now);
        }
        let (most, bytes) = self.origins.iter().max_by_key(|(_, bytes)| **bytes)?;
        let at_most = if *bytes > self.of_origin(origin) { u64::MAX } else { slow };
        self.slowest(*most, at_most, now)
    }
}

impl std::fmt::Debug for HalfFrames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HalfFrames({} of {} bytes)", self.reserved.load(Ordering::Relaxed), self.most)
    }
}

impl HalfFrames {
    /// Room for so many bytes in all and for each address, and for the largest frame at least.
    pub fn new(most: usize, most_per_address: usize, clock: Arc<dyn Clock>) -> Self {
        let [most, most_per_address] = [most, most_per_address].map(|bytes| bytes.max(ROOM_FOR_A_READ));
        let (reserved, state, freed) = (AtomicUsize::new(0), Mutex::default(), Notify::new());
        Self { most, most_per_address, clock, reserved, state, freed }
    }

    /// Bytes that are reserved now.
    pub fn reserved(&self) -> usize {
        self.reserved.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; if one did, the sums would still be those of the holds.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room that is left for an origin.
    fn left(&self, state: &State, origin: Origin) -> usize {
        let of_origin = self.most_per_address.saturating_sub(state.of_origin(origin));
        of_origin.min(self.most.saturating_sub(state.bytes))
    }

    /// Whether another frame fits wherever it comes from.
    fn is_calm(&self) -> bool {
        self.reserved() + ROOM_FOR_A_READ <= self.most_per_address.min(self.most)
    }

    fn remove(&self, id: u64) {
        let mut state = self.state();
        state.remove(id);
        self.reserved.store(state.bytes, Ordering::Relaxed);
        drop(state);
        self.freed.notify_waiters();
    }
}

/// A clock that nobody needs.
struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now::default()
    }
}

/// What one connection holds of the room.
#[derive(Debug)]
pub struct Share {
    all: Arc<HalfFrames>,
    origin: Origin,
    /// Its number, and itself.
    hold: Option<(u64, Arc<Hold>)>,
    /// When the connection was read last, as long as it is not.
    left: Steady,
}

impl Share {
    /// That of a connection from there, which holds nothing yet.
    pub fn new(all: Arc<HalfFrames>, origin: Origin) -> Self {
        Self { all, origin, hold: None, left: Steady(0) }
    }

    /// That of the operator, whose frames are not counted.
    pub fn unbounded() -> Self {
        let all = HalfFrames::new(usize::MAX, usize::MAX, Arc::new(Still));
        Self::new(Arc::new(all), Origin::of(Ipv4Addr::LOCALHOST.into()))
    }

    /// Whether the connection may read on that holds so many bytes of a frame.
    pub fn may_read(&self, held: usize) -> bool {
        held < FREE_HALF_FRAME || self.hold.is_some()
    }

    /// Bytes that may be read at once, where `rest` bytes are missing of the frame that is begun: all that there are, unless
    /// a frame behind it could find no room.
    pub fn most(&self, held: usize, rest: usize) -> usize {
        if self.all.is_calm() || self.all.left(&self.all.state(), self.origin) >= ROOM_FOR_A_READ {
            return usize::MAX;
        }
        if self.hold.is_some() { rest + FREE_HALF_FRAME } else { FREE_HALF_FRAME.saturating_sub(held).max(1) }
    }

    /// Takes note of what is held of a frame after a read of `read` bytes, with `before` bytes held before it.
    pub fn note(&mut self, before: usize, read: usize, held: usize, frame: Option<usize>) {
        let goes_on = held == before + read;
        if let Some((_, hold)) = self.hold.as_ref().filter(|_| goes_on) {
            hold.came.store(held, Ordering::Relaxed);
            return;
        }
        self.release();
        // It fits, since the read was short otherwise; threads that read at once may pass the bound by a frame each.
        if held > FREE_HALF_FRAME {
            self.hold(&mut self.all.clone().state(), held, frame.unwrap_or(held));
        }
    }

    fn hold(&mut self, state: &mut State, held: usize, bytes: usize) {
        let hold = Arc::new(Hold {
            bytes,
            came: AtomicUsize::new(held),
            begun: AtomicU64::new(self.all.clock.now().steady.0),
            is_read: AtomicBool::new(true),
            is_over: AtomicBool::new(false),
            waker: Mutex::new(None),
        });
        state.last += 1;
        state.bytes += bytes;
        *state.origins.entry(self.origin).or_default() += bytes;
        state.holds.insert(state.last, (self.origin, hold.clone()));
        self.all.reserved.store(state.bytes, Ordering::Relaxed);
        self.hold = Some((state.last, hold));
    }

    /// Waits for room for the rest of a frame of so many bytes.
    pub async fn wait(&mut self, held: usize, frame: usize) {
        let all = self.all.clone();
        loop {
            let freed = all.freed.notified();
            if self.reserve(held, frame) {
                return;
            }
            // Time makes frames slow, too.
            let _ = timeout(LOOK_AGAIN, freed).await;
        }
    }

    fn reserve(&mut self, held: usize, frame: usize) -> bool {
        let all = self.all.clone();
        let mut state = all.state();
        let now = all.clock.now().steady;
        while all.left(&state, self.origin) < frame {
            let is_all_used = all.most.saturating_sub(state.bytes) < frame;
            let Some(victim) = state.victim(self.origin, is_all_used, now) else { return false };
            let ended = state.holds.get(&victim).map(|(_, hold)| hold.clone());
            state.remove(victim);
            ended.iter().for_each(|hold| hold.end());
        }
        self.hold(&mut state, held, frame);
        true
    }

    /// Whether the connection has to end, because its frame came too slowly. If not, `cx` is woken when it has to.
    pub fn is_over(&self, cx: &Context<'_>) -> bool {
        let Some((_, hold)) = &self.hold else { return false };
        let mut waker = hold.waker();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        hold.is_over.load(Ordering::Relaxed)
    }

    /// The connection is read from here on, or is not for a while.
    pub fn set_read(&mut self, is_read: bool) {
        let Some((_, hold)) = &self.hold else { return };
        let now = self.all.clock.now().steady;
        if hold.is_read.swap(is_read, Ordering::Relaxed) != is_read {
            if is_read {
                hold.begun.fetch_add(now.since(self.left), Ordering::Relaxed);
            } else {
                self.left = now;
            }
        }
    }

    fn release(&mut self) {
        if let Some((id, _)) = self.hold.take() {
            self.all.remove(id);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;

    const FRAME: usize = 100_000;

    /// A clock that is set by hand.
    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Now {
            Now { steady: Steady(self.0.load(Ordering::Relaxed)), ..Now::default() }
        }
    }

    struct Room {
        all: Arc<HalfFrames>,
        clock: Arc<Hand>,
    }

    impl Room {
        fn of(most: usize, most_per_address: usize) -> Self {
            let clock = Arc::new(Hand::default());
            Self { all: Arc::new(HalfFrames::new(most, most_per_address, clock.clone())), clock }
        }

        /// A connection from there that holds so many bytes of a frame and waits for no room.
        fn holder(&self, from: u8, held: usize) -> Share {
            let mut share = self.connection(from);
            share.note(0, held, held, Some(FRAME));
            share
        }

        fn connection(&self, from: u8) -> Share {
            Share::new(self.all.clone(), Origin::of([192, 0, 2, from].into()))
        }

        fn pass(&self, ms: u64) {
            self.clock.0.fetch_add(ms, Ordering::Relaxed);
        }
    }

    fn gets_room(share: &mut Share) -> bool {
        let waits = pin!(share.wait(FREE_HALF_FRAME, FRAME));
        waits.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn is_over(share: &Share) -> bool {
        share.is_over(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_frame_is_reserved_whole_until_it_is_complete_and_a_short_one_costs_nothing() {
        let room = Room::of(1 << 20, 1 << 20);
        let _short = room.holder(1, FREE_HALF_FRAME);
        assert_eq!(room.all.reserved(), 0);
        let mut large = room.holder(1, FREE_HALF_FRAME + 1);
        assert_eq!(room.all.reserved(), FRAME);
        large.note(FREE_HALF_FRAME + 1, 5_000, FREE_HALF_FRAME + 5_001, Some(FRAME));
        assert_eq!(room.all.reserved(), FRAME, "the same goes on");
        large.note(FREE_HALF_FRAME + 5_001, 99_000, 10, None);
        assert_eq!(room.all.reserved(), 0, "another has begun");
        let gone = room.holder(1, 2_000);
        drop(gone);
        assert_eq!(room.all.reserved(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_is_not_read_until_there_is_some() {
        let room = Room::of(usize::MAX, 3 * FRAME);
        let mut holders: Vec<_> = (0..3).map(|_| room.holder(1, 2_000)).collect();
        let mut late = room.connection(1);
        assert_eq!(late.most(0, 0), FREE_HALF_FRAME, "reads are short, so that no frame is held by surprise");
        assert!(holders[0].most(2_000, 98_000) >= 98_000, "but not of who has room");
        assert!(!late.may_read(FREE_HALF_FRAME) && !gets_room(&mut late));
        assert!(gets_room(&mut room.connection(2)), "another address is not concerned");
        holders.pop();
        assert!(gets_room(&mut late) && late.may_read(FREE_HALF_FRAME));
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_frame_ends_for_one_that_waits_and_none_that_is_fast_or_not_read() {
        let room = Room::of(usize::MAX, 3 * FRAME);
        let [mut fast, slow, mut unread] =
            [room.holder(1, 90_000), room.holder(1, 2_000), room.holder(1, 1_500)];
        unread.set_read(false);
        room.pass(SLOW_FRAME_MS - 1);
        assert!(!gets_room(&mut room.connection(1)), "all of them had too little time");
        room.pass(1);
        let mut late = room.connection(1);
        assert!(gets_room(&mut late) && is_over(&slow) && !is_over(&fast) && !is_over(&unread));
        assert!(!gets_room(&mut room.connection(1)));
        unread.set_read(true);
        assert!(!gets_room(&mut room.connection(1)), "it goes on only now");
        room.pass(SLOW_FRAME_MS);
        fast.note(90_000, 5_000, 95_000, Some(FRAME));
        late.note(1_024, 90_000, 91_024, Some(FRAME));
        assert!(gets_room(&mut room.connection(1)) && is_over(&unread) && !is_over(&fast) && !is_over(&late));
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_room_is_used_the_address_with_most_of_it_gives_way() {
        let room = Room::of(4 * FRAME, 3 * FRAME);
        let [alone, crowd, slower] = [room.holder(1, 2_000), room.holder(2, 95_000), room.holder(2, 90_000)];
        let _rest = room.holder(2, 99_000);
        room.pass(SLOW_FRAME_MS);
        assert!(gets_room(&mut room.connection(3)));
        assert!(is_over(&slower) && !is_over(&crowd) && !is_over(&alone));
    }

    #[test]
    fn whatever_the_bounds_the_largest_frame_finds_room() {
        let room = Room::of(1, 1);
        let mut share = room.connection(1);
        let waits = pin!(share.wait(FREE_HALF_FRAME, MAX_BULK_FRAME as usize + 4));
        assert!(waits.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
