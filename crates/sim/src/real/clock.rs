//! The clock of a run that is not simulated.

use crate::record::micros;
use std::time::{Duration, Instant};

/// Time since a run began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock(Instant);

impl WallClock {
    /// A run begins.
    pub(crate) fn start() -> Self {
        Self(instant())
    }

    /// Microseconds since then.
    pub(crate) fn now(self) -> u64 {
        micros(instant().duration_since(self.0))
    }

    /// Blocks this thread until so many ms since then have passed.
    pub(super) fn sleep_until(self, ms: u64) {
        std::thread::sleep(Duration::from_micros((ms * 1_000).saturating_sub(self.now())));
    }
}

#[expect(clippy::disallowed_methods, reason = "what is run here is run in real time")]
fn instant() -> Instant {
    Instant::now()
}
