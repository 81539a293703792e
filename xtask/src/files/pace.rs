//! A steady rate.

use load::clock::Clock;
use std::{thread, time::Duration};

/// Lets bytes pass at a rate, without bursts to make up for a wait of its own.
#[derive(Debug)]
pub struct Pace {
    /// Bytes a second.
    rate: Option<u64>,
    clock: Clock,
    passed: u64,
}

impl Pace {
    /// So many bytes a second; as fast as it goes, if there is no rate.
    pub fn new(rate: Option<u64>) -> Self {
        Self { rate, clock: Clock::start(), passed: 0 }
    }

    /// Waits until so many bytes more may pass.
    pub fn wait_for(&mut self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        self.passed += bytes as u64;
        let due = Duration::from_micros(self.passed.saturating_mul(1_000_000) / rate.max(1));
        thread::sleep(due.saturating_sub(self.clock.now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_from_the_first_byte_on() {
        let clock = Clock::start();
        let mut pace = Pace::new(Some(1_000_000));
        (0..5).for_each(|_| pace.wait_for(10_000));
        assert!(clock.now() >= Duration::from_millis(50));
    }
}
