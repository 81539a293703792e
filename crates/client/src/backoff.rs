//! How long to wait before the next attempt to connect: exponential bounds with full jitter.
//!
//! Source: Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).

use protocol::limits::{FIRST_BACKOFF_MS, MAX_BACKOFF_MS, STEADY_MS};
use rand::{Rng, RngExt};

/// The bound of the next wait.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// In ms. Invariant: FIRST_BACKOFF_MS <= bound <= MAX_BACKOFF_MS.
    bound: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { bound: FIRST_BACKOFF_MS }
    }
}

impl Backoff {
    /// The next wait in ms, uniform in 0 ..= bound; the bound doubles.
    pub fn next_wait(&mut self, rng: &mut impl Rng) -> u64 {
        let wait = rng.random_range(0..=self.bound);
        self.bound = (self.bound * 2).min(MAX_BACKOFF_MS);
        wait
    }

    /// A connection on which a login worked has ended after this many ms. One that lasted begins the waits anew; one
    /// that did not proves nothing: whatever ended it may end the next one at once.
    pub fn handle_end(&mut self, lasted_ms: u64) {
        if lasted_ms >= STEADY_MS {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    #[test]
    fn waits_stay_below_a_bound_that_doubles_up_to_eight_seconds() {
        let mut rng = SmallRng::seed_from_u64(1);
        for _ in 0..100 {
            let mut backoff = Backoff::default();
            for bound in [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000] {
                assert!(backoff.next_wait(&mut rng) <= bound);
            }
        }
    }
}
