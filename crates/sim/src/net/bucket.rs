//! A slow link: the bytes that one host can send or receive, whatever connection they belong to.

/// A token bucket, filled by time. It hands out departures, so that all who wait for it take turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Bytes a second; 0 for a link that is never the bottleneck.
    rate: u64,
    /// When everything that was reserved has gone, in simulated microseconds.
    free_at: u64,
}

/// How far ahead of its time a byte may go: timers round up to a millisecond, and a step may be five.
const BURST: u64 = 10_000;

impl Bucket {
    pub(crate) const fn new(rate: u64) -> Self {
        Self { rate, free_at: 0 }
    }

    /// Reserves so many bytes, and says when they may go.
    pub(crate) fn reserve(&mut self, bytes: usize, now: u64) -> u64 {
        if self.rate == 0 {
            return now;
        }
        self.free_at = self.free_at.max(now) + bytes as u64 * 1_000_000 / self.rate;
        self.free_at.saturating_sub(BURST).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_within_five_percent_however_it_is_asked() {
        for rate in [8_000, 128_000, 1_000_000] {
            let mut bucket = Bucket::new(rate);
            let (mut now, mut sent) = (0, 0_u64);
            while now < 10_000_000 {
                let size = usize::try_from(1 + (sent * 7) % 1_460).unwrap();
                // A waiter is woken up to one millisecond late.
                now = bucket.reserve(size, now).div_ceil(1_000) * 1_000;
                sent += size as u64;
            }
            let achieved = sent as f64 / (now as f64 / 1e6) / rate as f64;
            assert!((0.95..=1.05).contains(&achieved), "{achieved} of {rate}");
        }
    }

    #[test]
    fn a_link_without_a_rate_lets_everything_go_at_once() {
        assert_eq!(Bucket::new(0).reserve(1 << 30, 17), 17);
    }
}
