//! How many bytes of a file a receiver lets be under way: enough to fill the link, so few that nothing else on it is
//! late.
//!
//! What is under way beyond what a link holds stands in a queue in front of it, and so does everything that is sent
//! after it, by whomever. The receiver sees that queue: it is how much longer a grant takes to be used up than the
//! link's own time. So the window grows while that is little and shrinks when it is much, as in TCP Vegas (Brakmo and
//! Peterson, 1995) and LEDBAT (RFC 6817), but by the receiver, and on top of whatever the system's TCP does.

use std::time::Duration;

/// The first window: a quarter of a second of the narrowest link that we care for (64 kB/s).
const FIRST: u32 = 16 * 1024;

/// A queue so short that the window may grow.
const SHORT: Duration = Duration::from_millis(200);

/// A queue so long that the window has to shrink.
const LONG: Duration = Duration::from_millis(500);

/// The queue for which it shrinks.
const AIM: Duration = Duration::from_millis(350);

/// The bytes that may be under way. Times are since any moment, the same for all.
#[derive(Clone, Debug)]
pub struct Window {
    size: u32,
    most: u32,
    /// Bytes that were ever granted, and those of them that came. Invariant: arrived <= granted.
    granted: u64,
    arrived: u64,
    /// When so many bytes will have come, a grant of this time is used up.
    probe: Option<(u64, Duration)>,
    /// The shortest time that a grant took.
    base: Option<Duration>,
}

impl Window {
    /// A window of at most so many bytes. Its first grant, [`size`](Self::size), is made at the time 0.
    pub fn new(most: u32) -> Self {
        let size = FIRST.min(most);
        let granted = u64::from(size);
        Self { size, most, granted, arrived: 0, probe: Some((granted, Duration::ZERO)), base: None }
    }

    /// Its size in bytes now.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Bytes that were granted and did not come yet.
    pub fn outstanding(&self) -> u32 {
        u32::try_from(self.granted - self.arrived).unwrap_or(u32::MAX)
    }

    /// Takes note of bytes that came, and tells how many more to grant, if it is time for that. More than
    /// [`outstanding`](Self::outstanding) count as just so many.
    pub fn arrive(&mut self, bytes: u32, now: Duration) -> Option<u32> {
        self.arrived += u64::from(bytes.min(self.outstanding()));
        if let Some((_, since)) = self.probe.filter(|(until, _)| self.arrived >= *until) {
            self.probe = None;
            self.adapt(now.saturating_sub(since));
        }
        let more = self.size.saturating_sub(self.outstanding());
        if more < self.size / 4 {
            return None;
        }
        self.granted += u64::from(more);
        self.probe = self.probe.or(Some((self.granted, now)));
        Some(more)
    }

    /// A grant was used up in this time.
    fn adapt(&mut self, took: Duration) {
        let base = self.base.map_or(took, |base| base.min(took));
        self.base = Some(base);
        let queue = took - base;
        if queue < SHORT {
            self.size = self.size.saturating_mul(2).min(self.most);
        } else if queue > LONG {
            let size = u128::from(self.size) * (base + AIM).as_micros() / took.as_micros();
            let size = u32::try_from(size).unwrap_or(self.most);
            self.size = size.clamp(FIRST.min(self.most), self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: u32 = 2 << 20;

    /// Drives a window over a link: bytes a second, and its own time there and back. Tells the bytes that came within
    /// the last half of so many seconds, and the longest queue in that half.
    fn drive(rate: f64, round: f64, seconds: f64) -> (f64, f64) {
        let mut window = Window::new(MOST);
        // When the link is free, and the grants under way to the sender.
        let mut free = 0.0_f64;
        let mut grants = std::collections::VecDeque::from([(window.size(), round)]);
        let (mut came, mut longest) = (0.0, 0.0_f64);
        while let Some((bytes, ready)) = grants.pop_front() {
            // It goes in pieces, as they would in frames.
            for piece in split(bytes) {
                let queue = (free - ready).max(0.0);
                free = free.max(ready) + f64::from(piece) / rate;
                if free > seconds {
                    return (came, longest);
                }
                if free > seconds / 2.0 {
                    came += f64::from(piece);
                    longest = longest.max(queue);
                }
                if let Some(more) = window.arrive(piece, Duration::from_secs_f64(free)) {
                    grants.push_back((more, free + round));
                }
            }
        }
        unreachable!("a grant follows each grant")
    }

    fn split(bytes: u32) -> Vec<u32> {
        let mut left = bytes;
        std::iter::from_fn(|| {
            let piece = left.min(4_096);
            left -= piece;
            (piece > 0).then_some(piece)
        })
        .collect()
    }

    #[test]
    fn a_narrow_link_is_full_and_its_queue_short() {
        for (rate, round) in [(131_072.0, 0.02), (131_072.0, 0.3), (65_536.0, 0.1), (32_768.0, 0.3)] {
            let (came, queue) = drive(rate, round, 120.0);
            assert!(came > 0.9 * rate * 60.0, "{rate} {round}: {came}");
            assert!(queue < 0.9, "{rate} {round}: {queue} s");
        }
    }

    #[test]
    fn a_wide_link_is_full() {
        for (rate, round) in [(1e9, 0.000_2), (1e8, 0.01), (1e7, 0.1), (5e6, 0.25)] {
            let (came, _) = drive(rate, round, 20.0);
            let most = rate.min(f64::from(MOST) / round);
            assert!(came > 0.8 * most * 10.0, "{rate} {round}: {came}");
        }
    }

    #[test]
    fn a_window_of_nothing_grants_nothing() {
        let mut window = Window::new(0);
        for ms in [0, 1, 1_000] {
            assert_eq!(window.arrive(1_000, Duration::from_millis(ms)).unwrap_or(0), 0);
            assert_eq!((window.size(), window.outstanding()), (0, 0));
        }
    }

    proptest! {
        #[test]
        fn there_is_always_something_under_way_and_never_too_much(
            steps in prop::collection::vec((1_u32..400_000, 0_u64..3_000), 1..200),
        ) {
            let mut window = Window::new(1 << 20);
            let mut now = Duration::ZERO;
            let mut under_way = window.size();
            for (bytes, ms) in steps {
                now += Duration::from_millis(ms);
                let bytes = bytes.min(under_way);
                under_way -= bytes;
                under_way += window.arrive(bytes, now).unwrap_or(0);
                prop_assert_eq!(under_way, window.outstanding());
                prop_assert!(under_way > 0 && under_way <= 1 << 20);
            }
        }
    }
}
