//! Time, handed in: a steady one for waiting, and the one on the wall for what is stored and shown.
//!
//! The server never asks the system for it except here. A wall clock is set, by people and by their networks: who
//! waits by it waits for minutes when it is set back, and throws everybody out when it is set forward.

use protocol::id::Millis;
use std::time::Instant;

/// Milliseconds of a clock that never goes back; its zero means nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Steady(pub u64);

impl Steady {
    /// So many ms later.
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The ms since then; 0 if that is yet to come.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// An instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// By which everything is waited for.
    pub steady: Steady,
    /// Milliseconds since the Unix epoch, as this machine believes: for what is stored and shown.
    pub wall: Millis,
}

/// The offset of a time zone from UTC at this time: not the same in summer as in winter.
pub type Zone = fn(Millis) -> chrono::FixedOffset;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Now;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose steady time begins now.
    pub fn start() -> Self {
        Self { start: instant() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        #[expect(clippy::disallowed_methods, reason = "this is the one place where the server reads a clock")]
        let wall = std::time::SystemTime::now();
        let since = wall.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Now { steady: Steady(ms(instant().duration_since(self.start))), wall: Millis(ms(since)) }
    }
}

#[expect(clippy::disallowed_methods, reason = "and the one where it reads the steady one")]
fn instant() -> Instant {
    Instant::now()
}
