//! Time: the one place where the generator reads a clock.

use std::time::{Duration, Instant};

/// A clock that began when it was made; all times of a run are of one clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the generator reads a clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since it began.
    pub fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
