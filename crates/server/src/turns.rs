//! Turns: how much of the server's time the connections of new people take.
//!
//! Buckets bound what new people may do in the long run, but at first all of them are full: hundreds of addresses
//! could have the work of an hour done in a second, and nobody else would be served meanwhile. So whatever is read of
//! somebody new, or of a stranger, takes turns as well, and so do files that are made for them or sent to them. There are
//! few at once, and whoever has to wait is not read: what they say waits on their side, and costs the server nothing.

use crate::clock::Clock;
use crate::limits::Limits;
use crate::rate::{LocalAddresses, Patience, Payers, Rates};
use protocol::limits::rates::{Bucket, FILE_TURNS, TURN_BYTES, TURN_FRAMES};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The turns of all new people.
#[derive(Debug)]
pub struct Turns {
    rates: Mutex<Rates>,
    local: LocalAddresses,
    clock: Arc<dyn Clock>,
}

impl Turns {
    /// Those that these limits allow.
    pub fn new(limits: &Limits, clock: Arc<dyn Clock>) -> Self {
        Self { rates: Mutex::new(Rates::new(limits.rates.clone())), local: limits.local, clock }
    }

    /// Waits for the turns of a piece of a file.
    pub async fn wait_for_bytes(&self, address: IpAddr, bytes: usize) {
        self.wait(address, bytes.div_ceil(TURN_BYTES)).await;
    }

    /// Waits for the turns of a file that is made: that costs more than what may be in it.
    pub async fn wait_for_file(&self, address: IpAddr) {
        self.wait(address, FILE_TURNS).await;
    }

    async fn wait(&self, address: IpAddr, turns: usize) {
        let hold = self.take(address, turns);
        if hold > 0 {
            let mut waiting = Waiting { turns: self, address, taken: turns };
            // Few have to wait: the others need no room for a timer.
            Box::pin(tokio::time::sleep(Duration::from_millis(hold))).await;
            waiting.taken = 0;
        }
    }

    /// Takes turns, and gives the ms until they have come.
    fn take(&self, address: IpAddr, turns: usize) -> u64 {
        let Some(payers) = self.payers(address) else { return 0 };
        let (turns, now) = (u32::try_from(turns).unwrap_or(u32::MAX), self.clock.now().steady);
        let taken = self.rates().take(Bucket::Turns, payers, turns, Patience::Endless, now);
        taken.unwrap_or_default()
    }

    /// Gives turns back that did not come: whoever waited is gone, and nobody is to wait in their place.
    fn give_back(&self, address: IpAddr, turns: usize) {
        if let Some(payers) = self.payers(address) {
            self.rates().give_back(Bucket::Turns, payers, u32::try_from(turns).unwrap_or(u32::MAX));
        }
    }

    fn payers(&self, address: IpAddr) -> Option<Payers> {
        Payers::of(None, address, self.local).map(|payers| payers.who_are_new(true))
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        // No code panics while it holds the lock.
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for turns.
struct Waiting<'a> {
    turns: &'a Turns,
    address: IpAddr,
    /// Those that have not come.
    taken: usize,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.turns.give_back(self.address, self.taken);
        }
    }
}

/// How far one connection may be read.
#[derive(Debug)]
pub struct Pace {
    /// Nobody waits without any.
    turns: Option<Arc<Turns>>,
    address: IpAddr,
    is_new: bool,
    /// Bytes that were read, for which no turn was taken.
    unpaid: usize,
    /// When the turns come that were taken, and how many these are. Boxed, as few have to wait.
    until: Option<Box<(Instant, usize)>>,
}

impl Pace {
    /// That of a connection from this address: of a stranger, until it is known who comes.
    pub fn new(turns: Arc<Turns>, address: IpAddr) -> Self {
        Self { turns: Some(turns), address, is_new: true, unpaid: 0, until: None }
    }

    /// One that never waits.
    pub fn unbounded() -> Self {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { turns: None, address, is_new: false, unpaid: 0, until: None }
    }

    /// It is of somebody new, or is not.
    pub fn set_new(&mut self, is_new: bool) {
        self.is_new = is_new;
    }

    /// So many bytes were read.
    pub fn note_bytes(&mut self, bytes: usize) {
        self.unpaid += bytes;
    }

    /// So many frames were read.
    pub fn note_frames(&mut self, frames: usize) {
        self.unpaid += frames * (TURN_BYTES / TURN_FRAMES);
    }

    /// Waits for the turns of what was read. Nothing is lost if this is not waited for to its end.
    pub async fn wait(&mut self) {
        let turns = self.turns.as_ref().filter(|_| self.is_new);
        let Some(turns) = turns else {
            self.unpaid = 0;
            return;
        };
        if self.until.is_none() && self.unpaid >= TURN_BYTES {
            let taken = self.unpaid / TURN_BYTES;
            let hold = turns.take(self.address, taken);
            self.unpaid %= TURN_BYTES;
            let until = || Box::new((Instant::now() + Duration::from_millis(hold), taken));
            self.until = (hold > 0).then(until);
        }
        if let Some(until) = &self.until {
            Box::pin(tokio::time::sleep_until(until.0)).await;
            self.until = None;
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        if let (Some(turns), Some(until)) = (&self.turns, &self.until) {
            turns.give_back(self.address, until.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Now, Steady, SystemClock};

    /// The clock that goes when nobody has anything to do.
    struct Paused(Instant);

    impl Clock for Paused {
        fn now(&self) -> Now {
            let ms = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
            Now { steady: Steady(1 + ms), ..SystemClock::start().now() }
        }
    }

    fn turns() -> Arc<Turns> {
        Arc::new(Turns::new(&Limits::default(), Arc::new(Paused(Instant::now()))))
    }

    fn address(host: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_and_new_people_are_read_no_faster_than_their_turns_come_and_known_people_are() {
        let (turns, begun) = (turns(), Instant::now());
        let mut pace = Pace::new(turns.clone(), address(1));
        for _ in 0..1_000 {
            pace.note_bytes(TURN_BYTES);
            pace.wait().await;
        }
        let took = begun.elapsed().as_millis();
        assert!((700..1_100).contains(&took), "1,000 turns in {took} ms");
        let begun = Instant::now();
        pace.set_new(false);
        pace.note_frames(1_000_000);
        pace.wait().await;
        let mut local = Pace::new(turns, IpAddr::V4(Ipv4Addr::LOCALHOST));
        local.note_bytes(1_000 * TURN_BYTES);
        local.wait().await;
        assert!(begun.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_to_wait_goes_on_with_it() {
        let turns = turns();
        let (mut pace, begun) = (Pace::new(turns.clone(), address(1)), Instant::now());
        for _ in 0..100 {
            turns.take(address(1), 1);
        }
        pace.note_bytes(TURN_BYTES);
        for _ in 0..10 {
            let _ = tokio::time::timeout(Duration::from_millis(1), pace.wait()).await;
        }
        pace.wait().await;
        assert!(begun.elapsed() >= Duration::from_millis(40), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_in_the_place_of_those_who_are_gone() {
        let (turns, begun) = (turns(), Instant::now());
        for _ in 0..100 {
            let mut pace = Pace::new(turns.clone(), address(1));
            pace.note_bytes(50 * TURN_BYTES);
            let _ = tokio::time::timeout(Duration::from_millis(1), pace.wait()).await;
            let _ = tokio::time::timeout(Duration::from_millis(1), turns.wait(address(2), 50)).await;
        }
        turns.wait(address(3), 50).await;
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_from_elsewhere_waits_for_no_flood() {
        let (turns, begun) = (turns(), Instant::now());
        for n in 0..10_000_u32 {
            let [.., high, low] = n.to_be_bytes();
            turns.take(IpAddr::V4(Ipv4Addr::new(198, 51, high, low)), 10);
        }
        turns.wait_for_bytes(address(1), TURN_BYTES).await;
        assert!(begun.elapsed().is_zero());
    }
}
