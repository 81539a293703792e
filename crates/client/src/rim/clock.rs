//! The system's clocks.

use crate::clock::{Clock, Now};
use protocol::id::Millis;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The system's clocks, from a start on.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the rim reads the clock")]
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the rim reads the clock")]
    fn now(&self) -> Now {
        let ms =
            |duration: std::time::Duration| Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { steady: ms(self.start.elapsed()), wall: ms(wall) }
    }
}

/// The time before which what is left half received is old: nobody goes on with it any more.
pub(super) fn a_week_ago() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "the rim reads the clock")]
    let now = SystemTime::now();
    now.checked_sub(Duration::from_hours(7 * 24)).unwrap_or(UNIX_EPOCH)
}
