//! The time as it is handed in: a steady one for waiting, and the one on the wall for people.

use protocol::id::Millis;

/// An instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Milliseconds of a clock that never goes back; its zero means nothing.
    pub steady: Millis,
    /// Milliseconds since the Unix epoch, as this machine believes.
    pub wall: Millis,
}

/// Tells the time.
pub trait Clock {
    /// The time.
    fn now(&self) -> Now;
}

/// The time between `earlier` and `later` in ms; 0 if it is the other way round.
pub(crate) const fn since(later: Millis, earlier: Millis) -> u64 {
    later.0.saturating_sub(earlier.0)
}

/// `ms` after `time`.
pub(crate) const fn after(time: Millis, ms: u64) -> Millis {
    Millis(time.0.saturating_add(ms))
}
